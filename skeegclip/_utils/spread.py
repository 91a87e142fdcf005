"""How large the numbers are that a network is fed with."""

from __future__ import annotations

from typing import Any

import numpy as np

from .absent import absent, filled
from .epoched import is_mixed, is_view

# Not the size that units are told apart by (`size.py`): that one leaves out the offset of each epoch and channel, so that
# it is the same for one epoch and for many; a network is fed with these offsets, and its input is scaled by all it gets.
_EPOCHS = 256


def typical_spread(X: Any, rows: np.ndarray | None = None, chans: np.ndarray | None = None) -> float:
    """Typical standard deviation of epochs about the mean of their channels.

    The median over epochs, so that a few artefacts do not count, of at most 256 epochs from all over X.

    Parameters
    ----------
    X : ndarray | EpochsView, shape (n_epochs, n_chans, n_times)
        Epochs, validated.
    rows : ndarray of int | None
        The epochs that count; None is all of them.
    chans : ndarray of int | None
        The channels that count; None is all of them.

    Returns
    -------
    float
        In the unit of X; 0 where X is constant.
    """
    n_rows = len(X) if rows is None else len(rows)
    chosen = np.unique(np.linspace(0, n_rows - 1, min(n_rows, _EPOCHS)).astype(int))
    if rows is not None:
        chosen = np.sort(rows[chosen])
    block = np.asarray(X.read(chosen) if is_view(X) else X[chosen], dtype=np.float64)
    block = block if chans is None else block[:, chans]
    if is_mixed(X):
        return _of_several_caps(block)
    with np.errstate(invalid="ignore"):  # of a view that nobody has read yet: who reads it names the row
        block = block - block.mean(axis=(0, 2), keepdims=True)
        return float(np.median(np.sqrt(np.mean(np.square(block), axis=(1, 2)))))


def _of_several_caps(block: np.ndarray) -> float:
    n_epochs = np.maximum(1, (~absent(block)).sum(axis=0))
    n_chans = (~absent(block)).sum(axis=1)
    mean = filled(block).sum(axis=(0, 2)) / (n_epochs * block.shape[2])
    squares = np.square(filled(block - mean[:, None])).mean(axis=2).sum(axis=1)[n_chans > 0]
    return float(np.median(np.sqrt(squares / n_chans[n_chans > 0]))) if len(squares) else 0.0
