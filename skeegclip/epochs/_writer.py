"""Writing to a store: first the data, then the manifest that makes it count."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils.persistence import sync_folder
from .._utils.validation import check_finite
from ._files import sync, write_at
from ._journal import FRESH, Journal, recover
from ._manifest import LOCK, NAME, Manifest, added, damaged
from ._rows import to_csv

if TYPE_CHECKING:
    import pandas as pd


@contextlib.contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold the store's lock; it is let go of when the process dies."""
    from filelock import FileLock, Timeout

    path = folder / LOCK
    if os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode):
        raise damaged(folder, f"{LOCK} is a link, a folder or a pipe, not a plain file")
    try:
        with FileLock(path, timeout=0):
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
    replaced: Iterable[str] = (),
    origin: dict[str, Any] | None = None,
) -> None:
    """Write blocks after the epochs of `start`, then make the new state count.

    After an error the old state stands, and so it does after a kill.

    Parameters
    ----------
    folder : Path
        The store, locked by the caller and recovered.
    start : Manifest
        What to write after: the state of the store, or, for a new one, a state of 0 epochs.
    blocks : iterable of ndarray, shape (k, n_chans, n_times)
        The new epochs.
    frame : DataFrame
        Their rows.
    info : bytes | None
        Content of the info file of a new store.
    replaced : iterable of str
        Files that are removed when the new state counts.
    origin : dict | None
        What the epochs were made of.
    """
    is_new = info is not None
    try:
        made = [FRESH, start.rows_name, start.info_name] if is_new else [FRESH]
        journal = Journal(folder, made, replaced)
        if info is not None:
            write_at(folder / start.info_name, 0, info, is_new=True)
            sync(folder / start.info_name)
            start = replace(start, info=hashlib.sha256(info).hexdigest())
        shards = _Shards(folder, start, journal)
        with ThreadPoolExecutor(1, thread_name_prefix="skeegclip-digest") as pool:
            for block in blocks:
                shards.write(block, pool)
        n_new = shards.n_epochs - start.n_epochs
        if n_new != len(frame):
            raise ValueError(f"rows must have one line per epoch ({n_new}), got {len(frame)}.")
        text = to_csv(frame, header=start.n_epochs == 0)
        write_at(folder / start.rows_name, start.rows_bytes, text, is_new=is_new)
        sync(folder / start.rows_name)
        times = shards.sync()
        sync_folder(folder)  # the names of new files, before the manifest that counts on them
        state = added(
            start,
            n_epochs=shards.n_epochs,
            rows_bytes=start.rows_bytes + len(text),
            epochs=shards.digest,
            rows=hashlib.sha256(text).hexdigest(),
            times=times,
            origin=origin,
        )
        write_at(folder / FRESH, 0, state.to_json(), is_new=True)
        sync(folder / FRESH)
        os.replace(folder / FRESH, folder / NAME)
        sync_folder(folder)
    finally:
        recover(folder)


class _Shards:
    """Epochs written after those of a state."""

    def __init__(self, folder: Path, start: Manifest, journal: Journal) -> None:
        self.folder, self.start, self.journal = folder, start, journal
        self.n_epochs, self.digest = start.n_epochs, 0

    def write(self, block: Any, pool: ThreadPoolExecutor) -> None:
        """Write a block, over as many shards as it takes."""
        start = self.start
        block = np.asarray(block)
        expected = (start.n_chans, start.n_times)
        if block.ndim != 3 or block.shape[1:] != expected or block.dtype.kind not in "fiu":
            raise ValueError(
                f"X must hold epochs of shape (n_epochs, {expected[0]}, {expected[1]}), got {block.dtype}"
                f" {block.shape}. Pick the same channels and times everywhere."
            )
        with np.errstate(over="ignore"):
            data = np.ascontiguousarray(block, dtype=np.dtype(start.dtype).newbyteorder("<"))
        # Beside the writing, and done with it: the next block may come in the same memory.
        digest = pool.submit(zlib.crc32, data.data.cast("B"), self.digest) if data.size else None
        before = self.n_epochs - start.n_epochs
        check_finite(data, rows=range(before, before + len(data)))
        while len(data):
            shard, place = divmod(self.n_epochs, start.epochs_per_shard)
            part, data = data[: start.epochs_per_shard - place], data[start.epochs_per_shard - place :]
            name = start.shard_name(shard)
            is_new = place == 0
            if is_new:
                self.journal.add(name)
            write_at(self.folder / name, place * start.epoch_bytes, part, is_new=is_new)
            self.n_epochs += len(part)
        if digest is not None:
            self.digest = digest.result()

    def sync(self) -> list[int]:
        """Bring the shards to the disk; returns when each was last written."""
        first = self.start.n_epochs // self.start.epochs_per_shard
        count = -(-self.n_epochs // self.start.epochs_per_shard)
        names = map(self.start.shard_name, range(first, count))
        return [*self.start.times[:first], *(sync(self.folder / name) for name in names)]
