"""EpochsView: lazily indexed epochs that carry a table of their rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils.channels import describe, left_out, log_left_out, typed_picks
from .._utils.epoched import is_view
from .._utils.foreign import refuse_foreign
from .._utils.ids import as_subject
from .._utils.inputs import as_mne_list, read_epochs
from .._utils.stated import Stated, check_alike
from .._utils.tables import rows_of
from .._utils.validation import check_finite
from .._utils.windows import unwrapped
from ._adapters import carried_info
from ._deriving import Deriving
from ._joining import join
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
        tmin: float | None = None,
        rows: pd.DataFrame | None = None,
    ) -> EpochsView:
        """Give arrays in memory the manners of a view.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times)
            Epochs in microvolts (MEG: fT). A float32 array is not copied. What carries channels and times itself
            (Epochs, windows of braindecode) is read as by :meth:`from_epochs`.
        subject, stimulus : array-like of str, shape (n_epochs,) | str | None
            Who saw what. Whole numbers become text ("1", also of 1.0).
        info : mne.Info | None
            Channels and sampling rate. Channels that are no data (EOG, stimulus, misc, ...) are left out of the view.
        tmin : float | None
            Time of the first sample in seconds from stimulus onset. None is 0, and is compared with nothing.
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
        if is_view(X) or as_mne_list(X) is not None or unwrapped(X)[0] is not None:
            if info is not None or tmin is not None:
                raise ValueError(
                    f"info and tmin are for arrays: {type(X).__name__} carries its own. Leave them out."
                )
            return cls.from_epochs(X, subject=subject, stimulus=stimulus, rows=rows)
        read = read_epochs(X)
        data, names = _as_data(read.X), read.ch_names
        check_finite(data, ch_names=info["ch_names"] if info is not None else None)
        if info is not None and len(info["ch_names"]) != data.shape[1]:
            raise ValueError(
                f"info describes {len(info['ch_names'])} channels, but X has {data.shape[1]}."
                " Pick the same channels in both."
            )
        frame = _table({} if rows is None else rows, subject, stimulus, len(data))
        if info is None:
            return cls._of(data, frame, None, 0.0)
        own = info.copy()  # what its owner does with it later is not ours
        picks = typed_picks(own)
        known = describe(own, range(data.shape[1]), tmin=tmin, is_recorded=False)
        check_alike(Stated(ch_names=names), known, "info")
        log_left_out(left_out(own, picks))
        return cls._of(data, frame, own, tmin or 0.0, known)._replace(chans=picks)

    @classmethod
    def from_epochs(
        cls, epochs: Any, *, subject: Any = None, stimulus: Any = None, rows: pd.DataFrame | None = None
    ) -> EpochsView:
        """Read Epochs of MNE into a view: their data channels, in microvolts, with names, times, rate and metadata.

        Parameters
        ----------
        epochs : Epochs | list of Epochs | BaseConcatDataset
            Epochs, or windows of braindecode.
        subject, stimulus : array-like of str, shape (n_epochs,) | str | None
            Who saw what. None takes the columns of the metadata; without a column `stimulus`, or where it is missing,
            the names of the events are the stimuli.
        rows : DataFrame, length n_epochs | None
            Further columns, which take the place of those of the metadata.

        Returns
        -------
        EpochsView
            The view, in memory.

        Raises
        ------
        TypeError
            If `epochs` are none, or a column holds neither text nor numbers.
        ValueError
            If the Epochs of a list differ in channels, rate, times or reference, or hold NaN or inf.

        Examples
        --------
        >>> import mne, numpy as np
        >>> from skeegclip import EpochsView
        >>> info = mne.create_info(["Pz", "EOG"], 100.0, ["eeg", "eog"])
        >>> volts = 1e-5 * np.ones((2, 2, 10))
        >>> view = EpochsView.from_epochs(mne.EpochsArray(volts, info, tmin=-0.05, verbose=False), subject="sub-01")
        >>> view.ch_names, view.tmin, float(np.asarray(view).max())
        (('Pz',), -0.05, 10.0)
        """
        if not (is_view(epochs) or as_mne_list(epochs) is not None or unwrapped(epochs)[0] is not None):
            refuse_foreign(epochs)
            raise TypeError(
                f"epochs must be mne.Epochs or a list of them, got {type(epochs).__name__}. For arrays there is"
                " EpochsView.from_arrays."
            )
        read = read_epochs(epochs)
        data = _as_data(read.X)
        check_finite(data, ch_names=read.ch_names)
        table = rows_of(epochs)
        known = _table({} if table is None else table, subject, stimulus, len(data), carried=read.subject)
        if rows is not None:
            given = _table(rows, None, None, len(data))
            known = known.assign(**{name: given[name] for name in given})
        info = None if read.ch_names is None else carried_info(epochs)
        log_left_out(read.left_out)
        return cls._of(data, known, info, read.stated.tmin or 0.0, None if info is None else read.stated)

    @classmethod
    def join(cls, views: Sequence[Any]) -> EpochsView:
        """Put epochs of several people, of one cap or of several, into one view.

        Where caps differ, the view has the channels of all of them, and reading gives NaN where an epoch lacks one:
        ``EEGEncoder(montage="positions")`` and :class:`~skeegclip.preprocessing.InterpolateChannels` take such epochs, all
        else refuses them. Nothing is copied, and views of stores are read from disk as they are used.

        Parameters
        ----------
        views : sequence of EpochsView | sequence of Epochs
            One or more, alike in rate, times, reference and unit.

        Returns
        -------
        EpochsView
            Their epochs below each other, in their order, with the columns that any of them has. A name that stands for
            two places in two caps is there twice, the second time as "C3 (2)".

        Raises
        ------
        TypeError
            If `views` are none.
        ValueError
            If they differ in rate, times, reference or unit, or in channels that some do not name.

        Examples
        --------
        >>> import mne, numpy as np
        >>> from skeegclip import EpochsView
        >>> small, large = (mne.create_info(names, 100.0, "eeg") for names in (["Oz", "Pz"], ["Pz", "O1", "Oz"]))
        >>> a = EpochsView.from_arrays(np.ones((1, 2, 4)), subject="a", info=small)
        >>> b = EpochsView.from_arrays(np.ones((1, 3, 4)), subject="b", info=large)
        >>> both = EpochsView.join([a, b])
        >>> both.ch_names
        ('Oz', 'Pz', 'O1')
        >>> both[0][:, 0]
        array([ 1.,  1., nan], dtype=float32)
        """
        if is_view(views) or not isinstance(views, (list, tuple)) or not views:
            raise TypeError(f"views must be a list of views or of mne.Epochs, got {type(views).__name__}.")
        return cls._of_parts(*join([view if is_view(view) else cls.from_epochs(view) for view in views]))

    @classmethod
    def _of_parts(cls, source: Any, frame: pd.DataFrame, info: mne.Info | None, known: Stated) -> EpochsView:
        return cls._of(source, frame, info, known.tmin or 0.0, known)


