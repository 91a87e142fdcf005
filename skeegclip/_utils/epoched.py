"""Epochs as they were read, and the mark of a view."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .stated import Stated


@dataclass(frozen=True)
class Epoched:
    """Epochs as read: the data, and what the input said about them.

    Attributes
    ----------
    X : ndarray | EpochsView
        Shape (n_epochs, n_chans, n_times); arrays as given (not yet checked or cast).
    subject : ndarray of str, shape (n_epochs,) | None
        Subject of each row.
    stated : Stated
        Channels, rate, start and reference, as far as they are known.
    chs_info : list of dict | None
        Channel descriptions, as in ``mne.Info["chs"]``.
    left_out : tuple of str
        Channels that hold no data and were not read.
    is_converted : bool
        Whether the numbers were brought from MNE's SI units to display units.
    places : ndarray of float32, shape (n_chans, 4) | None
        Where the channels are, for who has asked, see :func:`skeegclip.epochs.places.places_of`.
    """

    X: Any
    subject: np.ndarray | None = None
    stated: Stated = field(default_factory=Stated)
    chs_info: list | None = None
    left_out: tuple[str, ...] = ()
    is_converted: bool = False
    places: np.ndarray | None = None

    @property
    def ch_names(self) -> tuple[str, ...] | None:
        """Channel names."""
        return self.stated.ch_names

    @property
    def sfreq(self) -> float | None:
        """Sampling rate in Hz."""
        return self.stated.sfreq


def is_view(X: Any) -> bool:
    """Whether X is an EpochsView (by mark, so that this module does not import it)."""
    return getattr(X, "_is_epochs_view", False) is True


def is_mixed(X: Any) -> bool:
    """Whether X is a view of epochs of several caps."""
    return is_view(X) and X._told.mixed
