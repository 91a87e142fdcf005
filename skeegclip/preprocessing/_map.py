"""A map of the channels for each group of epochs."""

from __future__ import annotations

import numpy as np


class ChannelMap:
    """``weights @ (epoch - offset)`` of the group of each epoch: what a lazily transformed view holds.

    Parameters
    ----------
    weights : ndarray, shape (n_groups, n_chans, n_chans) | (n_groups, n_chans)
        A matrix, or a factor for each channel.
    offsets : ndarray, shape (n_groups, n_chans) | None
        Subtracted first.
    codes : ndarray of int, shape (n_epochs,)
        Group of each epoch.
    """

    def __init__(self, weights: np.ndarray, offsets: np.ndarray | None, codes: np.ndarray) -> None:
        used, codes = np.unique(codes, return_inverse=True)
        self.weights = weights[used].astype(np.float32)
        self.offsets = None if offsets is None else offsets[used].astype(np.float32)
        self.codes = codes.astype(np.min_scalar_type(max(len(used) - 1, 0)))

    def __call__(self, X: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Transform the epochs at some positions."""
        codes = self.codes[positions]
        if self.offsets is not None:
            X = X - self.offsets[codes][:, :, None]
        if self.weights.ndim == 2:
            return X * self.weights[codes][:, :, None]
        out = np.empty_like(X)
        for code in np.unique(codes):
            rows = codes == code
            out[rows] = self.weights[code] @ X[rows]
        return out
