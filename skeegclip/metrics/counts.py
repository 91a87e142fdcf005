"""What the ranking functions share: counts of better and equal items, and the probability of a hit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ._checks import check_n_way, check_similarity, check_target

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_BLOCK = 2**22  # elements compared at once: bounds the temporary arrays for large galleries


def count_better_equal(
    similarity: ArrayLike, target: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Count, for each query, the other items above and level with the true one; also give `n_gallery`."""
    similarity = check_similarity(similarity)
    n_queries, n_gallery = similarity.shape
    target = check_target(target, n_queries, n_gallery)
    better, equal = np.empty(n_queries, np.int64), np.empty(n_queries, np.int64)
    step = max(1, _BLOCK // n_gallery)
    for start in range(0, n_queries, step):
        rows = slice(start, start + step)
        block = similarity[rows]
        bad = np.flatnonzero(np.isnan(block).any(axis=1))
        if bad.size:
            raise ValueError(
                f"similarity holds NaN, first in row {start + bad[0]}: such a query has no ranking. "
                "Look for NaN in the embeddings it was computed from."
            )
        true = np.take_along_axis(block, target[rows, None], axis=1)
        better[rows] = np.count_nonzero(block > true, axis=1)
        equal[rows] = np.count_nonzero(block == true, axis=1) - 1
    return better, equal, n_gallery


def hit_probability(
    better: NDArray[np.int64], equal: NDArray[np.int64], n_gallery: int, n_way: int, k: int
) -> NDArray[np.float64]:
    """Probability of a top-k hit in an n-way test, from the counts of better and equal items."""
    n_way, k = check_n_way(n_way, k, n_gallery)
    if n_way == n_gallery:  # no draw: the share of the tied ranks that are within the first k
        return np.clip(k - better, 0, equal + 1) / (equal + 1)
    from scipy.stats import hypergeom

    # X = number of better items among the n_way - 1 drawn from the n_gallery - 1 others; a hit is X < k.
    if not equal.any():
        distinct, inverse = np.unique(better, return_inverse=True)
        return hypergeom.cdf(k - 1, n_gallery - 1, distinct, n_way - 1)[inverse]
    first, last = better.min(), (better + equal).max()
    by_rank = hypergeom.cdf(k - 1, n_gallery - 1, np.arange(first, last + 1), n_way - 1)
    total = np.concatenate([[0.0], np.cumsum(by_rank)])
    return np.clip((total[better + equal + 1 - first] - total[better - first]) / (equal + 1), 0.0, 1.0)
