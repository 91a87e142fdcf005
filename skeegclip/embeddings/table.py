"""EmbeddingTable: stimulus id -> vector."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .._utils.contents import Loading
from .._utils.folders import Content
from .._utils.html import html_card
from .._utils.ids import mapping_to_array, positions, unique_ids
from ._table_file import (
    Source,
    check_finite_rows,
    check_numbers,
    map_table,
    read_table,
    reopen,
    table_parts,
    write_table,
)

_FILE = "table.safetensors"


class EmbeddingTable:
    """Immutable table of embeddings, one vector per stimulus (or per concept).

    A table is what turns the stimulus ids in ``y`` into the vectors an encoder is trained on. It is
    shared, not copied, by :func:`sklearn.base.clone`, so that a grid search over a 65 MB table costs nothing.

    Parameters
    ----------
    ids : sequence of str, shape (n,)
        Unique ids.
    vectors : array-like, shape (n, n_dims)
        One finite vector per id; kept as read-only float32, not normalised.
    meta : dict | None
        JSON-serialisable notes (model, layer, ...), saved with the table.

    Attributes
    ----------
    ids : ndarray of str, shape (n,)
        The ids, read-only.
    vectors : ndarray of float32, shape (n, n_dims)
        The vectors, read-only.
    meta : dict
        A copy of the notes.
    n_dims : int
        Length of a vector.

    Raises
    ------
    TypeError
        If ids are not strings.
    ValueError
        If ids repeat, or vectors are not a finite matrix with one row per id.

    Examples
    --------
    >>> from skeegclip import EmbeddingTable
    >>> table = EmbeddingTable(["cat_01", "cat_02", "dog_01"], [[1, 0], [0, 1], [3, 4]])
    >>> table.lookup(["dog_01", "cat_01"])
    array([[3., 4.],
           [1., 0.]], dtype=float32)
    >>> table.normalized().lookup(["dog_01"])
    array([[0.6, 0.8]], dtype=float32)
    >>> table.mean_by(lambda i: i[:3]).ids.tolist()
    ['cat', 'dog']
    """

    __slots__ = ("_ids", "_meta", "_position", "_source", "_vectors")

    _ids: np.ndarray
    _meta: dict[str, Any]
    _position: dict[str, int] | None
    _source: Source | None
    _vectors: np.ndarray

    def __init__(self, ids: Any, vectors: Any, *, meta: Mapping[str, Any] | None = None) -> None:
        keys, position = unique_ids(ids, name="ids")
        matrix = np.array(check_numbers("vectors", vectors), dtype=np.float32, order="C")
        if matrix.ndim != 2 or len(matrix) != len(keys):
            raise ValueError(
                f"vectors must have shape (n_ids, n_dims) with n_ids = {len(keys)}, got {matrix.shape}."
            )
        if matrix.shape[1] == 0 or len(keys) == 0:
            raise ValueError(f"vectors must not be empty, got shape {matrix.shape}.")
        check_finite_rows(matrix, keys)
        self._assign(keys, position, matrix, copy.deepcopy(dict(meta or {})))

    def _assign(
        self,
        ids: np.ndarray,
        position: dict | None,
        vectors: np.ndarray,
        meta: dict,
        source: Source | None = None,
    ) -> None:
        ids.flags.writeable = vectors.flags.writeable = False
        for name, value in zip(self.__slots__, (ids, meta, position, source, vectors), strict=True):
            object.__setattr__(self, name, value)

    @property
    def _places(self) -> dict[str, int]:
        """Row of each id. For a million ids it takes more memory than they do, so it waits until it is needed."""
        if self._position is None:
            object.__setattr__(self, "_position", {key: row for row, key in enumerate(self._ids.tolist())})
        return self._position  # type: ignore[return-value]

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"EmbeddingTable is immutable; make a new one instead of setting {name!r}.")

    __delattr__ = __setattr__  # type: ignore[assignment]

    @property
    def ids(self) -> np.ndarray:  # numpydoc ignore=GL08
        return self._ids

    @property
    def vectors(self) -> np.ndarray:  # numpydoc ignore=GL08
        return self._vectors

    @property
    def meta(self) -> dict[str, Any]:  # numpydoc ignore=GL08
        return copy.deepcopy(self._meta)

    @property
    def n_dims(self) -> int:  # numpydoc ignore=GL08
        return self._vectors.shape[1]

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, key: object) -> bool:
        return key in self._places

    def __repr__(self) -> str:
        return f"EmbeddingTable(n={len(self)}, n_dims={self.n_dims})"

    def _repr_html_(self) -> str:
        facts = {"vectors": f"{len(self):,}", "dimensions": self.n_dims, "ids": self._ids[:6].tolist()}
        return html_card("EmbeddingTable", facts | {str(key): value for key, value in self._meta.items()})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, EmbeddingTable):
            return NotImplemented
        return self is other or (
            np.array_equal(self._ids, other._ids)
            and np.array_equal(self._vectors, other._vectors)
            and self._meta == other._meta
        )

    def __hash__(self) -> int:
        return hash((len(self), self.n_dims, str(self._ids[0]), self._vectors[0].tobytes()))

    def __sklearn_clone__(self) -> EmbeddingTable:
        return self

    def __copy__(self) -> EmbeddingTable:
        return self

    def __deepcopy__(self, memo: dict) -> EmbeddingTable:
        return self

    def __reduce__(self) -> tuple:
        if self._source is not None:
            return _reopen, (self._source,)
        # Arrays only: joblib memory-maps the vectors for its workers instead of copying them, and a
        # memory map that arrives is used as it is.
        return _restore, (self._ids, self._vectors, self._meta)

    # For writers that know no __reduce__ and no __slots__, such as skops, the default format of models in MLflow.
    def __getstate__(self) -> dict[str, Any]:
        return {"ids": self._ids, "vectors": np.asarray(self._vectors), "meta": self._meta}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._assign(state["ids"], None, state["vectors"], state["meta"])

    def lookup(self, ids: Any) -> np.ndarray:
        """Return the vectors of some ids, in their order.

        Parameters
        ----------
        ids : sequence of str, shape (k,)
            Known ids, repeats allowed.

        Returns
        -------
        ndarray of float32, shape (k, n_dims)
            A new array.

        Raises
        ------
        KeyError
            If ids are unknown; the message names the first few and how many.
        TypeError
            If ids are not strings.
        """
        return self._vectors[positions(self._places, ids, name="ids", what="table")]

    def subset(self, ids: Any) -> EmbeddingTable:
        """Return the table of some ids, in their order.

        Parameters
        ----------
        ids : sequence of str, shape (k,)
            Unique known ids.

        Returns
        -------
        EmbeddingTable
            The smaller table, with the same notes.
        """
        return EmbeddingTable(ids, self.lookup(ids), meta=self._meta)

    def normalized(self) -> EmbeddingTable:
        """Return the table with every vector scaled to unit length.

        Returns
        -------
        EmbeddingTable
            Zero vectors stay zero.
        """
        norm = np.linalg.norm(self._vectors, axis=1, keepdims=True)
        return EmbeddingTable(self._ids, self._vectors / np.where(norm > 0, norm, 1), meta=self._meta)

    def mean_by(self, mapping: Any) -> EmbeddingTable:
        """Average the vectors of each group, for example of each concept.

        Parameters
        ----------
        mapping : mapping | callable
            Gives the group (str) of each id.

        Returns
        -------
        EmbeddingTable
            One row per group, ids sorted.
        """
        groups, row = np.unique(
            mapping_to_array(mapping, self._ids.tolist(), name="mapping"), return_inverse=True
        )
        total = np.zeros((len(groups), self.n_dims))
        np.add.at(total, row, self._vectors)
        return EmbeddingTable(groups, total / np.bincount(row)[:, None], meta=self._meta)

    def save(self, path: str | os.PathLike) -> None:
        """Write the table to one safetensors file, whole or not at all.

        Parameters
        ----------
        path : path-like
            File to write; the usual suffix is ``.safetensors``.
        """
        write_table(path, self._ids, [self._vectors], self._meta)

    @classmethod
    def write(
        cls,
        path: str | os.PathLike,
        ids: Any,
        blocks: Iterable[Any],
        *,
        meta: Mapping[str, Any] | None = None,
    ) -> EmbeddingTable:
        """Write a table too large for memory, a block of rows at a time, and map it.

        Parameters
        ----------
        path : path-like
            File to write, whole or not at all; the usual suffix is ``.safetensors``.
        ids : sequence of str, shape (n,)
            Unique ids.
        blocks : iterable of array-like, shape (n_rows, n_dims)
            The vectors, in the order of `ids`; a generator makes them as they are written.
        meta : dict | None
            JSON-serialisable notes.

        Returns
        -------
        EmbeddingTable
            The table, as ``EmbeddingTable.load(path, mmap=True)`` gives it.

        Raises
        ------
        TypeError
            If ids are not strings.
        ValueError
            If ids repeat, or the blocks are not finite matrices of one width with one row per id in all.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from skeegclip import EmbeddingTable
        >>> ids = [f"image_{i:03d}" for i in range(300)]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     blocks = (np.full((100, 4), value) for value in range(3))
        ...     table = EmbeddingTable.write(Path(folder) / "gallery.safetensors", ids, blocks)
        >>> table.lookup(["image_250"])
        array([[2., 2., 2., 2.]], dtype=float32)
        """
        keys, _ = unique_ids(ids, name="ids")
        write_table(path, keys, blocks, dict(meta or {}))
        return cls._mapped(path, check=False)

    @classmethod
    def load(cls, path: str | os.PathLike, *, mmap: bool = False) -> EmbeddingTable:
        """Read a table that :meth:`save` or :meth:`write` wrote.

        Parameters
        ----------
        path : path-like
            The file.
        mmap : bool
            Whether to leave the vectors in the file and map them into memory: for tables larger than it, and for
            several processes that share one. Pickles of such a table hold its path only, so the file must stay where
            it is and as it is.

        Returns
        -------
        EmbeddingTable
            Equal to the one saved.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is not such a table, or not as it was written: its digest is compared, with `mmap` too.
        """
        table = cls._mapped(path, check=True)
        return table if mmap else cls(table._ids, table._vectors, meta=table._meta)

    def _to_content(self) -> Content:
        # A file that `load` reads, too.
        return Content("EmbeddingTable", files={_FILE: table_parts(self._ids, self._vectors, self._meta)})

    @classmethod
    def _from_content(cls, content: Content, loading: Loading) -> EmbeddingTable:
        try:
            ids, vectors, meta = read_table(content.files[_FILE], f"{loading.folder}: {_FILE}")
            keys, _ = unique_ids(ids, name="ids")
            check_finite_rows(vectors, keys)
        except (KeyError, TypeError, ValueError) as error:
            raise loading.refuse(error) from error
        table = object.__new__(cls)
        table._assign(keys, None, vectors, meta)
        return table

    @classmethod
    def _mapped(cls, path: Any, *, check: bool) -> EmbeddingTable:
        ids, vectors, meta, source = map_table(path, check=check)
        table = object.__new__(cls)
        table._assign(ids, None, vectors, meta, source)
        return table


def _restore(ids: np.ndarray, vectors: np.ndarray, meta: dict) -> EmbeddingTable:
    table = object.__new__(EmbeddingTable)
    table._assign(ids, {key: row for row, key in enumerate(ids.tolist())}, vectors, meta)
    return table


def _reopen(source: Source) -> EmbeddingTable:
    return EmbeddingTable._mapped(reopen(source), check=False)


def check_table(name: str, table: Any) -> None:
    """Refuse what cannot look ids up (an EmbeddingTable can, and a duck like it)."""
    if not (hasattr(table, "lookup") and hasattr(table, "ids")):
        raise TypeError(f"{name} must be an EmbeddingTable or None, got {type(table).__name__}.")
