"""What training and test share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.utils.validation import _num_samples

from .._utils.inputs import is_view
from .._utils.params import check_number
from ._columns import per_row, stimuli_of, table_of

# What a shared thing means, worst first.
_LEVELS = {
    "epochs": "leak",
    "repetitions": "leak",
    "stimuli": "leak",
    "overlap": "leak",
    "concepts": "warning",
    "runs": "warning",
    "subjects": "note",
}
_MEANING = {
    "epochs": "the same epochs are in training and test",
    "repetitions": "repetitions of one stimulus, by one person, are in training and test: memory passes for decoding",
    "stimuli": "test stimuli were trained on",
    "overlap": "test epochs overlap training epochs in time: they contain the same samples",
    "concepts": "test concepts were trained on: not zero-shot",
    "runs": "training and test come from one run: slow drifts are shared",
    "subjects": "the people tested were trained on (within-subject)",
}


@dataclass(frozen=True)
class SplitAudit:
    """What :func:`audit_split` found.

    Parameters
    ----------
    n_train, n_test : int
        Number of epochs.
    shared : dict of str to tuple
        For each kind that could be checked ("epochs", "repetitions", "stimuli", "overlap", "concepts", "runs",
        "subjects") what is shared, sorted: row numbers, names, or pairs of names. "overlap" holds the rows of the
        test epochs that overlap a training epoch.
    not_checked : tuple of str
        Kinds that could not be checked, because nothing is known of them.

    See Also
    --------
    audit_split : Makes one.

    Examples
    --------
    >>> from skeegclip.model_selection import audit_split
    >>> print(audit_split([0, 1], [2], y=["cat_1", "dog_1", "cat_1"]))
    2 training epochs, 1 test epochs
    leak: 1 stimuli shared (cat_1): test stimuli were trained on
    not checked (unknown): repetitions, overlap, concepts, runs, subjects
    """

    n_train: int
    n_test: int
    shared: dict[str, tuple] = field(repr=False)
    not_checked: tuple[str, ...] = ()

    @property
    def flags(self) -> dict[str, str]:
        """Kinds that are shared, and how bad that is: "leak", "warning" or "note"."""
        return {kind: _LEVELS[kind] for kind, found in self.shared.items() if found}

    @property
    def leaks(self) -> bool:
        """Whether something is shared that makes the score meaningless for new stimuli."""
        return "leak" in self.flags.values()

    def messages(self) -> list[tuple[str, str]]:
        """Say what is shared.

        Returns
        -------
        list of (str, str)
            Level and sentence of each flag, the worst first.
        """
        said = []
        for kind, level in self.flags.items():
            found = self.shared[kind]
            some = ", ".join(_name(item) for item in found[:3]) + (", ..." if len(found) > 3 else "")
            what = f"{len(found)} test epochs" if kind == "overlap" else f"{len(found)} {kind} shared"
            said.append((level, f"{what} ({some}): {_MEANING[kind]}"))
        return said

    def __str__(self) -> str:
        lines = [f"{self.n_train} training epochs, {self.n_test} test epochs"]
        lines += [f"{level}: {text}" for level, text in self.messages()]
        if len(lines) == 1:
            lines.append("nothing that was checked is shared")
        if self.not_checked:
            lines.append(f"not checked (unknown): {', '.join(self.not_checked)}")
        return "\n".join(lines)


def audit_split(
    train: Any,
    test: Any,
    X: Any = None,
    *,
    y: Any = None,
    subject: Any = None,
    concept: Any = None,
    session: Any = None,
    run: Any = None,
    onset: Any = None,
    duration: float | None = None,
) -> SplitAudit:
    """List what training and test epochs share.

    Columns that X carries (a view's rows, or the metadata of Epochs) are found by their names: subject, stimulus,
    concept, session, run, onset.

    Parameters
    ----------
    train, test : array-like of int
        Row numbers, or masks over all rows.
    X : EpochsView | Epochs | DataFrame | array-like | None
        All epochs, or the table of their rows.
    y : array-like of str, shape (n_epochs,) | None
        Stimulus of each epoch.
    subject, concept, session, run : array-like of str, shape (n_epochs,) | None
        Who saw it, of which kind it is, and in which recording; `concept` may be a mapping from stimulus id.
    onset : array-like of float, shape (n_epochs,) | None
        Seconds from the start of its run (or session) to the stimulus. NaN where not known.
    duration : float | None
        Length of an epoch in seconds. None takes it from a view or Epochs.

    Returns
    -------
    SplitAudit
        What is shared; ``print`` it.

    Raises
    ------
    ValueError
        If nothing is known of the rows, or lengths do not agree.

    Examples
    --------
    In rapid presentation the next picture comes before the epoch of the last has ended:

    >>> from skeegclip.model_selection import audit_split
    >>> audit = audit_split(
    ...     [0, 2], [1, 3], y=list("abcd"), subject=["ann"] * 4, onset=[0.0, 0.2, 0.4, 9.0], duration=1.0
    ... )
    >>> audit.flags
    {'overlap': 'leak', 'subjects': 'note'}
    >>> audit.shared["overlap"]
    (1,)
    """
    n_rows = _n_rows(X, y, subject, concept, session, run, onset)
    train, test = (_positions(name, rows, n_rows) for name, rows in (("train", train), ("test", test)))
    stimulus = stimuli_of(X, y, n_rows)
    people = per_row("subject", subject, X, n_rows)
    parts = {"session": per_row("session", session, X, n_rows), "run": per_row("run", run, X, n_rows)}
    runs = [column for column in parts.values() if column is not None]
    recording = _joined([column for column in (people, *runs) if column is not None], n_rows)
    keys = {
        "epochs": np.arange(n_rows),
        "repetitions": None if stimulus is None or people is None else _joined([people, stimulus], n_rows),
        "stimuli": stimulus,
        "concepts": per_row("concept", concept, X, n_rows, stimulus=stimulus),
        "runs": recording if runs else None,
        "subjects": people,
    }
    shared = {kind: _shared(values, train, test) for kind, values in keys.items() if values is not None}
    when = _onsets(onset, X, n_rows)
    length = _duration(duration, X)
    if when is not None and length is not None:
        shared["overlap"] = tuple(_overlapping(train, test, recording, when, length).tolist())
    return SplitAudit(
        len(train),
        len(test),
        {kind: shared[kind] for kind in _LEVELS if kind in shared},
        tuple(kind for kind in _LEVELS if kind not in shared),
    )


_BETWEEN = "\x1f"  # between the parts of a joined key: in no name


def _name(item: Any) -> str:
    return " / ".join(item) if isinstance(item, tuple) else str(item)


def _n_rows(X: Any, *columns: Any) -> int:
    for known in (X, *columns):
        if known is not None and not isinstance(known, (str, dict)):
            return _num_samples(known)
    raise ValueError("audit_split knows nothing of the rows. Pass X as a view, or y= and the other columns.")


def _positions(name: str, rows: Any, n_rows: int) -> np.ndarray:
    rows = np.asarray(rows)
    if rows.dtype == bool and rows.shape == (n_rows,):
        return np.flatnonzero(rows)
    if rows.ndim != 1 or (rows.size and rows.dtype.kind not in "iu"):
        raise ValueError(
            f"{name} must hold row numbers, or be a mask of shape ({n_rows},), got {rows.dtype} of shape {rows.shape}."
        )
    if rows.size and not (rows.min() >= 0 and rows.max() < n_rows):
        raise ValueError(
            f"{name} must hold row numbers from 0 to {n_rows - 1}, got {rows.min()} to {rows.max()}."
        )
    return rows.astype(np.intp)


def _joined(columns: list[np.ndarray], n_rows: int) -> np.ndarray:
    """One key per row; "" where a part is not known."""
    key = np.zeros(n_rows, dtype="U1") if not columns else columns[0]
    for column in columns[1:]:
        both = np.char.add(np.char.add(key, _BETWEEN), column)
        key = np.where((key == "") | (column == ""), "", both)
    return key


def _shared(values: np.ndarray, train: np.ndarray, test: np.ndarray) -> tuple:
    common = np.intersect1d(values[train], values[test]).tolist()
    if values.dtype.kind != "U":
        return tuple(common)
    return tuple(tuple(name.split(_BETWEEN)) if _BETWEEN in name else name for name in common if name)


def _onsets(onset: Any, X: Any, n_rows: int) -> np.ndarray | None:
    table = table_of(X)
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
