"""The file of an EmbeddingTable: safetensors with a digest, written in blocks and mapped into memory."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Literal, NamedTuple

import numpy as np

from .._utils.ids import unique_ids
from .._utils.persistence import conforming, room_told, write_whole

_FORMAT = "skeegclip-embedding-table-2"
_FIRST = "skeegclip-embedding-table-1"  # had no digest
_UNKNOWN = "0" * 64  # in the place of the digest, until everything is written
_BLOCK = 2**22  # numbers looked at at once


class Source(NamedTuple):
    """The file that a table is mapped from, as it was then."""

    path: str
    size: int
    time: int


def check_numbers(name: str, values: Any) -> np.ndarray:
    """Return vectors as an array of real numbers; what numpy would convert in silence is refused."""
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise TypeError(
            f"{name} must be an array of real numbers, got {type(values).__name__} of {array.dtype}."
            " Convert it first, with toarray() or astype(float)."
        )
    if np.ma.is_masked(values):
        raise ValueError(
            f"{name} must not be masked, got {int(np.ma.getmaskarray(values).sum())} masked numbers."
        )
    return array


def check_finite_rows(vectors: np.ndarray, ids: np.ndarray) -> None:
    """Refuse NaN and inf, naming the first id; a mapped file is read a block at a time."""
    step = max(1, _BLOCK // vectors.shape[1])
    bad = [
        start + row
        for start in range(0, len(vectors), step)
        for row in np.flatnonzero(~np.isfinite(vectors[start : start + step]).all(axis=1))
    ]
    if bad:
        raise ValueError(
            f"vectors must be finite, got NaN or inf for {len(bad)} ids (first: {str(ids[bad[0]])!r})."
            " Recompute or drop them."
        )


def write_table(path: Any, ids: np.ndarray, blocks: Iterable[Any], meta: dict) -> None:
    """Write ids and blocks of vectors, whole or not at all."""
    path, (n_bytes, write) = Path(path), _laid_out(ids, blocks, meta)
    with room_told(path, n_bytes):
        write_whole(path, write)


def table_parts(ids: np.ndarray, vectors: np.ndarray, meta: dict) -> list:
    """The content of the file of a table that is part of a folder, uncopied; its digest is in the folder's manifest."""
    notes = json.dumps({"format": _FIRST, "ids": ids.tolist(), "meta": meta}, ensure_ascii=False)
    return [_header({"skeegclip": notes}, vectors.shape), np.ascontiguousarray(vectors, dtype="<f4").data]


def _header(about: dict[str, str], shape: tuple[int, ...]) -> bytes:
    # By hand, because safetensors wants all the vectors in memory, and writes entries in any order, so that equal tables
    # give files that differ; the format is a length, a header and the bytes.
    tensor = {"dtype": "F32", "shape": list(shape), "data_offsets": [0, 4 * math.prod(shape)]}
    header = json.dumps({"__metadata__": about, "vectors": tensor}, ensure_ascii=False).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header


def _laid_out(ids: np.ndarray, blocks: Iterable[Any], meta: dict) -> tuple[int, Callable[[BinaryIO], None]]:
    """How long the file is, and what writes it."""
    blocks = iter(blocks)
    first = next(blocks, None)
    if first is None:
        raise ValueError("blocks must hold one vector per id, got no block.")
    checked = _checked(itertools.chain([first], blocks), ids)
    first = next(checked)
    notes = json.dumps({"format": _FORMAT, "ids": ids.tolist(), "meta": meta}, ensure_ascii=False)
    n_rows, n_dims = len(ids), first.shape[1]
    header = _header({"sha256": _UNKNOWN, "skeegclip": notes}, (n_rows, n_dims))

    def write(file: BinaryIO) -> None:
        digest = hashlib.sha256(notes.encode())
        file.write(header)
        for block in itertools.chain([first], checked):
            digest.update(block.data)
            file.write(block.data)
        file.seek(header.index(_UNKNOWN.encode()))
        file.write(digest.hexdigest().encode())

    return len(header) + 4 * n_rows * n_dims, write


def _checked(blocks: Iterable[Any], ids: np.ndarray) -> Iterator[np.ndarray]:
    """Blocks as little-endian float32, one row per id in all."""
    n_rows, width = 0, None
    for given in blocks:
        block = np.ascontiguousarray(check_numbers("blocks", given), dtype="<f4")
        if block.ndim != 2 or block.shape[1] == 0 or block.shape[1] != (width or block.shape[1]):
            raise ValueError(
                f"blocks must be matrices of one width{'' if width is None else f' ({width})'}, got shape"
                f" {block.shape} after {n_rows} rows."
            )
        width = block.shape[1]
        check_finite_rows(block, ids[n_rows:] if n_rows + len(block) <= len(ids) else np.arange(len(block)))
        n_rows += len(block)
        if n_rows > len(ids):
            break
        yield block
    if n_rows != len(ids):
        raise ValueError(
            f"blocks must hold one vector per id, {len(ids)}, got {'more' if n_rows > len(ids) else n_rows}."
        )


