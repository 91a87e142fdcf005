"""Where the numbers of a view come from: an array, the shards of a store, or another view, changed as it is read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from sklearn.utils import gen_batches

_READ_AT_ONCE = 1024  # epochs; an average over more of them is summed in parts


class Readable(Protocol):
    """What these sources need of a view."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n_epochs, n_chans, n_times)."""

    def read(self, positions: Any) -> np.ndarray:
        """Read some epochs."""

    def content_key(self) -> bytes | None:
        """Return what stays the same while the epochs do."""


def gather(data: Any, rows: np.ndarray, chans: np.ndarray, times: slice) -> np.ndarray:
    """Read some epochs, channels and times of a source into a new float32 array, in C order.

    A source is an ndarray, or has ``shape``, ``content_key(rows)`` and a method ``gather(rows, chans, times)`` that does
    this.
    """
    if not isinstance(data, np.ndarray):
        return np.ascontiguousarray(data.gather(rows, chans, times), dtype=np.float32)
    return np.ascontiguousarray(take(data, rows, chans, times), dtype=np.float32)


def take(data: np.ndarray, rows: np.ndarray, chans: np.ndarray, times: slice) -> np.ndarray:
    """Index the three axes of an array."""
    if len(chans) == data.shape[1] and (np.diff(chans) == 1).all():
        return data[rows, :, times]
    return data[rows[:, None], chans, times]


class Mapped:
    """Epochs of a view, each block passed through a function as it is read.

    Parameters
    ----------
    view : EpochsView
        What is read.
    function : callable
        ``function(X, positions)`` of a block (k, n_chans, n_times) and its rows in `view`, which returns an array of
        the same shape.
    n_chans : int | None
        Number of channels that it gives instead.
    """

    def __init__(self, view: Readable, function: Callable, n_chans: int | None = None) -> None:
        self.view, self.function = view, function
        self.shape = (view.shape[0], view.shape[1] if n_chans is None else n_chans, view.shape[2])

    def gather(self, rows: np.ndarray, chans: np.ndarray, times: slice) -> np.ndarray:
        """Read, apply the function, then choose channels and times."""
        block = self.view.read(rows)
        made = np.asarray(self.function(block, rows))
        wanted = (len(block), *self.shape[1:])
        if made.shape != wanted:
            raise ValueError(f"function must keep the shape of its block, {wanted}, got {made.shape} back.")
        return made[:, chans, times]

    def content_key(self, rows: np.ndarray) -> None:
        """Return None: what a function does is known only by calling it."""
        return None


class Averaged:
    """Means of groups of epochs of a view, made as they are read.

    Parameters
    ----------
    view : EpochsView
        What is read.
    groups : list of ndarray of int
        Rows of `view` that each mean is made of.
    """

    def __init__(self, view: Readable, groups: list[np.ndarray]) -> None:
        self.view = view
        self.members = np.concatenate(groups)
        self.ends = np.cumsum([len(group) for group in groups])
        self.shape = (len(groups), *view.shape[1:])

    def gather(self, rows: np.ndarray, chans: np.ndarray, times: slice) -> np.ndarray:
        """Read the members of each group and average them."""
        out = np.empty((len(rows), len(chans), times.stop - times.start), dtype=np.float32)
        for mean, row in zip(out, rows, strict=True):
            members = self.members[self.ends[row - 1] if row else 0 : self.ends[row]]
            total = np.zeros(out.shape[1:])
            for part in gen_batches(len(members), _READ_AT_ONCE):
                block = self.view.read(members[part])
                total += block[:, chans, times].sum(axis=0, dtype=np.float64)
            mean[:] = total / len(members)
        return out

    def content_key(self, rows: np.ndarray) -> bytes | None:
        """Return what stays the same while the view and the groups do, whichever means are asked for."""
        key = self.view.content_key()
        return (
            None
            if key is None
            else hashlib.blake2b(key + self.members.tobytes() + self.ends.tobytes()).digest()
        )
