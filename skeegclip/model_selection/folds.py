"""Audits of all folds of an evaluation, and the warning of what they find."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import check_cv

from .._evaluation.decoder import as_decoder, frozen_parts
from .._evaluation.task import Task
from .._utils.estimators import find_table
from ._audit.known import Known
from ._report.flags import Flag, leaks_of, split_flags
from .audit import SplitAudit, audit_rows
from .leaks import LeakWarning
from .splitters import ConceptKFold

Split = tuple[np.ndarray, np.ndarray]


def split_rows(cv: Any, task: Task, groups: Any) -> list[Split]:
    """The folds of `cv`, which is handed the concepts if it keeps those together, else the subjects."""
    if groups is None:
        groups = task.concept if isinstance(cv, ConceptKFold) else task.subject
    return [
        (np.asarray(train), np.asarray(test)) for train, test in check_cv(cv).split(task.X, task.y, groups)
    ]


def audit_folds(task: Task, folds: Mapping[str, Split], estimators: Iterable[Any]) -> dict[str, SplitAudit]:
    """What training and test share in each fold; the epochs are read once for all of them."""
    estimators = list(estimators)
    tables = [find_table(as_decoder(estimator, task.targets)) for estimator in estimators]
    known = Known.of(task.X, task.y, task.subject, task.concept, None, None, None, None)
    known.tables = list({id(table): table for table in tables if table is not None}.values())
    known.labels = all(table is None for table in tables)
    known.wordings = task.candidates
    pairs = {name: tuple(_positions(rows, known.n_rows) for rows in split) for name, split in folds.items()}
    known.used = np.unique(np.concatenate([rows for split in pairs.values() for rows in split]))
    audits = {name: audit_rows(known, *split) for name, split in pairs.items()}
    if all(isinstance(estimator, FrozenEstimator) for estimator in estimators):
        # Nothing is trained on the training rows; what was trained on before is another finding.
        return {
            name: replace(audit, levels=dict.fromkeys(audit.flags, "note")) for name, audit in audits.items()
        }
    return audits


def _positions(rows: np.ndarray, n_rows: int) -> np.ndarray:
    """Row numbers from 0 on, of masks and of numbers counted from the end too."""
    return np.arange(n_rows)[rows]


def warn_of_leaks(
    what: str,
    audits: Mapping[str, SplitAudit],
    frozen: Mapping[str, list[tuple[str, str]]],
    *,
    stacklevel: int,
) -> None:
    """Warn once of all that leaks, before hours of training."""
    flags = split_flags(audits)
    flags += [Flag(level, name, "frozen", text) for name, said in frozen.items() for level, text in said]
    if texts := leaks_of(flags):
        warnings.warn(
            f"{what}: the test set leaks into training, so the scores do not show what they seem to show. "
            + "; ".join(texts),
            LeakWarning,
            stacklevel=stacklevel + 1,
        )


def check_folds(
    what: str, task: Task, folds: Mapping[str, Split], estimators: Mapping[str, Any], *, stacklevel: int
) -> dict[str, SplitAudit]:
    """Audit all folds, and warn where the test set leaks; also into what was fitted before."""
    audits = audit_folds(task, folds, estimators.values())
    tested = np.unique(np.concatenate([_positions(test, len(task.y)) for _, test in folds.values()]))
    decoders = {name: as_decoder(estimator, task.targets) for name, estimator in estimators.items()}
    frozen = {name: frozen_parts(decoder, task, tested) for name, decoder in decoders.items()}
    warn_of_leaks(what, audits, frozen, stacklevel=stacklevel + 1)
    return audits
