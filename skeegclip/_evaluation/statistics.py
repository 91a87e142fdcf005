"""Intervals over stimuli, subjects and seeds; paired comparisons.

What enters is one accuracy per subject and stimulus (a matrix, NaN where a subject did not see a stimulus), or one
number per subject or seed. The mean is that of the subjects' means.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import stats

from ..metrics.intervals import Spread, share_interval

_MIN_SUBJECTS = 6  # sign flips of fewer people cannot give p < 0.05 two-sided


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


def paired_interval(
    first: np.ndarray, second: np.ndarray, over: str, confidence: float
) -> tuple[float, float]:
    """Interval of the difference of two accuracies of the same people and stimuli, from the interval of each.

    The distances of the ends are those of the two Wilson intervals, put together as standard errors are, with the
    correlation that the variances show ("MOVER" [1]_). Student's interval has no width where a decoder finds all of
    five pictures and another none.

    Parameters
    ----------
    first, second : ndarray, shape (n_subjects, n_stimuli)
        Accuracies; NaN in both where a subject did not see a stimulus.
    over : str
        Source of variation.
    confidence : float
        Coverage.

    References
    ----------
    .. [1] Newcombe, "Improved confidence intervals for the difference between binomial proportions based on paired
       data", Statistics in Medicine 17, 1998; Zou and Donner, ibid. 27, 2008.
    """
    means = [float(np.nanmean(values, axis=1).mean()) for values in (first, second)]
    each = [spreads(values)[over] for values in (first, second)]
    (low, high), (other_low, other_high) = (
        share_interval(mean, spread, confidence) for mean, spread in zip(means, each, strict=True)
    )
    alike = each[0].variance + each[1].variance - spreads(first - second)[over].variance
    scale = 2 * np.sqrt(each[0].variance * each[1].variance)
    correlation = float(np.clip(alike / scale, 0, 1)) if scale > 0 else 0.0
    mean = means[0] - means[1]
    return (
        mean - _apart(means[0] - low, other_high - means[1], correlation),
        mean + _apart(high - means[0], means[1] - other_low, correlation),
    )


def _apart(a: float, b: float, correlation: float) -> float:
    return float(np.sqrt(max(a**2 - 2 * correlation * a * b + b**2, 0.0)))


def paired_p(differences: np.ndarray, rng: np.random.Generator, n_permutations: int) -> tuple[float, str]:
    """Two-sided p of paired differences (n_subjects, n_stimuli), and whose signs were flipped.

    Flipping the signs of people takes the pictures for given: people who saw the same pictures differ alike, by chance
    too. So the p is never below that of Student's t, with the variance over people and stimuli.
    """
    people = len(differences) >= _MIN_SUBJECTS
    p = sign_flip_p(np.nanmean(differences, axis=1 if people else 0), rng, n_permutations)
    found = spreads(differences)
    if over := headline_source(found):
        p = max(p, _student_p(float(np.nanmean(differences, axis=1).mean()), found[over]))
    return p, "subjects" if people else "stimuli"


def _student_p(mean: float, spread: Spread) -> float:
    if spread.variance <= 0:
        return 0.0 if mean else 1.0
    return float(2 * stats.t.sf(abs(mean) / np.sqrt(spread.variance), spread.dof))


def headline_source(found: Mapping[str, Spread]) -> str:
    """Over what the interval of a summary is: all that is known to vary, but for the seeds."""
    known = [name for name in ("stimuli and subjects", "stimuli", "subjects") if name in found]
    return known[0] if known else ""


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