def joined(X: Any) -> Any:
    """Return the view that a list of views or of Epochs joins to; anything else as it is."""
    is_list = isinstance(X, (list, tuple)) and X and (all(map(is_view, X)) or as_mne_list(X) is not None)
    return EpochsView.join(X) if is_list else X


def _as_data(X: Any) -> np.ndarray:
    data = np.asarray(X)
    if data.ndim != 3 or data.dtype.kind not in "fiu":
        raise ValueError(
            f"X must be a numeric array of shape (n_epochs, n_chans, n_times), got {data.dtype} {data.shape}."
        )
    return data if data.dtype in (np.float32, np.float16) else data.astype(np.float32)


def _table(rows: Any, subject: Any, stimulus: Any, n_rows: int, *, carried: Any = None) -> pd.DataFrame:
    """Columns of a table, with ids in place of those it has."""
    given = {"subject": carried if subject is None else subject, "stimulus": stimulus}
    ids = {k: as_subject(v, n_rows, name=k) for k, v in given.items() if v is not None}
    if hasattr(rows, "drop"):
        rows = rows.drop(columns=[name for name in ids if name in rows])
    elif isinstance(rows, Mapping):
        rows = {name: column for name, column in rows.items() if name not in ids}
    return as_frame(rows, n_rows).assign(**as_frame(ids, n_rows))
