"""The user's callbacks: their names, and those that cannot act."""

from __future__ import annotations

import re
import warnings
from typing import Any

import cloudpickle
from skorch.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    InputShapeSetter,
    LRScheduler,
    PassthroughScoring,
    WarmRestartLR,
)
from skorch.callbacks.scoring import ScoringBase


def name_callbacks(given: Any, *, validated: bool) -> list[tuple[str, Callback]]:
    """Callbacks with their names, the objects themselves; refuse what is none, and say what has nothing to do."""
    if not isinstance(given, (list, tuple, type(None))):
        raise TypeError(f"callbacks must be a list of callbacks, got {given!r}. Write [...] around it.")
    named = [_named(number, entry) for number, entry in enumerate(given or [])]
    for name, callback in named:
        if isinstance(callback, InputShapeSetter):
            raise TypeError(
                "callbacks: InputShapeSetter has nothing to set: EEGEncoder builds the network for the channels and"
                " times of X. Take it out."
            )
        if isinstance(callback, ScoringBase) and callback.scoring is None:
            raise ValueError(
                f"callbacks: {type(callback).__name__} needs scoring=, such as 'r2' or a function of (net, X, y): y are"
                " the vectors of the targets. Top-1 of what is held out is in the history already, as valid_top1."
            )
        if (
            isinstance(callback, (ScoringBase, PassthroughScoring))
            and not callback.on_train
            and not validated
        ):
            warnings.warn(
                f"callbacks: {type(callback).__name__} {name!r} cannot act: it scores the epochs that are held out, and"
                f" none are ({WHY}). Hold some out, or pass on_train=True.",
                UserWarning,
                stacklevel=6,
            )
    return named


# Where nothing is held out, for all who say so.
WHY = "validation=0, too few stimuli, or targets that are codes of classes"


def _named(number: int, entry: Any) -> tuple[str, Callback]:
    name, callback = entry if isinstance(entry, tuple) and len(entry) == 2 else (f"user_{number}", entry)
    if isinstance(callback, type) and issubclass(callback, Callback):
        callback = callback()
    if callback is WarmRestartLR or isinstance(callback, WarmRestartLR):
        raise TypeError(
            "callbacks: WarmRestartLR is a schedule, not a callback. Pass"
            " skorch.callbacks.LRScheduler('WarmRestartLR', ...), or lr_scheduler='cosine'."
        )
    if not isinstance(callback, Callback) or not isinstance(name, str):
        raise TypeError(f"callbacks must hold skorch callbacks, or (name, callback) pairs; got {entry!r}.")
    return name, callback


def explain_missing(error: KeyError, callback: Callback, *, validated: bool) -> None:
    """Say in a sentence that a callback reads what is not recorded where nothing is held out."""
    key = re.search(r"valid_\w+", str(error))
    if key is not None and not validated:
        raise ValueError(
            f"callbacks: {type(callback).__name__} reads {key[0]!r}, but nothing is held out to validate on ({WHY})."
            " Hold some stimuli out, let it monitor 'train_loss', or take it out."
        ) from error


def loaded_pass(callbacks: list[tuple[str, Callback]], history: Any) -> int | None:
    """The pass whose weights a callback put back at the end (``load_best``), the last one to do so; None if none did."""
    for _, callback in reversed(callbacks):
        if isinstance(callback, EarlyStopping) and callback.load_best:
            # It leaves the net alone where it thinks that the net is at its best already.
            return None if callback.best_epoch_ in (0, history[-1, "epoch"]) else callback.best_epoch_
        if (
            isinstance(callback, Checkpoint)
            and callback.load_best
            and None not in (callback.monitor, callback.event_name)
        ):
            return next((row["epoch"] for row in history[::-1] if row.get(callback.event_name)), None)
    return None


def forget_optimizer(callbacks: list[tuple[str, Callback]]) -> None:
    """Let go of the optimizer of a run that is over: a pickle of the encoder holds the callbacks."""
    for _, callback in callbacks:
        if isinstance(callback, LRScheduler):
            callback.lr_scheduler_ = None


def check_portable(callbacks: Any) -> None:
    """Refuse callbacks that cannot be pickled."""
    for entry in callbacks or []:
        callback = entry[1] if isinstance(entry, tuple) else entry
        try:
            cloudpickle.dumps(callback)
        except Exception as error:
            raise TypeError(
                f"callbacks: {type(callback).__name__} holds what cannot be written to a file or sent to another process"
                f" ({error}). Use n_jobs=1 where folds run in parallel, or set_params(callbacks=None) before saving."
            ) from error
