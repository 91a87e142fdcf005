"""The data and settings that all cells of an evaluation share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._utils.epoched import is_view
from .._utils.ids import as_ids
from .._utils.inputs import as_mne_list, carried_subject, read_epochs
from .._utils.params import check_option
from ..embeddings.table import check_table
from .columns import per_row, stimuli_of


@dataclass(frozen=True)
class Task:
    """Data and settings that all cells of an evaluation share.

    Attributes
    ----------
    X : ndarray | EpochsView | Epochs
        All epochs.
    y, subject, concept : ndarray of str, shape (n_epochs,) | None
        Stimulus, person and kind of each.
    targets, candidates : EmbeddingTable | None
        For estimators without targets of their own; and vectors of the concepts.
    average_test : bool | "embeddings"
        As in `evaluate`.
    oracle : bool
        As in `evaluate`.
    random_state : int
        Seed of the seeds.
    """

    X: Any
    y: np.ndarray
    subject: np.ndarray | None
    concept: np.ndarray | None
    targets: Any
    candidates: Any
    average_test: bool | str
    oracle: bool
    random_state: int


def make_task(X, y, subject, concept, targets, candidates, average_test, oracle, random_state) -> Task:
    check_option("average_test", average_test, [True, False, "embeddings"])
    if average_test == "embeddings" and oracle:
        raise ValueError(
            "oracle=True has no figures of averaged embeddings. Pass oracle=False, or another average_test."
        )
    for name, table in (("targets", targets), ("candidates", candidates)):
        if table is not None:
            check_table(name, table)
    if not (is_view(X) or isinstance(X, np.ndarray) or (as_mne_list(X) or [None])[0] is X):
        read = read_epochs(X, subject)
        X, subject = np.asarray(read.X), read.subject
    n_rows = len(X)
    stimulus = stimuli_of(X, y, n_rows) if y is None else as_ids(y, name="y")
    if stimulus is None:
        raise ValueError("y is None, and X carries no stimuli. Pass y, the stimulus id of each epoch.")
    if len(stimulus) != n_rows:
        raise ValueError(f"y must hold one id per epoch, shape ({n_rows},), got {stimulus.shape}.")
    carried = carried_subject(X)
    people = carried if subject is None else per_row("subject", subject, X, n_rows)
    if carried is not None and (carried != people).any():
        raise ValueError("subject disagrees with the one that X carries. Pass only one of them.")
    kinds = per_row("concept", concept, X, n_rows, stimulus=stimulus)
    if candidates is not None and kinds is None:
        raise ValueError(
            "candidates are vectors of concepts, but the concept of each epoch is not known. Pass concept=."
        )
    return Task(X, stimulus, people, kinds, targets, candidates, average_test, bool(oracle), random_state)
