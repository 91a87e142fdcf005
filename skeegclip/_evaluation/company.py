"""Whether the answer for a query depends on the queries that are asked with it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from .._utils.epoched import is_view

_N_QUERIES = 6
# Of the spread of a query's scores: far above what other blocks of a matrix product or half precision do.
_TOLERANCE = 0.02

Ask = Callable[[Any, dict[str, np.ndarray]], np.ndarray]


def depends_on_company(ask: Ask, X: Any, params: dict[str, np.ndarray], together: np.ndarray) -> str | None:
    """Ask for a few queries again, alone and in a small company, and compare.

    Parameters
    ----------
    ask : callable
        ``ask(X, params)`` gives scores (n_queries, n_items).
    X : array-like, shape (n_queries, ...)
        All queries.
    params : dict of str to ndarray, shape (n_queries,)
        What goes with them (their subject).
    together : ndarray, shape (n_queries, n_items)
        What was given for all of them at once.

    Returns
    -------
    str | None
        A sentence; None where the answers are the same.
    """
    n = len(together)
    if n < 2:
        return None
    rows = np.unique(np.linspace(0, n - 1, min(_N_QUERIES, n)).astype(int))
    size = np.median(together.std(axis=1)) or 1.0

    def again(some: np.ndarray) -> np.ndarray:
        return np.asarray(ask(_take(X, some), {name: values[some] for name, values in params.items()}))

    try:
        # What a step has to say of so few epochs has been said of all, or does not concern the evaluation.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            alone = np.concatenate([again(rows[i : i + 1]) for i in range(min(2, len(rows)))])
            few = few_again = together[rows]
            if len(rows) < n:
                few, few_again = (again(rows[::-1])[::-1] for _ in range(2))
    except Exception as error:  # whatever a step says that cannot do with a few
        return f"a few test queries cannot be decoded without the others ({type(error).__name__}: {str(error)[:120]})"
    if _differ(few, few_again, size):
        return None  # it gives other answers each time, whoever is there
    worst = max(_distance(few, together[rows]), _distance(alone, together[rows[: len(alone)]])) / size
    if worst <= _TOLERANCE:
        return None
    return (
        f"the answer for a query depends on the queries asked with it: alone or in other company its scores move by"
        f" {worst:.0%} of their spread. A step looks at the test epochs together"
    )


def _take(X: Any, rows: np.ndarray) -> Any:
    return X[rows].load() if is_view(X) else X[rows]


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(np.float64) - b).max()) if a.shape == b.shape else np.inf


def _differ(a: np.ndarray, b: np.ndarray, size: float) -> bool:
    return _distance(a, b) / size > _TOLERANCE
