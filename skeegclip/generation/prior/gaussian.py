"""The fit of a Gaussian prior: ridge regression, and the covariance of what it leaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.covariance import ledoit_wolf

from ..._utils.ridge import ridge_cv


@dataclass(frozen=True)
class GaussianModel:
    """p(x | c) = N(c @ coefficients, conditional) and p(x) = N(0, marginal), of standardised rows.

    Attributes
    ----------
    coefficients : ndarray, shape (n_conditions, n_dims)
        Of the ridge regression.
    conditional, marginal : ndarray, shape (n_dims, n_dims)
        Covariance of the out-of-fold residuals, and of the embeddings (Ledoit-Wolf).
    means : ndarray, shape (n, n_dims)
        Conditional mean of each row, out of fold.
    penalty, identity : float
        The chosen penalty, and the multiple of the identity to which the regression shrinks (its mean over dimensions).
    valid_loss : float
        Mean squared error out of fold; 1 = predicting the mean.
    """

    coefficients: np.ndarray
    conditional: np.ndarray
    marginal: np.ndarray
    means: np.ndarray
    penalty: float
    identity: float
    valid_loss: float


def fit_gaussian(
    C: np.ndarray, X: np.ndarray, stimulus: np.ndarray, seed: int, *, units: np.ndarray | None = None
) -> GaussianModel:
    """Fit both Gaussians.

    The regression shrinks to zero or, where c and x are of one width, to a multiple of the identity: an encoder
    trained on the targets puts c into the space of x, which few rows could not teach a free matrix. The identity is that
    of standardised values, or that of the values themselves: a regression's predictions vary most where they are good.

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
    units : ndarray, shape (n_dims,) | None
        What one standardised condition is in standardised embeddings, where both are of one width.

    Returns
    -------
    GaussianModel
        The fitted model.
    """
    if len(np.unique(stimulus)) < 2:
        raise ValueError(
            "n_samples=1 (distinct stimuli): a Gaussian prior is cross-validated over stimuli. Pass 2 or more."
        )
    goals: list[Any] = [0.0]
    if units is not None:
        moved = C * units
        goals += [float(np.mean(C * X)), units * float(np.sum(moved * X) / max(np.sum(moved**2), 1e-300))]
    ridge = ridge_cv(C, X, stimulus, seed, goals=goals)
    return GaussianModel(
        ridge.coefficients,
        ledoit_wolf(ridge.residuals, assume_centered=True)[0],
        ledoit_wolf(X.astype(np.float64), assume_centered=True)[0],
        X - ridge.residuals,
        ridge.penalty,
        float(np.mean(goals[ridge.goal])),
        float(np.mean(ridge.residuals**2)),
    )
