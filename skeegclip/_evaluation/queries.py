"""The test epochs of a fold, averaged where asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._utils.epoched import is_view
from .._utils.inputs import carried_subject
from ..metrics.of_estimators import averaged_embeddings
from ..preprocessing import average_repetitions
from .task import Task


@dataclass(frozen=True)
class Queries:
    """Test epochs, averaged where asked for, and how many trials each stands for."""

    X: Any
    y: np.ndarray
    subject: np.ndarray | None
    concept: np.ndarray | None
    counts: np.ndarray

    @property
    def who(self) -> dict[str, np.ndarray]:
        """Subject and stimulus of each query."""
        people = np.full(len(self.y), "all") if self.subject is None else self.subject
        return {"subject": people, "stimulus": self.y}

    @property
    def params(self) -> dict[str, np.ndarray]:
        """The subject, where it must be handed over because X does not carry it."""
        if self.subject is None or carried_subject(self.X) is not None:
            return {}
        return {"subject": self.subject}


def asked_of(task: Task, test: np.ndarray) -> list[tuple[str, str]]:
    """Subject and stimulus of all queries of a fold, in any order."""
    people = np.full(len(task.y), "all") if task.subject is None else task.subject
    pairs = list(zip(people[test].tolist(), task.y[test].tolist(), strict=True))
    return sorted(set(pairs)) if task.average_test else pairs


def queries_of(task: Task, test: np.ndarray) -> Queries:
    X, y = task.X[test], task.y[test]
    subject = None if task.subject is None else task.subject[test]
    concept = None if task.concept is None else task.concept[test]
    if not task.average_test or task.average_test == "embeddings":
        return Queries(X, y, subject, concept, np.ones(len(y), dtype=int))
    X, shown, people = average_repetitions(X, y, subject)
    X = X.load() if is_view(X) else X  # it is looked at several times
    keys = y if subject is None else np.char.add(np.char.add(subject, "\x1f"), y)
    made = shown if people is None else np.char.add(np.char.add(people, "\x1f"), shown)
    names, first, counts = np.unique(keys, return_index=True, return_counts=True)
    place = np.searchsorted(names, made)
    return Queries(X, shown, people, None if concept is None else concept[first[place]], counts[place])


def averaged(queries: Queries, z: np.ndarray) -> tuple[Queries, np.ndarray]:
    """Queries without epochs, one for each person and stimulus, and the means of their embeddings z."""
    means, shown, group = averaged_embeddings(z, queries.y, queries.subject)
    first, counts = np.unique(group, return_index=True, return_counts=True)[1:]
    subject, concept = (None if part is None else part[first] for part in (queries.subject, queries.concept))
    return Queries(None, shown, subject, concept, counts), means
