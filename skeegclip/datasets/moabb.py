"""Epochs as a data set of MOABB, so that its evaluations run on them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from .._utils.ids import text_or_empty
from ..epochs import EpochsView


def as_moabb_dataset(X: Any, y: Any = None, *, code: str = "StoredEpochs") -> Any:
    """Give epochs the manners of a data set of MOABB [1]_, for its paradigms and evaluations.

    Decoders of skeegclip that are classifiers, alone or in a Pipeline, are pipelines of MOABB as they are.

    Parameters
    ----------
    X : EpochsView | Epochs
        EEG epochs of all people, with their subjects, channels and times; a column ``session``, if there is one.
    y : array-like of str, shape (n_epochs,) | None
        Class of each epoch; None takes the stimuli of X.
    code : str
        Name of the data set, in CamelCase: the one under which MOABB keeps results.

    Returns
    -------
    moabb.datasets.base.BaseDataset
        A data set of MOABB's "p300" paradigm.

    Raises
    ------
    ImportError
        If MOABB is not installed.
    ValueError
        If X does not know subjects, channels or times, is not EEG, or `y` does not fit it.

    See Also
    --------
    skeegclip.model_selection.LeaveOneSubjectOut : The same folds without MOABB.

    Notes
    -----
    A continuous recording, as MOABB expects it, is made of one person's (and session's) epochs end to end. A filter would run
    from one into the next, so that none may be asked for: ``P300(fmin=None, fmax=None)``. Filter before the epochs are cut.
    MOABB hands out microvolts, as skeegclip does, and numbers the classes from 0 in the order of their names: targets of a
    decoder are looked up by ``"0"``, ``"1"`` and so on.

    References
    ----------
    .. [1] Aristimunha et al., "Mother of all BCI Benchmarks", https://github.com/NeuroTechX/moabb.

    Examples
    --------
    >>> from moabb.evaluations import CrossSubjectEvaluation  # doctest: +SKIP
    >>> from moabb.paradigms import P300  # doctest: +SKIP
    >>> from sklearn.linear_model import Ridge
    >>> from skeegclip import ZeroShotClassifier
    >>> from skeegclip.datasets import as_moabb_dataset
    >>> dataset = as_moabb_dataset(view, category)  # doctest: +SKIP
    >>> events = {"events": list(dataset.event_id), "ignore_relabelling": True}  # doctest: +SKIP
    >>> paradigm = P300(fmin=None, fmax=None, scorer="accuracy", **events)  # doctest: +SKIP
    >>> evaluation = CrossSubjectEvaluation(paradigm=paradigm, datasets=[dataset])  # doctest: +SKIP
    >>> evaluation.process({"ridge": ZeroShotClassifier(Ridge())})  # doctest: +SKIP
    """
    made = _dataset_class()
    view = X if isinstance(X, EpochsView) else EpochsView.from_epochs(X)
    if view.subject is None or view.info is None or not view.sfreq:
        raise ValueError(
            "X must know the subject, the channels and the times of its epochs. Make a view with them:"
            " EpochsView.from_arrays(X, subject=..., info=..., tmin=...)."
        )
    kinds = set(view.info.get_channel_types())
    if kinds != {"eeg"}:
        raise ValueError(f"X must be EEG alone, which MOABB is made for, got {', '.join(sorted(kinds))}.")
    given: Any = view.stimulus if y is None else y
    if given is None or np.shape(given) != (len(view),):
        raise ValueError(
            f"y must hold the class of each of the {len(view)} epochs of X, got {np.shape(given)}."
        )
    label = text_or_empty(given)
    if (label == "").any():
        raise ValueError("y must hold a class for every epoch, but some are missing. Leave these out of X.")
    return made(view, label, code)


@cache
def _dataset_class() -> type:
    """Make the class, whose base is there only when MOABB is."""
    try:
        from moabb.datasets.base import BaseDataset
    except ImportError as error:
        raise ImportError(
            "as_moabb_dataset needs MOABB, which is not installed: pip install 'skeegclip[moabb]'."
        ) from error

    class StoredEpochs(BaseDataset):
        """Epochs end to end, with an annotation at the onset of each."""

        def __init__(self, view: EpochsView, label: np.ndarray, code: str) -> None:
            sfreq, subject, info = view.sfreq, view.subject, view.info
            assert sfreq is not None
            assert subject is not None
            assert info is not None
            self._view, self._label = view, label
            self._sfreq, self._subject, self._info = sfreq, subject, info
            self._first = round(float(view.times[0]) * sfreq)  # sample of an epoch's start, from its onset
            last = self._first + view.shape[2] - 1
            rows = view.rows
            self._session = text_or_empty(rows["session"]) if "session" in rows else np.full(len(view), "0")
            people = sorted(set(subject.tolist()))
            super().__init__(
                subjects=people,
                sessions_per_subject=min(len(set(self._session[subject == one])) for one in people),
                events={name: number for number, name in enumerate(sorted(set(label.tolist())), 1)},
                code=code,
                interval=[self._first / sfreq, last / sfreq],
                paradigm="p300",
            )

        def _get_single_subject_data(self, subject: str) -> dict[str, dict[str, Any]]:
            mine = self._subject == subject
            names = sorted(set(self._session[mine].tolist()))
            return {
                # MOABB wants numbers in front.
                f"{number}{''.join(filter(str.isalnum, name)) if not name[0].isdigit() else ''}": {
                    "0": self._raw(np.flatnonzero(mine & (self._session == name)))
                }
                for number, name in enumerate(names)
            }

        def _raw(self, rows: np.ndarray) -> Any:
            import mne

            X = np.asarray(self._view[rows], dtype=np.float64) * 1e-6
            n_times, sfreq = X.shape[2], self._sfreq
            # Epochs that begin after their onset, or end before it: room for the onset of the first, or the last.
            pad, after = max(0, self._first), max(0, 1 - n_times - self._first)
            data = np.concatenate([np.zeros((X.shape[1], pad)), *X, np.zeros((X.shape[1], after))], axis=1)
            info = mne.create_info(self._info["ch_names"], sfreq, "eeg")
            raw = mne.io.RawArray(data, info, verbose="error")
            if (montage := self._info.get_montage()) is not None:
                raw.set_montage(montage, on_missing="ignore", verbose="error")
            onset = (pad + np.arange(len(rows)) * n_times - self._first) / sfreq
            return raw.set_annotations(mne.Annotations(onset, 0.0, self._label[rows]), verbose="error")

        def data_path(self, subject, path=None, force_update=False, update_path=None, verbose=None):
            """Return nothing: the epochs are here."""
            return []

    return StoredEpochs
