"""What decides a cell's outcome, as a short text: finished cells are found again by it."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.base import clone

from .._utils.identity import UnknownIdentityError, identity
from .._version import __version__
from .task import Task

_FORMAT = 3
# Parameters that do not change a result; seeds are drawn by `evaluate`.
_NEUTRAL = {"verbose": 0, "n_jobs": None, "memory": None, "checkpoint_dir": None, "random_state": None}


def estimator_digest(name: str, estimator: Any) -> str | None:
    """Fingerprint of an unfitted estimator: its class and code, and all parameters that change what it learns.

    None, with a warning, where it cannot be told from others: what it gives is then not found again.
    """
    plain = clone(estimator)
    params = plain.get_params()
    neutral = {key: _NEUTRAL[last] for key in params if (last := key.rpartition("__")[2]) in _NEUTRAL}
    plain.set_params(**neutral)
    try:
        return identity(plain)
    except UnknownIdentityError as error:
        warnings.warn(
            f"estimators[{name!r}] cannot be told from others ({error}), so that its results are not kept in the folder:"
            " it is trained each time. Use functions and classes of a module.",
            RuntimeWarning,
            stacklevel=2,
        )
        return None


def data_digest(task: Task) -> str:
    """Fingerprint of the data and settings; what is on disk in a store is not read for it."""
    X = task.X
    if hasattr(X, "get_data"):
        X = (X.get_data(verbose=False), _columns(X.metadata), X.ch_names, X.times)
    tables = task.targets, task.candidates
    return identity(
        (X, task.y, task.subject, task.concept, tables, task.average_test, task.oracle, task.random_state)
    )


def _columns(table: Any) -> Any:
    return None if table is None else {name: table[name].tolist() for name in table}


def cell_digest(estimator: str, data: str, train: np.ndarray, test: np.ndarray, seed: int) -> str:
    """Fingerprint of a cell."""
    return identity((_FORMAT, __version__, estimator, data, np.asarray(train), np.asarray(test), seed))
