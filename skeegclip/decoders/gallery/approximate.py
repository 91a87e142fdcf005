"""Approximate search in a large gallery: faiss proposes, exact cosines decide."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
from sklearn.preprocessing import normalize

from .exact import BLOCK, Gallery, lengths_of, nearest

_SMALL = 20_000  # galleries up to here are searched exactly, which takes no longer
_AXES, _VARIANCE = 128, 0.7  # what the stored vectors keep at least: axes, and share of the variance
_PER_CELL = 32  # vectors that a cell's centre is learned from
_SPARE = 100  # candidates that an index proposes beyond twice as many as are wanted
_SAMPLE = 20_000  # vectors that the principal axes are learned from


class ApproximateIndex:
    """Vectors of a gallery in cells: centred, on their principal axes, a byte a number.

    An embedding is compared with the vectors in the cells that are nearest to it. With the mean of the gallery taken
    from its vectors, and not from the embedding, inner products change by the same for all of them.

    Parameters
    ----------
    gallery : Gallery
        At least some thousand vectors; read once, a block at a time.
    """

    def __init__(self, gallery: Gallery) -> None:
        faiss = import_faiss()
        n = len(gallery)
        rng = np.random.default_rng(0)
        n_cells = 2 ** round(math.log2(4 * math.sqrt(n)))
        sample = _unit(gallery.take(_some(rng, n, _SAMPLE)))
        self._mean = sample.mean(axis=0)
        values, axes = np.linalg.eigh(np.cov(sample.T, dtype=np.float64))
        explained = values[::-1].cumsum() / values.sum()
        n_axes = min(max(_AXES, int(np.searchsorted(explained, _VARIANCE)) + 1), len(values))
        self._axes = np.ascontiguousarray(axes[:, ::-1][:, :n_axes], dtype=np.float32)
        inner = faiss.METRIC_INNER_PRODUCT
        self._quantizer = faiss.IndexFlatIP(n_axes)
        self._index = faiss.IndexIVFScalarQuantizer(
            self._quantizer, n_axes, n_cells, faiss.ScalarQuantizer.QT_8bit, inner
        )
        learning = self._index.cp
        learning.seed, learning.min_points_per_centroid, learning.max_points_per_centroid = 1, 1, _PER_CELL
        rows = _some(rng, n, _PER_CELL * n_cells)
        parts = np.array_split(rows, -(-len(rows) // _SAMPLE))
        self._index.train(np.concatenate([self._store(_unit(gallery.take(part))) for part in parts]))
        for _, block in gallery.units():
            self._index.add(self._store(block))

    def _store(self, vectors: np.ndarray) -> np.ndarray:
        return (vectors - self._mean) @ self._axes

    def candidates(self, z: np.ndarray, n: int, n_probes: int) -> np.ndarray:
        """Columns (n_rows, n) that are probably near to embeddings, rising; -1 where fewer were found."""
        params = import_faiss().SearchParametersIVF(nprobe=min(n_probes, self._index.nlist))
        query = np.ascontiguousarray(_unit(z) @ self._axes)
        return np.sort(self._index.search(query, n, params=params)[1], axis=1)


class IndexedGallery(Gallery):
    """A gallery with an index beside it, which is made when it is first asked."""

    def approximately_nearest(self, z: np.ndarray, k: int, n_probes: int) -> tuple[np.ndarray, np.ndarray]:
        """As `nearest`, among candidates that an index proposes: cosines are exact, but an image may be missed."""
        if not use_index(len(self)):
            return self.nearest(z, k)
        candidates = self._index.candidates(z, min(2 * k + _SPARE, len(self)), n_probes)
        z, dtype = self.queries(z)
        step = max(1, BLOCK // self.width // candidates.shape[1])
        parts = [slice(start, start + step) for start in range(0, len(z), step)]
        cosines = np.concatenate([self._cosines(z[rows], candidates[rows], dtype) for rows in parts])
        place, cosines = nearest(np.where(candidates < 0, -np.inf, cosines), k)
        columns = np.take_along_axis(candidates, place, axis=1)
        short = ~np.isfinite(cosines[:, -1])
        if short.any():  # the cells hold fewer than k
            columns[short], cosines[short] = self.nearest(z[short], k)
        return columns, cosines

    def _cosines(self, z: np.ndarray, columns: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Cosines of each embedding with columns (n_rows, n) of its own."""
        vectors = self.take(columns.ravel().clip(min=0)).astype(dtype, copy=False)
        dots = vectors.reshape(*columns.shape, -1) @ z[:, :, None]
        return (dots[:, :, 0] / lengths_of(vectors).reshape(columns.shape)).astype(np.float32, copy=False)

    @cached_property
    def _index(self) -> ApproximateIndex:
        return ApproximateIndex(self)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return normalize(vectors.astype(np.float32, copy=False))


def import_faiss() -> Any:
    """The module faiss, or an error that says how to get it."""
    try:
        import faiss
    except ImportError as error:
        raise ImportError(
            f'index="faiss" needs the package faiss-cpu ({error}). Install it with pip install'
            " 'skeegclip[faiss]', or use index=\"exact\"."
        ) from error
    return faiss


def use_index(n_gallery: int) -> bool:
    """Whether a gallery is so large that an index saves time."""
    return n_gallery > _SMALL


def _some(rng: np.random.Generator, n: int, most: int) -> np.ndarray:
    return np.sort(rng.choice(n, min(n, most), replace=False))
