"""Maps of the channels, as a lazily transformed view holds them."""

from __future__ import annotations

import numpy as np


class ChannelMap:
    """``weights @ (epoch - offset)`` of the group of each epoch.

    Parameters
    ----------
    weights : ndarray, shape (n_groups, n_chans, n_chans) | (n_groups, n_chans)
        A matrix, or a factor for each channel.
    offsets : ndarray, shape (n_groups, n_chans) | (n_groups, n_chans, n_times) | None
        Subtracted first: a number for each channel, or a whole epoch.
    codes : ndarray of int, shape (n_epochs,)
        Group of each epoch.
    """

    def __init__(self, weights: np.ndarray, offsets: np.ndarray | None, codes: np.ndarray) -> None:
        used, codes = np.unique(codes, return_inverse=True)
        self.weights = weights[used].astype(np.float32)
        self.offsets = None if offsets is None else offsets[used].astype(np.float32)
        if self.offsets is not None and self.offsets.ndim == 2:
            self.offsets = self.offsets[:, :, None]
        self.codes = codes.astype(np.min_scalar_type(max(len(used) - 1, 0)))

    def __call__(self, X: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Transform the epochs at some positions."""
        codes = self.codes[positions]
        if self.weights.ndim == 2:
            X = X if self.offsets is None else X - self.offsets[codes]
            return X * self.weights[codes][:, :, None]
        out = np.empty_like(X)
        for code in np.unique(codes):
            rows = codes == code
            out[rows] = self.weights[code] @ (
                X[rows] if self.offsets is None else X[rows] - self.offsets[code]
            )
        return out


class OwnMap:
    """Whiten each epoch by its own covariance.

    Parameters
    ----------
    shrinkage : float
        As in :func:`shrunk`.
    center : bool
        Whether each channel's mean over the epoch is subtracted first.
    weights : ndarray, shape (n_chans, n_chans)
        Applied afterwards.
    """

    def __init__(self, shrinkage: float, center: bool, weights: np.ndarray) -> None:
        self.shrinkage, self.center, self.weights = shrinkage, center, weights

    def __call__(self, X: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Transform some epochs; which they are does not matter."""
        data = X.astype(np.float64)
        if self.center:
            data -= data.mean(axis=2, keepdims=True)
        covariances = data @ data.transpose(0, 2, 1) / X.shape[2]
        weights = self.weights @ inverse_root(shrunk(covariances, self.shrinkage))
        return (weights @ data).astype(np.float32)


def shrunk(covariances: np.ndarray, shrinkage: float) -> np.ndarray:
    """Move covariances (..., n_chans, n_chans) towards the channels' own variances."""
    n_chans = covariances.shape[-1]
    return covariances * (1 - shrinkage * (1 - np.eye(n_chans)))


def inverse_root(covariances: np.ndarray) -> np.ndarray:
    """Symmetric inverse square roots of covariances (..., n_chans, n_chans); zero where there is no variance."""
    values, vectors = np.linalg.eigh(covariances)
    # Where there is no variance there is nothing to divide by, and epochs are rounded to float32.
    flat = values <= values.max(axis=-1, keepdims=True) * np.finfo(np.float32).eps ** 2 * values.shape[-1]
    scale = np.where(flat, 0.0, 1 / np.sqrt(np.where(flat, 1.0, values)))
    return (vectors * scale[..., None, :]) @ np.swapaxes(vectors, -1, -2)
