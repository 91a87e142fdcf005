"""What a saved DiffusionPrior says, and whether it can be true."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..._utils.params import check_dict, check_number, check_option
from ...embeddings.table import check_table
from .._sharing import Fitted, History, Selection, schema


@schema
class _Facts:
    n_features_in_: int
    n_dims_: int
    seed_: int
    history_: History
    selection_: Selection


FITTED = Fitted(
    _Facts,
    {
        "condition_mean_": ("n_features_in_",),
        "condition_scale_": ("n_features_in_",),
        "target_mean_": ("n_dims_",),
        "target_scale_": ("n_dims_",),
    },
)


def check_fits(prior: Any, weights: Mapping[str, np.ndarray]) -> None:
    """Refuse what no fit gives, before a network is laid out."""
    check_option("precision", prior.precision, ["auto", "float32", "bfloat16"])
    check_option("reference_quirks", prior.reference_quirks, [True, False])
    check_number("random_state", prior.random_state, low=0, integer=True, none=True)
    check_number("seed_", prior.seed_, low=0, high=2**63, integer=True)
    if min(prior.condition_scale_.min(), prior.target_scale_.min()) <= 0:
        raise ValueError("a scale is not positive")
    if prior.targets is not None:
        check_table("targets", prior.targets)
        if prior.targets.n_dims != prior.n_dims_:
            raise ValueError("the targets are of another width than the embeddings")
    sizes = check_dict("net_params", prior.net_params)
    for name in ("width", "n_time_features"):
        check_number(name, sizes.get(name, 1), low=1, integer=True)
    for width in sizes.get("widths", ()):
        check_number("widths", width, low=1, integer=True)
    # Even a network without memory takes time to be laid out, block by block.
    check_number("n_blocks", sizes.get("n_blocks", 1), low=0, high=len(weights), integer=True)
