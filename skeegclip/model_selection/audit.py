"""What training and test share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._utils.html import html_card
from .._utils.params import check_option
from ..embeddings.table import check_table
from ._audit.known import Known, find_shared

# What a shared thing means, worst first.
_LEVELS = {
    "epochs": "leak",
    "copies": "leak",
    "repetitions": "leak",
    "stimuli": "leak",
    "names": "leak",
    "targets": "leak",
    "overlap": "leak",
    "concepts": "warning",
    "wordings": "warning",
    "runs": "warning",
    "namesakes": "warning",
    "subjects": "note",
}
_MEANING = {
    "epochs": "the same epochs are in training and test",
    "copies": "their data are in training, whatever they are called there",
    "repetitions": "repetitions of one stimulus, by one person, are in training and test: memory passes for decoding",
    "stimuli": "test stimuli were trained on",
    "names": "test stimuli were trained on under another spelling",
    "targets": "test stimuli have the vector of a training stimulus of another name: their targets were trained on",
    "overlap": "test epochs overlap training epochs in time: they contain the same samples",
    "concepts": "test concepts were trained on: not zero-shot",
    "wordings": "test concepts have the vector, or nearly the name, of a training concept: not zero-shot",
    "runs": "training and test come from one run: slow drifts are shared",
    "namesakes": "people tested are spelt like people trained on, or have the same recordings: perhaps they are the same",
    "subjects": "the people tested were trained on (within-subject)",
}
# Where the evidence is weaker, or the design asks for it.
_WEAKER = {
    (
        "copies",
        "warning",
    ): "they are far more like one training epoch than like any other: perhaps noisy copies",
    ("repetitions", "note"): "a label that one person gave in training and test",
    ("stimuli", "note"): "classes that were trained on, as classification needs it",
    (
        "stimuli",
        "warning",
    ): "all stimuli are in training and test, of other people: it tests new people, not new stimuli",
    ("names", "warning"): "test stimuli are spelt almost like training stimuli: perhaps they are the same",
    (
        "targets",
        "warning",
    ): "test stimuli have the vector of a training stimulus, as many stimuli of this table do",
    ("concepts", "note"): "concepts that were trained on, as classification of labels needs it",
}
_COUNTED = {
    "copies": "test epochs",
    "overlap": "test epochs",
    "names": "pairs",
    "targets": "pairs",
    "wordings": "pairs",
    "namesakes": "pairs",
}


@dataclass(frozen=True)
class SplitAudit:
    """What :func:`audit_split` found.

    Parameters
    ----------
    n_train, n_test : int
        Number of epochs.
    shared : dict of str to tuple
        For each kind that could be checked what is shared, sorted. "epochs", "copies" and "overlap" hold row numbers of
        test epochs: those that are training rows too, whose data are in training under another row, or that overlap a
        training epoch. "stimuli", "concepts" and "subjects" hold names; "repetitions" and "runs" what a name is made of;
        "names", "targets", "wordings" and "namesakes" pairs of a test name and a training name: stimuli that are spelt alike,
        stimuli of one vector, concepts that are alike, and people who are spelt
        alike or of whom the same epochs are there.
    not_checked : tuple of str
        Kinds that could not be checked, because nothing is known of them.
    levels : dict of str to str
        Levels of kinds whose level is not the usual one, because the evidence is weaker or the design asks for it.

    See Also
    --------
    audit_split : Makes one.

    Examples
    --------
    >>> from skeegclip.model_selection import audit_split
    >>> print(audit_split([0, 1], [2], y=["cat_1", "dog_1", "cat_1"]))
    2 training epochs, 1 test epochs
    leak: 1 stimuli shared (cat_1): test stimuli were trained on
    not checked (unknown): copies, repetitions, targets, overlap, concepts, wordings, runs, namesakes, subjects
    """

    n_train: int
    n_test: int
    shared: dict[str, tuple] = field(repr=False)
    not_checked: tuple[str, ...] = ()
    levels: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def flags(self) -> dict[str, str]:
        """Kinds that are shared, and how bad that is: "leak", "warning" or "note"."""
        return {kind: self.levels.get(kind, _LEVELS[kind]) for kind, found in self.shared.items() if found}

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
        said = [(level, self.message(kind)) for kind, level in self.flags.items()]
        return sorted(said, key=lambda one: ("leak", "warning", "note").index(one[0]))

    def message(self, kind: str) -> str:
        """Say what is shared of one kind.

        Parameters
        ----------
        kind : str
            A key of `flags`.

        Returns
        -------
        str
            A sentence.
        """
        found, level = self.shared[kind], self.flags[kind]
        some = ", ".join(_name(kind, item) for item in found[:3]) + (", ..." if len(found) > 3 else "")
        what = f"{len(found)} {_COUNTED[kind]}" if kind in _COUNTED else f"{len(found)} {kind} shared"
        return f"{what} ({some}): {_WEAKER.get((kind, level), _MEANING[kind])}"

    def _repr_html_(self) -> str:
        facts = {"training epochs": f"{self.n_train:,}", "test epochs": f"{self.n_test:,}"}
        facts |= {f"{level}, {i}": text for i, (level, text) in enumerate(self.messages(), 1)}
        unknown = {"not checked (unknown)": ", ".join(self.not_checked)} if self.not_checked else {}
        return html_card("SplitAudit", facts | unknown)

    def __str__(self) -> str:
        lines = [f"{self.n_train} training epochs, {self.n_test} test epochs"]
        lines += [f"{level}: {text}" for level, text in self.messages()]
        if len(lines) == 1 and not self.not_checked:
            lines.append("nothing is shared of all that is checked")
        elif len(lines) == 1:
            lines.append(
                "nothing was found, which does not show that nothing is shared: not all could be checked"
            )
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
    targets: Any = None,
    labels: bool = False,
) -> SplitAudit:
    """List what training and test epochs share.

    What is called the same is compared, and what is the same whatever it is called: the epochs themselves (copies in
    another unit, with another offset or a little noise, averages, windows that overlap), the vectors of the stimuli, and
    the ways their names are written. The epochs are read once, a block at a time. Columns that X carries (a view's rows, or the metadata of Epochs) are found by their names: subject, stimulus,
    concept, session, run, onset.

    Parameters
    ----------
    train, test : array-like of int
        Row numbers, or masks over all rows.
    X : EpochsView | Epochs | DataFrame | array-like | None
        All epochs, or the table of their rows. Without the epochs their content is not compared.
    y : array-like of str, shape (n_epochs,) | None
        Stimulus of each epoch.
    subject, concept, session, run : array-like of str, shape (n_epochs,) | None
        Who saw it, of which kind it is, and in which recording; `concept` may be a mapping from stimulus id.
    onset : array-like of float, shape (n_epochs,) | None
        Seconds from the start of its run (or session) to the stimulus. NaN where not known.
    duration : float | None
        Length of an epoch in seconds. None takes it from a view or Epochs.
    targets : EmbeddingTable | list of EmbeddingTable | None
        Vectors of the stimuli: different stimuli may have the same.
    labels : bool
        Whether `y` holds labels of classes, which training and test have to share.

    Returns
    -------
    SplitAudit
        What is shared; ``print`` it.

    Raises
    ------
    ValueError
        If nothing is known of the rows that could be compared, or lengths do not agree.

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
    tables = [] if targets is None else list(targets) if isinstance(targets, (list, tuple)) else [targets]
    for table in tables:
        check_table("targets", table)
    known = Known.of(X, y, subject, concept, session, run, onset, duration, tables)
    train, test = (_positions(name, rows, known.n_rows) for name, rows in (("train", train), ("test", test)))
    known.labels = check_option("labels", labels, [True, False])
    known.used = np.union1d(train, test)
    audit = audit_rows(known, train, test)
    if not audit.flags and set(audit.shared) == {"epochs"}:
        raise ValueError(
            "nothing that could be compared is known of these rows: no epochs that differ, no name, no onset. Pass"
            " what is known of them, such as y= and subject=."
        )
    return audit


def audit_rows(known: Known, train: np.ndarray, test: np.ndarray) -> SplitAudit:
    """Audit one of several splits of the same rows."""
    shared, levels = find_shared(known, train, test)
    return SplitAudit(
        len(train),
        len(test),
        {kind: shared[kind] for kind in _LEVELS if kind in shared},
        tuple(kind for kind in _LEVELS if kind not in shared),
        {kind: level for kind, level in levels.items() if shared.get(kind)},
    )


def _name(kind: str, item: Any) -> str:
    if not isinstance(item, tuple):
        return str(item)
    return (" = " if _COUNTED.get(kind) == "pairs" else " / ").join(item)


def _positions(name: str, rows: Any, n_rows: int) -> np.ndarray:
    rows = np.asarray(rows)
    if rows.dtype == bool and rows.shape == (n_rows,):
        rows = np.flatnonzero(rows)
    if rows.size == 0:
        raise ValueError(
            f"{name} holds no row, so that there is nothing to compare. Pass the rows of the split."
        )
    if rows.ndim != 1 or rows.dtype.kind not in "iu":
        raise ValueError(
            f"{name} must hold row numbers, or be a mask of shape ({n_rows},), got {rows.dtype} of shape {rows.shape}."
        )
    if not (rows.min() >= 0 and rows.max() < n_rows):
        raise ValueError(
            f"{name} must hold row numbers from 0 to {n_rows - 1}, got {rows.min()} to {rows.max()}."
        )
    return rows.astype(np.intp)
