"""Ridge regression of many outputs, its penalty chosen by cross-validation over stimuli."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import GroupKFold

from .._utils.ridge import held_out_errors, solve, spectrum_of

_PENALTIES = np.array([1e-2, 1e-1, 1.0, *np.logspace(1, 6, 11)])


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
