"""All n-way figures of one evaluation in one table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .._utils.params import check_number
from ._checks import check_n_way
from .bootstrap import bootstrap_columns
from .counts import count_better_equal, hit_probability

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike

N_WAYS = (2, 4, 10, 50, 100, 200)  # the sizes that papers on THINGS-EEG2 report


def n_way_table(
    similarity: ArrayLike,
    target: ArrayLike,
    n_ways: Sequence[int] | None = None,
    ks: Sequence[int] = (1, 5),
    *,
    groups: ArrayLike | None = None,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    random_state: int | np.random.Generator | np.random.RandomState | None = None,
) -> pd.DataFrame:
    """Exact n-way accuracies with their chance levels and intervals.

    Parameters
    ----------
    similarity : array-like of shape (n_queries, n_gallery)
        Similarity of each query to each gallery item; larger is better.
    target : array-like of int of shape (n_queries,)
        Gallery column of each query's true item.
    n_ways : sequence of int, default=None
        Numbers of items to choose from. None takes those of 2, 4, 10, 50, 100, 200 that the gallery allows,
        and the whole gallery.
    ks : sequence of int, default=(1, 5)
        Numbers of items that count as a hit. Pairs with ``k >= n_way`` are left out: a hit would be certain.
    groups : array-like of shape (n_queries,), default=None
        Whose others the intervals speak of, as in :func:`bootstrap_interval`. None takes stimuli, that is the
        values of `target`, with all their rows. The gallery is held fixed.
    confidence : float, default=0.95
        Coverage of the intervals.
    n_resamples : int, default=2000
        Number of bootstrap samples, the same for every figure of the table; 0 leaves the intervals out.
    random_state : int, Generator, RandomState or None, default=None
        Seed of the bootstrap.

    Returns
    -------
    table : DataFrame
        One row for each pair of `n_way` and `k`, with the columns `n_way`, `k`, `accuracy`, `low`, `high`
        and `chance`; accuracies in [0, 1].

    Raises
    ------
    ValueError
        If a shape is wrong, `similarity` holds NaN, `target` lies outside the gallery, an n is larger than
        the gallery, or no pair is left.

    Examples
    --------
    >>> import numpy as np
    >>> from skeegclip.metrics import n_way_table
    >>> similarity = np.eye(8) + 0.6 * np.eye(8, k=1)
    >>> similarity[0] = similarity[0, ::-1]
    >>> n_way_table(similarity, np.arange(8), ks=[1], n_resamples=0).round(3)
       n_way  k  accuracy  chance
    0      2  1     0.920   0.500
    1      4  1     0.884   0.250
    2      8  1     0.875   0.125
    """
    better, equal, n_gallery = count_better_equal(similarity, target)
    if n_ways is None:
        n_ways = sorted({n for n in N_WAYS if n < n_gallery} | {n_gallery})
    pairs = []
    for n_way in n_ways:
        n_way, _ = check_n_way(n_way, 1, n_gallery)
        pairs += [(n_way, k) for k in (check_number("ks", k, low=1, integer=True) for k in ks) if k < n_way]
    if not pairs:
        raise ValueError(f"ks must hold a k smaller than some n of n_ways, got ks={ks} and n_ways={n_ways}.")
    values = np.stack([hit_probability(better, equal, n_gallery, n, k) for n, k in pairs], axis=1)

    import pandas as pd

    table = pd.DataFrame(pairs, columns=["n_way", "k"])
    table["accuracy"] = values.mean(axis=0)
    if n_resamples:
        groups = np.asarray(target) if groups is None else groups
        table["low"], table["high"] = bootstrap_columns(
            values, groups, confidence, n_resamples, random_state, shares=True
        )
    table["chance"] = table["k"] / table["n_way"]
    return table
