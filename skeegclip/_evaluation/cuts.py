"""Parts of epochs: windows of time, sets of channels, and epochs in which all else is hidden."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from sklearn.utils import gen_batches

from .._utils.epoched import is_view
from .._utils.inputs import as_mne_list
from .._utils.params import check_number
from .._utils.windows import unwrapped
from ..epochs import EpochsView

_BLOCK = 512  # epochs read at once


def as_view(X: Any) -> EpochsView:
    """Return X as a view, which carries what is known of its epochs."""
    if is_view(X):
        return X
    if as_mne_list(X) is not None or unwrapped(X)[0] is not None:
        return EpochsView.from_epochs(X)
    raise TypeError(
        "X must be an EpochsView or Epochs, which carry stimuli, people, channels and times, got"
        f" {type(X).__name__}. Make a view of it: EpochsView.from_arrays(X, stimulus=..., subject=..., info=..., tmin=...,"
        ' rows={"concept": ...}); for the info mne.create_info(n_channels, sfreq) will do.'
    )


def windows(times: np.ndarray, mode: str, width: float, step: float | None) -> np.ndarray:
    """First sample and the one after the last of each window, shape (n_windows, 2)."""
    check_number("width", width, low=0, open_low=True)
    check_number("step", step, low=0, open_low=True, none=True)
    spacing = (times[-1] - times[0]) / max(len(times) - 1, 1)
    length = max(1, round(width / spacing))
    if length > len(times):
        raise ValueError(
            f"width={width:g} s is longer than the epochs, {len(times) * spacing:g} s. Choose a shorter one."
        )
    every = max(1, round((width / 2 if step is None else step) / spacing))
    stops = np.arange(length, len(times) + 1, every)
    return np.column_stack([np.zeros_like(stops) if mode == "growing" else stops - length, stops])


def crop(X: EpochsView, first: int, stop: int) -> EpochsView:
    """Samples from `first` up to `stop`, whose time is forgotten."""
    return X._any_time(first, stop)


def mean_epoch(X: Any, rows: np.ndarray) -> np.ndarray:
    """Mean over epochs, shape (n_chans, n_times), read in blocks."""
    total = np.zeros(X.shape[1:])
    for block in gen_batches(len(rows), _BLOCK):
        total += np.asarray(X[rows[block]]).sum(axis=0, dtype=np.float64)
    return total / len(rows)


def hide(X: EpochsView, hidden: np.ndarray, mean: np.ndarray) -> EpochsView:
    """Put the mean epoch, which says nothing of the stimulus, wherever `hidden` (n_chans, n_times) is True."""
    return X.map(partial(_fill, hidden=hidden, mean=mean))


def _fill(X: np.ndarray, rows: Any = None, *, hidden: np.ndarray, mean: np.ndarray) -> np.ndarray:
    return np.where(hidden, mean.astype(X.dtype if X.dtype.kind == "f" else float), X)


def permute(X: EpochsView, channels: np.ndarray, order: np.ndarray) -> EpochsView:
    """Give each epoch some channels of another one: epoch i those of epoch ``order[i]``."""
    if len(channels) == 0:
        return X
    return X.map(partial(_exchange, whole=X, channels=channels, order=order))


def _exchange(
    X: np.ndarray, rows: np.ndarray, *, whole: Any, channels: np.ndarray, order: np.ndarray
) -> np.ndarray:
    exchanged = np.array(X)
    others = whole.pick(channels.tolist())[order[rows]]
    exchanged[:, channels] = np.asarray(others)
    return exchanged
