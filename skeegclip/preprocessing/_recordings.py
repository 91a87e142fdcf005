"""Whose recording each epoch is from: subject and session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._utils.epoched import is_view
from .._utils.ids import text_or_empty
from .._utils.inputs import as_mne_list, as_subject
from .._utils.plain import record
from .._utils.spelling import warn_alike


def read_column(X: Any, name: str) -> np.ndarray | None:
    """Return what a view or the metadata of Epochs says of each row, as text ("" where nothing); None if absent."""
    if is_view(X):
        return X._text(name)
    frames = [epochs.metadata for epochs in as_mne_list(X) or []]
    if not frames or any(frame is None or name not in frame for frame in frames):
        return None
    values = [value for frame in frames for value in frame[name].tolist()]
    return text_or_empty(values)


def read_session(X: Any, session: Any, n_rows: int) -> np.ndarray | None:
    """Return the session of each row: the one given, else the one X carries."""
    if session is None:
        return read_column(X, "session")
    return as_subject(session, n_rows, name="session")


@record
@dataclass(frozen=True)
class Groups:
    """The recordings that a transformer was fitted on: pairs of subject and session.

    What was not known in fit ("subject", "session", or both) is not looked at afterwards either.
    """

    names: tuple[str, ...]  # which of the two is known
    keys: tuple[tuple[str, ...], ...]

    @classmethod
    def of(
        cls, subject: np.ndarray | None, session: np.ndarray | None, n_rows: int
    ) -> tuple[Groups, np.ndarray]:
        """Return the groups of some rows, sorted, and the code of each row."""
        known = {name: ids for name, ids in (("subject", subject), ("session", session)) if ids is not None}
        rows = _keys(list(known.values()), n_rows)
        keys = sorted(set(rows))
        code = {key: position for position, key in enumerate(keys)}
        return cls(tuple(known), tuple(keys)), np.array([code[row] for row in rows], dtype=np.intp)

    def codes(
        self, subject: np.ndarray | None, session: np.ndarray | None, n_rows: int
    ) -> tuple[np.ndarray, Groups]:
        """Return the code of each row, and the groups not seen in fit, whose codes follow those that were."""
        given = {"subject": subject, "session": session}
        rows = _keys(
            [np.full(n_rows, "") if (ids := given[name]) is None else ids for name in self.names], n_rows
        )
        if "subject" in self.names:
            place = self.names.index("subject")
            warn_alike({row[place] for row in rows}, {key[place] for key in self.keys}, stacklevel=3)
        code = {key: position for position, key in enumerate(self.keys)}
        codes = np.array([code.setdefault(row, len(code)) for row in rows], dtype=np.intp)
        return codes, Groups(self.names, tuple(code)[len(self.keys) :])

    def relatives(self, key: tuple[str, ...]) -> list[int]:
        """Return the groups of the same subject as a key, or all if there is none."""
        same = [
            position
            for position, known in enumerate(self.keys)
            if self.names[:1] == ("subject",) and known[0] == key[0]
        ]
        return same or list(range(len(self.keys)))

    def describe(self, key: tuple[str, ...]) -> str:
        """Return a key in words."""
        return ", ".join(
            f"{name} {value!r}" if value else f"no {name}"
            for name, value in zip(self.names, key, strict=True)
        )


def _keys(columns: list[np.ndarray], n_rows: int) -> list[tuple[str, ...]]:
    """One key for each row."""
    return list(zip(*(column.tolist() for column in columns), strict=True)) if columns else [()] * n_rows
