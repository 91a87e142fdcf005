"""What a saved EEGCaptioner says, and whether it can be true."""

from __future__ import annotations

from typing import Any

from ..._utils.params import check_number, check_option
from .._sharing import Fitted, History, Selection, schema


@schema
class _Git:
    n_features_in_: int
    token_shape_: tuple[int, int]
    history_: History
    selection_: Selection


@schema
class _Nearest:
    n_features_in_: int
    captions_: list[str]


GIT = Fitted(_Git, {"mean_": ("n_features_in_",), "scale_": ("n_features_in_",)})
NEAREST = Fitted(_Nearest, {"vectors_": ("n_captions", "n_features_in_")})


def check_fits(captioner: Any) -> None:
    """Refuse what no fit gives, before a network is laid out."""
    check_option("precision", captioner.precision, ["auto", "float32", "bfloat16"])
    check_number("random_state", captioner.random_state, low=0, integer=True, none=True)
    if captioner.caption == "git" and captioner.scale_.min() <= 0:
        raise ValueError("a scale is not positive")
    if captioner.caption == "nearest" and len(captioner.captions_) != len(captioner.vectors_):
        raise ValueError(f"{len(captioner.captions_)} captions are of {len(captioner.vectors_)} stimuli")
