"""The similarity of a fitted estimator's embeddings to pictures."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .._utils.estimators import embed, last_step, project, wanted
from .similarity import cosine_similarity

if TYPE_CHECKING:
    import numpy as np
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
