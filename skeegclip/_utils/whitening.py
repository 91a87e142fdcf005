"""Whitening of embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.preprocessing import normalize


def moments(vectors: Any) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of vectors scaled to unit length, shrunk as far as their number asks for.

    Parameters
    ----------
    vectors : array-like, shape (n, n_dims)
        Embeddings.

    Returns
    -------
    mean : ndarray, shape (n_dims,)
        Mean.
    covariance : ndarray, shape (n_dims, n_dims)
        Covariance with Ledoit and Wolf's shrinkage, positive definite unless all vectors are equal.
    """
    from sklearn.covariance import ledoit_wolf

    unit = normalize(np.asarray(vectors, dtype=np.float64))
    return unit.mean(axis=0), ledoit_wolf(unit)[0]


def power(covariance: np.ndarray, exponent: float) -> np.ndarray:
    """Symmetric power of a covariance, such as -1/2."""
    values, vectors = np.linalg.eigh(covariance)
    floor = 1e-10 * values.max() or 1.0
    return (vectors * values.clip(min=floor) ** exponent) @ vectors.T
