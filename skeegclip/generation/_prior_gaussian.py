"""The fit of a Gaussian prior: cross-validated ridge regression and the covariance of what it leaves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.covariance import ledoit_wolf
from sklearn.model_selection import GroupKFold

_PENALTIES = tuple(float(p) for p in np.logspace(1, 6, 11))


@dataclass(frozen=True)
class GaussianModel:
    """p(x | c) = N(c @ coefficients, conditional) and p(x) = N(0, marginal), of standardised rows.

    Attributes
    ----------
    coefficients : ndarray, shape (n_conditions, n_dims)
        Of the ridge regression.
    conditional, marginal : ndarray, shape (n_dims, n_dims)
        Covariance of the out-of-fold residuals, and of the embeddings (Ledoit-Wolf).
    penalty, identity : float
        The chosen penalty, and the multiple of the identity to which the regression shrinks.
    valid_loss : float
        Mean squared error out of fold; 1 = predicting the mean.
    """

    coefficients: np.ndarray
    conditional: np.ndarray
    marginal: np.ndarray
    penalty: float
    identity: float
    valid_loss: float


def fit_gaussian(
    C: np.ndarray, X: np.ndarray, stimulus: np.ndarray, seed: int, n_folds: int = 5
) -> GaussianModel:
    """Fit both Gaussians.

    The regression shrinks to zero or, where c and x are of one width, to a multiple of the identity: an encoder
    trained on the targets puts c into the space of x, which few rows could not teach a free matrix. Penalty and
    goal are chosen by cross-validation over stimuli, and the residuals are out-of-fold.

    Parameters
    ----------
    C : ndarray, shape (n, n_conditions)
        Standardised conditions.
    X : ndarray, shape (n, n_dims)
        Standardised embeddings.
    stimulus : ndarray of int, shape (n,)
        Stimulus of each row.
    seed : int
        Seed of the folds.
    n_folds : int
        Number of folds, fewer where there are fewer stimuli.

    Returns
    -------
    GaussianModel
        The fitted model.
    """
    C, X = C.astype(np.float64), X.astype(np.float64)
    if stimulus.max() == 0:
        raise ValueError(
            "n_samples=1 (distinct stimuli): a Gaussian prior is cross-validated over stimuli. Pass 2 or more."
        )
    n_folds = min(n_folds, len(np.unique(stimulus)))
    splitter = GroupKFold(n_folds, shuffle=True, random_state=seed)
    held = [rows for _, rows in splitter.split(C, groups=stimulus)]
    # Products of the folds' rows are all that the regressions and their errors need: trying a penalty is cheap.
    products = [(C[rows].T @ C[rows], C[rows].T @ X[rows]) for rows in held]
    gram, cross = (np.sum(part, axis=0) for part in zip(*products, strict=True))
    goals = [0.0] if C.shape[1] != X.shape[1] else [0.0, float(np.mean(C * X))]
    error = {(penalty, goal): float(np.sum(X**2)) for goal in goals for penalty in _PENALTIES}
    for fold_gram, fold_cross in products:
        for goal in goals:
            tried = _ridge(gram - fold_gram, cross - fold_cross, _PENALTIES, goal)
            for penalty, B in zip(_PENALTIES, tried, strict=True):
                error[penalty, goal] += float(np.sum(B * (fold_gram @ B - 2 * fold_cross)))
    penalty, goal = min(error, key=lambda choice: error[choice])
    residuals = np.empty_like(X)
    for rows, (fold_gram, fold_cross) in zip(held, products, strict=True):
        B = _ridge(gram - fold_gram, cross - fold_cross, [penalty], goal)[0]
        residuals[rows] = X[rows] - C[rows] @ B
    return GaussianModel(
        _ridge(gram, cross, [penalty], goal)[0],
        ledoit_wolf(residuals, assume_centered=True)[0],
        ledoit_wolf(X, assume_centered=True)[0],
        penalty,
        goal,
        float(np.mean(residuals**2)),
    )


def _ridge(gram: np.ndarray, cross: np.ndarray, penalties, goal: float) -> list[np.ndarray]:
    """Coefficients that shrink to `goal` times the identity, for each penalty."""
    centre = goal * np.eye(*cross.shape)
    values, axes = np.linalg.eigh(gram)
    rotated = axes.T @ (cross - gram @ centre)
    return [centre + axes @ (rotated / (values[:, None].clip(min=0) + penalty)) for penalty in penalties]
