"""Bootstrap interval of a mean over stimuli."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils.params import check_number
from .._utils.seeding import draw_seed

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_BLOCK = 2**22  # random indices held at once


def bootstrap_interval(
    values: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    confidence: float = 0.95,
    n_resamples: int = 2000,
    random_state: int | np.random.Generator | np.random.RandomState | None = None,
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of `values`.

    Whole groups are drawn with replacement, so that the rows of one stimulus (or of one subject) stay
    together: they are not independent, and drawing them one by one would give too narrow an interval.

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
        Ends of the interval. Where all values are equal (all hits, or none) both ends are that value: the
        bootstrap cannot see the uncertainty that is left.

    Raises
    ------
    ValueError
        If `values` is not 1-D, holds NaN or inf, or has fewer than two groups; or a parameter is out of range.

    References
    ----------
    B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", 1993, section 13.3.

    Examples
    --------
    >>> from skeegclip.metrics import bootstrap_interval
    >>> low, high = bootstrap_interval([0, 1, 1, 0, 1, 1, 1, 1], random_state=0)
    >>> low < 0.75 < high
    True
    >>> bootstrap_interval([1, 1, 0, 0], groups=["a", "a", "b", "b"], random_state=0)
    (0.0, 1.0)
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(f"values must have shape (n,), got shape {values.shape}.")
    low, high = bootstrap_columns(values[:, None], groups, confidence, n_resamples, random_state)
    return float(low[0]), float(high[0])


def bootstrap_columns(
    values: NDArray[np.float64], groups: Any, confidence: float, n_resamples: int, random_state: Any
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Intervals for each column of `values` (n, m), from the same resamples of the rows."""
    n_resamples = check_number("n_resamples", n_resamples, low=1, integer=True)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, for example 0.95, got {confidence!r}.")
    if not np.isfinite(values).all():
        row = np.flatnonzero(~np.isfinite(values).all(axis=1))[0]
        raise ValueError(f"values holds NaN or inf, first at position {row}.")
    sums, sizes = _group_sums(values, groups)
    if len(sizes) < 2:
        raise ValueError(
            f"groups must name at least 2 groups, got {len(sizes)}: the bootstrap learns the spread from the "
            "differences between groups."
        )
    means = _resampled_means(sums, sizes, n_resamples, np.random.default_rng(draw_seed(random_state)))
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    return low, high


def _group_sums(values: NDArray[np.float64], groups: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if groups is None:
        return values, np.ones(len(values))
    groups = np.asarray(groups)
    if groups.shape != (len(values),):
        raise ValueError(f"groups must have shape ({len(values)},) like values, got shape {groups.shape}.")
    _, code, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    sums = [np.bincount(code, weights=column) for column in values.T]
    return np.stack(sums, axis=1), sizes.astype(np.float64)


def _resampled_means(
    sums: NDArray[np.float64], sizes: NDArray[np.float64], n_resamples: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Means (n_resamples, m): each resample is a vector of how often each group was drawn."""
    n_groups = len(sizes)
    means = np.empty((n_resamples, sums.shape[1]))
    step = max(1, _BLOCK // n_groups)
    for start in range(0, n_resamples, step):
        n = min(step, n_resamples - start)
        drawn = rng.integers(n_groups, size=(n, n_groups)) + n_groups * np.arange(n)[:, None]
        times = np.bincount(drawn.ravel(), minlength=n * n_groups).reshape(n, n_groups).astype(np.float64)
        means[start : start + n] = (times @ sums) / (times @ sizes)[:, None]
    return means
