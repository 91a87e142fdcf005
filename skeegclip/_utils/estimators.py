"""Walking through Pipelines, searches and frozen estimators: what is inside, its embeddings and its table of targets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def embed(estimator: Any, X: Any, params: Mapping[str, Any]) -> NDArray[np.floating]:
    """Return the embeddings (n, n_dims) of X; `params` go to the steps that ask for them."""
    # Not Pipeline.predict: the last step may predict labels and have `embed` beside it.
    estimator, X = last_step(estimator, X, params)
    if hasattr(estimator, "embed"):
        embeddings = estimator.embed(X, **wanted(estimator, "predict", params))
    else:
        method = "predict" if hasattr(estimator, "predict") else "transform"
        if not hasattr(estimator, method):
            raise TypeError(f"estimator needs embed, predict or transform, got {type(estimator).__name__}.")
        embeddings = getattr(estimator, method)(X, **wanted(estimator, method, params))
    embeddings = np.asarray(embeddings)
    if embeddings.ndim != 2 or embeddings.dtype.kind != "f":
        raise TypeError(
            f"estimator must give embeddings, floats of shape (n_epochs, n_dims); {type(estimator).__name__} "
            f"gave dtype {embeddings.dtype} and shape {embeddings.shape}. Score labels with 'accuracy'."
        )
    return embeddings


def last_step(estimator: Any, X: Any, params: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return the last step of (nested) pipelines, and X as it reaches it."""
    estimator = _unwrap(estimator)
    while _is_pipeline(estimator):
        for _, step in estimator.steps[:-1]:
            if step is not None and step != "passthrough":
                X = step.transform(X, **wanted(step, "transform", params))
        estimator = _unwrap(estimator.steps[-1][1])
    return estimator, X


def inner_most(estimator: Any) -> Any:
    """Return the last step of (nested) pipelines and searches."""
    estimator = _unwrap(estimator)
    return inner_most(estimator.steps[-1][1]) if _is_pipeline(estimator) else estimator


def project(estimator: Any, vectors: NDArray[Any]) -> NDArray[Any]:
    """Bring target vectors into the space of the embeddings, where the estimator has a map for that."""
    estimator = inner_most(estimator)
    return estimator.project(vectors) if hasattr(estimator, "project") else vectors


def find_table(estimator: Any) -> Any:
    """Return the table that the estimator looks its targets up in, the outermost one first, or None."""
    estimator = _unwrap(estimator)
    if not hasattr(estimator, "get_params"):
        return None
    if hasattr(estimator, "_find_table"):  # an ensemble, whose members may have one each
        return estimator._find_table()
    params = estimator.get_params(deep=False)
    if hasattr(params.get("targets"), "lookup"):
        return params["targets"]
    inner = list(params.values())
    if _is_pipeline(estimator):  # the last step makes the embeddings, so its table comes first
        inner = [step for _, step in reversed(estimator.steps)]
    for value in inner:
        if not isinstance(value, type) and (table := find_table(value)) is not None:
            return table
    return None


def _unwrap(estimator: Any) -> Any:
    """Return what a fitted search or a FrozenEstimator holds."""
    from sklearn.frozen import FrozenEstimator

    while True:
        if isinstance(estimator, FrozenEstimator):
            estimator = estimator.estimator
        elif hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        else:
            return estimator


def _is_pipeline(estimator: Any) -> bool:
    from sklearn.pipeline import Pipeline

    return isinstance(estimator, Pipeline)


def tells_routing(estimator: Any) -> bool:
    """Whether an estimator can say which metadata it asks for.

    scikit-learn's RidgeCV without `scoring` asks itself without end; it, and what it is inside of, take none.
    """
    from sklearn.utils.metadata_routing import get_routing_for_object

    try:
        get_routing_for_object(estimator)
    except RecursionError:
        return False
    return True


def wanted(estimator: Any, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of `params` that a method of the estimator asks for."""
    from sklearn.utils.metadata_routing import get_routing_for_object

    if not params or not tells_routing(estimator):
        return {}
    wanted = get_routing_for_object(estimator).consumes(method, params.keys())
    return {name: params[name] for name in wanted}
