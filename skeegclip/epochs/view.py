"""EpochsView: lazily indexed epochs that carry a table of their rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils.inputs import as_subject
from .._utils.validation import check_finite
from ._deriving import Deriving
from ._rows import as_frame

if TYPE_CHECKING:
    import mne
    import pandas as pd


class EpochsView(Deriving):
    """Array-like epochs that carry subject, stimulus, channel names and times.

    A view reads nothing until it is asked to: slices, choices, averages and functions applied to it are only noted.
    What scikit-learn cuts from it (folds, permutations) still knows which subject saw which stimulus, and estimators
    train from it a batch at a time. Get one from an :class:`EpochsStore` on disk, or make one of arrays in memory with
    :meth:`from_arrays`. A view of a store is pickled as path, rows, and the size and time of the files, so that it
    costs little to send to another process; there, files that have changed meanwhile are an error.

    Attributes
    ----------
    shape : tuple of int
        (n_epochs, n_chans, n_times).
    dtype : dtype
        Always float32, the type that reading gives.
    rows : DataFrame, length n_epochs
        What is known of each epoch: subject, stimulus, and any further columns.
    subject, stimulus : ndarray of str, shape (n_epochs,) | None
        These columns, None where absent.
    info : mne.Info | None
        The channels; a copy.
    ch_names : tuple of str | None
        Channel names.
    chs_info : list of dict | None
        Channel descriptions, as in ``mne.Info["chs"]``.
    sfreq : float | None
        Sampling rate in Hz.
    times : ndarray, shape (n_times,)
        Seconds from stimulus onset (sample numbers where the sampling rate is not known).
    tmin : float
        The first of them.

    See Also
    --------
    EpochsStore : Epochs on disk.

    Examples
    --------
    >>> import numpy as np
    >>> from skeegclip import EpochsView
    >>> X = np.zeros((4, 2, 10), dtype="float32")
    >>> view = EpochsView.from_arrays(X, subject=["sub-01", "sub-01", "sub-02", "sub-02"])
    >>> view[1:3].subject
    array(['sub-01', 'sub-02'], dtype='<U6')
    >>> view.select(subject="sub-02").shape
    (2, 2, 10)
    """

    def __init__(self) -> None:
        raise TypeError(
            "EpochsView is made with EpochsView.from_arrays(X, subject=..., stimulus=...) or EpochsStore.open(path).view()."
        )

    @classmethod
    def from_arrays(
        cls,
        X: Any,
        *,
        subject: Any = None,
        stimulus: Any = None,
        info: mne.Info | None = None,
        tmin: float = 0.0,
        rows: pd.DataFrame | None = None,
    ) -> EpochsView:
        """Give arrays in memory the manners of a view.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times)
            Epochs in microvolts (MEG: fT). A float32 array is not copied.
        subject, stimulus : array-like of str, shape (n_epochs,) | str | None
            Who saw what.
        info : mne.Info | None
            Channels and sampling rate.
        tmin : float
            Time of the first sample in seconds from stimulus onset.
        rows : DataFrame, length n_epochs | None
            Further columns (concept, session, repetition, split, ...). Ids are kept as text; so is all that is no
            number.

        Returns
        -------
        EpochsView
            The view.

        Raises
        ------
        ValueError
            If X is not three-dimensional and finite, or a column or `info` does not fit it.
        TypeError
            If a column holds neither text nor numbers.
        """
        data = np.asarray(X)
        if data.ndim != 3 or data.dtype.kind not in "fiu":
            raise ValueError(
                f"X must be a numeric array of shape (n_epochs, n_chans, n_times), got {data.dtype} {data.shape}."
            )
        if data.dtype not in (np.float32, np.float16):
            data = data.astype(np.float32)
        check_finite(data, ch_names=info["ch_names"] if info is not None else None)
        if info is not None and len(info["ch_names"]) != data.shape[1]:
            raise ValueError(
                f"info describes {len(info['ch_names'])} channels, but X has {data.shape[1]}."
                " Pick the same channels in both."
            )
        given = {"subject": subject, "stimulus": stimulus}
        ids = {k: as_subject(v, len(data), name=k) for k, v in given.items() if v is not None}
        frame = as_frame({} if rows is None else rows, len(data)).assign(**as_frame(ids, len(data)))
        own = None if info is None else info.copy()  # what its owner does with it later is not ours
        return cls._of(data, frame, own, tmin if info is not None else 0.0)
