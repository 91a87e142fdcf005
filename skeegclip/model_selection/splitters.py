"""Splitters that know subjects, stimuli and concepts; the interface is scikit-learn's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.model_selection import BaseCrossValidator, GroupKFold
from sklearn.utils.validation import _num_samples

from .._evaluation.columns import per_row, stimuli_of
from .._utils.ids import as_ids


class _BySubject(BaseCrossValidator):
    """Folds that are people, with training and test stimuli kept apart."""

    __metadata_request__split = {"groups": True}

    def __init__(self, *, test_stimuli=None, split_labels=None, concept=None):
        self.test_stimuli = test_stimuli
        self.split_labels = split_labels
        self.concept = concept

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Give the rows of each fold, in the order of the names of subjects (and sessions).

        Parameters
        ----------
        X : array-like, shape (n_epochs, ...) | EpochsView | Epochs
            Epochs; a view, or metadata, may carry subject, session, stimulus, concept and split.
        y : array-like of str, shape (n_epochs,) | None
            Stimulus ids, where X does not carry them.
        groups : array-like, shape (n_epochs,) | None
            Subject of each epoch, where X does not carry it.

        Yields
        ------
        train : ndarray of int, shape (n_train,)
            Rows to train on.
        test : ndarray of int, shape (n_test,)
            Rows to test on.

        Raises
        ------
        ValueError
            If subjects or test stimuli are not known, or a fold would be empty.
        """
        subject = self._subjects(X, groups)
        may_train, may_test, apart = self._rules(X, y, len(subject))
        for name, mine, others in self._parts(X, subject):
            test, train = may_test & mine, may_train & others
            for values in apart:
                train &= ~np.isin(values, np.setdiff1d(values[test], [""]))
            for part, rows in (("training", train), ("test", test)):
                if not rows.any():
                    raise ValueError(
                        f"{type(self).__name__}: no {part} epochs are left for {name}."
                        " Leave its epochs out, or check the test stimuli and concepts."
                    )
            yield np.flatnonzero(train), np.flatnonzero(test)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of subjects (of their sessions, where each is left out).

        Parameters
        ----------
        X : array-like, shape (n_epochs, ...) | EpochsView | Epochs | None
            As in split.
        y : object
            Not used.
        groups : array-like, shape (n_epochs,) | None
            As in split.

        Returns
        -------
        int
            Number of folds.
        """
        return sum(1 for _ in self._parts(X, self._subjects(X, groups)))

    def __repr__(self) -> str:
        shown = [
            f"{name}={value!r}" if isinstance(value, (str, bool)) else f"{name}=<{len(value)}>"
            for name, value in vars(self).items()
            if value is not None and value is not False
        ]
        return f"{type(self).__name__}({', '.join(shown)})"

    def _subjects(self, X: Any, groups: Any) -> np.ndarray:
        n_rows = _num_samples(X if X is not None else groups)
        subject = per_row("subject", groups, X, n_rows, name="groups")
        if subject is None:
            return self._without_subjects(n_rows)
        if (subject == "").any():
            raise ValueError(
                f"groups: the subject of row {int(np.argmax(subject == ''))} is missing. Name every row's subject."
            )
        return subject

    def _without_subjects(self, n_rows: int) -> np.ndarray:
        raise ValueError(
            f"{type(self).__name__}: the subjects are not known. Pass groups=, or X as a view (or Epochs with"
            " metadata) with a column 'subject'."
        )

    def _parts(self, X: Any, subject: np.ndarray) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """Give the name of each fold, whose rows are tested on, and whose are trained on."""
        for name in np.unique(subject):
            yield f"subject {str(name)!r}", subject == name, self._trained_on(subject, name)

    def _trained_on(self, subject: np.ndarray, name: str) -> np.ndarray:
        raise NotImplementedError

    def _rules(self, X: Any, y: Any, n_rows: int) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
        """Which rows may be trained on and which tested on, and what training and test must not share."""
        stimulus = stimuli_of(X, y, n_rows)
        may_train, may_test = self._roles(X, stimulus, n_rows)
        concept = None
        if self.concept is not None:
            concept = per_row("concept", self.concept, X, n_rows, stimulus=stimulus)
        return may_train, may_test, [values for values in (stimulus, concept) if values is not None]

    def _roles(self, X: Any, stimulus: np.ndarray | None, n_rows: int) -> tuple[np.ndarray, np.ndarray]:
        """Which rows may be trained on and which tested on."""
        if self.test_stimuli is not None:
            if stimulus is None:
                raise ValueError(
                    "test_stimuli is given, but the stimulus of each row is not known. Pass y as ids."
                )
            wanted = as_ids(self.test_stimuli, name="test_stimuli")
            unknown = np.setdiff1d(wanted, stimulus)
            if len(unknown):
                raise ValueError(
                    f"test_stimuli: {len(unknown)} of {len(wanted)} ids occur in no row (first: {str(unknown[0])!r})."
                    " Leave them out, or check how ids are written."
                )
            may_test = np.isin(stimulus, wanted)
            return ~may_test, may_test
        label = per_row("split", self.split_labels, X, n_rows, name="split_labels")
        if label is None:
            raise ValueError(
                f"{type(self).__name__} does not know which stimuli to test on. Pass test_stimuli=, or split_labels="
                " (or X as a view with a column 'split') of 'train' and 'test'."
            )
        may_train, may_test = label == "train", label == "test"
        if not may_train.any() or not may_test.any():
            raise ValueError(
                f"split_labels must mark rows as 'train' and 'test', got {np.unique(label).tolist()[:5]}."
            )
        return may_train, may_test


class LeaveOneSubjectOut(_BySubject):
    """Test each person in turn, with stimuli that nobody was shown in training.

    scikit-learn's ``LeaveOneGroupOut`` leaves out the person only: the others have seen the same pictures, and a
    decoder of pictures is then trained on the very pictures it is tested on. This splitter also takes the
    epochs with test stimuli out of training, and, where `concept` is given, all epochs with their concepts.
    Where stimuli may be shared (a few categories that everybody sees), ``LeaveOneGroupOut`` serves.

    Parameters
    ----------
    test_stimuli : sequence of str | None
        Stimuli to test on. Everything else is for training.
    split_labels : array-like of str, shape (n_epochs,) | str | None
        Where `test_stimuli` is None: "train" or "test" for each epoch (others are left out), or the name of a
        column of X. None takes the column "split".
    concept : mapping | array-like of str, shape (n_epochs,) | str | None
        Concept of each stimulus (a mapping), of each epoch, or the name of a column of X: training then leaves
        out the concepts of the test stimuli too. None does not look at concepts.

    See Also
    --------
    WithinSubject : Train and test on one person.
    audit_split : Lists what training and test share.

    Examples
    --------
    >>> from skeegclip.model_selection import LeaveOneSubjectOut
    >>> subject = ["ann", "ann", "ann", "bob", "bob", "bob"]
    >>> stimulus = ["cat_1", "cat_2", "dog_1"] * 2
    >>> cv = LeaveOneSubjectOut(test_stimuli=["cat_1"])
    >>> [(train.tolist(), test.tolist()) for train, test in cv.split(subject, stimulus, subject)]
    [([4, 5], [0]), ([1, 2], [3])]

    A new picture of a known kind is not known either, with concepts:

    >>> cv = LeaveOneSubjectOut(test_stimuli=["cat_1"], concept={"cat_1": "cat", "cat_2": "cat", "dog_1": "dog"})
    >>> [train.tolist() for train, test in cv.split(subject, stimulus, subject)]
    [[5], [2]]
    """

    def _trained_on(self, subject: np.ndarray, name: str) -> np.ndarray:
        return subject != name


class WithinSubject(_BySubject):
    """Train and test on the same person, each person in turn, with other stimuli.

    Parameters
    ----------
    test_stimuli : sequence of str | None
        Stimuli to test on. Everything else is for training.
    split_labels : array-like of str, shape (n_epochs,) | str | None
        Where `test_stimuli` is None: "train" or "test" for each epoch (others are left out), or the name of a
        column of X. None takes the column "split".
    concept : mapping | array-like of str, shape (n_epochs,) | str | None
        Concept of each stimulus (a mapping), of each epoch, or the name of a column of X: training then leaves
        out the concepts of the test stimuli too. None does not look at concepts.

    See Also
    --------
    LeaveOneSubjectOut : Test on a person who was not trained on.

    Examples
    --------
    Where no subjects are known, all epochs count as one person's:

    >>> from skeegclip.model_selection import WithinSubject
    >>> cv = WithinSubject(split_labels=["train", "train", "test", "val"])
    >>> [(train.tolist(), test.tolist()) for train, test in cv.split(["a", "b", "c", "d"])]
    [([0, 1], [2])]
    """

    def _trained_on(self, subject: np.ndarray, name: str) -> np.ndarray:
        return subject == name

    def _without_subjects(self, n_rows: int) -> np.ndarray:
        return np.full(n_rows, "all")


class LeaveOneSessionOut(WithinSubject):
    """Train on a person's other sessions and test on one, each in turn, with other stimuli.

    What was learned one day is tested on another, when the cap sits elsewhere and the person is in another mood.
    Sessions of the same name are those of different people.

    Parameters
    ----------
    test_stimuli : sequence of str | None
        Stimuli to test on. Everything else is for training.
    split_labels : array-like of str, shape (n_epochs,) | str | None
        Where `test_stimuli` is None: "train" or "test" for each epoch (others are left out), or the name of a
        column of X. None takes the column "split".
    concept : mapping | array-like of str, shape (n_epochs,) | str | None
        Concept of each stimulus (a mapping), of each epoch, or the name of a column of X: training then leaves
        out the concepts of the test stimuli too. None does not look at concepts.
    session : array-like of str, shape (n_epochs,) | str | None
        Session of each epoch, or the name of a column of X. None takes the column "session".
    shared_stimuli : bool
        Whether the same stimuli are trained and tested on, such as a few categories that every session shows:
        `test_stimuli`, `split_labels` and `concept` are then not looked at.

    See Also
    --------
    WithinSubject : The same without sessions.
    skeegclip.inspection.calibration_curve : What a few minutes of the new session are worth.

    Examples
    --------
    >>> from skeegclip.model_selection import LeaveOneSessionOut
    >>> subject, session = ["ann"] * 4 + ["bob"] * 4, ["1", "1", "2", "2"] * 2
    >>> stimulus = ["cat", "dog"] * 4
    >>> cv = LeaveOneSessionOut(test_stimuli=["cat"], session=session)
    >>> [(train.tolist(), test.tolist()) for train, test in cv.split(subject, stimulus, subject)]
    [([3], [0]), ([1], [2]), ([7], [4]), ([5], [6])]
    >>> cv = LeaveOneSessionOut(session=session, shared_stimuli=True)
    >>> [(train.tolist(), test.tolist()) for train, test in cv.split(subject, stimulus, subject)][:2]
    [([2, 3], [0, 1]), ([0, 1], [2, 3])]
    """

    def __init__(
        self, *, test_stimuli=None, split_labels=None, concept=None, session=None, shared_stimuli=False
    ):
        super().__init__(test_stimuli=test_stimuli, split_labels=split_labels, concept=concept)
        self.session = session
        self.shared_stimuli = shared_stimuli

    def _rules(self, X: Any, y: Any, n_rows: int) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
        if self.shared_stimuli:
            return np.ones(n_rows, dtype=bool), np.ones(n_rows, dtype=bool), []
        return super()._rules(X, y, n_rows)

    def _parts(self, X: Any, subject: np.ndarray) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        session = per_row("session", self.session, X, len(subject))
        if session is None or (session == "").any():
            missing = "all rows" if session is None else f"row {int(np.argmax(session == ''))}"
            raise ValueError(
                f"LeaveOneSessionOut: the session is not known ({missing}). Pass session=, or X as a view (or Epochs"
                " with metadata) with a column 'session'."
            )
        for name in np.unique(subject):
            for part in np.unique(session[subject == name]):
                mine, own = subject == name, session == part
                yield f"subject {str(name)!r}, session {str(part)!r}", mine & own, mine & ~own


class ConceptKFold(GroupKFold):
    """K folds that never part a concept, so that each test concept is new.

    scikit-learn's ``GroupKFold``, which finds the concepts in X. Folds that never part the *repetitions* of a
    stimulus need no class of their own: ``GroupKFold().split(X, y, groups=y)``, with the stimulus ids as groups.

    Parameters
    ----------
    n_splits : int
        Number of folds, at least 2.
    shuffle : bool
        Whether concepts are dealt out at random rather than by their number of epochs.
    random_state : int | RandomState | None
        Seed of the shuffling.

    See Also
    --------
    sklearn.model_selection.GroupKFold : The same, for any groups.

    Examples
    --------
    >>> from skeegclip.model_selection import ConceptKFold
    >>> concept = ["cat", "cat", "dog", "owl"]
    >>> [test.tolist() for train, test in ConceptKFold(3).split(range(4), groups=concept)]
    [[0, 1], [3], [2]]
    """

    def __init__(self, n_splits=5, *, shuffle=False, random_state=None):
        super().__init__(n_splits, shuffle=shuffle, random_state=random_state)

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Give the rows of each fold.

        Parameters
        ----------
        X : array-like, shape (n_epochs, ...) | EpochsView | Epochs
            Epochs; a view, or metadata, may carry the concept.
        y : object
            Not used.
        groups : array-like of str, shape (n_epochs,) | None
            Concept of each epoch, where X does not carry it.

        Yields
        ------
        train : ndarray of int, shape (n_train,)
            Rows to train on.
        test : ndarray of int, shape (n_test,)
            Rows to test on.

        Raises
        ------
        ValueError
            If the concepts are not known, or are fewer than the folds.
        """
        n_rows = _num_samples(X)
        concept = per_row("concept", groups, X, n_rows, name="groups")
        if concept is None or (concept == "").any():
            missing = "all rows" if concept is None else f"row {int(np.argmax(concept == ''))}"
            raise ValueError(
                f"ConceptKFold: the concept is not known ({missing}). Pass groups=, or X as a view (or Epochs with"
                " metadata) with a column 'concept'."
            )
        yield from super().split(np.zeros(n_rows), None, concept)
