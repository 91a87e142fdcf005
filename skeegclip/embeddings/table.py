"""EmbeddingTable: stimulus id -> vector."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .._utils.persistence import write_whole
from ._ids import mapping_to_array, positions, unique_ids

_FORMAT = "skeegclip-embedding-table-1"


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

    __slots__ = ("_file", "_ids", "_meta", "_position", "_vectors")

    _file: tuple[str, int, int] | None  # path, size and time, of a table that stays on disk
    _ids: np.ndarray
    _meta: dict[str, Any]
    _position: dict[str, int]
    _vectors: np.ndarray

    def __init__(self, ids: Any, vectors: Any, *, meta: Mapping[str, Any] | None = None) -> None:
        keys, position = unique_ids(ids, name="ids")
        matrix = np.array(vectors, dtype=np.float32, order="C")
        if matrix.ndim != 2 or len(matrix) != len(keys):
            raise ValueError(
                f"vectors must have shape (n_ids, n_dims) with n_ids = {len(keys)}, got {matrix.shape}."
            )
        if matrix.shape[1] == 0 or len(keys) == 0:
            raise ValueError(f"vectors must not be empty, got shape {matrix.shape}.")
        finite = np.isfinite(matrix).all(axis=1)
        if not finite.all():
            raise ValueError(
                f"vectors must be finite, got NaN or inf for {(~finite).sum()} ids"
                f" (first: {str(keys[~finite][0])!r}). Recompute or drop them."
            )
        keys.flags.writeable = matrix.flags.writeable = False
        self._assign(keys, position, matrix, dict(meta or {}))

    def _assign(
        self, ids: np.ndarray, position: dict, vectors: np.ndarray, meta: dict, file: tuple | None = None
    ) -> None:
        names = ("_ids", "_position", "_vectors", "_meta", "_file")
        for name, value in zip(names, (ids, position, vectors, meta, file), strict=True):
            object.__setattr__(self, name, value)

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
        return dict(self._meta)

    @property
    def n_dims(self) -> int:  # numpydoc ignore=GL08
        return self._vectors.shape[1]

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, key: object) -> bool:
        return key in self._position

    def __repr__(self) -> str:
        return f"EmbeddingTable(n={len(self)}, n_dims={self.n_dims})"

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
        if self._file is not None:
            return _map, self._file
        # Arrays only: joblib memory-maps the vectors for its workers instead of copying them, and a
        # memory map that arrives is used as it is.
        return _restore, (self._ids, self._vectors, self._meta)

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
        return self._vectors[positions(self._position, ids, name="ids", what="table")]

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
        from safetensors.numpy import save

        # safetensors keeps its notes in a hash map: one entry, so that equal tables give equal files.
        header = json.dumps(
            {"format": _FORMAT, "ids": self._ids.tolist(), "meta": self._meta}, ensure_ascii=False
        )
        write_whole(path, save({"vectors": self._vectors}, metadata={"skeegclip": header}))

    @classmethod
    def load(cls, path: str | os.PathLike, *, mapped: bool = False) -> EmbeddingTable:
        """Read a table that :meth:`save` wrote.

        Parameters
        ----------
        path : path-like
            The file.
        mapped : bool
            Whether the vectors stay in the file, memory-mapped. Such a table is pickled as its path, so that it costs
            nothing to send it to other processes; they must see the file, and find it unchanged.

        Returns
        -------
        EmbeddingTable
            Equal to the one saved.

        Raises
        ------
        ValueError
            If the file is not such a table.
        """
        from safetensors import SafetensorError, safe_open

        path = Path(path)
        try:
            with safe_open(path, framework="numpy") as file:
                header = json.loads((file.metadata() or {}).get("skeegclip", "{}"))
                if header.get("format") != _FORMAT:
                    raise ValueError(f"{path} is a safetensors file but not an EmbeddingTable ({_FORMAT}).")
                table = cls(header["ids"], file.get_tensor("vectors"), meta=header["meta"])
        except SafetensorError as error:
            raise ValueError(f"{path} is not a readable safetensors file ({error}).") from error
        return _map(*_stamped(path)) if mapped else table


def _stamped(path: Path) -> tuple[str, int, int]:
    stat = path.stat()
    return str(path.absolute()), stat.st_size, stat.st_mtime_ns


def _map(path: str, *stamp: int) -> EmbeddingTable:
    """Map a table that was loaded, and so checked, from the same file."""
    try:
        file = _stamped(Path(path))
    except FileNotFoundError:
        file = (path, -1, -1)
    if file[1:] != stamp:
        raise ValueError(
            f"the EmbeddingTable in {path!r} is missing here or has changed since it was loaded. Load it again, from a"
            " folder that all machines share."
        )
    with open(path, "rb") as opened:
        head = json.loads(opened.read(int.from_bytes(opened.read(8), "little")))
        start = opened.tell() + head["vectors"]["data_offsets"][0]
    notes = json.loads(head["__metadata__"]["skeegclip"])
    vectors = np.memmap(path, "<f4", mode="r", offset=start, shape=tuple(head["vectors"]["shape"]))
    keys, position = unique_ids(notes["ids"], name="ids")
    keys.flags.writeable = False
    table = object.__new__(EmbeddingTable)
    table._assign(keys, position, vectors.view(np.ndarray), notes["meta"], file)
    return table


def _restore(ids: np.ndarray, vectors: np.ndarray, meta: dict) -> EmbeddingTable:
    table = object.__new__(EmbeddingTable)
    ids.flags.writeable = False
    vectors.flags.writeable = False
    table._assign(ids, {key: row for row, key in enumerate(ids.tolist())}, vectors, meta)
    return table


def check_table(name: str, table: Any) -> None:
    """Refuse what cannot look ids up (an EmbeddingTable can, and a duck like it)."""
    if not (hasattr(table, "lookup") and hasattr(table, "ids")):
        raise TypeError(f"{name} must be an EmbeddingTable or None, got {type(table).__name__}.")
