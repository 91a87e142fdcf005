"""The fit of an EEGEncoder."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from sklearn.utils.validation import _check_sample_weight
from skorch.callbacks import PrintLog

from .._utils.device import resolve_device, resolve_precision
from .._utils.epoched import Epoched
from .._utils.params import as_schedule
from .._utils.progress import tqdm
from .._utils.seeding import draw_seed, seed_torch, seeded_torch
from .._utils.spread import typical_spread
from .._utils.validation import check_same_length
from .adapting import adapted, with_probe
from .augment import Augment
from .budget import resolve
from .build import make_callbacks, make_net, net_spec, scheduler_of
from .callbacks import Progress, chosen_pass, get_weights, set_weights
from .checkpoint import RunCheckpoint, run_path
from .fitted import FittedNet, subject_codes
from .given import forget_optimizer, loaded_pass, name_callbacks
from .idle import warn_of_idle
from .linear_start import linear_path_of, set_linear, set_probe, start_linear
from .loader import EpochsDataset, on_device
from .net import EncoderNet
from .network_part import earns_its_place
from .pretrained import load_into, summary
from .ranks import ALONE, Ranks
from .sharing import weights_of
from .spec import NetSpec
from .targets import Targets, hold_out, hold_out_epochs, read_targets, seen_by
from .trainer import passes_of
from .weights_source import read_pretrained

# Parameters that do not change the weights a run ends with.
_OUTCOME_NEUTRAL = {"verbose", "checkpoint_dir", "callbacks", "targets", "text_targets", "random_state"}
_OUTCOME_NEUTRAL |= {"augment"}  # of which the settings count, not the object
_OUTCOME_NEUTRAL |= {"pretrained"}  # of which the weights count, not where they lie
# What is done to the embeddings that a network gives, whose own weights go on with it.
_OF_OUTPUT = ("output_spread", "output_offset")
_LEAST_SHARE = 0.1  # of the epochs, to tell whether a network is better than the linear path beside it


def fit_encoder(
    encoder: Any,
    read: Epoched,
    y: Any,
    sample_weight: Any = None,
    *,
    before: FittedNet | None = None,
    runs: list[Path] | None = None,
) -> FittedNet:
    """Train a net as the parameters of `encoder` ask for, which is only read, on epochs that are validated already.

    With `before` its weights go on from those. A fit that is one of several has a list of `runs`, to which the file of its
    finished run is added, for whoever made the list to remove; parameters that cannot act are told of by the first alone.
    """
    if sample_weight is not None:
        read, y, sample_weight = without_weightless(read, y, sample_weight)
    n_epochs = len(read.X)
    if n_epochs < 2:
        raise ValueError(
            f"n_samples={n_epochs}: contrastive training compares epochs with each other. Pass 2 or more."
        )
    targets = read_targets(
        y, n_epochs, table=encoder.targets, text_table=encoder.text_targets, owner=type(encoder).__name__
    )
    targets = replace(targets, weight=sample_weight)
    source = None if encoder.pretrained is None or before is not None else read_pretrained(encoder.pretrained)
    probed = encoder.train == "probe"
    ranks = Ranks.current()
    seed = ranks.agree(draw_seed(encoder.random_state))
    device = resolve_device(encoder.device)
    subjects = np.array([], dtype=str) if read.subject is None else np.unique(read.subject)
    budget = resolve(encoder.batch_size, encoder.max_epochs, n_epochs, ranks.size)
    # A probe has no passes to choose from.
    train_rows, valid_rows = hold_out(targets, 0 if probed else encoder.validation, budget.batch_size, seed)
    spreads = _spreads(encoder, read, targets, train_rows, ranks) if before is None else _same_spreads(before)
    spec = _spec(encoder, read, targets, len(subjects), spreads)
    if before is not None:
        own = {name: before.spec.net_params[name] for name in _OF_OUTPUT if name in before.spec.net_params}
        spec = replace(spec, net_params={**spec.net_params, **own})
    if probed:
        with seeded_torch(seed, "cpu"):
            spec = with_probe(spec, *read.X.shape[1:])
    judged, from_nothing = False, before is None and source is None and not probed
    if from_nothing and encoder.validation and valid_rows is None and targets.are_codes and _has_path(spec):
        # No class can be held out, but epochs can: the linear path, known in closed form, gets them back afterwards.
        share = max(encoder.validation, _LEAST_SHARE)
        train_rows, valid_rows = hold_out_epochs(targets, share, seed)
        judged = valid_rows is not None
    if read.subject is None or encoder.subject_layer == "none":
        codes = np.full(n_epochs, -1, dtype=np.int64)
    else:
        codes = subject_codes(read.subject, subjects)
    if ranks.size > 1:
        ends = np.asarray(read.X[:1]), np.asarray(read.X[-1:])
        given = {"X": (read.X.shape, ends), "y": targets, "subject": read.subject}
        ranks.check_same({name: joblib.hash(value) for name, value in given.items()})
        ranks.check_batches(len(train_rows), budget.batch_size)
    X = on_device(read.X, device)
    train = EpochsDataset(X, codes, targets, train_rows, device)
    valid = None if valid_rows is None else EpochsDataset(X, codes, targets, valid_rows, device)
    user = name_callbacks(encoder.callbacks, validated=valid is not None)
    callbacks = make_callbacks(
        validated=valid is not None,
        patience=encoder.patience,
        scheduler=scheduler_of(
            encoder.lr_scheduler, budget.max_epochs, math.ceil(len(train_rows) / budget.batch_size)
        ),
        ema=encoder.ema,
        user=user,
    )
    augment = None if encoder.augment is None else Augment(encoder.augment, seed + ranks.rank)
    verbose = encoder.verbose and ranks.rank == 0
    what = f"training in batches of {budget.batch_size}"
    with Progress(verbose, budget.max_epochs, what) as progress, seeded_torch(seed, device):
        callbacks.append(("skeegclip_progress", progress))
        if encoder.checkpoint_dir is not None:
            params = {k: v for k, v in encoder.get_params(deep=False).items() if k not in _OUTCOME_NEUTRAL}
            params["augment"] = None if augment is None else augment.settings()
            params |= asdict(budget)  # what "auto" stood for decides, not the word
            params["n_processes"] = ranks.size
            arrays = [read.X, targets.vectors, targets.stimulus, targets.text, codes, targets.weight]
            if read.places is not None:
                arrays.append(read.places)
            if source is not None:
                arrays += [source.state]
            if before is not None:
                arrays += [*weights_of(before.net).values(), before.spec.net_params.get("output_offset")]
            path = run_path(encoder.checkpoint_dir, params=params, arrays=arrays, seed=seed)
            callbacks.append(("skeegclip_checkpoint", RunCheckpoint(path, ranks, runs)))
        net = make_net(
            spec,
            device=device,
            precision=resolve_precision(encoder.precision, device),
            optimizer=encoder.optimizer,
            optimizer_params=encoder.optimizer_params,
            lr=encoder.lr,
            batch_size=budget.batch_size,
            max_epochs=budget.max_epochs,
            valid=valid,
            callbacks=callbacks,
            watched=bool(user),
            verbose=int(bool(verbose) or any(isinstance(callback, PrintLog) for _, callback in user)),
            augment=augment,
            seed=seed,
            ranks=ranks,
            layer_mixing=0.0 if targets.layers is None else encoder.layer_mixing,
        )
        if runs is None or before is None:
            warn_of_idle(
                encoder,
                validated=valid is not None,
                has_subjects=len(subjects) > 0,
                takes_subject=net.takes_subject_,
                mixed=targets.layers is not None,
                random=source is None and before is None,
            )
        pretrained = None if before is None else before.pretrained
        if before is not None:
            _take_over(before.net, net)
        elif source is not None:
            pretrained = load_into(net.module_, source, read.ch_names)
            if verbose:
                tqdm.write(summary(pretrained))
        missing = set() if source is None or pretrained is None else set(pretrained["not_arrived"])
        linear: dict[str, Any] = {"directions": _only_directions(encoder), "seed": seed}
        if ranks.rank == 0:  # who gives the weights to all others
            if probed:
                set_probe(net, train, **linear)
            elif before is None and _path_is_open(net, source, missing):
                start_linear(net, train, **linear)
        ranks.share_state(net.module_, net.criterion_)
        if ranks.rank:
            seed_torch(seed + ranks.rank, device)  # the same dropout in every share would be less of it
        start = get_weights(net) if judged else {}
        if not probed:
            few = train.rows[:2]
            inputs = train.batch(few, train.read(few))[0] if encoder.train == "lora" else {}
            how = {name: getattr(encoder, name) for name in ("lora_rank", "layer_decay", "head_lr")}
            with adapted(net, encoder.train, inputs, not_arrived=missing, **how):
                net.fit_passes(train)
    loaded = None if probed else loaded_pass(user, net.history)
    judgement: dict[str, Any] = {"rule": "ridge"} if probed else {}
    if judged and valid is not None:
        better = ranks.agree(earns_its_place(net, start, valid))
        judgement = {"rule": "epochs"} if better else {"rule": "epochs", "epoch": 0}
        if not better:
            set_weights(net, start)
        if ranks.rank == 0:
            whole = EpochsDataset(X, codes, targets, np.arange(n_epochs), device)
            set_linear(net, whole, **linear)
        ranks.share_state(net.module_, net.criterion_)
    history, selection = _report(net, targets, train, valid, encoder.validation, loaded, judgement)
    _let_go(net)
    forget_optimizer(user)
    return FittedNet(
        spec=spec,
        net=net,
        subjects=subjects,
        n_outputs=_n_outputs(encoder, targets),
        history=history,
        selection=selection,
        trained_on={"fit": seen_by(read.X, y, targets)},
        stated=read.stated,
        budget=budget,
        pretrained=pretrained,
    )


def without_weightless(read: Epoched, y: Any, sample_weight: Any) -> tuple[Epoched, Any, np.ndarray]:
    """The rows that weigh something, and their weights: the others must not even be compared with."""
    y = None if y is None else np.asarray(y)
    if y is not None:
        check_same_length(len(read.X), len(y))
    weight = _check_sample_weight(sample_weight, read.X, dtype=np.float32, ensure_non_negative=True)
    rows = np.flatnonzero(weight)
    if y is None or len(rows) == len(weight):
        return read, y, weight
    subject = None if read.subject is None else read.subject[rows]
    return replace(read, X=read.X[rows], subject=subject), y[rows], weight[rows]


def _spec(encoder: Any, read: Epoched, targets: Targets, n_subjects: int, spreads: dict[str, Any]) -> NetSpec:
    cls, params = net_spec(
        encoder.net,
        encoder.net_params,
        read,
        _n_outputs(encoder, targets),
        n_subjects=n_subjects,
        subject_layer=encoder.subject_layer,
        unknown_subject=encoder.unknown_subject,
        **spreads,
    )
    known = n_subjects if encoder.subject_layer != "none" else 0
    return NetSpec(cls, params, _criterion_params(encoder, targets, known))


def _has_path(spec: NetSpec) -> bool:
    return bool(spec.net_params.get("linear")) and "subject_latent" not in spec.net_params


def _n_outputs(encoder: Any, targets: Targets) -> int:
    if encoder.projector is not None:
        return encoder.projector
    return targets.vectors.shape[1] if targets.layers is None else targets.layers[0]


def _spreads(
    encoder: Any, read: Epoched, targets: Targets, train_rows: np.ndarray, ranks: Ranks
) -> dict[str, Any]:
    """How large epochs and targets are: a network need not know the unit of either, and is fed and asks for one."""
    spread = ranks.agree(typical_spread(read.X, train_rows)) or 1.0
    # The CLIP loss alone asks for directions, not for lengths.
    return {
        "input_spread": spread,
        "output_spread": 1.0 if _only_directions(encoder) else math.sqrt(targets.variance),
        "gains": _gains(read, train_rows, spread, ranks),
    }


def _gains(read: Epoched, rows: np.ndarray, spread: float, ranks: Ranks) -> np.ndarray | None:
    """What brings channels of several types, whose units differ, to one spread; by the number of the type."""
    if read.places is None:
        return None
    types = np.unique(read.places[:, 3]).astype(int)
    if len(types) < 2:
        return None
    gains = np.ones(max(types) + 1, dtype=np.float32)
    for number in types:
        own = np.flatnonzero(read.places[:, 3] == number)
        gains[number] = spread / (ranks.agree(typical_spread(read.X, rows, own)) or spread)
    return gains


def _only_directions(encoder: Any) -> bool:
    return bool(np.all(np.equal(encoder.loss_weight, 1)))


def _same_spreads(before: FittedNet) -> dict[str, Any]:
    """The old ones, with which the weights that go on learned."""
    params = before.spec.net_params
    same = {name: params.get(name, 1.0) for name in ("input_spread", "output_spread")}
    return {**same, "gains": params.get("channel_layer", {}).get("gains")}


def _criterion_params(encoder: Any, targets: Targets, n_subjects: int) -> dict:
    mixed = {} if targets.layers is None else {"layers": targets.layers, "n_subjects": n_subjects}
    return {
        **mixed,
        "loss_weight": as_schedule(encoder.loss_weight),
        "mmd_weight": as_schedule(encoder.mmd_weight),
        "text_weight": encoder.text_weight,
        "target_variance": targets.variance,
        "normalize": encoder.normalize,
        "temperature": encoder.temperature,
        "temperature_mode": encoder.temperature_mode,
        "same_stimulus": encoder.same_stimulus,
        "projector": None if encoder.projector is None else (targets.vectors.shape[1], encoder.projector),
        "error": encoder._error,
    }


def _take_over(old: EncoderNet, new: EncoderNet) -> None:
    try:
        new.module_.load_state_dict(old.module_.state_dict())
        new.criterion_.load_state_dict(old.criterion_.state_dict())
    except RuntimeError as error:
        raise ValueError(
            "warm_start=True, but the network of the last fit has other shapes than this one needs"
            f" ({str(error).splitlines()[-1].strip()}). Fit with warm_start=False."
        ) from error


def _path_is_open(net: EncoderNet, source: Any, missing: set[str]) -> bool:
    """Whether a linear path, if there is one, is still to be set: weights may have brought one."""
    path = linear_path_of(net.module_)
    return source is None or path is None or any(name.endswith("linear.weight") for name in missing)


def _let_go(net: EncoderNet) -> None:
    """Drop what a fitted encoder does not need: training data, gradients and moments, the progress bar."""
    net.train_split = None
    net.ranks = ALONE  # from here on every process is on its own
    net.callbacks = net.callbacks_ = [
        (name, callback) for name, callback in net.callbacks_ if not isinstance(callback, Progress)
    ]
    net.optimizer_.zero_grad(set_to_none=True)
    net.optimizer_.state.clear()
    net.module_.eval()


def _report(
    net: EncoderNet,
    targets: Targets,
    train: EpochsDataset,
    valid: EpochsDataset | None,
    validation: Any,
    loaded: int | None,
    judgement: dict,
) -> tuple[list[dict], dict]:
    chosen = chosen_pass(net) if loaded is None else loaded
    rule, held = "last", 0
    if valid is not None:
        rule = validation if isinstance(validation, str) else "validation"
        held = len(np.setdiff1d(targets.stimulus[valid.rows], targets.stimulus[train.rows]))
    if loaded is not None:
        rule = "callback"
    selection = {"rule": rule, "epoch": chosen, "n_stimuli_held_out": held, **judgement}
    return passes_of(net, selection["epoch"]), selection
