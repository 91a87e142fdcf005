"""One raw file of THINGS-EEG2: from the recording at 1000 Hz to epochs sorted by picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..epochs.sites import THINGS_EEG_CHANNELS
from ._pickles import read_pickled_dict

_TARGET = 99999  # event of the target pictures, whose trials are not used
_AT_ONCE = 500  # epochs; 300 MB as MNE reads them
_MICROVOLTS = 1e6


@dataclass(frozen=True)
class Cut:
    """How epochs are cut.

    Attributes
    ----------
    tmin, tmax : float
        Ends of an epoch in seconds; the time before 0 is the baseline.
    sfreq : float
        Sampling rate after resampling, in Hz.
    window : tuple of float
        Times kept, in seconds: from the first to before the last.
    """

    tmin: float
    tmax: float
    sfreq: float
    window: tuple[float, float]


@dataclass(frozen=True)
class PictureEpochs:
    """Epochs of a file, sorted by picture.

    Attributes
    ----------
    X : ndarray of float32, shape (n_epochs, n_chans, n_times)
        In microvolts.
    picture : ndarray of int, shape (n_epochs,)
        Number of the picture, from 1.
    onset : ndarray, shape (n_epochs,)
        Seconds from the start of the recording.
    tmin : float
        Time of the first sample in seconds.
    """

    X: np.ndarray
    picture: np.ndarray
    onset: np.ndarray
    tmin: float


def epoch_file(path: Path, cut: Cut, max_repetitions: int | None, rng: np.random.Generator) -> PictureEpochs:
    """Cut a raw file into epochs.

    Parameters
    ----------
    path : Path
        raw_eeg_training.npy or raw_eeg_test.npy.
    cut : Cut
        How to cut.
    max_repetitions : int | None
        Keep so many repetitions of a picture, drawn at random; None keeps all.
    rng : Generator
        Of the draw.
    """
    import mne

    raw = _read_raw(path)
    events = mne.find_events(raw, stim_channel="stim", shortest_event=1, verbose="ERROR")
    events = events[events[:, 2] != _TARGET]
    if len(events) == 0:
        raise ValueError(f"{str(path)!r} has no event of a picture in its channel 'stim'.")
    # By picture, and inside by time; then at random, where there are too many.
    events = events[np.argsort(events[:, 2], kind="stable")]
    if max_repetitions is not None:
        events = events[_drawn(events[:, 2], max_repetitions, rng)]
    parts = [_epochs(raw, events[start : start + _AT_ONCE], cut) for start in range(0, len(events), _AT_ONCE)]
    tmin = parts[0][1]
    X = np.concatenate([data for data, _ in parts])
    if len(X) != len(events):
        raise ValueError(
            f"{str(path)!r}: {len(events) - len(X)} pictures were shown too near to an end of the recording."
        )
    return PictureEpochs(X, events[:, 2], events[:, 0] / raw.info["sfreq"], tmin)


def _read_raw(path: Path) -> Any:
    """Read a file as MNE's Raw of the 63 channels and the events, its data mapped."""
    import mne

    content = read_pickled_dict(path)
    missing = {"raw_eeg_data", "ch_names", "ch_types", "sfreq"} - set(content)
    if missing:
        raise ValueError(
            f"{str(path)!r} lacks {', '.join(sorted(missing))}; it holds {', '.join(map(repr, content)) or 'nothing'}."
            " It is not one of THINGS-EEG2's raw files."
        )
    names = [str(name) for name in content["ch_names"]]
    wanted = [*THINGS_EEG_CHANNELS, "stim"]
    if absent := [name for name in wanted if name not in names]:
        raise ValueError(f"{str(path)!r} lacks the channels {', '.join(absent)}; it has {', '.join(names)}.")
    types = [str(kind) for kind in content["ch_types"]]
    info = mne.create_info(names, float(content["sfreq"]), types, verbose="ERROR")
    return mne.io.RawArray(content["raw_eeg_data"], info, verbose="ERROR")


def _drawn(pictures: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Rows of at most `n` repetitions of each picture, in order."""
    shuffled = rng.permutation(len(pictures))
    shuffled = shuffled[np.argsort(pictures[shuffled], kind="stable")]
    ordered = pictures[shuffled]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    number = np.arange(len(ordered)) - np.repeat(starts, np.diff(np.r_[starts, len(ordered)]))
    return np.sort(shuffled[number < n])


def _epochs(raw: Any, events: np.ndarray, cut: Cut) -> tuple[np.ndarray, float]:
    import mne

    # MNE wants events in time; the order is restored afterwards.
    order = np.argsort(events[:, 0], kind="stable")
    epochs = mne.Epochs(
        raw,
        events[order],
        tmin=cut.tmin,
        tmax=cut.tmax,
        baseline=(None, 0),
        picks=list(THINGS_EEG_CHANNELS),
        preload=True,
        verbose="ERROR",
    )
    if epochs.info["sfreq"] != cut.sfreq:
        epochs.resample(cut.sfreq, verbose="ERROR")
    epochs.reorder_channels(list(THINGS_EEG_CHANNELS))
    slack = 0.01 / cut.sfreq
    keep = (epochs.times >= cut.window[0] - slack) & (epochs.times < cut.window[1] - slack)
    if not keep.any():
        raise ValueError(
            f"window: no time lies in {cut.window}; epochs span {epochs.times[0]:g} to {epochs.times[-1]:g} s."
        )
    data = (epochs.get_data(copy=False)[:, :, keep] * _MICROVOLTS).astype(np.float32)
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    tmin = round(float(epochs.times[keep][0]), 6)
    return (data[back] if len(data) == len(order) else data), tmin
