"""Vectors that stand for class labels, where there are no embeddings."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from .table import EmbeddingTable

_FEWEST_DIMS, _MOST_DIMS = 64, 1024


def class_codes(classes: Any) -> EmbeddingTable:
    """Return a fixed unit vector for each class label, at right angles to those of the others.

    No two classes are nearer to each other than others, and their mean is as near to one as to another: else a decoder that is
    unsure would name one class before the others, by nothing but its spelling. The codes are the orthonormal vectors nearest to
    random ones, each drawn by its label (symmetric orthogonalisation [1]_), so that two folds, or two runs, with the same classes give
    one label one code. They have 64 numbers, or as many as there are classes; more than 1024 classes keep the random ones.

    Parameters
    ----------
    classes : array-like, shape (n_classes,)
        Distinct labels, str or int.

    Returns
    -------
    EmbeddingTable
        Ids are the labels as text, in their order; ``meta["class_codes"]`` is True, which tells an encoder to
        hold no class out for validation.

    References
    ----------
    .. [1] Löwdin, "On the non-orthogonality problem connected with the use of atomic wave functions in the theory of molecules
       and crystals", Journal of Chemical Physics 18, 1950.

    Examples
    --------
    >>> from skeegclip.embeddings import class_codes
    >>> codes = class_codes([1, 2])
    >>> codes.ids.tolist()
    ['1', '2']
    >>> abs(codes.vectors @ codes.vectors.T).round(6)
    array([[1., 0.],
           [0., 1.]], dtype=float32)
    """
    labels = np.array(classes if hasattr(classes, "__array__") else list(classes), dtype=object).tolist()
    if absent := [label for label in labels if label is None or label != label]:
        raise ValueError(f"classes must not be missing, got {absent[0]!r}.")
    ids = [str(label) for label in labels]
    n_dims = min(max(_FEWEST_DIMS, len(ids)), _MOST_DIMS)
    drawn = np.stack([_drawn(label, n_dims) for label in ids])
    if len(ids) <= n_dims:
        left, _, right = np.linalg.svd(drawn, full_matrices=False)
        drawn = left @ right
    return EmbeddingTable(ids, drawn, meta={"class_codes": True})


def _drawn(label: str, n_dims: int) -> np.ndarray:
    seed = int.from_bytes(hashlib.blake2b(label.encode(), digest_size=8).digest(), "little")
    vector = np.random.default_rng(seed).standard_normal(n_dims)
    return vector / np.linalg.norm(vector)
