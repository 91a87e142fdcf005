"""Where the numbers of a view come from: an array, the shards of a store, or a function of another view."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .view import EpochsView


def gather(data: Any, rows: np.ndarray, chans: np.ndarray, times: slice) -> np.ndarray:
    """Read some epochs, channels and times of a source into a new float32 array.

    A source is an ndarray, or has ``shape`` and a method ``gather(rows, chans, times)`` that does this.
    """
    if not isinstance(data, np.ndarray):
        return np.ascontiguousarray(data.gather(rows, chans, times), dtype=np.float32)
    if len(chans) == data.shape[1] and (np.diff(chans) == 1).all():
        block = data[rows, :, times]
    else:
        block = data[rows[:, None], chans, times]
    return np.ascontiguousarray(block, dtype=np.float32)


class Mapped:
    """Epochs of a view, each block passed through a function as it is read.

    Parameters
    ----------
    view : EpochsView
        What is read.
    function : callable
        ``function(X, positions)`` of a block (k, n_chans, n_times) and its rows in `view`, which returns an array of
        the same shape.
    """

    def __init__(self, view: EpochsView, function: Callable) -> None:
        self.view, self.function = view, function
        self.shape = view.shape

    def gather(self, rows: np.ndarray, chans: np.ndarray, times: slice) -> np.ndarray:
        """Read, apply the function, then choose channels and times."""
        block = self.view.read(rows)
        made = np.asarray(self.function(block, rows))
        if made.shape != block.shape:
            raise ValueError(
                f"map: function must keep the shape of its block {block.shape}, got {made.shape} back."
            )
        return made[:, chans, times]
