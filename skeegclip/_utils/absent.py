"""Channels that an epoch lacks: NaN at every time, in epochs of several caps that are read as one array."""

from __future__ import annotations

import numpy as np

from .stated import Stated


def absent(X: np.ndarray) -> np.ndarray:
    """Where epochs (n_epochs, n_chans, n_times) lack a channel, bool of shape (n_epochs, n_chans)."""
    lacks = np.isnan(X[:, :, 0])
    if lacks.any():
        lacks[lacks] = np.isnan(X[lacks]).all(axis=1)
    return lacks


def filled(X: np.ndarray) -> np.ndarray:
    """The same epochs with zeros for the channels that they lack; X itself where they lack none."""
    if X.ndim != 3 or X.dtype.kind != "f" or 0 in X.shape or not (lacks := absent(X)).any():
        return X
    return np.where(lacks[:, :, None], X.dtype.type(0), X)


def refuse_mixed(stated: Stated, owner: str) -> None:
    """Refuse epochs of several caps where each channel has to mean one thing."""
    if stated.mixed:
        raise ValueError(
            f"X holds epochs of several caps, and {owner} wants the same channels of everybody. Map them to one cap first,"
            " with skeegclip.preprocessing.InterpolateChannels, treat each person's epochs alone before"
            " EpochsView.join, or use EEGEncoder(montage='positions')."
        )
