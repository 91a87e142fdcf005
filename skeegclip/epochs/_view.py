"""What a view is: rows, channels and times of a source, indexed without reading it."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from .._utils.channels import describe
from .._utils.html import html_card, html_table
from .._utils.stated import Stated
from ._rows import as_text, plain
from ._sources import gather

if TYPE_CHECKING:
    import mne
    import pandas as pd

    Self = TypeVar("Self", bound="ViewBase")


class ViewBase:
    """Array-like epochs with a table of their rows.

    Holds which rows, channels and times of its source (see ``_sources.gather``) it shows, so that slicing copies no
    epoch. Deliberately without ``iloc``, ``fit``, ``take`` and ``__array_namespace__``: each of them sends scikit-learn
    down a path that reads everything, or takes the view for something else.
    """

    _is_epochs_view = True  # how _utils knows a view without importing this module

    _data: Any  # the source
    _index: np.ndarray  # its rows
    _chans: np.ndarray
    _times: slice
    _frame: pd.DataFrame  # one line for each row of the view
    _info: mne.Info | None  # all channels of the source; shared by views, and never changed or given away
    _tmin: float  # time of the first sample of the source
    _known: Stated | None = None  # what is known of all channels; None is what `_info` and `_tmin` tell
    _picked: list[mne.Info]  # the channels shown, once `_own_info` of any view of the same ones was asked for

    @classmethod
    def _of(
        cls: type[Self],
        data: Any,
        frame: pd.DataFrame,
        info: mne.Info | None,
        tmin: float,
        known: Stated | None = None,
    ) -> Self:
        """Return the view of a whole source."""
        view = object.__new__(cls)
        view._data, view._frame, view._info, view._tmin, view._known = data, frame, info, tmin, known
        view._index, view._chans = np.arange(data.shape[0]), np.arange(data.shape[1])
        view._times = slice(0, data.shape[2])
        view._picked = []
        return view

    def _replace(self: Self, **changes: Any) -> Self:
        view = object.__new__(type(self))
        vars(view).update(vars(self), **{f"_{name}": value for name, value in changes.items()})
        if "chans" in changes:
            view._picked = []
        return view

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_picked": []}

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
        return self._text("subject")

    @property
    def stimulus(self) -> np.ndarray | None:  # numpydoc ignore=GL08
        return self._text("stimulus")

    @property
    def info(self) -> mne.Info | None:  # numpydoc ignore=GL08
        own = self._own_info
        return None if own is None else own.copy()  # an Info can be changed in many ways; the view cannot

    @property
    def _own_info(self) -> mne.Info | None:
        """The info for views made of this one. MNE's picking takes milliseconds, as long as reading some epochs."""
        if self._info is None or np.array_equal(self._chans, np.arange(self._data.shape[1])):
            return self._info
        if not self._picked:
            import mne

            self._picked.append(mne.pick_info(self._info, self._chans, verbose=False))
        return self._picked[0]

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
    def _told(self) -> Stated:
        """What is known of the channels shown, of rate, start and reference: what estimators compare."""
        if self._info is None:
            return Stated()
        known, names = self._told_of_all, self.ch_names or ()
        return replace(
            known,
            ch_names=names,
            ch_types=tuple(known.ch_types[c] for c in self._chans) if known.ch_types else None,
            tmin=None if known.tmin is None else self.tmin,
            bads=tuple(name for name in known.bads if name in names),
        )

    @property
    def _told_of_all(self) -> Stated:
        if self._known is None and self._info is not None:
            every = range(len(self._info["ch_names"]))
            self._known = describe(self._info, every, tmin=self._tmin, is_recorded=False)
        return self._known or Stated()

    @property
    def times(self) -> np.ndarray:  # numpydoc ignore=GL08
        return self._tmin + np.arange(self._times.start, self._times.stop) / (self.sfreq or 1.0)

    @property
    def tmin(self) -> float:  # numpydoc ignore=GL08
        return float(self.times[0])

    def __len__(self) -> int:
        return len(self._index)

    def __sizeof__(self) -> int:
        # dask asks for it before it decides to send a view once to each worker, or with every task.
        data = self._data if isinstance(self._data, np.ndarray) else getattr(self._data, "view", None)
        size = data.nbytes if isinstance(data, np.ndarray) else sys.getsizeof(data)
        return size + self._index.nbytes + int(self._frame.memory_usage().sum())

    def __repr__(self) -> str:
        unit = "" if self.sfreq is None else f", {self.times[0]:g} to {self.times[-1]:g} s"
        columns = f", columns={list(self._frame)}" if len(self._frame.columns) else ""
        return f"EpochsView(shape={self.shape}{unit}{columns})"

    def _repr_html_(self) -> str:
        n_epochs, n_chans, n_times = self.shape
        seconds = f"{n_times}"
        if self.sfreq is not None:
            seconds += f", {self.times[0]:g} to {self.times[-1]:g} s at {self.sfreq:g} Hz"
        facts = {"epochs": f"{n_epochs:,}", "channels": n_chans, "samples": seconds}
        return html_card(
            "EpochsView", facts, body=html_table(self._frame, most=3) if len(self._frame.columns) else ""
        )

    # -- rows ---------------------------------------------------------------------------------------

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

    def content_key(self) -> bytes | None:
        """Return what stays the same while the epochs do.

        Nothing is read for it, but for files of a store that were changed since they were written, or copied.

        Returns
        -------
        bytes | None
            A hash; None where the epochs must be read to tell.
        """
        key = None if isinstance(self._data, np.ndarray) else self._data.content_key(self._index)
        if key is None:
            return None
        parts = (self._index.tobytes(), self._chans.tobytes(), repr(self._times).encode())
        return hashlib.blake2b(b"|".join((key, *parts))).digest()

    def _text(self, name: str) -> np.ndarray | None:
        return as_text(self._frame[name]) if name in self._frame else None
