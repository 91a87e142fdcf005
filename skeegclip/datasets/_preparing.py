"""From a continuous recording to epochs: filtered, cut at onsets, resampled, scored from a baseline, in microvolts."""

from __future__ import annotations

import contextlib
import math
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils.channels import channel_kinds, data_picks, display_factors
from .._utils.scratch import scratch_folder
from .._utils.size import odd_size, size_of
from ._breaks import from_start, lie_whole
from ._preparation import KINDS, Grid, Preparation

if TYPE_CHECKING:
    import mne

_AT_ONCE = 2**28  # bytes of continuous data
_IN_MEMORY = 2**29  # bytes of a recording's epochs; more of them are kept in a file meanwhile
_BLOCK = 256  # epochs
_INSTEAD = "Pass bads='keep', or channels= without them"
_NO_DATA = re.compile(
    r"eog|ecg|ekg|emg|gsr|\beda\b|resp|trig|status|\bsti\b|stim|event|marker|photo|diode|pulse|sat\b|\bacc",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Prepared:
    """A recording whose epochs can be cut.

    Attributes
    ----------
    raw : Raw
        The recording.
    picks : ndarray of int
        Channels that are kept.
    bads : tuple of str
        Those of them that are marked as bad.
    grid : Grid
        Samples of an epoch.
    prep : Preparation
        What is done.
    name : str
        Of the recording, for messages.
    """

    raw: Any
    picks: np.ndarray
    bads: tuple[str, ...]
    grid: Grid
    prep: Preparation
    name: str

    @property
    def info(self) -> mne.Info:
        """Channels, at the rate of the epochs; none is marked as bad, because other recordings have other bad ones."""
        import mne

        info = mne.pick_info(self.raw.info, self.picks, verbose=False)
        low, high = self._edges()
        with info._unlock():
            info["sfreq"] = self.grid.sfreq
            info["lowpass"] = min(info["lowpass"], self.grid.sfreq / 2, high or math.inf)
            info["highpass"] = max(info["highpass"], low or 0.0)
            info["bads"] = []
        return info

    def _edges(self) -> tuple[float | None, float | None]:
        """The pass band; an upper edge that the recording cannot hold is no edge."""
        low, high = self.prep.band
        return low, None if high is None or high >= self.raw.info["sfreq"] / 2 else high

    def samples(self, onsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the samples of some onsets in seconds, and which epochs lie whole in the recording and in one piece."""
        samples = np.round(np.asarray(onsets, dtype=float) * self.raw.info["sfreq"]).astype(np.int64)
        return samples, lie_whole(self.raw, samples, *self.grid.reach)

    def blocks(self, samples: np.ndarray) -> Iterator[np.ndarray]:
        """Yield epochs at some samples, counted from the start of the recording, in microvolts (MEG: fT)."""
        with roomy((len(samples), len(self.picks), len(self.grid.times))) as X:
            yield from self._blocks(samples, X)

    def _blocks(self, samples: np.ndarray, X: np.ndarray) -> Iterator[np.ndarray]:
        factors = display_factors(channel_kinds(self.raw.info))
        step = max(1, _AT_ONCE // (8 * len(self.raw.times)))
        for start in range(0, len(self.picks), step):
            some = self.picks[start : start + step]
            data = self._filtered(some) * factors[some]
            for first in range(0, len(samples), _BLOCK):
                part = slice(first, first + _BLOCK)
                X[part, start : start + len(some)] = self._corrected(self.grid.resampled(data, samples[part]))
        self._check_size(X, factors)
        for first in range(0, len(samples), _BLOCK):
            yield self._repaired(X[first : first + _BLOCK], factors)

    def _check_size(self, X: np.ndarray, factors: np.ndarray) -> None:
        """Refuse numbers that cannot be volts in the file."""
        spread, kinds = size_of(X)[0], channel_kinds(self.info)
        if odd := odd_size(spread, kinds):
            units = sorted({str(unit) for unit in getattr(self.raw, "_orig_units", {}).values()})
            raise ValueError(
                f"{self.name} has a standard deviation of {spread:.1e} where microvolts (MEG: fT) are expected, which is far"
                f" too {odd}: its file gives another unit than its numbers have ({', '.join(units) or 'none is told'}). Say"
                " how to bring them to volts: prepare=lambda raw: raw.load_data().apply_function(lambda x: 1e-6 * x)."
            )

    def _filtered(self, picks: np.ndarray) -> np.ndarray:
        import mne

        data = self.raw.get_data(picks, verbose="ERROR")
        low, high = self._edges()
        if low is None and high is None:
            return data
        info = mne.pick_info(self.raw.info, picks, verbose=False)
        with info._unlock():
            info["projs"] = []
        raw = mne.io.RawArray(data, info, copy=None, verbose="ERROR")
        raw.set_annotations(from_start(self.raw), verbose="ERROR")  # pieces are filtered one by one
        return raw.filter(low, high, picks="all", verbose="ERROR").get_data()

    def _corrected(self, X: np.ndarray) -> np.ndarray:
        import mne

        if self.prep.baseline is None:
            return X
        return mne.baseline.rescale(X, self.grid.times, self.prep.baseline, copy=False, verbose="ERROR")

    def _repaired(self, X: np.ndarray, factors: np.ndarray) -> np.ndarray:
        import mne

        if not self.bads or self.prep.bads == "keep":
            return X
        info = self.info
        info["bads"] = list(self.bads)
        scale = factors[self.picks]
        epochs = mne.EpochsArray(X / scale, info, proj=False, verbose="ERROR")
        try:
            epochs.interpolate_bads(verbose="ERROR")
        except (RuntimeError, ValueError) as error:  # of MEG, where nothing tells the place of the head
            raise ValueError(
                f"bads: {', '.join(self.bads)} of {self.name} cannot be made of the other channels ({error}). {_INSTEAD}."
            ) from error
        return (epochs.get_data(copy=False) * scale).astype(np.float32)


@contextlib.contextmanager
def roomy(shape: tuple[int, int, int]) -> Iterator[np.ndarray]:
    """Give room for epochs: memory, or, where they are many, a file that goes with the block or with the process."""
    if 4 * math.prod(shape) <= _IN_MEMORY:
        yield np.empty(shape, dtype=np.float32)
        return
    with scratch_folder("epochs") as folder:
        yield np.memmap(folder / "epochs.f32", np.float32, "w+", shape=shape)


def prepared(raw: Any, prep: Preparation, name: str) -> Prepared:
    """Make a recording ready to be cut.

    Parameters
    ----------
    raw : Raw
        The recording, whose breaks are annotated (see :func:`with_breaks`).
    prep : Preparation
        What is done.
    name : str
        Of the recording, for messages.
    """
    if prep.prepare is not None:
        samples, rate = len(raw.times), raw.info["sfreq"]
        raw = prep.prepare(raw)
        if (None if not hasattr(raw, "times") else (len(raw.times), raw.info["sfreq"])) != (samples, rate):
            raise ValueError(
                f"prepare must return the Raw of {name} with all its samples at its rate: onsets count from its start."
                " Leave cropping and resampling to tmin, tmax and sfreq."
            )
    names = raw.ch_names
    kinds = channel_kinds(raw.info)
    wanted = None if prep.datatype is None else KINDS[prep.datatype]
    picks = [pick for pick in data_picks(raw.info).tolist() if wanted is None or kinds[pick] in wanted]
    if not picks:
        raise ValueError(
            f"{name} has no channel of type {sorted(wanted or ())}, only {sorted(set(kinds))}. Pass another datatype, or"
            " set the types in prepare=."
        )
    if prep.channels is not None:
        there = {names[pick]: pick for pick in picks}
        if absent := [channel for channel in prep.channels if channel not in there]:
            raise ValueError(f"channels: {name} lacks {', '.join(absent)}; it has {', '.join(there)}.")
        picks = [there[channel] for channel in prep.channels]
    _warn_names([names[pick] for pick in picks], name)
    bads = tuple(names[pick] for pick in picks if names[pick] in raw.info["bads"])
    if bads and prep.bads == "interpolate":
        _check_positions(raw, picks, bads, name)
    return Prepared(raw, np.array(picks), bads, Grid.of(float(raw.info["sfreq"]), prep, name), prep, name)


def _warn_names(names: list[str], recording: str) -> None:
    """Warn of channels that go as data, and by their names are none: many formats do not tell types."""
    if odd := [name for name in names if _NO_DATA.search(name)]:
        warnings.warn(
            f"{recording}: by their names {', '.join(odd[:5])} hold no data of the brain, but they are of a type that is"
            " read; a trigger would be the answer itself. Say what they are: prepare=lambda raw: raw.set_channel_types({"
            f"{odd[0]!r}: 'misc'}}) (or 'eog', 'ecg', 'stim', ...), or pass channels=.",
            UserWarning,
            stacklevel=6,
        )


def _check_positions(raw: Any, picks: list[int], bads: tuple[str, ...], name: str) -> None:
    """Refuse to interpolate without positions, or from nothing."""
    places = np.array([raw.info["chs"][pick]["loc"][:3] for pick in picks])
    unknown = [
        raw.ch_names[pick]
        for pick, place in zip(picks, places, strict=True)
        if not np.isfinite(place).all() or not place.any()
    ]
    if unknown:
        raise ValueError(
            f"bads: {', '.join(bads)} of {name} are marked as bad, but {len(unknown)} channels have no positions to"
            f" interpolate from (first: {unknown[0]}). {_INSTEAD}, or set a montage: prepare=lambda raw:"
            " raw.set_montage('standard_1005')."
        )
    if len(bads) > len(picks) / 2:
        raise ValueError(
            f"bads: {len(bads)} of {len(picks)} channels of {name} are marked as bad. {_INSTEAD}."
        )
