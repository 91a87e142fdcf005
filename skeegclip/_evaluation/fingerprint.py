"""What decides a cell's outcome, as a short text: finished cells are found again by it."""

from __future__ import annotations

from typing import Any

import joblib
import numpy as np
from sklearn.base import clone

from .._utils.epoched import is_view
from .._version import __version__
from .task import Task

_FORMAT = 2
# Parameters that do not change a result; seeds are drawn by `evaluate`.
_NEUTRAL = {"verbose": 0, "n_jobs": None, "memory": None, "checkpoint_dir": None, "random_state": None}


def estimator_digest(name: str, estimator: Any) -> str:
    """Fingerprint of an unfitted estimator: its class and all parameters that change what it learns."""
    plain = clone(estimator)
    params = plain.get_params()
    neutral = {key: _NEUTRAL[last] for key in params if (last := key.rpartition("__")[2]) in _NEUTRAL}
    plain.set_params(**neutral)
    try:
        return joblib.hash(plain)
    except Exception as error:
        raise ValueError(
            f"estimators[{name!r}] cannot be told from others: it does not pickle ({error}). Use functions of a module"
            " instead of lambdas, or evaluate without folder."
        ) from error


def data_digest(task: Task) -> str:
    """Fingerprint of the data and settings; what is on disk in a store is not read for it."""
    X = task.X
    if is_view(X) and (key := X.content_key()) is not None:
        X = (key, X.ch_names, X.times)
    elif hasattr(X, "get_data"):
        X = (X.get_data(verbose=False), X.metadata, X.ch_names, X.times)
    tables = task.targets, task.candidates
    return joblib.hash(
        (X, task.y, task.subject, task.concept, tables, task.average_test, task.oracle, task.random_state)
    )


def cell_digest(estimator: str, data: str, train: np.ndarray, test: np.ndarray, seed: int) -> str:
    """Fingerprint of a cell."""
    return joblib.hash((_FORMAT, __version__, estimator, data, np.asarray(train), np.asarray(test), seed))
