"""Bootstrap interval of a mean over stimuli."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import gen_batches

from .._utils.params import check_number
from .._utils.seeding import draw_seed
from .intervals import group_spread, independent, share_interval, student_interval

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_BLOCK = 2**22  # random indices held at once
_FEW = 20  # of fewer groups, hits or misses a percentile bootstrap is too narrow


def bootstrap_interval(
    values: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    random_state: int | np.random.Generator | np.random.RandomState | None = None,
) -> tuple[float, float]:
    """Bootstrap interval of the mean of `values`; where a bootstrap is too narrow, the interval of a report.

    Whole groups are drawn with replacement, so that the rows of one stimulus (or of one subject) stay
    together: they are not independent, and drawing them one by one would give too narrow an interval.

    The percentiles of a bootstrap hold the truth too rarely where there is little to draw from. Of fewer than 20
    groups the interval is Student's. Where all values lie in [0, 1], as hits do, and there are fewer than 20 groups,
    or independent hits, or misses, it is Wilson's, for the number of independent groups that would give the variance found.

    Parameters
    ----------
    values : array-like of shape (n,)
        One value per row, for example the hit probabilities of :func:`n_way_probability`.
    groups : array-like of shape (n,), default=None
        Stimulus id of each row; None makes each row its own group.
    confidence : float, default=0.95
        Coverage of the interval, between 0 and 1.
    n_resamples : int, default=2000
        Number of bootstrap samples.
    random_state : int, Generator, RandomState or None, default=None
        Seed; an int makes the interval the same at every call. The global generator is never used.

    Returns
    -------
    low, high : float
        Ends of the interval.

    Raises
    ------
    ValueError
        If `values` is not 1-D, holds NaN or inf, or has fewer than two groups; or a parameter is out of range.

    References
    ----------
    B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", 1993, section 13.3. L. D. Brown, T. T. Cai and
    A. DasGupta, "Interval estimation for a binomial proportion", Statistical Science 16, 2001.

    Examples
    --------
    >>> from skeegclip.metrics import bootstrap_interval
    >>> low, high = bootstrap_interval([0, 1, 1, 0, 1, 1, 1, 1], random_state=0)
    >>> low < 0.75 < high
    True

    No hit among 100 is no proof that there never is one:

    >>> low, high = bootstrap_interval([0] * 100)
    >>> round(low, 3), round(high, 3)
    (0.0, 0.038)
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(f"values must have shape (n,), got shape {values.shape}.")
    shares = bool((values >= 0).all() and (values <= 1).all())
    low, high = bootstrap_columns(
        values[:, None], groups, confidence, n_resamples, random_state, shares=shares
    )
    return float(low[0]), float(high[0])


def bootstrap_columns(
    values: NDArray[np.float64],
    groups: Any,
    confidence: float,
    n_resamples: int,
    random_state: Any,
    *,
    shares: bool | Sequence[bool] = False,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Intervals for each column of `values` (n, m), from the same resamples of the rows; `shares` tells which are accuracies."""
    n_resamples = check_number("n_resamples", n_resamples, low=1, integer=True)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, for example 0.95, got {confidence!r}.")
    if not np.isfinite(values).all():
        row = np.flatnonzero(~np.isfinite(values).all(axis=1))[0]
        raise ValueError(f"values holds NaN or inf, first at position {row}.")
    code = _codes(values, groups)
    sizes = np.bincount(code).astype(np.float64)
    if len(sizes) < 2:
        raise ValueError(
            f"groups must name at least 2 groups, got {len(sizes)}: an interval learns the spread from the "
            "differences between groups."
        )
    columns = [np.bincount(code, weights=column) for column in values.T]
    sums: NDArray[np.float64] = np.stack(columns, axis=1).astype(np.float64, copy=False)
    means = _resampled_means(sums, sizes, n_resamples, np.random.default_rng(draw_seed(random_state)))
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    are_shares = np.broadcast_to(shares, values.shape[1])
    for place, (column, share) in enumerate(zip(values.T, are_shares, strict=True)):
        mean, spread = float(column.mean()), group_spread(column, code)
        few = len(sizes) < _FEW
        if share and (few or independent(mean, spread) * min(mean, 1 - mean) < _FEW):
            low[place], high[place] = share_interval(mean, spread, confidence)
        elif few:
            low[place], high[place] = student_interval(mean, spread, confidence)
    return low, high


def _codes(values: NDArray[np.float64], groups: Any) -> NDArray[np.intp]:
    """Number of each row's group."""
    if groups is None:
        return np.arange(len(values))
    groups = np.asarray(groups)
    if groups.shape != (len(values),):
        raise ValueError(f"groups must have shape ({len(values)},) like values, got shape {groups.shape}.")
    return np.unique(groups, return_inverse=True)[1]


def _resampled_means(
    sums: NDArray[np.float64], sizes: NDArray[np.float64], n_resamples: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Means (n_resamples, m): each resample is a vector of how often each group was drawn."""
    n_groups = len(sizes)
    means = np.empty((n_resamples, sums.shape[1]))
    for part in gen_batches(n_resamples, max(1, _BLOCK // n_groups)):
        n = part.stop - part.start
        drawn = rng.integers(n_groups, size=(n, n_groups)) + n_groups * np.arange(n)[:, None]
        times = np.bincount(drawn.ravel(), minlength=n * n_groups).reshape(n, n_groups).astype(np.float64)
        means[part] = (times @ sums) / (times @ sizes)[:, None]
    return means
