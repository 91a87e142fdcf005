"""From a continuous recording to epochs, of which a few at a time are in memory."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils.channels import data_picks, display_factors
from .._utils.params import check_number
from ._streaming import Cut

if TYPE_CHECKING:
    import mne
    import pandas as pd

_AT_ONCE = 2**26  # bytes in double precision, of the recording and of its epochs


@dataclass(frozen=True)
class Window:
    """How epochs are made of a recording.

    Attributes
    ----------
    tmin, tmax : float
        Ends of an epoch in seconds from onset, both included.
    sfreq : float | None
        Rate of the epochs in Hz; None is that of the recording.
    band : tuple of float | None
        Frequencies kept, in Hz, of the recording before it is cut; None at an end does not filter there.
    """

    tmin: float
    tmax: float
    sfreq: float | None = None
    band: tuple[float | None, float | None] | None = None

    def __post_init__(self) -> None:
        check_number("tmin", self.tmin, low=-1e3, high=0)
        check_number("tmax", self.tmax, low=0, open_low=True, high=1e3)
        if self.sfreq is not None:
            check_number("sfreq", self.sfreq, low=0, open_low=True)
        if self.band is not None:
            if not isinstance(self.band, (tuple, list)) or len(self.band) != 2:
                raise ValueError(f"band must be (low, high) in Hz, or None, got {self.band!r}.")
            for end in self.band:
                if end is not None:
                    check_number("band", end, low=0, open_low=True)

    def facts(self) -> dict[str, Any]:
        """Return the fields as JSON has them."""
        facts = asdict(self)
        return facts | {"band": None if self.band is None else list(self.band)}


def cut_raw(raw: mne.io.BaseRaw, onsets: np.ndarray, rows: pd.DataFrame, window: Window, name: str) -> Cut:
    """Cut a recording, which need not be in memory, around some times.

    The recording is filtered, then cut; the mean of the time before the onset is subtracted (where there is any), and
    the epochs are resampled: what MNE does with ``raw.filter``, ``Epochs`` and ``Epochs.resample``, to rounding.

    Parameters
    ----------
    raw : BaseRaw
        The recording. All its data channels are read.
    onsets : ndarray, shape (n_epochs,)
        Seconds from the first sample of the recording, in any order.
    rows : DataFrame, length n_epochs
        What is known of each epoch; a column ``onset`` is added. Epochs that the recording does not hold whole are left
        out with a warning.
    window : Window
        How to cut.
    name : str
        Of the recording, for messages.
    """
    import mne

    rate = float(raw.info["sfreq"])
    first, last = round(window.tmin * rate), round(window.tmax * rate)
    onsets = np.asarray(onsets, dtype=float)
    order = np.argsort(onsets, kind="stable")
    starts = np.round(onsets[order] * rate).astype(int) + first
    length = last - first + 1
    whole = (starts >= 0) & (starts + length <= raw.n_times)
    if n_out := int((~whole).sum()):
        warnings.warn(
            f"{name}: {n_out} of {len(whole)} pictures were shown too near to an end of the recording, and are left out.",
            stacklevel=2,
        )
    order, starts = order[whole], starts[whole]
    picks = data_picks(raw.info)
    info = mne.pick_info(raw.info, picks, verbose=False)
    sfreq = rate if window.sfreq is None else float(window.sfreq)
    with info._unlock():
        info["sfreq"] = sfreq
        info["lowpass"] = min(info["lowpass"] or sfreq / 2, sfreq / 2)
    info["bads"] = []  # of this recording, and not of those that follow it into a store
    n_times = length if sfreq == rate else max(1, round(length * sfreq / rate))
    return Cut(
        _blocks(raw, picks, starts, length, window, sfreq, n_before=-first),
        rows.iloc[order].assign(onset=onsets[order]).reset_index(drop=True),
        info,
        first / rate,
        n_times,
    )


def _blocks(
    raw: Any, picks: np.ndarray, starts: np.ndarray, length: int, window: Window, sfreq: float, n_before: int
) -> Iterator[np.ndarray]:
    import mne

    rate = float(raw.info["sfreq"])
    factors = display_factors(raw.get_channel_types(picks=picks))
    margin = _reach(window.band, rate)
    for begin, end in itertools.pairwise(_bounds(starts, length, len(picks))):
        here = starts[begin:end]
        low, high = max(0, here[0] - margin), min(raw.n_times, here[-1] + length + margin)
        data = raw.get_data(picks=picks, start=low, stop=high, verbose="ERROR")
        if margin:
            data = mne.filter.filter_data(data, rate, *window.band, copy=False, verbose="ERROR")  # type: ignore[misc]
        windows = np.lib.stride_tricks.sliding_window_view(data, length, axis=1)
        epochs = np.ascontiguousarray(windows[:, here - low].transpose(1, 0, 2))
        del data, windows
        if n_before > 0:
            epochs -= epochs[:, :, : n_before + 1].mean(axis=2, keepdims=True)
        if sfreq != rate:
            epochs = mne.filter.resample(
                epochs, up=sfreq, down=rate, npad="auto", pad="edge", method="fft", verbose="ERROR"
            )
        epochs *= factors
        yield epochs.astype(np.float32)


def _bounds(starts: np.ndarray, length: int, n_chans: int) -> list[int]:
    """Return where to begin anew, so that neither a stretch of the recording nor its epochs are too many numbers."""
    most = max(1, _AT_ONCE // (8 * n_chans))
    bounds = [0]
    for row, start in enumerate(starts):
        begin = bounds[-1]
        if row > begin and (start + length - starts[begin] > most or (row - begin + 1) * length > most):
            bounds.append(row)
    return [*bounds, len(starts)] if len(starts) else [0]


def _reach(band: tuple[float | None, float | None] | None, rate: float) -> int:
    """Return how many samples around a stretch are filtered with it, so that its padding is seen in no epoch."""
    import mne

    if band is None or band == (None, None):
        return 0
    return len(mne.filter.create_filter(None, rate, *band, verbose="ERROR"))
