"""Checks of the arguments that the ranking functions share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils.missing import refuse_masked
from .._utils.params import check_number

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def check_n_way(n_way: Any, k: Any, n_gallery: int | None = None) -> tuple[int, int]:
    """Return `(n_way, k)` with 2 <= n_way <= n_gallery and 1 <= k < n_way, or raise."""
    if n_gallery is not None and n_gallery < 2:
        raise ValueError(f"similarity must have at least 2 gallery items (columns), got {n_gallery}.")
    n_way = check_number("n_way", n_way, low=2, integer=True)
    k = check_number("k", k, low=1, integer=True)
    if n_gallery is not None and n_way > n_gallery:
        raise ValueError(
            f"n_way must be at most {n_gallery}, the size of the gallery (columns of similarity), got {n_way}."
        )
    if k >= n_way:
        raise ValueError(
            f"k must be smaller than {n_way}, the number of items, got {k}: a hit would be certain."
        )
    return n_way, k


def check_similarity(similarity: ArrayLike) -> NDArray[Any]:
    """Return `similarity` as a real 2-D array with at least one row and one column, or raise."""
    refuse_masked(similarity, name="similarity")
    similarity = np.asarray(similarity)
    if similarity.ndim != 2 or 0 in similarity.shape:
        raise ValueError(
            f"similarity must be a non-empty array (n_queries, n_gallery), got shape {similarity.shape}."
        )
    if similarity.dtype.kind not in "fiu":
        raise TypeError(f"similarity must hold real numbers, got dtype {similarity.dtype}.")
    return similarity


def check_target(target: ArrayLike, n_queries: int, n_gallery: int) -> NDArray[np.intp]:
    """Return `target` as (n_queries,) column indices of the gallery, or raise."""
    target = np.asarray(target)
    if target.shape != (n_queries,):
        raise ValueError(
            f"target must have shape ({n_queries},), one gallery column for each row of similarity, "
            f"got shape {target.shape}."
        )
    if target.dtype.kind not in "iu":
        raise TypeError(
            f"target must hold integer gallery columns, got dtype {target.dtype}. Names are turned into "
            "columns with np.unique(names, return_inverse=True)."
        )
    outside = np.flatnonzero((target < 0) | (target >= n_gallery))
    if outside.size:
        raise ValueError(
            f"target must lie in 0 .. {n_gallery - 1}, the columns of similarity, "
            f"got {target[outside[0]]} at position {outside[0]}."
        )
    return target.astype(np.intp, copy=False)
