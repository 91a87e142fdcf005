"""Parameters that change nothing in a fit: they say so."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from .._utils.params import warn_idle
from .given import WHY

_OF_THE_CLIP_LOSS = (
    "normalize",
    "temperature",
    "temperature_mode",
    "same_stimulus",
    "text_weight",
    "mmd_weight",
)


def warn_of_idle(
    encoder: Any, *, validated: bool, has_subjects: bool, takes_subject: bool, mixed: bool, random: bool
) -> None:
    """Warn of each parameter that was given (is not its default) and cannot act, and of a body that stays random."""
    warn_of_given(encoder, _idle(encoder, validated, has_subjects, takes_subject, mixed), stacklevel=6)
    if random and encoder.train != "all":
        warnings.warn(
            f"train={encoder.train!r} leaves all before the head as it starts: random, with pretrained=None. Pass the"
            " weights, unless random features are what you want to compare with.",
            UserWarning,
            stacklevel=5,
        )


def warn_of_given(estimator: Any, idle: Iterable[tuple[str, str]], *, stacklevel: int) -> None:
    """Warn of each of these parameters that was given, and say why it cannot act."""
    defaults = inspect.signature(type(estimator).__init__).parameters
    for name, why in idle:
        value = getattr(estimator, name)
        if name == "text_targets":
            given = value is not None
        elif name == "patience":
            usual = getattr(estimator, "_usual_patience", defaults[name].default)
            given = value not in (None, usual)
        else:
            given = not np.array_equal(value, defaults[name].default)
        if given:
            warn_idle(name, value, why, stacklevel=stacklevel)


def _idle(
    encoder: Any, validated: bool, has_subjects: bool, takes_subject: bool, mixed: bool
) -> Iterator[tuple[str, str]]:
    if encoder.train != "lora":
        yield "lora_rank", f"train is {encoder.train!r}, not 'lora'"
    if encoder.train == "probe":
        yield "head_lr", "train is 'probe', which takes no steps"
    if encoder.train in ("head", "probe"):
        yield "layer_decay", f"train is {encoder.train!r}, so that no layer before the head is trained"
    if not validated:
        yield "patience", f"nothing is held out ({WHY}), so that every pass is trained"
    if np.all(np.equal(encoder.loss_weight, 0)):
        for name in _OF_THE_CLIP_LOSS:
            yield name, "it belongs to the CLIP loss, and loss_weight is 0"
    if encoder.text_weight == 0:
        yield "text_targets", "text_weight is 0"
    if not mixed:
        yield "layer_mixing", "targets is one table, and there is nothing to mix"
    elif not has_subjects or encoder.subject_layer == "none":
        yield (
            "layer_mixing",
            "no subject has weights of its own, without subject= or with subject_layer='none'",
        )
    if not has_subjects:
        yield "unknown_subject", "no epoch has a subject. Pass subject=, or X that carries it"
    elif encoder.subject_layer == "none":
        yield "unknown_subject", "subject_layer is 'none'"
    elif encoder.subject_layer == "token" and not takes_subject:
        yield "unknown_subject", "this network has no token of subjects. Use subject_layer='linear'"
