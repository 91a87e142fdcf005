"""What parts that were fitted before have seen of the test set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.frozen import FrozenEstimator

from .._utils.estimators import fitted_parts
from .._utils.seen import Seen, epoch_prints, name_prints, spread, vector_prints

_KINDS = {"epochs": "test epochs compared", "names": "test stimuli", "vectors": "vectors of test stimuli"}
UNKNOWN = "a part was fitted before: what it has seen is not known to this report"


def frozen_findings(
    estimator: Any, X: Any, y: np.ndarray, subject: np.ndarray | None, test: np.ndarray, table: Any
) -> list[tuple[str, str]]:
    """Levels and sentences about the frozen parts of an estimator; empty where there are none.

    Parameters
    ----------
    estimator : estimator
        Fitted or not: what is frozen is fitted.
    X : ndarray | EpochsView | Epochs
        All epochs.
    y, subject : ndarray of str, shape (n_epochs,) | None
        Stimulus and person of each.
    test : ndarray of int
        Test rows.
    table : EmbeddingTable | None
        Vectors of the stimuli; None where labels are predicted, which training has to share.
    """
    frozen = [part for part in fitted_parts(estimator) if isinstance(part, FrozenEstimator)]
    if not frozen:
        return []
    records = list(_records(frozen))
    tested = _tested(X[test[spread(len(test))]], np.unique(y[test]), table)
    people = set() if subject is None else set(subject[test].tolist())
    said: dict[tuple[str, str], None] = {}
    for owner, how, seen in records:
        if how != "fit" and people and how not in people:
            continue  # calibrated for somebody else
        deed = (
            f"a frozen {owner} was fitted on"
            if how == "fit"
            else f"a frozen {owner} was calibrated for {how!r} with"
        )
        shared = [
            f"{n} of {len(getattr(tested, kind))} {what}"
            for kind, what in _KINDS.items()
            if (n := len(np.intersect1d(getattr(seen, kind), getattr(tested, kind))))
        ]
        if shared:
            said["leak", f"{deed} {', '.join(shared)}"] = None
    if any(next(_records([part]), None) is None for part in frozen):
        said["warning", UNKNOWN] = None
    if not said:
        said["note", "a part was fitted before; nothing of the test set is in what it has recorded"] = None
    known = {name for part in frozen for name in _people(part)} & people
    if known:
        said["note", f"a frozen part was fitted on {len(known)} of {len(people)} people tested"] = None
    return list(said)


def _tested(X: Any, ids: np.ndarray, table: Any) -> Seen:
    if table is None:
        return Seen(epoch_prints(X), name_prints(()), vector_prints(None))
    known = [name for name in ids.tolist() if name in table]
    return Seen(epoch_prints(X), name_prints(ids), vector_prints(table.lookup(known) if known else None))


def _records(frozen: list) -> Iterator[tuple[str, str, Seen]]:
    for holder in frozen:
        for part in _inside(holder):
            for how, seen in getattr(part, "trained_on_", {}).items():
                yield type(part).__name__, how, seen


def _people(holder: Any) -> Iterator[str]:
    for part in _inside(holder):
        yield from np.asarray(getattr(part, "subjects_", [])).tolist()


def _inside(holder: FrozenEstimator) -> Iterator[Any]:
    # A FrozenEstimator shows the attributes of what it holds as its own.
    return (part for part in fitted_parts(holder) if not isinstance(part, FrozenEstimator))
