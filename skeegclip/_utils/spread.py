"""How large the numbers of epochs typically are: what tells microvolts from volts, and what a network is fed with."""

from __future__ import annotations

from typing import Any

import numpy as np

from .inputs import is_view

_EPOCHS = 256


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
