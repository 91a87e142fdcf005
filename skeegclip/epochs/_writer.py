"""Writing to a store: first the data, then the manifest that makes it count."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils.validation import check_finite
from ._manifest import Manifest, current, garbage
from ._rows import to_csv

if TYPE_CHECKING:
    import pandas as pd


@contextlib.contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold the store's lock; it is let go of when the process dies."""
    from filelock import FileLock, Timeout

    try:
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout:
        raise BlockingIOError(
            f"path: the EpochsStore {str(folder)!r} is being written by another process or thread. Wait for it."
        ) from None


def commit(
    folder: Path,
    start: Manifest,
    blocks: Iterable[np.ndarray],
    frame: pd.DataFrame,
    info: bytes | None = None,
) -> None:
    """Write blocks after the epochs of `start`, then make the new state count.

    After an error the old state stands, and so it does after a kill.

    Parameters
    ----------
    folder : Path
        The store, locked by the caller.
    start : Manifest
        What to write after: the state of the store, or, for a new one, a state of 0 epochs.
    blocks : iterable of ndarray, shape (k, n_chans, n_times)
        The new epochs.
    frame : DataFrame
        Their rows.
    info : bytes | None
        Content of the info file of a new store.
    """
    clear(folder)
    try:
        n_epochs, names = start.n_epochs, {start.rows_name}
        if info is not None:
            names.add(start.info_name)
            _write_at(folder / start.info_name, 0, info)
        for block in blocks:
            n_epochs = _write_block(folder, start, n_epochs, block, names)
        if n_epochs - start.n_epochs != len(frame):
            raise ValueError(
                f"rows must have one line per epoch ({n_epochs - start.n_epochs}), got {len(frame)}."
            )
        text = to_csv(frame, header=start.n_epochs == 0)
        _write_at(folder / start.rows_name, start.rows_bytes, text)
        for name in sorted(names):
            _sync(folder / name)
        _sync_folder(folder)  # the names of new files, before the manifest that counts on them
        replace(start, n_epochs=n_epochs, rows_bytes=start.rows_bytes + len(text)).write(folder)
        _sync_folder(folder)
    finally:
        clear(folder)


def clear(folder: Path) -> None:
    """Remove what does not count: files and ends of files of a write that failed, was killed, or was replaced."""
    now = current(folder)
    for path in garbage(folder, set() if now is None else now.names()):
        # Where another process still maps a replaced file, Windows keeps it: a later write removes it.
        with contextlib.suppress(PermissionError):
            path.unlink(missing_ok=True)
    if now is not None:
        last = now.n_shards - 1
        _cut(folder / now.shard_name(last), now.shard_bytes(last))
        _cut(folder / now.rows_name, now.rows_bytes)


def _cut(path: Path, size: int) -> None:
    if path.stat().st_size > size:
        os.truncate(path, size)


def _write_block(folder: Path, manifest: Manifest, n_epochs: int, block: Any, names: set[str]) -> int:
    """Write a block after the first `n_epochs`, over as many shards as it takes; `names` gets their names."""
    block = np.asarray(block)
    expected = (manifest.n_chans, manifest.n_times)
    if block.ndim != 3 or block.shape[1:] != expected or block.dtype.kind not in "fiu":
        raise ValueError(
            f"X must hold epochs of shape (n_epochs, {expected[0]}, {expected[1]}), got {block.dtype}"
            f" {block.shape}. Pick the same channels and times everywhere."
        )
    with np.errstate(over="ignore"):
        data = np.ascontiguousarray(block, dtype=np.dtype(manifest.dtype).newbyteorder("<"))
    before = n_epochs - manifest.n_epochs
    check_finite(data, rows=range(before, before + len(data)))
    per_shard = manifest.epochs_per_shard
    while len(data):
        shard, place = divmod(n_epochs, per_shard)
        part, data = data[: per_shard - place], data[per_shard - place :]
        _write_at(folder / manifest.shard_name(shard), place * manifest.epoch_bytes, part)
        names.add(manifest.shard_name(shard))
        n_epochs += len(part)
    return n_epochs


def _write_at(path: Path, offset: int, content: Any) -> None:
    content = memoryview(content).cast("B")
    file = os.open(path, os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
    try:
        os.lseek(file, offset, os.SEEK_SET)
        while content:
            content = content[os.write(file, content) :]
    finally:
        os.close(file)


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDWR)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _sync_folder(folder: Path) -> None:
    # So that the names of new files survive a power cut too; Windows has no such thing.
    if hasattr(os, "O_DIRECTORY"):
        file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(file)
        finally:
            os.close(file)
