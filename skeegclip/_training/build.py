"""From an EEGEncoder's parameters to a skorch net."""

from __future__ import annotations

import functools
import math
from typing import Any

import torch
from skorch.callbacks import Callback, LRScheduler
from skorch.helper import predefined_split

from .._utils.epoched import Epoched
from .._utils.params import check_dict, check_number, check_option
from ..losses import MixedLoss
from ..nets.facts import accepted_by, facts_of_forward
from ..nets.registry import get_net
from .augment import Augment
from .callbacks import AveragedWeights, BestWeights, Patience
from .loader import BatchLoader, EpochsDataset
from .net import EncoderNet
from .optimizers import OPTIMIZERS
from .ranks import ALONE, Ranks
from .spec import NetSpec

# Whose networks' outputs are about as large as published targets, and are to be scaled to others; a class of the user's
# says by itself how large its are.
_OF_UNIT_SIZE = ("skeegclip", "braindecode")
_N_LATENTS = 184  # as in ENIGMA, arXiv:2602.10361
_WARMUP = 0.1  # of all steps, as in LaBraM's fine-tuning, arXiv:2405.18765


def net_spec(
    net: Any,
    net_params: dict | None,
    read: Epoched,
    n_outputs: int,
    *,
    n_subjects: int,
    subject_layer: str,
    unknown_subject: str,
    input_spread: float,
    output_spread: float,
    gains: Any = None,
) -> tuple[type, dict]:
    """The network class and all its arguments for these epochs, as `skeegclip.nets.build.build_net` takes them."""
    _, n_chans, n_times = read.X.shape
    cls, defaults = get_net(net, n_times)
    accepted = accepted_by(cls)
    takes = {*accepted, *facts_of_forward(cls)}
    known = {
        "n_outputs": n_outputs,
        "n_chans": n_chans,
        "n_times": n_times,
        "sfreq": read.sfreq,
        "chs_info": read.chs_info,
        "ch_names": None if read.ch_names is None else list(read.ch_names),
        "n_subjects": n_subjects if subject_layer == "token" else 0,
        "unknown_subject": unknown_subject,
    }
    params = {name: value for name, value in known.items() if name in takes and value is not None}
    given = check_dict("net_params", net_params)
    if subject_layer in ("linear", "latent"):
        dropout = {"dropout": given.pop("subject_dropout")} if "subject_dropout" in given else {}
        layer = {"n_subjects": n_subjects, "unknown": unknown_subject, **dropout}
        if subject_layer == "linear":
            params["subject_linear"] = {**layer, "n_chans": n_chans}
        else:
            # A head stands behind the network, so that ridge regression beside it would speak of other vectors.
            defaults = {name: value for name, value in defaults.items() if name != "linear"}
            params["n_outputs"] = check_number(
                "n_latents", given.pop("n_latents", _N_LATENTS), low=1, integer=True
            )
            params["subject_latent"] = {**layer, "n_latents": params["n_outputs"], "n_outputs": n_outputs}
    if read.places is not None:
        params["channel_layer"] = {"places": read.places, "gains": gains}
    unknown = sorted(set(given) - takes)
    if unknown:
        own = sorted(takes - set(known) - {"self"})
        raise ValueError(
            f"net_params: {cls.__name__} has no parameter {unknown[0]!r}; it takes {', '.join(own)}."
        )
    spreads = {"input_spread": input_spread}
    if cls.__module__.split(".")[0] in _OF_UNIT_SIZE or subject_layer == "latent":
        spreads["output_spread"] = output_spread
    return cls, {**params, **defaults, **given, **spreads}


