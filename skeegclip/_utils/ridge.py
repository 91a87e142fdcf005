"""Ridge regression of many outputs from products of its rows, its penalty chosen by cross-validation over stimuli."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_PENALTIES = np.array([1e-2, 1e-1, 1.0, *np.logspace(1, 6, 11)])


def spectrum_of(gram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues of the inputs' products, none negative, and their axes."""
    values, axes = np.linalg.eigh(gram)
    return values.clip(min=0), axes


def solve(spectrum: tuple, cross: np.ndarray, penalty: float, goal: np.ndarray | float = 0.0) -> np.ndarray:
    """Coefficients that shrink to the diagonal `goal`, from the spectrum of the inputs' products."""
    values, axes = spectrum
    return axes @ ((axes.T @ cross + penalty * _diagonal(axes, cross, goal)) / (values[:, None] + penalty))


def _diagonal(axes: np.ndarray, cross: np.ndarray, goal: np.ndarray | float) -> np.ndarray:
    """The matrix with `goal` on its diagonal, along the axes."""
    if not np.any(goal):
        return np.zeros_like(cross)
    inside = min(cross.shape)
    matrix = np.zeros_like(cross)
    matrix[:, :inside] = axes.T[:, :inside] * np.broadcast_to(goal, cross.shape[1])[:inside]
    return matrix


def held_out_errors(
    spectrum: tuple,
    cross: np.ndarray,
    held_gram: np.ndarray,
    held_cross: np.ndarray,
    penalties: np.ndarray,
    goals: Sequence[np.ndarray | float] = (0.0,),
) -> np.ndarray:
    """Squared error on held-out rows (less a constant) by goal and penalty.

    Along the axes of the inputs the coefficients are ``(cross + penalty * goal) / (values + penalty)``, so that the error
    is a quadratic form in those factors, whose matrices serve every penalty: to try one costs no product of matrices.
    """
    values, axes = spectrum
    gram, target, cross = axes.T @ held_gram @ axes, axes.T @ held_cross, axes.T @ cross
    factors = 1 / (values + penalties[:, None])  # (n_penalties, n_inputs)
    own, own_hit = gram * (cross @ cross.T), np.sum(cross * target, axis=1)
    plain = np.sum(factors @ own * factors, axis=1) - 2 * factors @ own_hit
    rows = []
    for goal in goals:
        row = plain
        if np.any(goal):
            A = _diagonal(axes, cross, goal)
            pulled = factors * penalties[:, None]
            row = row + 2 * np.sum(factors @ (gram * (cross @ A.T)) * pulled, axis=1)
            row = row + np.sum(pulled @ (gram * (A @ A.T)) * pulled, axis=1)
            row = row - 2 * pulled @ np.sum(A * target, axis=1)
        rows.append(row)
    return np.stack(rows)


@dataclass(frozen=True)
class RidgeFit:
    """A fitted regression.

    Attributes
    ----------
    coefficients : ndarray, shape (n_inputs, n_outputs)
        For standardised inputs.
    residuals : ndarray, shape (n, n_outputs)
        Of each row, from the fit on the other folds.
    penalty : float
        The one chosen.
    goal : int
        Which of the diagonals the coefficients shrink to.
    """

    coefficients: np.ndarray
    residuals: np.ndarray
    penalty: float
    goal: int


def ridge_cv(
    C: np.ndarray,
    X: np.ndarray,
    stimulus: np.ndarray,
    seed: int,
    *,
    goals: Sequence[np.ndarray | float] = (0.0,),
    n_folds: int = 5,
) -> RidgeFit:
    """Regress X on C.

    Parameters
    ----------
    C : ndarray, shape (n, n_inputs)
        Standardised inputs.
    X : ndarray, shape (n, n_outputs)
        Centred outputs.
    stimulus : ndarray of int, shape (n,)
        Stimulus of each row: none is in two folds. At least two.
    seed : int
        Seed of the folds.
    goals : sequence of ndarray, shape (n_outputs,), or float
        Diagonals of the matrices to shrink to, of which the best is chosen too.
    n_folds : int
        Number of folds, fewer where there are fewer stimuli.

    Returns
    -------
    RidgeFit
        The regression with the least squared error out of fold.
    """
    from sklearn.model_selection import GroupKFold

    C, X = C.astype(np.float64), X.astype(np.float64)
    splitter = GroupKFold(min(n_folds, len(np.unique(stimulus))), shuffle=True, random_state=seed)
    held = [rows for _, rows in splitter.split(C, groups=stimulus)]
    # Products of the folds' rows are all that the regressions and their errors need.
    products = [(C[rows].T @ C[rows], C[rows].T @ X[rows]) for rows in held]
    gram, cross = (np.sum(part, axis=0) for part in zip(*products, strict=True))
    spectra = [spectrum_of(gram - fold_gram) for fold_gram, _ in products]
    error = np.sum(
        [
            held_out_errors(spectrum, cross - fold[1], *fold, _PENALTIES, goals)
            for spectrum, fold in zip(spectra, products, strict=True)
        ],
        axis=0,
    )
    goal, best = np.unravel_index(int(np.argmin(error)), error.shape)
    penalty, chosen = float(_PENALTIES[best]), goals[int(goal)]
    residuals = np.empty_like(X)
    for rows, spectrum, (_, fold_cross) in zip(held, spectra, products, strict=True):
        residuals[rows] = X[rows] - C[rows] @ solve(spectrum, cross - fold_cross, penalty, chosen)
    return RidgeFit(solve(spectrum_of(gram), cross, penalty, chosen), residuals, penalty, int(goal))
