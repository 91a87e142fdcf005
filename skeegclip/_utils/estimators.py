"""Walking through estimators, everywhere in one way: Pipelines, searches, frozen ones and what else is around another.

What is fitted is walked by `unwrap`, `inner_most`, `last_step` and `fitted_parts`; what is yet to be fitted by `parts`,
`learners` and `inside`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .loaded import loaded

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


def unwrap(estimator: Any) -> Any:
    """Return what a fitted search or a FrozenEstimator holds."""
    while True:
        if (inner := thaw(estimator)) is estimator and hasattr(estimator, "best_estimator_"):
            inner = estimator.best_estimator_
        if inner is estimator:
            return estimator
        estimator = inner


def thaw(estimator: Any) -> Any:
    """Return what a FrozenEstimator holds."""
    from sklearn.frozen import FrozenEstimator

    while isinstance(estimator, FrozenEstimator):
        estimator = estimator.estimator
    return estimator


def is_pipeline(estimator: Any) -> bool:
    """Whether this is a Pipeline of scikit-learn's, without importing it for the question."""
    cls = loaded("sklearn.pipeline", "Pipeline")
    return cls is not None and isinstance(estimator, cls)


def steps(pipeline: Any) -> list[Any]:
    """Return the steps of a Pipeline that do something."""
    return _acting(pipeline.steps)


def _acting(named: list[tuple[str, Any]]) -> list[Any]:
    return [step for _, step in named if step is not None and step != "passthrough"]


def last_step(estimator: Any, X: Any, params: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return the last step of (nested) pipelines, and X as it reaches it."""
    estimator = unwrap(estimator)
    while is_pipeline(estimator):
        for step in _acting(estimator.steps[:-1]):
            X = step.transform(X, **wanted(step, "transform", params))
        estimator = unwrap(estimator.steps[-1][1])
    return estimator, X


def inner_most(estimator: Any) -> Any:
    """Return the last step of (nested) pipelines and searches."""
    estimator = unwrap(estimator)
    return inner_most(estimator.steps[-1][1]) if is_pipeline(estimator) else estimator


def parts(estimator: Any) -> Iterator[Any]:
    """Yield the estimators among the parameters of one, in lists of them and of pairs with a name too."""
    if isinstance(estimator, type) or not hasattr(estimator, "get_params"):
        return
    for value in estimator.get_params(deep=False).values():
        for part in value if isinstance(value, (list, tuple)) else [value]:
            part = part[1] if isinstance(part, tuple) and len(part) == 2 else part
            if not isinstance(part, type) and hasattr(part, "get_params"):
                yield part


def fitted_parts(estimator: Any) -> Iterator[Any]:
    """Yield an estimator and the fitted ones inside it, however deep; unfitted ones where they have no fitted twin."""
    from sklearn.base import BaseEstimator

    if not isinstance(estimator, BaseEstimator):
        return
    yield estimator
    held = vars(estimator)
    for name, value in held.items():
        if not name.endswith("_") and f"{name}_" in held:
            continue  # the fitted twin stands for it
        if name in getattr(estimator, "_beside", ()):
            continue  # kept, but not used
        if isinstance(value, dict):
            value = value.values()
        elif not isinstance(value, (list, tuple)):
            value = [value]
        for item in value:
            for part in item if isinstance(item, tuple) else [item]:
                yield from fitted_parts(part)


def learners(estimator: Any) -> Iterator[Any]:
    """Yield what may learn the targets inside an estimator: of its parts the last step, or those that predict."""
    if is_pipeline(estimator):
        yield estimator.steps[-1][1]
    else:
        yield from (part for part in parts(estimator) if hasattr(part, "predict"))


def inside(estimator: Any) -> Any:
    """Return the last step of a Pipeline, and what a search, a frozen or another estimator is around; None of all else."""
    if is_pipeline(estimator):
        return estimator.steps[-1][1]
    inner = getattr(estimator, "estimator", None)  # in another library the name of a method, as text
    return inner if hasattr(inner, "fit") and not isinstance(inner, type) else None


def is_own(estimator: Any) -> bool:
    """Whether an estimator is of this package, or made from one that is."""
    return any(cls.__module__.partition(".")[0] == "skeegclip" for cls in type(estimator).__mro__)


def holds_own(estimator: Any) -> bool:
    """Whether an estimator, or one inside it, is of this package."""
    return is_own(estimator) or any(map(holds_own, parts(estimator)))


def project(estimator: Any, vectors: NDArray[Any]) -> NDArray[Any]:
    """Bring target vectors into the space of the embeddings, where the estimator has a map for that."""
    estimator = inner_most(estimator)
    return estimator.project(vectors) if hasattr(estimator, "project") else vectors


def find_table(estimator: Any) -> Any:
    """Return the table that the estimator looks its targets up in, the outermost one first, or None."""
    estimator = unwrap(estimator)
    if not hasattr(estimator, "get_params"):
        return None
    if hasattr(estimator, "_find_table"):  # an ensemble, whose members may have one each
        return estimator._find_table()
    if hasattr(targets := estimator.get_params(deep=False).get("targets"), "lookup"):
        return targets
    # The last step makes the embeddings, so its table comes first.
    inner = reversed(steps(estimator)) if is_pipeline(estimator) else parts(estimator)
    return next((table for part in inner if (table := find_table(part)) is not None), None)


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

    estimator = thaw(estimator)  # a frozen one hands everything on, but asks for nothing
    if not params or not tells_routing(estimator):
        return {}
    wanted = get_routing_for_object(estimator).consumes(method, params.keys())
    return {name: params[name] for name in wanted}
