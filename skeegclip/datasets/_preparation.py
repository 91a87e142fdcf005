"""What is done to a recording: parameters of the loaders, checked, and the samples that they make of a rate."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from .._utils.params import check_number, check_option

KINDS = {"eeg": {"eeg"}, "meg": {"mag", "grad"}, "ieeg": {"seeg", "ecog", "dbs"}}
# The filter of resample_poly reaches ten samples of the lower rate to each side.
_REACH = 10
_LARGEST = 20_000  # of the two whole numbers that a ratio of rates is made of


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
    check_option("datatype", datatype, [*KINDS, None])
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
