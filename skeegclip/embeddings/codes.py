"""Vectors that stand for class labels, where there are no embeddings."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from .table import EmbeddingTable

_N_DIMS = 64


def class_codes(classes: Any) -> EmbeddingTable:
    """Return a fixed random unit vector for each class label.

    A code depends on its label alone, so that two folds, or two runs, give one label one code.

    Parameters
    ----------
    classes : array-like, shape (n_classes,)
        Distinct labels, str or int.

    Returns
    -------
    EmbeddingTable
        Ids are the labels as text, in their order; ``meta["class_codes"]`` is True, which tells an encoder to
        hold no class out for validation.

    Examples
    --------
    >>> from skeegclip.embeddings import class_codes
    >>> class_codes([1, 2]).ids.tolist()
    ['1', '2']
    """
    labels = np.array(classes if hasattr(classes, "__array__") else list(classes), dtype=object).tolist()
    if absent := [label for label in labels if label is None or label != label]:
        raise ValueError(f"classes must not be missing, got {absent[0]!r}.")
    ids = [str(label) for label in labels]
    vectors = np.empty((len(ids), _N_DIMS), dtype=np.float32)
    for row, label in enumerate(ids):
        seed = int.from_bytes(hashlib.blake2b(label.encode(), digest_size=8).digest(), "little")
        vector = np.random.default_rng(seed).standard_normal(_N_DIMS)
        vectors[row] = vector / np.linalg.norm(vector)
    return EmbeddingTable(ids, vectors, meta={"class_codes": True})
