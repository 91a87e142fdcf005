"""The file of an EmbeddingTable: safetensors, written in blocks and mapped into memory."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .._utils.persistence import write_whole

_FORMAT = "skeegclip-embedding-table-1"
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
    write_whole(path, table_bytes(ids, blocks, meta))


def table_bytes(ids: np.ndarray, blocks: Iterable[Any], meta: dict) -> Iterator[Any]:
    """The content of the file of a table, a part at a time."""
    blocks = iter(blocks)
    first = next(blocks, None)
    if first is None:
        raise ValueError("blocks must hold one vector per id, got no block.")
    checked = _checked(itertools.chain([first], blocks), ids)
    first = next(checked)
    # safetensors keeps its notes in a hash map: one entry, so that equal tables give equal files.
    notes = json.dumps({"format": _FORMAT, "ids": ids.tolist(), "meta": meta}, ensure_ascii=False)
    shape = [len(ids), first.shape[1]]
    tensor = {"dtype": "F32", "shape": shape, "data_offsets": [0, 4 * shape[0] * shape[1]]}
    # By hand, because safetensors wants all the vectors in memory; the format is a length, a header and the bytes.
    header = json.dumps(
        {"__metadata__": {"skeegclip": notes}, "vectors": tensor}, ensure_ascii=False
    ).encode()
    header += b" " * (-len(header) % 8)
    yield len(header).to_bytes(8, "little")
    yield header
    yield from (block.data for block in itertools.chain([first], checked))


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


def map_table(path: str | os.PathLike) -> tuple[list[str], np.ndarray, dict, Source]:
    """Ids, mapped vectors, notes, and what to open again."""
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    status = path.stat()
    try:
        with safe_open(path, framework="numpy") as file:
            header = _header((file.metadata() or {}).get("skeegclip", "{}"))
            if header.get("format") != _FORMAT or list(file.keys()) != ["vectors"]:
                raise ValueError(f"{path} is a safetensors file but not an EmbeddingTable ({_FORMAT}).")
            part = file.get_slice("vectors")
            shape, dtype = tuple(part.get_shape()), part.get_dtype()
    except SafetensorError as error:
        raise ValueError(f"{path} is not a readable safetensors file ({error}).") from error
    ids, meta = header["ids"], header["meta"]
    _check_vectors(path, ids, shape, dtype)
    # The only tensor is the end of the file: safetensors admits no gaps, and has checked the length.
    offset = status.st_size - 4 * shape[0] * shape[1]
    vectors = np.memmap(path, dtype="<f4", mode="r", offset=offset, shape=shape).view(np.ndarray)
    return ids, vectors, meta, Source(str(path.resolve()), status.st_size, status.st_mtime_ns)


def read_table(content: bytes, name: str) -> tuple[list[str], np.ndarray, dict]:
    """Ids, vectors (which lie in `content`) and notes of what `table_bytes` gave; `name` is for messages."""
    from safetensors import SafetensorError, deserialize

    try:
        tensors = deserialize(content)
        length = int.from_bytes(content[:8], "little")
        notes = json.loads(content[8 : 8 + length])["__metadata__"]["skeegclip"]
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{name} is not a readable safetensors file ({error}).") from error
    header = _header(notes)
    if header.get("format") != _FORMAT or [key for key, _ in tensors] != ["vectors"]:
        raise ValueError(f"{name} is a safetensors file but not an EmbeddingTable ({_FORMAT}).")
    ids, shape, dtype = header["ids"], tuple(tensors[0][1]["shape"]), tensors[0][1]["dtype"]
    _check_vectors(name, ids, shape, dtype)
    vectors = np.frombuffer(content, dtype="<f4", offset=8 + length).reshape(shape)
    return ids, vectors, header["meta"]


def _check_vectors(name: Any, ids: list, shape: tuple, dtype: str) -> None:
    if dtype != "F32" or len(shape) != 2 or len(ids) != shape[0] or 0 in shape:
        raise ValueError(f"{name} holds {len(ids)} ids, but vectors of type {dtype} and shape {shape}.")


def _header(text: str) -> dict:
    """Our notes in a file; empty where they are not what we write."""
    try:
        notes = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    whole = (
        isinstance(notes, dict) and isinstance(notes.get("ids"), list) and isinstance(notes.get("meta"), dict)
    )
    return notes if whole else {}


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
