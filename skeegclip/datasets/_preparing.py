"""From a continuous recording to epochs: filtered, cut at onsets, resampled, scored from a baseline, in microvolts."""

from __future__ import annotations

import contextlib
import math
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils.channels import channel_kinds, data_picks, display_factors
from .._utils.params import check_number, check_option
from .._utils.scratch import scratch_folder
from .._utils.size import odd_size, size_of
from ._breaks import from_start, lie_whole

if TYPE_CHECKING:
    import mne

_AT_ONCE = 2**28  # bytes of continuous data
_IN_MEMORY = 2**29  # bytes of a recording's epochs; more of them are kept in a file meanwhile
_BLOCK = 256  # epochs
_NO_DATA = re.compile(
    r"eog|ecg|ekg|emg|gsr|\beda\b|resp|trig|status|\bsti\b|stim|event|marker|photo|diode|pulse|sat\b|\bacc",
    re.IGNORECASE,
)
_KINDS = {"eeg": {"eeg"}, "meg": {"mag", "grad"}, "ieeg": {"seeg", "ecog", "dbs"}}
# The filter of resample_poly reaches ten samples of the lower rate to each side.
_REACH = 10
_LARGEST = 20_000  # of the two whole numbers that a ratio of rates is made of
DATATYPES = tuple(_KINDS)


@dataclass(frozen=True)
class Preparation:
    """What is done to a recording.

    Attributes
    ----------
    datatype : "eeg" | "meg" | "ieeg" | None
        Kind of channels to read; None reads all that hold data of the brain.
    channels : tuple of str | None
        Channels to keep; None keeps all of that kind.
    prepare : callable | None
        Changes a Raw before anything else happens to it.
    bads : "interpolate" | "keep"
        What happens to channels that are marked as bad.
    band : tuple of float or None
        Lower and upper edge of the pass band in Hz.
    sfreq : float | None
        Sampling rate of the epochs in Hz.
    tmin, tmax : float
        Ends of an epoch in seconds, both included.
    baseline : tuple of float or None | None
        Times whose mean is subtracted, both included.
    """

    datatype: str | None
    channels: tuple[str, ...] | None
    prepare: Callable | None
    bads: str
    band: tuple[float | None, float | None]
    sfreq: float | None
    tmin: float
    tmax: float
    baseline: tuple[float | None, float | None] | None

    def stated(self) -> dict[str, Any]:
        """Return it in what JSON has."""
        own = (
            None
            if self.prepare is None
            else getattr(self.prepare, "__qualname__", type(self.prepare).__name__)
        )
        return {
            "datatype": self.datatype,
            "channels": None if self.channels is None else list(self.channels),
            "prepare": own,
            "bads": self.bads,
            "band": list(self.band),
            "sfreq": self.sfreq,
            "tmin": self.tmin,
            "tmax": self.tmax,
            "baseline": None if self.baseline is None else list(self.baseline),
        }


def check_preparation(
    datatype: Any,
    channels: Any,
    prepare: Any,
    bads: Any,
    band: Any,
    sfreq: Any,
    tmin: Any,
    tmax: Any,
    baseline: Any,
) -> Preparation:
    """Check the parameters of these names."""
    check_option("datatype", datatype, [*DATATYPES, None])
    check_option("bads", bads, ["interpolate", "keep"])
    check_number("tmin", tmin, low=-1e3, high=1e3)
    check_number("tmax", tmax, low=tmin, open_low=True, high=1e3)
    check_number("sfreq", sfreq, low=0, open_low=True, none=True)
    if isinstance(channels, str):
        raise TypeError(f"channels must be a list of names or None, got {channels!r}. Pass [{channels!r}].")
    names = None if channels is None else tuple(str(name) for name in channels)
    if names is not None and (not names or len(set(names)) < len(names)):
        raise ValueError("channels must name at least one channel, and each once.")
    if prepare is not None and not callable(prepare):
        raise TypeError(
            f"prepare must be a function of a Raw that returns one, got {type(prepare).__name__}."
        )
    low, high = _pair("band", band) or (None, None)
    span = _pair("baseline", baseline)
    if span is not None:
        first, last = (end if value is None else value for value, end in zip(span, (tmin, tmax), strict=True))
        if not tmin <= first <= last <= tmax:
            raise ValueError(f"baseline must lie within the epoch, {tmin:g} to {tmax:g} s, got {baseline!r}.")
    return Preparation(
        datatype,
        names,
        prepare,
        bads,
        (low, high),
        None if sfreq is None else float(sfreq),
        float(tmin),
        float(tmax),
        span,
    )


