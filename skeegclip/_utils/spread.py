"""How large the numbers of epochs typically are: what tells microvolts from volts, and what a network is fed with."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .inputs import is_view

_EPOCHS = 256
_LOOKED_AT, _READ = 64, 16  # epochs of an array, and of a view, which may lie on a disk


def typical_spread(X: Any) -> float:
    """Typical standard deviation of epochs about the mean of their channels.

    The median over epochs, so that a few artefacts do not count, of at most 256 epochs from all over X.

    Parameters
    ----------
    X : ndarray | EpochsView, shape (n_epochs, n_chans, n_times)
        Epochs, validated.

    Returns
    -------
    float
        In the unit of X; 0 where X is constant.
    """
    rows = np.unique(np.linspace(0, len(X) - 1, min(len(X), _EPOCHS)).astype(int))
    block = np.asarray(X.read(rows) if is_view(X) else X[rows], dtype=np.float64)
    block = block - block.mean(axis=(0, 2), keepdims=True)
    return float(np.median(np.sqrt(np.mean(np.square(block), axis=(1, 2)))))


def size_of(X: Any) -> tuple[float, float]:
    """How large the numbers of epochs are, to tell one unit from another.

    Unlike :func:`typical_spread` it is the same for one epoch and for many, because offsets of epochs and of channels
    do not count.

    Parameters
    ----------
    X : ndarray | EpochsView, shape (n_epochs, n_chans, n_times)
        Epochs, of which a few from all over X are looked at.

    Returns
    -------
    tuple of float
        Median over epochs of the standard deviation within an epoch: its root mean square over channels, which a few
        good channels among silent ones keep up, and its median over channels, which a few noisy ones do not raise. 0
        where nothing varies.
    """
    n = _READ if is_view(X) else _LOOKED_AT
    rows = np.unique(np.linspace(0, len(X) - 1, min(len(X), n)).astype(int))
    block = X.read(rows) if is_view(X) else X if len(rows) == len(X) else X[rows]
    # An epoch of one time does not vary: then it is epochs that are compared.
    block = np.asarray(block if block.shape[2] > 1 else block.transpose(2, 1, 0), dtype=np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        mean = np.add.reduce(block, axis=2) / block.shape[2]
        block = block - mean[:, :, None]
        variance = np.einsum("ect,ect->ec", block, block) / block.shape[2]
        variance[variance <= 1e-12 * np.square(mean)] = 0.0  # rounding
        rms = _median(np.add.reduce(variance, axis=1) / variance.shape[1])
        return math.sqrt(rms), math.sqrt(_median(np.sort(variance, axis=1)[:, variance.shape[1] // 2]))


def _median(values: np.ndarray) -> float:
    # numpy's own takes longer than all the rest for one epoch, which online decoding waits for.
    return float(np.sort(values)[len(values) // 2])
