"""Parts of epochs: windows of time, sets of channels, and epochs in which all else is hidden."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import gen_batches

from .._utils.epoched import is_view
from .._utils.inputs import as_mne_list, read_epochs
from .._utils.params import check_number
from ..epochs import EpochsView

if TYPE_CHECKING:
    import mne

_BLOCK = 512  # epochs read at once


def as_data(X: Any, info: mne.Info | None, sfreq: float | None, tmin: float) -> tuple[Any, Any, Any]:
    """Return X as an array or a view, its times (None where the sampling rate is not known) and its info."""
    parts = as_mne_list(X)
    if is_view(X) or parts is not None:
        if info is not None or sfreq is not None:
            raise ValueError("info and sfreq are for arrays: this X carries its own. Leave them out.")
        view = X if parts is None else EpochsView.from_epochs(X)
        return view, view.times.round(9) if view.sfreq else None, view.info
    X = np.asarray(read_epochs(X).X)
    if X.ndim != 3 or X.dtype.kind not in "fiu":
        raise ValueError(
            f"X must be a numeric array of shape (n_epochs, n_chans, n_times), got {X.dtype} {X.shape}."
        )
    if info is not None and len(info["ch_names"]) != X.shape[1]:
        raise ValueError(
            f"info describes {len(info['ch_names'])} channels, but X has {X.shape[1]}. Pick the same in both."
        )
    check_number("sfreq", sfreq, low=0, open_low=True, none=True)
    if info is not None and sfreq is not None and not np.isclose(sfreq, info["sfreq"], rtol=1e-6):
        raise ValueError(
            f"sfreq={sfreq:g} Hz, but info says {info['sfreq']:g} Hz. Leave sfreq out, or pass the info of these epochs."
        )
    sfreq = info["sfreq"] if sfreq is None and info is not None else sfreq
    return X, None if sfreq is None else (tmin + np.arange(X.shape[2]) / sfreq).round(9), info


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


def crop(X: Any, first: int, stop: int) -> Any:
    """Samples from `first` up to `stop`, whose time is forgotten; a view stays lazy."""
    return X._any_time(first, stop) if is_view(X) else X[:, :, first:stop]


def pick(X: Any, channels: list[int]) -> Any:
    """Some channels, by position; a view stays lazy."""
    return X.pick(channels) if is_view(X) else X[:, channels]


def mean_epoch(X: Any, rows: np.ndarray) -> np.ndarray:
    """Mean over epochs, shape (n_chans, n_times), read in blocks."""
    total = np.zeros(X.shape[1:])
    for block in gen_batches(len(rows), _BLOCK):
        total += np.asarray(X[rows[block]]).sum(axis=0, dtype=np.float64)
    return total / len(rows)


def hide(X: Any, hidden: np.ndarray, mean: np.ndarray) -> Any:
    """Put the mean epoch, which says nothing of the stimulus, wherever `hidden` (n_chans, n_times) is True."""
    fill = partial(_fill, hidden=hidden, mean=mean)
    return X.map(fill) if is_view(X) else fill(X)


def _fill(X: np.ndarray, rows: Any = None, *, hidden: np.ndarray, mean: np.ndarray) -> np.ndarray:
    return np.where(hidden, mean.astype(X.dtype if X.dtype.kind == "f" else float), X)


def permute(X: Any, channels: np.ndarray, order: np.ndarray) -> Any:
    """Give each epoch some channels of another one: epoch i those of epoch ``order[i]``."""
    if len(channels) == 0:
        return X
    exchange = partial(_exchange, whole=X, channels=channels, order=order)
    return X.map(exchange) if is_view(X) else exchange(X, np.arange(len(X)))


def _exchange(
    X: np.ndarray, rows: np.ndarray, *, whole: Any, channels: np.ndarray, order: np.ndarray
) -> np.ndarray:
    exchanged = np.array(X)
    others = pick(whole, channels.tolist())[order[rows]]
    exchanged[:, channels] = np.asarray(others)
    return exchanged
