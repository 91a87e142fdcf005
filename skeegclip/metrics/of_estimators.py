"""The similarity of a fitted estimator's embeddings to pictures."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils.estimators import embed, last_step, project, wanted
from .similarity import cosine_similarity

if TYPE_CHECKING:
    from numpy.typing import NDArray


def image_similarity(
    estimator: Any, X: Any, table: Any, ids: NDArray[Any], params: Mapping[str, Any]
) -> NDArray[np.floating]:
    """Return the similarity (n, n_ids) of X to images of a table, as the estimator itself compares them.

    An ImageRetriever may whiten and correct for hubs; everything else is compared by cosine.
    """
    last, X = last_step(estimator, X, params)
    params = wanted(last, "predict", params)
    if hasattr(last, "similarity"):
        # A shallow copy: the estimator is the user's own, and keeps its gallery.
        return copy.copy(last).set_params(gallery=table.subset(ids)).similarity(X, **params)
    return cosine_similarity(embed(last, X, params), project(last, table.lookup(ids)))


def averaged_embeddings(
    embeddings: NDArray[Any], stimulus: NDArray[Any], subject: NDArray[Any] | None
) -> tuple[NDArray[np.float64], NDArray[Any], NDArray[np.intp]]:
    """Average the embeddings (n, n_dims), as they are, of the epochs of each person and stimulus.

    Returns
    -------
    means : ndarray of float64, shape (n_averages, n_dims)
        Sorted by person, then stimulus.
    stimulus : ndarray, shape (n_averages,)
        Of each.
    group : ndarray of int, shape (n,)
        Which average each epoch is in.
    """
    people = (
        np.zeros(len(stimulus), dtype=int) if subject is None else np.unique(subject, return_inverse=True)[1]
    )
    names, shown = np.unique(stimulus, return_inverse=True)
    pairs, group = np.unique(people * len(names) + shown, return_inverse=True)
    total = np.zeros((len(pairs), embeddings.shape[1]))
    np.add.at(total, group, embeddings)
    return total / np.bincount(group)[:, None], names[pairs % len(names)], group
