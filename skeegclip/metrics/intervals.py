"""Intervals of a mean from its variance: Wilson's of an accuracy, Student's of anything else."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats

_ROUNDING = 1e-16  # what a variance of equal values may come to


class Spread(NamedTuple):
    """Variance of a mean, its degrees of freedom, and the number of stimuli it rests on."""

    variance: float
    dof: float
    n_stimuli: int


def group_spread(values: np.ndarray, groups: np.ndarray, n_stimuli: int | None = None) -> Spread:
    """Variance of a mean over rows, were other groups drawn; `n_stimuli` is the number of groups where not given."""
    _, code = np.unique(groups, return_inverse=True)
    n = int(code.max()) + 1
    shares = np.bincount(code, weights=values - values.mean()) * n / len(values)
    return Spread(float((shares**2).sum() / (n * (n - 1))), n - 1, n_stimuli or n)


def share_interval(mean: float, spread: Spread, confidence: float) -> tuple[float, float]:
    """Wilson's interval of an accuracy, for the number of independent stimuli that would have its variance.

    A symmetric interval, or a percentile bootstrap, covers too rarely where accuracies are near 0 or 1: a decoder
    that finds 2 of 200 pictures. Wilson's does not, and stays inside [0, 1].
    """
    z = stats.t.ppf((1 + confidence) / 2, spread.dof)
    n = independent(mean, spread)
    centre = (mean + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(mean * (1 - mean) / n + z**2 / (4 * n**2))
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def independent(mean: float, spread: Spread) -> float:
    """Number of independent stimuli, found or not, whose share would have this variance."""
    if spread.variance <= _ROUNDING:
        return spread.n_stimuli
    return max(mean * (1 - mean) / spread.variance, 1e-9)


def student_interval(mean: float, spread: Spread, confidence: float) -> tuple[float, float]:
    """Student's interval of a mean."""
    half = stats.t.ppf((1 + confidence) / 2, spread.dof) * np.sqrt(spread.variance)
    return float(mean - half), float(mean + half)
