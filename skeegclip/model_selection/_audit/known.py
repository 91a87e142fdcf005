"""What is known of all rows, and what a split of them shares."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ..._evaluation.columns import as_text, per_row, stimuli_of
from ..._utils.epoched import is_view
from ..._utils.inputs import as_mne_list, read_epochs
from ..._utils.params import check_number
from ..._utils.tables import rows_of
from .alike import merged, vectors_alike, written_alike
from .content import Content, content_of, find_copies, same_recordings

BETWEEN = "\x1f"  # between the parts of a joined key: in no name


@dataclass(frozen=True)
class Column:
    """Names, and which of them each row has; compared by number, for texts are slow."""

    names: np.ndarray
    code: np.ndarray

    def of(self, rows: np.ndarray) -> set[str]:
        """The different names of some rows that are known."""
        return set(self.names[np.unique(self.code[rows])].tolist()) - {""}


@dataclass
class Known:
    """What is known of all rows.

    Attributes
    ----------
    epochs : ndarray | EpochsView | Epochs | None
        The epochs themselves.
    n_rows : int
        Their number.
    stimulus, concept, people, session, run : ndarray of str, shape (n_rows,) | None
        "" where a row's is not known.
    onset : ndarray of float, shape (n_rows,) | None
        Seconds in the recording.
    duration : float | None
        Length of an epoch in seconds.
    tables : list of EmbeddingTable
        Vectors of the stimuli.
    wordings : EmbeddingTable | None
        Vectors of the concepts.
    labels : bool
        Whether `stimulus` holds labels of classes, which training has to share.
    used : ndarray of int | None
        Rows that occur in any split; None = all.
    """

    epochs: Any
    n_rows: int
    stimulus: np.ndarray | None
    concept: np.ndarray | None
    people: np.ndarray | None
    session: np.ndarray | None
    run: np.ndarray | None
    onset: np.ndarray | None = None
    duration: float | None = None
    tables: list = field(default_factory=list)
    wordings: Any = None
    labels: bool = False
    used: np.ndarray | None = None

    @classmethod
    def of(cls, X, y, subject, concept, session, run, onset, duration, tables: Iterable = ()) -> Known:
        """Take what is given, else what X carries."""
        n_rows = _n_rows(X, y, subject, concept, session, run, onset)
        stimulus = _stimuli(X, y, n_rows)
        return cls(
            epochs=_epochs(X),
            n_rows=n_rows,
            stimulus=stimulus,
            concept=per_row("concept", concept, X, n_rows, stimulus=stimulus),
            people=per_row("subject", subject, X, n_rows),
            session=per_row("session", session, X, n_rows),
            run=per_row("run", run, X, n_rows),
            onset=_onsets(onset, X, n_rows),
            duration=_duration(duration, X),
            tables=list(tables),
        )

    @cached_property
    def columns(self) -> dict[str, Column]:
        """What has names, by kind."""
        found = {
            "repetitions": self.repetitions,
            "stimuli": self.stimulus,
            "concepts": self.concept,
            "runs": self.runs,
            "subjects": self.people,
        }
        return {
            kind: Column(*np.unique(values, return_inverse=True))
            for kind, values in found.items()
            if values is not None
        }

    @cached_property
    def content(self) -> Content | None:
        """Sketches of the epochs, read once for all splits."""
        rows = np.arange(self.n_rows) if self.used is None else self.used
        return None if self.epochs is None or len(rows) == 0 else content_of(self.epochs, rows)

    @cached_property
    def same_people(self) -> set[tuple[str, str]]:
        """People whose recordings are one."""
        if self.content is None or self.people is None:
            return set()
        rows = np.arange(self.n_rows) if self.used is None else self.used
        return same_recordings(self.content, self.epochs, self.people, rows)

    @cached_property
    def runs(self) -> np.ndarray | None:
        """Recording of each row."""
        parts = [column for column in (self.session, self.run) if column is not None]
        return (
            joined([*([] if self.people is None else [self.people]), *parts], self.n_rows) if parts else None
        )

    @cached_property
    def repetitions(self) -> np.ndarray | None:
        """Person and stimulus of each row."""
        if self.stimulus is None or self.people is None:
            return None
        return joined([self.people, self.stimulus], self.n_rows)


def find_shared(known: Known, train: np.ndarray, test: np.ndarray) -> tuple[dict[str, tuple], dict[str, str]]:
    """What is shared, by kind, for each kind that could be checked; and levels other than the usual ones."""
    shared: dict[str, tuple] = {"epochs": tuple(np.intersect1d(train, test).tolist())}
    levels: dict[str, str] = {}
    names = {}
    for kind, column in known.columns.items():
        mine, theirs = column.of(test), column.of(train)
        if mine and theirs:
            names[kind] = mine, theirs
            shared[kind] = tuple(_parts(name) for name in sorted(mine & theirs))
    if known.labels:
        levels |= dict.fromkeys(("repetitions", "stimuli", "concepts"), "note")
    elif (
        shared.get("stimuli")
        and shared.get("repetitions") == ()
        and names["stimuli"][0] == names["stimuli"][1]
    ):
        levels["stimuli"] = (
            "warning"  # a design with a few stimuli that everybody sees, tested on other people
        )
    sides = {kind: (_sorted(mine), _sorted(theirs)) for kind, (mine, theirs) in names.items()}
    _add_alike(known, sides, shared, levels)
    _add_content(known, train, test, shared, levels)
    return shared, levels


def _sorted(names: set[str]) -> np.ndarray:
    return np.array(sorted(names))


def _parts(name: str) -> Any:
    return tuple(name.split(BETWEEN)) if BETWEEN in name else name


def _add_alike(
    known: Known, sides: dict[str, tuple[np.ndarray, np.ndarray]], shared: dict, levels: dict
) -> None:
    """Stimuli, concepts and people under two names."""
    if "stimuli" in sides and not known.labels:
        _add("names", written_alike(*sides["stimuli"]), shared, levels)
        if (found := merged([vectors_alike(*sides["stimuli"], table) for table in known.tables])) is not None:
            _add("targets", found, shared, levels)
    if "concepts" in sides:
        by_vector = None if known.wordings is None else vectors_alike(*sides["concepts"], known.wordings)
        both = merged([written_alike(*sides["concepts"]), by_vector])
        shared["wordings"] = () if both is None else both[0] + both[1]
    if "subjects" in sides:
        sure, alike = written_alike(*sides["subjects"])
        mine, theirs = sides["subjects"]
        one = {(a, b) for a, b in known.same_people if a in mine and b in theirs and a not in theirs}
        shared["namesakes"] = tuple(sorted({*sure, *alike, *_marked(mine, theirs), *one}))


def _marked(test: np.ndarray, train: np.ndarray) -> list[tuple[str, str]]:
    """People whose names differ by a letter behind a number: sub-03 and sub-03b."""
    own = set(train.tolist())
    numbered = {name: name.rstrip("abcdefghijklmnopqrstuvwxyz") for name in (*test.tolist(), *train.tolist())}
    return [
        (name, other)
        for name in test.tolist()
        if name not in own and numbered[name][-1:].isdigit()
        for other in train.tolist()
        if numbered[other] == numbered[name] and other != name
    ]


def _add_content(known: Known, train: np.ndarray, test: np.ndarray, shared: dict, levels: dict) -> None:
    """Epochs that are the same, whatever they are called, and epochs that overlap."""
    overlaps: set[int] | None = None
    if known.onset is not None and known.duration is not None:
        recording = known.runs if known.runs is not None else known.people
        recording = np.zeros(known.n_rows, dtype="U1") if recording is None else recording
        overlaps = set(_overlapping(train, test, recording, known.onset, known.duration).tolist())
    if known.content is not None and len(train) and len(test):
        found = find_copies(known.content, known.epochs, train, test, known.repetitions)
        _add("copies", (found.copies, found.alike), shared, levels)
        if found.overlaps is not None:
            overlaps = (overlaps or set()) | set(found.overlaps)
    if overlaps is not None:
        shared["overlap"] = tuple(sorted(overlaps))


def _add(kind: str, found: tuple[tuple, tuple], shared: dict, levels: dict) -> None:
    """What is sure; or, where nothing is, what is likely, as a warning."""
    sure, alike = found
    shared[kind] = sure or alike
    if not sure:
        levels[kind] = "warning"


def joined(columns: list[np.ndarray], n_rows: int) -> np.ndarray:
    """One key per row; "" where a part is not known."""
    key = np.zeros(n_rows, dtype="U1") if not columns else columns[0]
    for column in columns[1:]:
        both = np.char.add(np.char.add(key, BETWEEN), column)
        key = np.where((key == "") | (column == ""), "", both)
    return key


# -- reading what is given -----------------------------------------------------------------------------


def _n_rows(X: Any, *columns: Any) -> int:
    from sklearn.utils.validation import _num_samples

    if (parts := as_mne_list(X)) is not None:
        return sum(map(len, parts))
    for given in (X, *columns):
        if given is not None and not isinstance(given, (str, dict)):
            return _num_samples(given)
    raise ValueError("audit_split knows nothing of the rows. Pass X as a view, or y= and the other columns.")


def _epochs(X: Any) -> Any:
    """X where it holds numbers to compare, else None: a table of rows, names."""
    if X is None or is_view(X) or (hasattr(X, "get_data") and not isinstance(X, (list, tuple))):
        return X
    if isinstance(X, (list, tuple)) and as_mne_list(X) is None:
        X = np.asarray(X)
    elif not hasattr(X, "columns"):
        X = read_epochs(X).X
    is_array = isinstance(X, np.ndarray) and X.ndim > 1 and X.dtype.kind in "fiu"
    return X if is_array else None


def _stimuli(X: Any, y: Any, n_rows: int) -> np.ndarray | None:
    """Ids; numbers serve where X carries no ids, and equal rows of a matrix are one stimulus."""
    if (found := stimuli_of(X, y, n_rows)) is not None or y is None:
        return found
    values = np.asarray(y)
    if len(values) != n_rows:
        raise ValueError(f"y must hold one stimulus per row, {n_rows}, got {len(values)}.")
    if values.ndim == 2 and values.dtype.kind in "fiu":
        _, group = np.unique(values, axis=0, return_inverse=True)
        return np.array([f"row {number} of y" for number in group.ravel()])
    return as_text(values) if values.ndim == 1 else None


def _onsets(onset: Any, X: Any, n_rows: int) -> np.ndarray | None:
    table = rows_of(X)
    if onset is None and table is not None and "onset" in table:
        onset = table["onset"].to_numpy()
    if onset is None:
        return None
    when = np.asarray(onset, dtype=float)
    if when.shape != (n_rows,):
        raise ValueError(f"onset must hold one time per row, shape ({n_rows},), got {when.shape}.")
    return when


def _duration(duration: float | None, X: Any) -> float | None:
    check_number("duration", duration, low=0, none=True)
    if duration is not None:
        return float(duration)
    if is_view(X):
        return None if X.sfreq is None else X.shape[2] / X.sfreq
    return len(X.times) / float(X.info["sfreq"]) if hasattr(X, "metadata") else None


def _overlapping(
    train: np.ndarray, test: np.ndarray, recording: np.ndarray, onset: np.ndarray, duration: float
) -> np.ndarray:
    """Test rows that lie less than one epoch from a training row of the same recording."""
    # Recordings are laid end to end, further apart than any epoch is long: then one search serves all.
    _, where = np.unique(recording, return_inverse=True)
    span = np.nanmax(onset) - np.nanmin(onset) + duration + 1 if np.isfinite(onset).any() else 1.0
    line = onset + where * span
    known = np.sort(line[train][np.isfinite(line[train])])
    rows = test[np.isfinite(line[test])]
    if len(known) == 0 or len(rows) == 0:
        return rows[:0]
    after = np.searchsorted(known, line[rows]).clip(max=len(known) - 1)
    gap = np.minimum(np.abs(known[after] - line[rows]), np.abs(known[(after - 1).clip(min=0)] - line[rows]))
    # Onsets are rounded to samples or milliseconds: epochs that follow each other without a gap do not overlap.
    return np.sort(rows[gap < duration - 1e-6])
