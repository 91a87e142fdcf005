"""Intervals over stimuli, subjects and seeds; paired comparisons.

What enters is one accuracy per subject and stimulus (a matrix, NaN where a subject did not see a stimulus), or one
number per subject or seed. The mean is that of the subjects' means.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats


class Spread(NamedTuple):
    """Variance of a mean, its degrees of freedom, and the number of stimuli it rests on."""

    variance: float
    dof: float
    n_stimuli: int


def spreads(values: np.ndarray, by_seed: np.ndarray | None = None) -> dict[str, Spread]:
    """Variance of the mean as other stimuli, other subjects, both, or another training would change it.

    Subjects and stimuli are crossed: with V_p the variance of the subjects' means over their number, V_i that of the
    stimuli's, and V_r that of the residuals over the number of cells, V_p + V_i - V_r is an unbiased estimate for
    both together (the residual is in each of the two). Its degrees of freedom are Satterthwaite's.

    Parameters
    ----------
    values : ndarray, shape (n_subjects, n_stimuli)
        Accuracies; NaN where a subject did not see a stimulus.
    by_seed : ndarray, shape (n_seeds,) | None
        Mean accuracy of each seed.
    """
    n_subjects, n_stimuli = values.shape
    seen = np.isfinite(values)
    people = np.nanmean(values, axis=1)
    # A stimulus's share of the mean of means: where everybody saw it, its mean over subjects.
    shares = np.where(seen, np.nan_to_num(values), 0) * n_stimuli / seen.sum(axis=1, keepdims=True)
    pictures = shares.mean(axis=0)
    found: dict[str, Spread] = {}
    if n_stimuli > 1:
        found["stimuli"] = Spread(pictures.var(ddof=1) / n_stimuli, n_stimuli - 1, n_stimuli)
    if n_subjects > 1:
        found["subjects"] = Spread(people.var(ddof=1) / n_subjects, n_subjects - 1, n_stimuli)
    if n_stimuli > 1 and n_subjects > 1:
        (v_i, dof_i, _), (v_p, dof_p, _) = found["stimuli"], found["subjects"]
        v_r = 0.0
        if seen.all():
            residual = values - people[:, None] - pictures + values.mean()
            v_r = (residual**2).sum() / (dof_i * dof_p) / values.size
        both = max(v_i + v_p - v_r, v_i, v_p)
        dof = both**2 / (v_i**2 / dof_i + v_p**2 / dof_p) if both > 0 else dof_i
        found["stimuli and subjects"] = Spread(both, dof, n_stimuli)
    if by_seed is not None and len(by_seed) > 1:
        found["seeds"] = Spread(by_seed.var(ddof=1) / len(by_seed), len(by_seed) - 1, n_stimuli)
    return found


def share_interval(mean: float, spread: Spread, confidence: float) -> tuple[float, float]:
    """Wilson's interval of an accuracy, for the number of independent stimuli that would have its variance.

    A symmetric interval, or a percentile bootstrap, covers too rarely where accuracies are near 0 or 1: a decoder
    that finds 2 of 200 pictures. Wilson's does not, and stays inside [0, 1].
    """
    z = stats.t.ppf((1 + confidence) / 2, spread.dof)
    n = spread.n_stimuli if spread.variance <= 0 else max(mean * (1 - mean) / spread.variance, 1e-9)
    centre = (mean + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(mean * (1 - mean) / n + z**2 / (4 * n**2))
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def difference_interval(mean: float, spread: Spread, confidence: float) -> tuple[float, float]:
    """Student's interval of a difference."""
    half = stats.t.ppf((1 + confidence) / 2, spread.dof) * np.sqrt(spread.variance)
    return float(mean - half), float(mean + half)


def difference_p(mean: float, spread: Spread) -> float:
    """Two-sided p of a difference by Student's t, with the variance of its interval."""
    if spread.variance <= 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * stats.t.sf(abs(mean) / np.sqrt(spread.variance), spread.dof))


def sign_flip_p(differences: np.ndarray, rng: np.random.Generator, n_permutations: int) -> float:
    """Two-sided p of paired differences: under the null hypothesis each might as well have the other sign."""
    differences = differences[np.abs(differences) > 0]
    n = len(differences)
    if n == 0:
        return 1.0
    exact = 2**n <= n_permutations
    if exact:
        signs = 1 - 2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
    else:
        signs = rng.choice([-1, 1], size=(n_permutations, n))
    null = np.abs(signs @ differences)
    extreme = np.count_nonzero(null >= np.abs(differences.sum()) * (1 - 1e-12))
    return extreme / len(signs) if exact else (1 + extreme) / (1 + n_permutations)


def holm(p: np.ndarray) -> np.ndarray:
    """P values corrected for their number, by Holm's step-down method."""
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(stepped, 1)
    return corrected
