"""Epochs of several people, whose caps may differ, as one source."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils.size import check_size, size_of
from .._utils.stated import Stated, check_alike
from ._rows import as_frame
from ._sources import Readable
from .places import RADIUS, directions_of
from .positions import CENTRE, SCALP

if TYPE_CHECKING:
    import mne
    import pandas as pd

_OWNER = "the first of these have"
_SAME_PLACE = np.cos(
    np.deg2rad(20.0)
)  # heads differ by less, BioSemi's C3 and that of the 10-20 system by more


class Joined:
    """Epochs of several views below each other, with all channels that any of them has; NaN where one lacks a channel.

    Parameters
    ----------
    views : list of EpochsView
        What is read.
    columns : list of ndarray of int
        Where the channels of each go.
    n_chans : int
        Number of channels in all.
    """

    def __init__(self, views: Sequence[Readable], columns: Sequence[np.ndarray], n_chans: int) -> None:
        self.views, self.columns = list(views), list(columns)
        self.ends = np.cumsum([view.shape[0] for view in views])
        self.shape = (int(self.ends[-1]), n_chans, views[0].shape[2])

    def gather(self, rows: np.ndarray, chans: np.ndarray, times: slice) -> np.ndarray:
        """Read the rows from the views they belong to."""
        out = np.full((len(rows), len(chans), times.stop - times.start), np.nan, dtype=np.float32)
        part = np.searchsorted(self.ends, rows, side="right")
        for number in np.unique(part):
            here = np.flatnonzero(part == number)
            start = self.ends[number - 1] if number else 0
            where = np.full(self.shape[1], -1)
            where[self.columns[number]] = np.arange(len(self.columns[number]))
            own = where[chans]  # of the channels asked for, those that this view has
            block = self.views[number].read(rows[here] - start)
            out[np.ix_(here, np.flatnonzero(own >= 0))] = block[:, own[own >= 0], times]
        return out

    def content_key(self, rows: np.ndarray) -> bytes | None:
        """Return what stays the same while the views do."""
        keys = [view.content_key() for view in self.views]
        if any(key is None for key in keys):
            return None
        parts = [*keys, *(column.tobytes() for column in self.columns)]
        return hashlib.blake2b(b"|".join(part for part in parts if part is not None)).digest()


def join(views: Sequence[Any]) -> tuple[Any, pd.DataFrame, mne.Info | None, Stated]:
    """Return source, table, info and what is known of views below each other.

    Parameters
    ----------
    views : sequence of EpochsView
        One or more.
    """
    import pandas as pd

    first = views[0]
    told = [view._told for view in views]
    sizes: dict[frozenset[str], tuple[float, float]] = {}  # of the first with these types
    for view, own in zip(views, told, strict=True):
        check_alike(replace(own, ch_names=None, ch_types=None), told[0], _OWNER)
        if view.shape[2] != first.shape[2]:
            raise ValueError(
                f"views: one has epochs of {view.shape[2]} times, but {_OWNER} {first.shape[2]}. Crop all to the same times."
            )
        if len(view):
            size = size_of(view)
            check_size(size, sizes.setdefault(frozenset(own.ch_types or ()), size), _OWNER)
    frames = [view._frame.assign(**_texts(view._frame)) for view in views]
    table = pd.concat(frames, ignore_index=True)
    frame = as_frame({name: table[name] for name in table}, len(table))
    alike = all((own.ch_names, own.ch_types) == (told[0].ch_names, told[0].ch_types) for own in told)
    if alike and len({view.shape[1] for view in views}) == 1:
        bads = tuple(dict.fromkeys(bad for own in told for bad in own.bads))
        columns = [np.arange(first.shape[1])] * len(views)
        mixed = any(own.mixed for own in told)
        return (
            Joined(views, columns, first.shape[1]),
            frame,
            first._own_info,
            replace(told[0], bads=bads, mixed=mixed),
        )
    if any(own.ch_names is None for own in told):
        raise ValueError(
            "views differ in their channels, and not all of them name theirs. Make them with"
            " EpochsView.from_arrays(X, info=...), or of mne.Epochs."
        )
    columns, channels, places = _union([view._own_info for view in views])
    info = _info_of(channels, places, first.sfreq)
    mixed = any(own.mixed for own in told) or any(len(column) < len(channels) for column in columns)
    names = tuple(info["ch_names"])  # a bad channel may have got a number
    bads = tuple(
        names[column[view.ch_names.index(bad)]]
        for view, own, column in zip(views, told, columns, strict=True)
        for bad in own.bads
    )
    stated = replace(
        told[0],
        ch_names=names,
        ch_types=tuple(info.get_channel_types()),
        bads=tuple(dict.fromkeys(bads)),
        mixed=mixed,
    )
    return Joined(views, columns, len(channels)), frame, info, stated


def _texts(frame: pd.DataFrame) -> dict[str, Any]:
    """Text columns without their categories, which differ from view to view."""
    return {name: frame[name].astype(object) for name in frame if frame[name].dtype.kind == "O"}


def _union(infos: Sequence[Any]) -> tuple[list[np.ndarray], dict[str, dict], np.ndarray]:
    """Where the channels of each info go, all channels by name, and where they are (NaN where that is not known).

    A name that stands for another place or type than in an earlier cap gets a number.
    """
    channels: dict[str, dict] = {}
    places: dict[str, np.ndarray] = {}
    columns = []
    for info in infos:
        own = []
        for ch, place in zip(info["chs"], directions_of(info), strict=True):
            name, number = ch["ch_name"], 1
            while name in channels and not _is_same(ch, place, channels[name], places[name]):
                number += 1
                name = f"{ch['ch_name']} ({number})"
            if name not in channels:
                channels[name], places[name] = ch, place
            own.append(list(channels).index(name))
        columns.append(np.array(own, dtype=np.intp))
    return columns, channels, np.array(list(places.values()))


def _is_same(ch: dict, place: np.ndarray, other: dict, other_place: np.ndarray) -> bool:
    cosine = place @ other_place
    return all(ch[key] == other[key] for key in ("kind", "unit", "coil_type")) and not cosine < _SAME_PLACE


def _info_of(channels: dict[str, dict], places: np.ndarray, sfreq: float) -> mne.Info:
    """An info of channels of several caps: those on the scalp, whose heads had other sizes and centres, on a sphere."""
    import mne

    kinds = [mne.channel_type({"chs": [ch]}, 0) for ch in channels.values()]
    info = mne.create_info(list(channels), sfreq, kinds, verbose=False)
    for ch, known, kind, place in zip(info["chs"], channels.values(), kinds, places, strict=True):
        loc = np.array(known["loc"], dtype=float)
        if kind in SCALP:
            loc[:3] = CENTRE + RADIUS * place
        ch.update({key: known[key] for key in ("coil_type", "unit", "unit_mul", "coord_frame")}, loc=loc)
    return info
