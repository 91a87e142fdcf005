"""A new subject for an encoder that is fitted: its own token or layer, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from .._utils.epoched import Epoched
from .._utils.seeding import draw_seed
from ..nets.per_subject import PerSubject, SubjectToken
from .budget import resolve
from .fitted import FittedNet
from .loader import EpochsDataset, whole
from .net import EncoderNet
from .own_rows import FoldRows, OwnRows, fit_rows
from .sharing import rebuild_net, weights_of
from .spec import NetSpec
from .targets import Targets, read_targets, seen_by

_N_FOLDS = 5
_PATIENCE = 10


def calibrate_encoder(
    encoder: Any, fitted: FittedNet, read: Epoched, y: Any, *, max_epochs: int, lr: float | None
) -> FittedNet:
    """What was fitted, with one more subject, of whom what is that subject's own is learned; `encoder` is only read."""
    name, part = _subject_part(encoder, fitted)
    subject = _new_subject(fitted.subjects, read.subject)
    targets = _read_targets(encoder, fitted, y, len(read.X))
    place = int(np.searchsorted(fitted.subjects, subject))
    spec, net = _with_one_more(fitted, name, part, place)
    if lr is None:
        lr = 3e-2 if isinstance(part, SubjectToken) else 3e-3
    seed = draw_seed(encoder.random_state)
    folds = _folds(targets, seed)
    device = str(net.device)
    X = whole(read.X, device)  # every fold reads it in every pass
    codes = np.full(len(read.X), place)

    def parts(*rows: np.ndarray) -> FoldRows:
        return FoldRows([EpochsDataset(X, codes, targets, part, device, read.places) for part in rows])

    # The row of all epochs learns beside those of the folds: their best pass is its own.
    train = parts(*(fit for fit, _ in folds), np.arange(len(codes)))
    valid = parts(*(held_out for _, held_out in folds))
    budget = resolve(encoder.batch_size, max_epochs, len(codes))
    own = OwnRows(net, f"{name}.known", place, len(train.parts))
    n_passes = fit_rows(
        own,
        net.criterion_,
        train,
        valid,
        lr=lr,
        batch_size=budget.batch_size,
        max_epochs=budget.max_epochs,
        patience=_PATIENCE,
        seed=seed,
        device=device,
        verbose=encoder.verbose,
    )
    own.keep(-1)
    chosen = {"epoch": n_passes, "n_epochs": len(codes), "n_stimuli": len(targets.vectors)}
    calibrated = {**fitted.selection.get("calibrated", {}), subject: chosen}
    return replace(
        fitted,
        spec=spec,
        net=net,
        subjects=np.array([*fitted.subjects[:place], subject, *fitted.subjects[place:]], dtype=str),
        selection={**fitted.selection, "calibrated": calibrated},
        trained_on={**fitted.trained_on, subject: seen_by(read.X, y, targets)},
    )


def _subject_part(encoder: Any, fitted: FittedNet) -> tuple[str, PerSubject]:
    """Where the network keeps what it knows of subjects, by name; a layer goes before a token behind it."""
    for name, module in fitted.net.module_.named_modules():
        if isinstance(module, PerSubject) and encoder.subject_layer != "none":
            return name, module
    net = encoder.net if isinstance(encoder.net, str) else fitted.spec.net.__name__
    raise ValueError(
        f"net={net!r} with subject_layer={encoder.subject_layer!r} holds nothing of a subject's own that could be"
        " calibrated. Fit with subject_layer='linear', which goes before any network."
    )


def _new_subject(known: np.ndarray, given: np.ndarray | None) -> str:
    if given is None:
        raise ValueError(
            "subject is None and X carries none: calibrate needs a name for the new subject, such as 'sub-11'."
        )
    subjects = np.unique(given)
    if len(subjects) > 1:
        raise ValueError(
            f"subject names {len(subjects)} subjects ({', '.join(subjects[:3])}, ...), but calibrate takes one at a"
            " time. Call it once for each."
        )
    subject = str(subjects[0])
    if subject in known:
        raise ValueError(
            f"subject={subject!r} is known already, and what was learned of a known subject is left as it is. Give"
            " this recording a name of its own, or fit again with its epochs."
        )
    return subject


def _read_targets(encoder: Any, fitted: FittedNet, y: Any, n_epochs: int) -> Targets:
    targets = read_targets(
        y, n_epochs, table=encoder.targets, text_table=encoder.text_targets, owner=type(encoder).__name__
    )
    loss = fitted.spec.criterion_params
    projector, layers = loss.get("projector"), loss.get("layers")
    n_dims = sum(layers) if layers else fitted.n_outputs if projector is None else projector[0]
    if targets.vectors.shape[1] != n_dims:
        raise ValueError(
            f"y holds vectors of {targets.vectors.shape[1]} dimensions, but the encoder was fitted to vectors of"
            f" {n_dims}. Calibrate with embeddings of the same model."
        )
    return targets


def _with_one_more(fitted: FittedNet, name: str, part: PerSubject, place: int) -> tuple[NetSpec, EncoderNet]:
    """A copy of the net that knows one subject more, who so far has the parameters of an unknown one."""
    params, loss = dict(fitted.spec.net_params), dict(fitted.spec.criterion_params)
    layer = next((key for key in ("subject_linear", "subject_latent") if key in params), None)
    if layer is not None:
        params[layer] = _one_more(params[layer])
    else:
        params = _one_more(params)
    weights = weights_of(fitted.net)
    new = {f"module_.{name}.known": part.of_unknown().detach().cpu().numpy()}
    if loss.get("layers"):  # targets are mixed for the new one as for everybody
        loss = _one_more(loss)
        new["criterion_.project.own"] = np.zeros((1, len(loss["layers"])), dtype=np.float32)
    for key, row in new.items():
        weights[key] = np.insert(weights[key], place, row, axis=0) if key in weights else row
    spec = replace(fitted.spec, net_params=params, criterion_params=loss)
    net = rebuild_net(spec, weights, device=str(fitted.net.device), precision=fitted.net.precision)
    return spec, net


def _one_more(params: dict[str, Any]) -> dict[str, Any]:
    return {**params, "n_subjects": params.get("n_subjects", 0) + 1}


def _folds(targets: Targets, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows to fit and to hold out in turn: other stimuli, or other rows where the targets stand for classes."""
    rows = np.arange(len(targets.stimulus))
    unit = rows if targets.are_codes else targets.stimulus
    n_units, n_stimuli = unit.max() + 1, len(targets.vectors)
    if n_units < 4 or n_stimuli < 2:
        raise ValueError(
            f"Too few epochs to calibrate: got {len(rows)} of {n_stimuli} stimuli, and it takes 4 stimuli (for"
            " targets that stand for classes, 4 epochs of 2 classes) to learn from some and try it on others."
        )
    n_folds = min(_N_FOLDS, n_units // 2)
    fold = np.random.default_rng([seed, 3]).permutation(n_units) % n_folds
    return [(rows[fold[unit] != k], rows[fold[unit] == k]) for k in range(n_folds)]
