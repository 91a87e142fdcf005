"""Ridge regression of many outputs, its penalty chosen by cross-validation over stimuli."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import GroupKFold

_PENALTIES = (1e-2, 1e-1, 1.0, *(float(p) for p in np.logspace(1, 6, 11)))


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
    goal : float
        Multiple of the identity to which the coefficients shrink.
    """

    coefficients: np.ndarray
    residuals: np.ndarray
    penalty: float
    goal: float


def ridge_cv(
    C: np.ndarray,
    X: np.ndarray,
    stimulus: np.ndarray,
    seed: int,
    *,
    goals: Sequence[float] = (0.0,),
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
    goals : sequence of float
        Multiples of the identity to shrink to, of which the best is chosen too.
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
    # Products of the folds' rows are all that the regressions and their errors need: trying a penalty is cheap.
    products = [(C[rows].T @ C[rows], C[rows].T @ X[rows]) for rows in held]
    gram, cross = (np.sum(part, axis=0) for part in zip(*products, strict=True))
    spectra = [np.linalg.eigh(gram - fold_gram) for fold_gram, _ in products]
    error = {(penalty, goal): 0.0 for goal in goals for penalty in _PENALTIES}
    for spectrum, (fold_gram, fold_cross) in zip(spectra, products, strict=True):
        for goal in goals:
            for penalty, B in zip(
                _PENALTIES, _solve(spectrum, cross - fold_cross, _PENALTIES, goal), strict=True
            ):
                error[penalty, goal] += float(np.sum(B * (fold_gram @ B - 2 * fold_cross)))
    penalty, goal = min(error, key=lambda choice: error[choice])
    residuals = np.empty_like(X)
    for rows, spectrum, (_, fold_cross) in zip(held, spectra, products, strict=True):
        residuals[rows] = X[rows] - C[rows] @ _solve(spectrum, cross - fold_cross, [penalty], goal)[0]
    coefficients = _solve(np.linalg.eigh(gram), cross, [penalty], goal)[0]
    return RidgeFit(coefficients, residuals, penalty, goal)


def _solve(
    spectrum: tuple[np.ndarray, np.ndarray], cross: np.ndarray, penalties: Sequence[float], goal: float
) -> list[np.ndarray]:
    """Coefficients that shrink to `goal` times the identity, for each penalty, from the spectrum of the inputs' products."""
    values, axes = spectrum[0].clip(min=0), spectrum[1]
    rotated = axes.T @ cross - goal * values[:, None] * axes.T[:, : cross.shape[1]]
    centre = goal * np.eye(*cross.shape)
    return [centre + axes @ (rotated / (values[:, None] + penalty)) for penalty in penalties]