def make_net(
    spec: NetSpec,
    *,
    device: str,
    precision: str,
    optimizer: Any = "adamw",
    optimizer_params: dict | None = None,
    lr: float = 3e-4,
    batch_size: int = 1024,
    max_epochs: int = 40,
    valid: EpochsDataset | None = None,
    callbacks: list | None = None,
    watched: bool = False,
    verbose: int = 0,
    augment: Augment | None = None,
    seed: int = 0,
    ranks: Ranks = ALONE,
    layer_mixing: float = 0.0,
) -> EncoderNet:
    """An initialised skorch net; with ``optimizer=None`` one to be used, not trained."""
    optimizer_class = None if optimizer is None else _optimizer(optimizer)
    optimizer_params = check_dict("optimizer_params", optimizer_params)
    can_fuse = {torch.optim.AdamW, torch.optim.Adam, OPTIMIZERS["adamw"], OPTIMIZERS["adam"]}
    if optimizer_class in can_fuse and "foreach" not in optimizer_params:
        optimizer_params.setdefault("fused", torch.device(device).type in ("cpu", "cuda"))
    net = EncoderNet(
        spec.net,
        criterion=MixedLoss,
        optimizer=optimizer_class,
        lr=lr,
        max_epochs=max_epochs,
        batch_size=batch_size,
        iterator_train=BatchLoader,
        iterator_train__shuffle=True,
        iterator_train__seed=seed,
        iterator_train__augment=augment,
        iterator_train__ranks=ranks,
        iterator_train__layer_mixing=layer_mixing,
        iterator_valid=BatchLoader,
        iterator_valid__ranks=ranks,
        ranks=ranks,
        train_split=None if valid is None else predefined_split(valid),
        callbacks=callbacks or [],
        device=device,
        precision=precision,
        watched=watched,
        verbose=verbose,
        **{f"module__{name}": value for name, value in spec.net_params.items()},
        **{f"criterion__{name}": value for name, value in spec.criterion_params.items()},
        **{f"optimizer__{name}": value for name, value in optimizer_params.items()},
    )
    return net.initialize()


def _optimizer(optimizer: Any) -> type:
    if isinstance(optimizer, type) and issubclass(optimizer, torch.optim.Optimizer):
        return optimizer
    return OPTIMIZERS[check_option("optimizer", optimizer, OPTIMIZERS)]


def make_callbacks(
    *,
    validated: bool,
    patience: int | None,
    scheduler: LRScheduler | None,
    ema: float | None,
    user: list[tuple[str, Callback]],
) -> list[tuple[str, Callback]]:
    """Callbacks in the order in which they must run; the caller adds progress and checkpoint."""
    callbacks: list[tuple[str, Callback]] = []
    if scheduler is not None:
        callbacks.append(("skeegclip_lr_scheduler", scheduler))
    if ema is not None:
        callbacks.append(("skeegclip_averaged_weights", AveragedWeights(ema)))
    if validated:
        callbacks.append(("skeegclip_best_weights", BestWeights()))
    callbacks.extend(user)
    if validated and patience is not None:
        callbacks.append(("skeegclip_patience", Patience(patience)))
    return callbacks


def warmup_cosine(n_warmup: int, n_steps: int) -> LRScheduler:
    """A learning rate that rises over so many steps, and then decays as a cosine until the last one."""

    def factor(step: int) -> float:
        if step < n_warmup:
            return step / n_warmup
        return (1 + math.cos(math.pi * (step - n_warmup) / max(1, n_steps - n_warmup))) / 2

    policy = torch.optim.lr_scheduler.LambdaLR
    return LRScheduler(policy, lr_lambda=factor, step_every="batch", event_name=None)


def scheduler_of(lr_scheduler: Any, max_epochs: int, n_batches: int = 1) -> LRScheduler | None:
    """The schedule that an encoder's parameter asks for, stepped once a pass, or with warm-up once a batch."""
    if lr_scheduler is None:
        return None
    schedulers = torch.optim.lr_scheduler
    if isinstance(lr_scheduler, str):
        check_option("lr_scheduler", lr_scheduler, ["cosine", "warmup-cosine"])
        if lr_scheduler == "warmup-cosine":
            n_steps = max_epochs * n_batches
            return warmup_cosine(math.ceil(_WARMUP * n_steps), n_steps)
        return LRScheduler(schedulers.CosineAnnealingLR, T_max=max_epochs)
    params: dict = {}
    if isinstance(lr_scheduler, functools.partial):
        lr_scheduler, params = lr_scheduler.func, dict(lr_scheduler.keywords)
    if not (isinstance(lr_scheduler, type) and issubclass(lr_scheduler, schedulers.LRScheduler)):
        raise TypeError(
            'lr_scheduler must be None, "cosine", "warmup-cosine", or a torch LRScheduler class (functools.partial sets its'
            f" arguments), stepped once a pass; got {lr_scheduler!r}."
        )
    return LRScheduler(lr_scheduler, **params)
