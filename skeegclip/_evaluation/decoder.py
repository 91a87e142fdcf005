"""An estimator as evaluations use it: what is fitted, on what, and what it says of test epochs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn import config_context
from sklearn.base import clone, is_classifier
from sklearn.frozen import FrozenEstimator

from .._utils.estimators import find_table, fitted_parts, inside, last_step, wanted
from .._utils.inputs import carried_subject
from ..decoders.composite import EmbeddingComposite
from ..decoders.encoder import EEGEncoder
from ..decoders.retrieval import ImageRetriever
from .frozen import frozen_findings
from .queries import Queries
from .task import Task


def as_decoder(estimator: Any, targets: Any) -> Any:
    """A clone whose last step is a classifier, or searches images: encoders are put into an ImageRetriever."""
    decoder = clone(estimator)
    last, frozen = decoder, False
    while (inner := inside(last)) is not None:
        frozen = frozen or isinstance(last, FrozenEstimator)
        last = inner
    if isinstance(last, ImageRetriever) or is_classifier(last):
        if isinstance(last, EmbeddingComposite) and find_table(last) is None and not frozen:
            last.set_params(targets=targets)
        return decoder
    # The table of an encoder is its own business; `targets` are for those without.
    return ImageRetriever(decoder, targets=None if find_table(decoder) is not None else targets)


def fit(decoder: Any, task: Task, train: np.ndarray) -> None:
    X, y = task.X[train], task.y[train]
    if task.subject is None or carried_subject(task.X) is not None:
        decoder.fit(X, y)
        return
    with config_context(enable_metadata_routing=True):
        decoder.fit(X, y, **wanted(decoder, "fit", {"subject": task.subject[train]}))


def targets_of(decoder: Any) -> Any:
    """The table of image vectors that the decoder was trained on, or None for a classifier of labels."""
    table = find_table(decoder)
    return None if table is None or getattr(table, "meta", {}).get("class_codes") else table


def class_scores(decoder: Any, queries: Queries) -> tuple[np.ndarray, Any]:
    last, X = last_step(decoder, queries.X, queries.params)
    params = wanted(last, "predict", queries.params)
    if isinstance(last, ImageRetriever):  # labels, by their codes
        return last.similarity(X, **params), last.seen_
    scores = (last.decision_function if hasattr(last, "decision_function") else last.predict_proba)(
        X, **params
    )
    # scikit-learn's form for two classes is one column.
    return (scores if scores.ndim == 2 else np.column_stack([-scores, scores])), last.classes_


def fitted_encoders(estimator: Any) -> Iterator[EEGEncoder]:
    """All fitted EEGEncoders inside a fitted estimator."""
    for part in fitted_parts(estimator):
        if isinstance(part, EEGEncoder) and hasattr(part, "net_"):
            yield part


def frozen_parts(estimator: Any, task: Task, test: np.ndarray) -> list[tuple[str, str]]:
    """Levels and sentences about what the frozen parts of an estimator have seen of the test set."""
    return frozen_findings(estimator, task.X, task.y, task.subject, test, targets_of(estimator))


def transductive_steps(estimator: Any) -> list[str]:
    """What steps of an estimator look at the test epochs together."""
    said = [getattr(part, "_transductive", None) for part in fitted_parts(estimator)]
    return list(dict.fromkeys(text for text in said if text))