def _pair(name: str, value: Any) -> tuple[float | None, float | None] | None:
    """Return two increasing numbers, either of which may be None."""
    if value is None:
        return None
    try:
        low, high = value
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a pair of numbers or None, got {value!r}.") from None
    for edge in (low, high):
        check_number(name, edge, none=True)
    if low is not None and high is not None and low > high:
        raise ValueError(f"{name} must be increasing, got {value!r}.")
    return (None if low is None else float(low), None if high is None else float(high))


@dataclass(frozen=True)
class Grid:
    """Samples of an epoch, at the rate of the recording and at that of the epochs.

    Attributes
    ----------
    sfreq : float
        Rate of the epochs in Hz.
    up, down : int
        Their rate is that of the recording times up / down.
    first, last : int
        Ends of an epoch in its own samples, 0 being the onset; both are included.
    """

    sfreq: float
    up: int
    down: int
    first: int
    last: int

    @classmethod
    def of(cls, recorded: float, prep: Preparation, name: str) -> Grid:
        """Make the grid for a recording at this rate."""
        sfreq = recorded if prep.sfreq is None else prep.sfreq
        if sfreq > recorded * (1 + 1e-4):
            raise ValueError(
                f"sfreq: {name} was recorded at {recorded:g} Hz, which holds nothing for {sfreq:g} Hz. Pass"
                f" sfreq={recorded:g} or less, or None."
            )
        ratio = Fraction(sfreq / recorded).limit_denominator(_LARGEST)
        grid = cls(
            sfreq, ratio.numerator, ratio.denominator, _sample(prep.tmin, sfreq), _sample(prep.tmax, sfreq)
        )
        off = abs(recorded * grid.up / grid.down - sfreq) / sfreq * max(abs(grid.first), abs(grid.last))
        if off > 0.05:
            raise ValueError(
                f"sfreq: {recorded:.6f} Hz of {name} cannot be brought to {sfreq:g} Hz exactly enough. Pass a rate in a"
                " simpler ratio to it, or None."
            )
        return grid

    @property
    def times(self) -> np.ndarray:
        """Times of an epoch in seconds."""
        return np.arange(self.first, self.last + 1) / self.sfreq

    @property
    def reach(self) -> tuple[int, int]:
        """First and last sample of the recording that lie in an epoch, from its onset."""
        return math.floor(self.first * self.down / self.up), math.ceil(self.last * self.down / self.up)

    def resampled(self, data: np.ndarray, onsets: np.ndarray) -> np.ndarray:
        """Cut channels (c, n) into epochs (k, c, n_times)."""
        if self.up == self.down:
            return data[:, onsets[:, None] + np.arange(self.first, self.last + 1)].transpose(1, 0, 2)
        from scipy.signal import resample_poly

        # Both ends are more of the recording, and the first is a whole number of samples at both rates.
        reach = _REACH * max(self.up, self.down)
        before = -(-(reach - self.first * self.down) // (self.up * self.down))
        start, stop = -before * self.down, math.ceil((self.last * self.down + reach) / self.up) + 1
        # Beyond the recording its last sample stands for what is not known.
        index = np.clip(onsets[:, None] + np.arange(start, stop), 0, data.shape[1] - 1)
        longer = resample_poly(data[:, index], self.up, self.down, axis=-1)
        first = self.first + before * self.up
        return longer[:, :, first : first + self.last - self.first + 1].transpose(1, 0, 2)


def _sample(seconds: float, sfreq: float) -> int:
    return round(seconds * sfreq)


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
        epochs = mne.EpochsArray(X / scale, info, proj=False, verbose="ERROR").interpolate_bads(
            verbose="ERROR"
        )
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
    wanted = None if prep.datatype is None else _KINDS[prep.datatype]
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
            " read; a trigger would be the answer itself. Set their types: prepare=lambda raw: raw.set_channel_types({"
            f"{odd[0]!r}: 'eog'}}) (or 'ecg', 'emg', 'stim', 'misc'), or pass channels=.",
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
    instead = "Pass bads='keep', or channels= without them"
    if unknown:
        raise ValueError(
            f"bads: {', '.join(bads)} of {name} are marked as bad, but {len(unknown)} channels have no positions to"
            f" interpolate from (first: {unknown[0]}). {instead}, or set a montage: prepare=lambda raw:"
            " raw.set_montage('standard_1005')."
        )
    if len(bads) > len(picks) / 2:
        raise ValueError(
            f"bads: {len(bads)} of {len(picks)} channels of {name} are marked as bad. {instead}."
        )
