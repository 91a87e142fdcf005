"""What happens when a store is made or added to: everything that is given is checked, then written."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils.absent import refuse_mixed
from .._utils.channels import describe, log_left_out
from .._utils.epoched import Epoched
from .._utils.params import check_number, check_option
from .._utils.size import check_size, size_of, warn_size
from .._utils.stated import check_alike
from ._adapters import Blocks, as_blocks
from ._files import opened
from ._info import from_json, to_json
from ._journal import foreign_files, recover
from ._manifest import LOCK, Manifest, current, read_manifest
from ._rows import as_frame, conform, kinds
from ._shards import Shards
from ._upgrade import ready_for_more
from ._writer import commit, only_writer

if TYPE_CHECKING:
    import mne
    import pandas as pd

_SHARD_BYTES = 2**30
_LOOKED_AT = 16  # epochs of a block, to tell one unit from another


def create(
    folder: Path,
    X: Any,
    rows: Any,
    *,
    info: mne.Info | None,
    tmin: float | None,
    dtype: str,
    overwrite: bool,
    origin: Any = None,
) -> None:
    """Write a new store; after an error a folder that was not there is not there."""
    check_option("dtype", dtype, ["float32", "float16"])
    origin = as_origin(origin)
    read = as_blocks(X)
    refuse_mixed(read.stated, "an EpochsStore")
    frame = _frame(read, rows)
    info = read.info if info is None else info
    if info is None:
        raise ValueError(
            "info is None and X carries none. Pass info=mne.create_info(ch_names, sfreq, ch_types), say."
        )
    start = read.stated.tmin if tmin is None else check_number("tmin", tmin, low=-1e6, high=1e6)
    known = describe(info, range(len(info["ch_names"])), tmin=start, is_recorded=False)
    known = replace(known, referenced=known.referenced or read.stated.referenced)
    tmin = float(start or 0.0)
    first, blocks = _first(read, info)
    log_left_out(read.left_out)
    sized = replace(known, size=size_of(first))
    blocks = _of_size(blocks, sized.size, "the first of these epochs have", read.is_converted)
    warn_size(Epoched(first, is_converted=read.is_converted), sized, "EpochsStore", stacklevel=4)
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"path: {str(folder)!r} is a file. Choose a folder.")
    is_new = not folder.exists()
    if not is_new:
        _refuse_taken(folder, overwrite)  # before the lock, which would be a change
    folder.mkdir(parents=True, exist_ok=True)
    locked = os.path.lexists(folder / LOCK)
    with only_writer(folder):
        try:
            _refuse_taken(folder, overwrite)
            old = recover(folder)
            state = Manifest(
                n_chans=first.shape[1],
                n_times=first.shape[2],
                dtype=dtype,  # type: ignore[arg-type]
                epochs_per_shard=max(1, _SHARD_BYTES // (first[0].size * np.dtype(dtype).itemsize)),
                columns=kinds(frame),  # type: ignore[arg-type]
                generation="" if old is None else secrets.token_hex(8),
            )
            replaced = () if old is None else old.names()
            commit(folder, state, blocks, frame, to_json(info, tmin, known), replaced, origin)
        except BaseException:
            if not locked and current(folder) is None:
                with contextlib.suppress(OSError):  # Windows keeps the lock file while it is held
                    (folder / LOCK).unlink()
                    if is_new:
                        folder.rmdir()
            raise


def append(folder: Path, X: Any, rows: Any, origin: Any = None) -> None:
    """Write after what a store holds."""
    origin = as_origin(origin)
    read = as_blocks(X)
    refuse_mixed(read.stated, "an EpochsStore")
    frame = _frame(read, rows)
    read_manifest(folder)  # before the lock, which would be a change
    with only_writer(folder):
        now = read_manifest(folder)
        if origin is not None and _named(origin) in [
            _named(part.origin) for part in now.parts if part.origin
        ]:
            raise FileExistsError(
                f"origin: {str(folder)!r} holds epochs of this origin already. Leave them out, or tell of another origin."
            )
        shards = Shards(folder, now)
        opened(folder, now.rows_name, now.rows_bytes).close()
        info, _, known = from_json(folder, now)
        check_alike(read.stated, known, "the store has")
        start = ready_for_more(shards)
        conformed = conform(frame, now.columns)
        blocks = iter(read.blocks)
        first = next(blocks, np.empty((0, now.n_chans, now.n_times)))
        blocks = itertools.chain([first], blocks)
        blocks = _of_size(blocks, size_of(_last(shards)), "the store has", read.is_converted)
        recover(folder)
        commit(folder, start, blocks, conformed, origin=origin)


def _named(origin: dict[str, Any]) -> dict[str, Any]:
    """What tells one origin from another: not how much was to follow."""
    return {key: value for key, value in origin.items() if key != "left"}


def as_origin(origin: Any) -> dict[str, Any] | None:
    """Return what the epochs were made of as it will be read again."""
    if origin is None:
        return None
    if not isinstance(origin, Mapping):
        raise TypeError(f"origin must be a mapping, got {type(origin).__name__}.")
    try:
        told = json.loads(json.dumps(dict(origin), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"origin must hold what JSON has: text, numbers, lists, mappings ({error})."
        ) from None
    if told != dict(origin):  # a tuple comes back as a list, a number that is a key as text
        raise TypeError("origin must come back from JSON as it is: use lists for tuples, and text for keys.")
    return told


def _of_size(blocks: Iterable[np.ndarray], size: Any, owner: str, is_converted: bool) -> Iterator[np.ndarray]:
    """Pass blocks on, and refuse those in another unit; what is no block of epochs is refused where it is written."""
    for block in blocks:
        if block.ndim == 3 and block.size and block.dtype.kind in "fiu":
            # Of a block as many as of a store: looking at more takes longer than writing them.
            few = block[np.unique(np.linspace(0, len(block) - 1, _LOOKED_AT).astype(int))]
            check_size(size_of(few), size, owner, is_converted=is_converted)
        yield block


def _last(shards: Shards) -> np.ndarray:
    """Return the last few epochs of a store."""
    n_epochs, n_chans, n_times = shards.shape
    return shards.gather(
        np.arange(max(0, n_epochs - _LOOKED_AT), n_epochs), np.arange(n_chans), slice(0, n_times)
    )


def _refuse_taken(folder: Path, overwrite: bool) -> None:
    """Refuse a folder that holds a store, unless it is to be overwritten, or anything else."""
    if current(folder) is not None and not overwrite:
        raise FileExistsError(
            f"path: {str(folder)!r} holds an EpochsStore already. Pass overwrite=True to replace it, or add to it with"
            " EpochsStore.open(path).append(X, rows)."
        )
    if foreign := foreign_files(folder):
        raise FileExistsError(
            f"path: {str(folder)!r} holds other files (first: {foreign[0]!r}). Choose a folder of its own."
        )


def _frame(read: Blocks, rows: Any) -> pd.DataFrame:
    """Return the table of the epochs to be written."""
    rows = read.rows if rows is None else rows
    if rows is None or len(rows) == 0:
        raise ValueError(
            f"rows is {'None and X carries none' if rows is None else 'empty'}. Pass a DataFrame with a line per epoch,"
            " and a column 'stimulus' at least."
        )
    n_rows = len(next(iter(rows.values()))) if isinstance(rows, Mapping) else len(rows)
    return as_frame(rows, n_rows if read.n_epochs is None else read.n_epochs)


def _first(read: Blocks, info: mne.Info) -> tuple:
    """Return the first block, and all blocks."""
    blocks = iter(read.blocks)
    first = next(blocks, None)
    if first is None or len(first) == 0:
        raise ValueError("X holds no epoch.")
    if first.ndim != 3 or first.dtype.kind not in "fiu":
        raise ValueError(
            f"X must hold real numbers of shape (n_epochs, n_chans, n_times), got {first.dtype} {first.shape}."
        )
    if first.shape[1] != len(info["ch_names"]):
        raise ValueError(
            f"info describes {len(info['ch_names'])} channels, but X has epochs of shape {first.shape[1:]}."
            " Pick the same channels in both."
        )
    return first, itertools.chain([first], blocks)
