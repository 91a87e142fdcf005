"""Sketches of epochs: a few numbers by which copies are found, whatever they are called and whatever their unit."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from sklearn.utils import gen_batches

from .absent import filled
from .epoched import is_view
from .inputs import read_epochs

N_DIMS = 32
_BLOCK = 2**22  # numbers read at once (16 MB in float32)
_STEP = 0.01  # of the coordinates of a unit vector, when they are rounded for a hash
_N_HASHED = 16


def n_rows_of(X: Any) -> int:
    """Number of epochs of an array, a view or Epochs."""
    return X.shape[0] if hasattr(X, "shape") else len(X)


def read_some(X: Any, rows: np.ndarray) -> np.ndarray:
    """Some epochs as (k, n_chans, n_times), in whatever real type they are kept."""
    if not is_view(X) and len(rows) and rows[-1] - rows[0] + 1 == len(rows) and (np.diff(rows) == 1).all():
        block = X[rows[0] : rows[-1] + 1]  # of an array a view, not a copy
    else:
        block = X.read(rows) if is_view(X) else X[rows]
    if hasattr(block, "get_data"):
        block = read_epochs(block).X
    return as_epochs(filled(np.asarray(block)))


def as_epochs(block: np.ndarray) -> np.ndarray:
    """Features without a course in time count as one channel's course: what is compared is their pattern."""
    if block.ndim == 3 and block.shape[2] > 1:
        return block
    return block.reshape(len(block), 1, -1)


def blocks(X: Any, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows and their epochs, as many at once as take a bounded memory."""
    if len(rows) == 0:
        return
    size = max(1, read_some(X, rows[:1]).size)
    for here in gen_batches(len(rows), max(1, _BLOCK // size)):
        yield rows[here], read_some(X, rows[here])


@lru_cache(maxsize=4)
def projection(n_chans: int, n_times: int, n_dims: int = N_DIMS) -> np.ndarray:
    """Random directions (n_chans * n_times, n_dims) that are blind to the mean of each channel; always the same."""
    directions = np.random.default_rng([n_chans, n_times]).standard_normal((n_chans, n_times, n_dims))
    directions -= directions.mean(axis=1, keepdims=True)
    directions = directions.reshape(-1, n_dims).astype(np.float32)
    directions.flags.writeable = False
    return directions


def unit(sketches: np.ndarray) -> np.ndarray:
    """Sketches of length one; zeros where there is nothing to compare: flat epochs, or not finite ones."""
    sketches = np.where(np.isfinite(sketches).all(axis=1, keepdims=True), sketches, 0)
    length = np.linalg.norm(sketches.astype(np.float64), axis=1, keepdims=True)
    return (sketches / np.where(length > 0, length, 1)).astype(np.float32)


def sketch_block(block: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Project epochs, shape (k, n_chans, n_times)."""
    if block.dtype != np.float32:  # a large offset would leave little of the signal in single precision
        block = block - block[:, :, :1]
    # What is too large for single precision is not data.
    with np.errstate(over="ignore", invalid="ignore"):
        return block.reshape(len(block), -1).astype(np.float32, copy=False) @ directions


def content_hashes(X: Any, rows: np.ndarray) -> np.ndarray:
    """A number for each epoch that is the same for copies in another unit, of another offset or type.

    Parameters
    ----------
    X : ndarray | EpochsView | Epochs
        Epochs, or vectors.
    rows : ndarray of int, shape (n,)
        Which.

    Returns
    -------
    ndarray of uint64, shape (n,)
        0 where there is no content (flat epochs).
    """
    parts = []
    for _, block in blocks(X, rows):
        sketches = sketch_block(block, projection(*block.shape[1:], _N_HASHED))
        # Of a constant epoch the rounding is left, which says nothing.
        rounding = 1e-5 * np.sqrt(block[0].size) * np.abs(block[:, 0]).max(axis=1)
        parts.append(
            np.where(np.linalg.norm(sketches, axis=1, keepdims=True) <= rounding[:, None], 0, sketches)
        )
    if not parts:
        return np.zeros(0, dtype=np.uint64)
    vectors = unit(np.concatenate(parts))
    # A scale may be negative; the largest coordinate is counted as positive.
    largest = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=1)[:, None], axis=1)
    numbers = np.round(vectors * np.sign(largest) / _STEP).astype(np.int64)
    return np.where(numbers.any(axis=1), hash_rows(numbers), 0).astype(np.uint64)


def hash_rows(numbers: np.ndarray) -> np.ndarray:
    """One number for each row of whole numbers, shape (n, m): equal rows have equal ones, others as good as never."""
    mixed: np.ndarray = np.zeros(len(numbers), dtype=np.uint64)
    for column in numbers.astype(np.int64).view(np.uint64).T:
        mixed ^= column + np.uint64(0x9E3779B97F4A7C15) + (mixed << np.uint64(6)) + (mixed >> np.uint64(2))
        mixed ^= mixed >> np.uint64(30)
        mixed *= np.uint64(0xBF58476D1CE4E5B9)
        mixed ^= mixed >> np.uint64(27)
        mixed *= np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
    return mixed
