"""Clones, and what becomes of the callbacks in them."""

from __future__ import annotations

import copy
from collections import deque
from contextvars import ContextVar
from typing import Any

import numpy as np
from sklearn.base import clone

from .loaded import loaded

_TO_FIT: ContextVar[bool] = ContextVar("to_fit", default=False)


def clone_to_fit(estimator: Any) -> Any:
    """A clone that stands for `estimator` in its one fit: callbacks in it are the user's own, and see that fit.

    Any other clone (a fold's, a candidate's of a search) gets copies of them, `copy_callbacks`.
    """
    token = _TO_FIT.set(True)
    try:
        return clone(estimator)
    finally:
        _TO_FIT.reset(token)


def copy_callbacks(callbacks: Any) -> Any:
    """The callbacks of a clone: their own state is copied, what they report to is not.

    State is what is kept in lists, dicts, arrays and the like: a count of misses must not go from one fold to the next.
    Everything else is a handle on something outside, such as a writer, a trial, a run or a lock: a copy of it would
    report to nobody, and often there can be none.
    """
    return callbacks if _TO_FIT.get() else _copy(callbacks, {})


def _copy(value: Any, memo: dict[int, Any]) -> Any:
    if id(value) in memo:  # callbacks may know each other, as skorch's LoadInitState does
        return memo[id(value)]
    kind = type(value)
    tensor, callback = loaded("torch", "Tensor"), loaded("skorch.callbacks", "Callback")
    if kind in (list, tuple, set, frozenset):
        new = kind(_copy(item, memo) for item in value)
    elif kind is dict:
        new = {key: _copy(item, memo) for key, item in value.items()}
    elif isinstance(value, (list, dict, set, deque, np.ndarray)):
        new = copy.copy(value)
    elif tensor is not None and isinstance(value, tensor):
        new = value.detach().clone()
    elif callback is not None and isinstance(value, callback):
        # Not copy.copy: what a callback leaves out of a pickle it may need here.
        new = memo[id(value)] = object.__new__(kind)
        vars(new).update({name: _copy(item, memo) for name, item in vars(value).items()})
    else:
        new = value
    memo[id(value)] = new
    return new
