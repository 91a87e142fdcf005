"""Turn embeddings onto a gallery, with nobody telling which belongs to which."""

from __future__ import annotations

import numpy as np
from scipy.linalg import polar
from sklearn.preprocessing import normalize

from ...metrics import sinkhorn

_CAUTION = 10.0  # weight of "do not turn": a round goes an eleventh of the way, in the strongest direction


def turned(z: np.ndarray, gallery: np.ndarray, n_rounds: int, caution: float = _CAUTION) -> np.ndarray:
    r"""Rotate (or reflect) embeddings towards the vectors that they are softly matched with, again and again.

    A round matches embeddings z and vectors g by Sinkhorn's assignment P, and turns all embeddings by

    .. math:: R = \arg\max_{R^T R = I} \operatorname{tr} R^T \left(\frac{M}{\lVert M \rVert_2} + c I\right), \quad
       M = \sum_{ij} P_{ij} (z_i - \bar z) (g_j - \bar g_P)^T,

    the solution of the orthogonal Procrustes problem with a weight c on staying where they are: what few embeddings do
    not tell of is not turned.

    Parameters
    ----------
    z : ndarray, shape (n, n_dims)
        Embeddings.
    gallery : ndarray, shape (n_gallery, n_dims)
        Vectors.
    n_rounds : int
        How often.
    caution : float
        c.

    Returns
    -------
    ndarray, shape (n, n_dims)
        Embeddings of unit length.

    References
    ----------
    E. Grave, A. Joulin and Q. Berthet, "Unsupervised Alignment of Embeddings with Wasserstein Procrustes", AISTATS 2019,
    arXiv:1805.11222.
    """
    z, gallery = (normalize(vectors.astype(np.float64)) for vectors in (z, gallery))
    basis = None
    if len(z) + len(gallery) < z.shape[1]:  # outside of their span nothing turns
        basis = np.linalg.qr(np.concatenate([z, gallery]).T)[0]
        z, gallery = z @ basis, gallery @ basis
    for _ in range(n_rounds):
        goal = np.exp(sinkhorn(z @ gallery.T)) @ gallery
        moved = (z - z.mean(axis=0)).T @ (goal - goal.mean(axis=0))
        moved /= np.linalg.norm(moved, 2) or 1.0
        z = z @ polar(moved + caution * np.eye(len(moved)))[0]
    return z if basis is None else z @ basis.T
