"""From what people hold to blocks of epochs that fit in memory, with their rows, channels and start."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils.inputs import as_mne_list, is_braindecode, is_view

if TYPE_CHECKING:
    import mne

_BLOCK_BYTES = 2**26


@dataclass
class Blocks:
    """Epochs to be written, a block at a time, and what they say of themselves.

    Attributes
    ----------
    blocks : iterable of ndarray, shape (k, n_chans, n_times)
        Epochs in microvolts (MEG: fT).
    rows : DataFrame | None
        Their table.
    info : mne.Info | None
        Their channels.
    tmin : float | None
        Time of the first sample in seconds.
    """

    blocks: Iterable[np.ndarray]
    rows: Any = None
    info: mne.Info | None = None
    tmin: float | None = None


def as_blocks(X: Any) -> Blocks:
    """Read epochs in any form that :meth:`EpochsStore.create` takes."""
    if is_view(X):
        blocks = (X.read(part) for part in _parts(len(X), 4 * X.shape[1] * X.shape[2]))
        return Blocks(blocks, X.rows, X.info, X.tmin)
    if (epochs := as_mne_list(X)) is not None:
        return _from_mne(epochs)
    if is_braindecode(X):
        return _from_braindecode(X)
    if hasattr(X, "__array__") or (isinstance(X, (list, tuple)) and np.ndim(X[0]) < 3):
        array = X if isinstance(X, np.ndarray) else np.asarray(X)
        if array.ndim != 3:
            raise ValueError(
                f"X must have shape (n_epochs, n_chans, n_times), got {array.dtype} {array.shape}."
                " Merge repetitions and epochs into one axis first."
            )
        return Blocks(array[part] for part in _parts(len(array), array[:1].nbytes))
    if isinstance(X, Iterable):
        return Blocks(np.asarray(block) for block in X)
    raise TypeError(
        "X must be an array, mne.Epochs, an EpochsView, a braindecode dataset or an iterable of arrays,"
        f" got {type(X).__name__}."
    )


def _parts(n_epochs: int, epoch_bytes: int) -> Iterator[slice]:
    step = max(1, _BLOCK_BYTES // max(1, epoch_bytes))
    for start in range(0, n_epochs, step):
        yield slice(start, min(start + step, n_epochs))
