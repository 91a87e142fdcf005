"""A gallery of any size: compared with a block at a time, the best kept, never the whole matrix of similarities."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from sklearn.preprocessing import normalize

BLOCK = 2**22  # numbers of the gallery worked on at once: small enough for a processor's cache
_KEPT = 2**25  # numbers of a gallery that is kept ready (256 MB)
_MATRIX = 2**24  # similarities held at once (64 MB)

_Block = tuple[slice, np.ndarray]
G = TypeVar("G", bound="Gallery")


class Gallery:
    """Vectors to compare embeddings with.

    Parameters
    ----------
    ids : ndarray, shape (n,)
        Their ids.
    parts : list of ndarray, shape (n_rows, n_dims)
        The vectors, n rows in all; they may be mapped from files.
    prepare : callable
        What is done to a block of vectors before it is compared: projected, whitened.
    """

    def __init__(
        self, ids: np.ndarray, parts: list[np.ndarray], prepare: Callable[[np.ndarray], np.ndarray]
    ) -> None:
        self.ids, self.parts, self.prepare = ids, parts, prepare
        self._dtype = prepare(parts[0][:1]).dtype
        self.starts = np.cumsum([0, *map(len, parts)])
        self.width = parts[0].shape[1]
        self._step = max(1, BLOCK // self.width)
        self._is_small = sum(part.size for part in parts) <= _KEPT
        self._ready: list[_Block] | None = None
        self._lengths: dict[np.dtype, dict[int, np.ndarray]] = {}

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def places(self) -> dict[str, int]:
        """Column of each id."""
        return {str(label): column for column, label in enumerate(self.ids.tolist())}

    def similarities(self, z: np.ndarray) -> Iterator[_Block]:
        """Columns, and the cosines (n_rows, n_columns) of some embeddings with them, in single precision.

        How a product is summed depends on the processor, and on how many rows and columns it has. Summed in double
        precision and then rounded, a cosine is the same number whatever the company, and equal vectors tie. With a
        large gallery that would take two to four times as long: there cosines are good to the rounding of float32.
        """
        z, dtype = self.queries(z)
        for columns, vectors, length in self._blocks(dtype):
            cosines = z @ vectors.T
            if length is not None:
                cosines /= length
            yield columns, cosines.astype(np.float32, copy=False)

    def units(self) -> Iterator[_Block]:
        """Columns, and their vectors, prepared and of unit length, in single precision."""
        for columns, vectors, length in self._blocks(np.dtype(np.float32)):
            unit = vectors if length is None else vectors / length[:, None]
            yield columns, unit.astype(np.float32, copy=False)

    def _blocks(self, dtype: np.dtype) -> Iterator[tuple[slice, np.ndarray, np.ndarray | None]]:
        """Columns, their vectors, and the vectors' lengths, or None where these are one.

        The unit vectors of a small gallery are kept. Of a large one only the lengths are: to scale its vectors would
        take longer than to compare them.
        """
        if self._is_small:
            if self._ready is None:
                self._ready = [(c, normalize(vectors)) for c, vectors in self._prepared(np.dtype(np.float64))]
            for columns, vectors in self._ready:
                yield columns, vectors, None
            return
        lengths = self._lengths.setdefault(dtype, {})
        for columns, vectors in self._prepared(dtype):
            if columns.start not in lengths:
                lengths[columns.start] = lengths_of(vectors)
            yield columns, vectors, lengths[columns.start]

    def _prepared(self, dtype: np.dtype) -> Iterator[_Block]:
        for first, part in zip(self.starts, self.parts, strict=False):
            for start in range(0, len(part), self._step):
                vectors = self.prepare(part[start : start + self._step]).astype(dtype, copy=False)
                yield slice(first + start, first + start + len(vectors)), vectors

    def queries(self, z: np.ndarray) -> tuple[np.ndarray, np.dtype]:
        """Embeddings of unit length, and the precision in which they are compared."""
        dtype = np.dtype(np.float64) if self._is_small else np.result_type(z, self._dtype)
        return normalize(z.astype(dtype, copy=False)), dtype

    def matrix(self, z: np.ndarray) -> np.ndarray:
        """Cosines of all embeddings with the whole gallery."""
        return np.concatenate([similarity for _, similarity in self.similarities(z)], axis=1)

    def nearest(self, z: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Columns and cosines (n_rows, k) of the k most similar vectors, best first, equal ones in their order."""
        parts = _in_rows(len(z), min(self._step, len(self)))
        found = [_best(self.similarities(z[rows]), len(z[rows]), k) for rows in parts]
        columns, cosines = (np.concatenate(part) for part in zip(*found, strict=True))
        return columns, cosines

    def counts(self, z: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How many others are more similar than the vector in column `target`, and how many are equally so."""
        better, equal = np.zeros((2, len(z)), dtype=np.intp)
        for rows in _in_rows(len(z), min(max(1, _MATRIX // 256), len(self))):
            own = np.empty(len(z[rows]), dtype=np.float32)
            # Where the matrix is too large to be held, everything is compared a second time.
            held = list(self.similarities(z[rows])) if len(own) * len(self) <= _MATRIX else None
            for columns, similarity in held or self.similarities(z[rows]):
                inside = (columns.start <= target[rows]) & (target[rows] < columns.stop)
                own[inside] = similarity[inside, target[rows][inside] - columns.start]
            for _, similarity in held or self.similarities(z[rows]):
                better[rows] += (similarity > own[:, None]).sum(axis=1)
                equal[rows] += (similarity == own[:, None]).sum(axis=1)
        return better, equal - 1

    def take(self, columns: np.ndarray) -> np.ndarray:
        """Vectors of some columns, prepared, of any length."""
        vectors = np.empty((len(columns), self.width), dtype=self.parts[0].dtype)
        number = np.searchsorted(self.starts, columns, side="right") - 1
        for part in np.unique(number):
            inside = number == part
            vectors[inside] = self.parts[part][columns[inside] - self.starts[part]]
        return self.prepare(vectors)


def lengths_of(vectors: np.ndarray) -> np.ndarray:
    """Lengths of vectors to divide by."""
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    lengths[lengths == 0] = 1  # as scikit-learn has it: a vector of zeros has cosine 0 with everything
    return lengths


def _in_rows(n_rows: int, n_columns: int) -> list[slice]:
    """Slices of rows whose similarities with so many columns may be held at once."""
    step = max(1, _MATRIX // n_columns)
    return [slice(start, start + step) for start in range(0, n_rows, step)]


class Kept:
    """The gallery of the last call, for as long as it is made of the same things."""

    def __init__(self) -> None:
        self._made_of: list = []
        self._first: np.ndarray = np.empty(0)
        self._gallery: Any = None

    def gallery(self, made_of: list, first: np.ndarray, make: Callable[[], G]) -> G:
        """The gallery kept, or a new one.

        Parameters
        ----------
        made_of : list
            What the gallery is made of: objects that do not change.
        first : ndarray, shape (1, n_dims)
            The first of its vectors as it is compared; an encoder that was trained anew may map it elsewhere.
        make : callable
            Makes the gallery.
        """
        same = len(made_of) == len(self._made_of) and all(map(operator.is_, made_of, self._made_of))
        if self._gallery is None or not same or not np.array_equal(first, self._first):
            self._gallery, self._made_of, self._first = make(), made_of, first
        return self._gallery


def nearest(similarity: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns and similarities (n_rows, k) of the largest in each row, best first, equal ones in their order."""
    return _best([(slice(0, similarity.shape[1]), similarity)], len(similarity), k)


def _best(blocks: Iterable[_Block], n_rows: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    best = _Best(n_rows, k)
    for columns, similarity in blocks:
        best.add(similarity, columns.start)
    return best.columns, best.cosines


class _Best:
    """The k best of each row so far; places without one have similarity -inf."""

    def __init__(self, n_rows: int, k: int) -> None:
        self.columns = np.zeros((n_rows, k), dtype=np.intp)
        self.cosines = np.full((n_rows, k), -np.inf, dtype=np.float32)

    def add(self, similarity: np.ndarray, start: int) -> None:
        """Take in the similarities with the next columns of the gallery, the first of which is `start`."""
        k = self.columns.shape[1]
        worst = self.cosines[:, -1]
        # Only what is better than the worst so far gets in: equal ones come later in the gallery.
        rows = np.flatnonzero(similarity.max(axis=1) > worst)
        if len(rows) == 0:
            return
        similarity = similarity[rows]
        allowed = similarity > worst[rows, None]
        if k < similarity.shape[1]:
            allowed &= similarity >= np.partition(similarity, -k, axis=1)[:, -k, None]
        row, column = np.nonzero(allowed)
        # The best so far and the new ones, sorted by row, similarity and column; the first k of each row stay.
        row = np.concatenate([np.repeat(np.arange(len(rows)), k), row])
        cosine = np.concatenate([self.cosines[rows].ravel(), similarity[allowed]])
        column = np.concatenate([self.columns[rows].ravel(), start + column])
        order = np.lexsort((column, -cosine, row))
        counts = np.bincount(row)
        place = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
        kept = order[place < k]
        self.cosines[rows] = cosine[kept].reshape(-1, k)
        self.columns[rows] = column[kept].reshape(-1, k)
