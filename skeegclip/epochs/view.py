"""EpochsView: lazily indexed epochs that carry a table of their rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils.inputs import as_subject
from .._utils.validation import check_finite
from ._rows import as_frame, as_text, plain
from ._sources import Mapped, gather

if TYPE_CHECKING:
    import mne
    import pandas as pd


class EpochsView:
    """Array-like epochs that carry subject, stimulus, channel names and times.

    A view holds the rows it shows as positions in its data, so that slicing copies nothing, and what
    scikit-learn cuts from it (folds, permutations) still knows which subject saw which stimulus. Make one
    with :meth:`from_arrays`.

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
    ch_names : tuple of str | None
        Channel names.
    chs_info : list of dict | None
        Channel descriptions, as in ``mne.Info["chs"]``.
    sfreq : float | None
        Sampling rate in Hz.
    times : ndarray, shape (n_times,)
        Seconds from stimulus onset (sample numbers where the sampling rate is not known).

    See Also
    --------
    EpochsView.from_arrays : Make a view of arrays in memory.

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

    _is_epochs_view = True  # how _utils knows a view without importing this module

    _data: np.ndarray
    _index: np.ndarray
    _chans: np.ndarray
    _times: slice
    _frame: pd.DataFrame
    _info: mne.Info | None
    _tmin: float

    def __init__(self) -> None:
        raise TypeError("EpochsView is made with EpochsView.from_arrays(X, subject=..., stimulus=...).")

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
            Further columns (concept, session, repetition, split, ...).

        Returns
        -------
        EpochsView
            The view.

        Raises
        ------
        ValueError
            If X is not three-dimensional and finite, or a column or `info` does not fit it.
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
        columns = {} if rows is None else dict(rows)
        for name, column in (("subject", subject), ("stimulus", stimulus)):
            if column is not None:
                columns[name] = _column(column, len(data), name)
        frame = as_frame(columns, len(data))
        return cls._make(
            data, np.arange(len(data)), np.arange(data.shape[1]), slice(0, data.shape[2]), frame, info, tmin
        )

    @classmethod
    def _make(cls, data, index, chans, times, frame, info, tmin) -> EpochsView:
        view = object.__new__(cls)
        view._data, view._index, view._chans, view._times = data, index, chans, times
        view._frame, view._info, view._tmin = frame, info, tmin
        return view

    def _replace(self, **changes: Any) -> EpochsView:
        state = {
            name: getattr(self, f"_{name}")
            for name in ("data", "index", "chans", "times", "frame", "info", "tmin")
        }
        return self._make(**{**state, **changes})

    # -- what it is ---------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, int, int]:  # numpydoc ignore=GL08
        return len(self._index), len(self._chans), self._times.stop - self._times.start

    @property
    def ndim(self) -> int:  # numpydoc ignore=GL08
        return 3

    @property
    def dtype(self) -> np.dtype:  # numpydoc ignore=GL08
        return np.dtype(np.float32)

    @property
    def rows(self) -> pd.DataFrame:  # numpydoc ignore=GL08
        return plain(self._frame)

    @property
    def subject(self) -> np.ndarray | None:  # numpydoc ignore=GL08
        return self._strings("subject")

    @property
    def stimulus(self) -> np.ndarray | None:  # numpydoc ignore=GL08
        return self._strings("stimulus")

    @property
    def info(self) -> mne.Info | None:  # numpydoc ignore=GL08
        import mne

        return None if self._info is None else mne.pick_info(self._info, self._chans, copy=True)

    @property
    def tmin(self) -> float:  # numpydoc ignore=GL08
        return float(self.times[0])

    @property
    def sfreq(self) -> float | None:  # numpydoc ignore=GL08
        return float(self._info["sfreq"]) if self._info is not None else None

    @property
    def ch_names(self) -> tuple[str, ...] | None:  # numpydoc ignore=GL08
        return tuple(self._info["ch_names"][c] for c in self._chans) if self._info is not None else None

    @property
    def chs_info(self) -> list | None:  # numpydoc ignore=GL08
        return [self._info["chs"][c] for c in self._chans] if self._info is not None else None

    @property
    def times(self) -> np.ndarray:  # numpydoc ignore=GL08
        samples = np.arange(self._times.start, self._times.stop)
        return samples if self.sfreq is None else self._tmin + samples / self.sfreq

    def __len__(self) -> int:
        return len(self._index)

    def __repr__(self) -> str:
        known = f", columns={list(self._frame.columns)}" if len(self._frame.columns) else ""
        return f"EpochsView(shape={self.shape}{known})"

    # -- choosing -----------------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, tuple):
            if any(rest is not Ellipsis and rest != slice(None) for rest in key[1:]):
                raise IndexError(
                    "an EpochsView is indexed by rows only (view[rows] or view[rows, ...]);"
                    " use view.pick(channels) and view.crop(tmin, tmax) for the other axes."
                )
            key = key[0]
        if isinstance(key, (int, np.integer)):
            return self.read([key])[0]
        key = key if isinstance(key, slice) else np.asarray(key)
        if isinstance(key, np.ndarray) and key.size == 0:
            key = key.astype(np.intp)
        frame = self._frame.iloc[np.arange(len(self))[key]].reset_index(drop=True)
        return self._replace(index=self._index[key], frame=frame)

    def read(self, positions: Any) -> np.ndarray:
        """Read some epochs into memory.

        Parameters
        ----------
        positions : sequence of int
            Rows of this view.

        Returns
        -------
        ndarray of float32, shape (k, n_chans, n_times)
            A new array.
        """
        rows = self._index[np.asarray(positions, dtype=np.intp)]
        return gather(self._data, rows, self._chans, self._times)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError(
                "np.asarray of an EpochsView reads it, which makes a copy; copy=False is not possible."
            )
        return self.read(np.arange(len(self))).astype(dtype or np.float32, copy=False)

    def with_data(self, X: np.ndarray, positions: Any) -> EpochsView:
        """Make a view of new data in memory, with the channels and times of this one.

        Parameters
        ----------
        X : ndarray, shape (k, n_chans, n_times)
            The new data.
        positions : sequence of int, shape (k,)
            Rows of this view whose columns the new rows take over.

        Returns
        -------
        EpochsView
            The new view.
        """
        import mne

        rows = self.rows.iloc[positions]
        info = None if self._info is None else mne.pick_info(self._info, self._chans)
        tmin = float(self.times[0]) if info is not None else 0.0
        return self.from_arrays(X, info=info, tmin=tmin, rows=rows)

    def map(self, function: Callable) -> EpochsView:
        """Pass each block of epochs through a function as it is read.

        Parameters
        ----------
        function : callable
            ``function(X, positions)`` of a block, float32 of shape (k, n_chans, n_times), and of its rows in this view,
            which returns an array of the same shape.

        Returns
        -------
        EpochsView
            The same rows; nothing is read yet.
        """
        return self._replace(
            data=Mapped(self, function),
            index=np.arange(len(self)),
            chans=np.arange(self.shape[1]),
            times=slice(0, self.shape[2]),
            info=self.info,
            tmin=self.tmin,
        )

    def select(self, **columns: Any) -> EpochsView:
        """Keep the rows whose columns have the given values.

        Parameters
        ----------
        **columns : str | sequence of str
            Column name = value, or values, to keep; several columns must all match.

        Returns
        -------
        EpochsView
            The rows chosen, in their order.

        Raises
        ------
        KeyError
            If there is no such column.
        """
        keep = np.ones(len(self), dtype=bool)
        for name, wanted in columns.items():
            if name not in self._frame:
                raise KeyError(f"no column {name!r} in this view; it has {list(self._frame.columns)}.")
            values = (
                [wanted]
                if isinstance(wanted, str) or not isinstance(wanted, (Sequence, np.ndarray, set))
                else wanted
            )
            keep &= self._frame[name].isin(list(values)).to_numpy()
        return self[keep]

    def pick(self, channels: Sequence[str] | Sequence[int]) -> EpochsView:
        """Keep some channels.

        Parameters
        ----------
        channels : sequence of str | sequence of int
            Names or positions, in the order wanted.

        Returns
        -------
        EpochsView
            The same rows with these channels.

        Raises
        ------
        KeyError
            If a name is not among the channels.
        """
        names = self.ch_names
        chosen: list[int] = []
        for channel in channels:
            if not isinstance(channel, str):
                chosen.append(int(channel))
            elif names is None or channel not in names:
                raise KeyError(f"channels: {channel!r} is not among this view's channels ({names}).")
            else:
                chosen.append(names.index(channel))
        return self._replace(chans=self._chans[chosen])

    def crop(self, tmin: float | None = None, tmax: float | None = None) -> EpochsView:
        """Keep the times from `tmin` to `tmax`, both included.

        Parameters
        ----------
        tmin, tmax : float | None
            Seconds from stimulus onset; None is the first or last time.

        Returns
        -------
        EpochsView
            The same rows with these times.

        Raises
        ------
        ValueError
            If no time remains.
        """
        times = self.times
        slack = 1e-9 if self.sfreq is None else 1e-3 / self.sfreq
        inside = np.ones(len(times), dtype=bool)
        if tmin is not None:
            inside &= times >= tmin - slack
        if tmax is not None:
            inside &= times <= tmax + slack
        kept = np.flatnonzero(inside)
        if len(kept) == 0:
            raise ValueError(
                f"crop: no time lies in [{tmin}, {tmax}]; this view spans {times[0]:g} to {times[-1]:g}."
            )
        start = self._times.start + int(kept[0])
        return self._replace(times=slice(start, start + len(kept)))

    def _strings(self, name: str) -> np.ndarray | None:
        if name not in self._frame:
            return None
        return as_text(self._frame[name])


def _column(values: Any, n_rows: int, name: str) -> np.ndarray:
    try:
        return as_subject(values, n_rows).astype(object)
    except ValueError as error:
        raise ValueError(str(error).replace("subject", name, 1)) from None