@dataclass(frozen=True)
class _Notes:
    """What we write of a table besides its vectors."""

    format: Literal["skeegclip-embedding-table-1", "skeegclip-embedding-table-2"]
    ids: list[str]
    meta: dict[str, Any]

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}


def map_table(
    path: str | os.PathLike, *, check: bool
) -> tuple[np.ndarray, np.ndarray, dict[str, Any], Source]:
    """Ids, mapped vectors, notes, and what to open again; the digest is compared if `check`."""
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    # A link is followed, as the caches of the hub are full of them; a pipe would wait.
    if not path.is_file():
        kind, what = (
            (ValueError, "is a folder or a pipe") if path.exists() else (FileNotFoundError, "does not exist")
        )
        raise kind(f"path: {str(path)!r} {what}. Pass the file that EmbeddingTable.save() wrote.")
    try:
        status = path.stat()
        with safe_open(path, framework="numpy") as file:
            about = file.metadata() or {}
            notes = _read_notes(about)
            if list(file.keys()) != ["vectors"]:
                raise ValueError(f"it holds {list(file.keys())[:3]}, not vectors")
            part = file.get_slice("vectors")
            shape, dtype = tuple(part.get_shape()), part.get_dtype()
        _check_vectors(notes, shape, dtype)
        # The only tensor is the end of the file: safetensors admits no gaps, and has checked the length.
        offset = status.st_size - 4 * shape[0] * shape[1]
        vectors = np.memmap(path, dtype="<f4", mode="r", offset=offset, shape=shape).view(np.ndarray)
        ids, _ = unique_ids(notes.ids, name="ids")
        if check:
            check_finite_rows(vectors, ids)
            if notes.format == _FORMAT:
                _compare(about, vectors)
    except SafetensorError as error:
        raise ValueError(f"path: {str(path)!r} is not a readable safetensors file ({error}).") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(
            f"path: {str(path)!r} is not an EmbeddingTable as one was saved ({str(error)[:300]})."
        ) from error
    return ids, vectors, notes.meta, Source(str(path.resolve()), status.st_size, status.st_mtime_ns)


def _read_notes(about: dict[str, str]) -> _Notes:
    notes = conforming(_Notes, json.loads(about.get("skeegclip", "null")))
    if set(about) != ({"skeegclip"} if notes.format == _FIRST else {"skeegclip", "sha256"}):
        raise ValueError(f"its notes are {sorted(about)[:4]}")
    return notes


def _compare(about: dict[str, str], vectors: np.ndarray) -> None:
    digest = hashlib.sha256(about["skeegclip"].encode())
    digest.update(vectors.data)
    if digest.hexdigest() != about["sha256"]:
        raise ValueError("it does not have the sha256 that it tells")


def read_table(content: bytes, name: str) -> tuple[list[str], np.ndarray, dict]:
    """Ids, vectors (which lie in `content`) and notes of what `table_parts` gave; `name` is for messages."""
    try:
        start = 8 + int.from_bytes(content[:8], "little")
        header = json.loads(content[8:start])
        if header.keys() != {"__metadata__", "vectors"}:
            raise ValueError(f"it holds {list(header)[:3]}, not vectors")
        tensor, notes = header["vectors"], _read_notes(header["__metadata__"])
        shape = tuple(tensor["shape"])
        _check_vectors(notes, shape, tensor["dtype"])
        vectors = np.frombuffer(content, dtype="<f4", offset=start).reshape(shape)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{name} is not an EmbeddingTable as one was saved ({str(error)[:300]}).") from error
    return notes.ids, vectors, notes.meta


def _check_vectors(notes: _Notes, shape: tuple, dtype: str) -> None:
    if dtype != "F32" or len(shape) != 2 or len(notes.ids) != shape[0] or 0 in shape:
        raise ValueError(f"it holds {len(notes.ids)} ids, but vectors of type {dtype} and shape {shape}")


def reopen(source: Source) -> str:
    """The path of a mapped file, where it is still the one that was mapped."""
    path = Path(source.path)
    status = path.stat() if path.exists() else None
    if status is None or (status.st_size, status.st_mtime_ns) != (source.size, source.time):
        raise ValueError(
            f"{path} is missing here, or was changed since this EmbeddingTable was mapped from it. Load it anew, from a"
            " folder that all machines share."
        )
    return source.path
