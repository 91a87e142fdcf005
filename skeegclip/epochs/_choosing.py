"""Choosing rows, channels and times of a view."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from .._utils.channels import without_mask
from ._rows import matches
from ._view import ViewBase
from .regions import find_channels

if TYPE_CHECKING:
    Self = TypeVar("Self", bound="Choosing")


class Choosing(ViewBase):
    """A view from which rows, channels and times are chosen."""

    def select(self: Self, **columns: Any) -> Self:
        """Keep the rows whose columns have the given values.

        Parameters
        ----------
        **columns : str | int | float | sequence of these
            Column name = value, or values, to keep; several columns must all match.

        Returns
        -------
        EpochsView
            The rows chosen, in their order.

        Raises
        ------
        KeyError
            If there is no such column, or no row has the values.

        Examples
        --------
        >>> import numpy as np
        >>> from skeegclip import EpochsView
        >>> view = EpochsView.from_arrays(np.zeros((3, 2, 10)), subject=["ana", "ben", "ana"], stimulus=["a", "b", "b"])
        >>> len(view.select(subject="ana", stimulus=["b", "c"]))
        1
        """
        keep = np.ones(len(self), dtype=bool)
        for name, wanted in columns.items():
            if name not in self._frame:
                raise KeyError(f"no column {name!r} in this view; it has {list(self._frame.columns)}.")
            keep &= matches(self._frame[name], wanted)
        if columns and not keep.any():
            wanted_all = ", ".join(f"{name}={wanted!r}" for name, wanted in columns.items())
            raise KeyError(f"select: no row has {wanted_all}. The view has {self._values_of(columns)}.")
        return self[keep]

    def _values_of(self, names: Iterable[str]) -> str:
        """Say what some columns hold."""
        told = []
        for name in names:
            values = self._frame[name].drop_duplicates().tolist()
            shown = ", ".join(repr(value) for value in values[:8]) + (", ..." if len(values) > 8 else "")
            told.append(f"{name} {shown}" if values else f"no {name}")
        return " and ".join(told)

    def pick(self: Self, channels: str | Sequence[str] | Sequence[int] | Sequence[bool]) -> Self:
        """Keep some channels.

        Parameters
        ----------
        channels : str | sequence of str | sequence of int | sequence of bool
            Names of channels or of regions (see :func:`skeegclip.epochs.regions`), one or several, or positions, in
            the order wanted, or a mask with a bool for each channel. A region's channels keep the order they have.

        Returns
        -------
        EpochsView
            The same rows with these channels, each once.

        Raises
        ------
        KeyError
            If a name is no channel and no region, or a region has no channel here.
        ValueError
            If a region is named and channels can be assigned neither by name nor by position, no channel is asked
            for, or a position or mask does not fit.
        TypeError
            If something is neither a name nor a whole number.

        Examples
        --------
        >>> import mne, numpy as np
        >>> from skeegclip import EpochsView
        >>> info = mne.create_info(["Fp1", "Pz", "O1", "Oz"], 100.0, "eeg")
        >>> view = EpochsView.from_arrays(np.zeros((3, 4, 10)), info=info)
        >>> view.pick("occipital").ch_names
        ('O1', 'Oz')
        >>> view.pick(["Oz", "Pz"]).ch_names
        ('Oz', 'Pz')
        """
        n_chans = len(self._chans)
        chosen = without_mask(channels, n_chans)
        if any(isinstance(channel, str) for channel in chosen):
            # Regions are those of the whole montage, so that they do not change when some channels are picked.
            chosen = find_channels(chosen, self.ch_names, self._info)
        if outside := [channel for channel in chosen if not -n_chans <= channel < n_chans]:
            raise ValueError(f"channels: position {outside[0]} does not lie in 0 .. {n_chans - 1}.")
        return self._replace(chans=self._chans[list(dict.fromkeys(chosen))])

    def crop(self: Self, tmin: float | None = None, tmax: float | None = None) -> Self:
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
            If no time remains, or the sampling rate is not known.
        """
        times = self.times
        if self.sfreq is None:
            raise ValueError(
                f"crop: the sampling rate of this view is not known, only that it has {len(times)} times. Make it with"
                " EpochsView.from_arrays(X, info=...) to crop by seconds."
            )
        slack = 1e-3 / self.sfreq
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
        return self._window(int(kept[0]), int(kept[0]) + len(kept))

    def _window(self: Self, first: int, stop: int) -> Self:
        start = self._times.start
        return self._replace(times=slice(start + first, start + stop))

    def _any_time(self: Self, first: int, stop: int) -> Self:
        """Some samples, that are to be compared with those of other times."""
        return self._window(first, stop)._replace(known=replace(self._told_of_all, tmin=None))
