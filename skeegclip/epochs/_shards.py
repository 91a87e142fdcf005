"""Shards read through memory maps."""

from __future__ import annotations

import itertools
import mmap
import os
from pathlib import Path
from typing import Any

import numpy as np

from ._manifest import Manifest, read_manifest
from ._sources import take


class Shards:
    """The epochs of a store, read as they are asked for.

    Pickled as path and the size and time of each file; the memory maps are made anew on arrival.

    Parameters
    ----------
    folder : Path
        The store.
    manifest : Manifest
        Its state; what is appended later does not show here.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder, self.manifest = folder, manifest
        self.shape = (manifest.n_epochs, manifest.n_chans, manifest.n_times)
        opened = [_open(folder, manifest, shard) for shard in range(manifest.n_shards)]
        self._maps = [mapped for mapped, _ in opened]
        self._stamps = [stamp for _, stamp in opened]
        dtype = np.dtype(manifest.dtype).newbyteorder("<")
        self._arrays = [np.frombuffer(m, dtype=dtype).reshape(-1, *self.shape[1:]) for m in self._maps]

    def gather(self, rows: np.ndarray, chans: np.ndarray, times: slice) -> np.ndarray:
        """Read some epochs, channels and times."""
        shards, local = np.divmod(rows, self.manifest.epochs_per_shard)
        edges = [*np.flatnonzero(np.diff(shards, prepend=-1)), len(rows)]
        runs = [(shards[start], start, stop) for start, stop in itertools.pairwise(edges)]
        for shard, start, stop in runs:
            self._announce(shard, local[start:stop])
        out = np.empty((len(rows), len(chans), times.stop - times.start), dtype=np.float32)
        for shard, start, stop in runs:
            block = take(self._arrays[shard], local[start:stop], chans, times)
            if len(runs) == 1:
                return block
            out[start:stop] = block
        return out

    def rows_text(self) -> bytes:
        """Return what counts of the file of rows."""
        name, needed = self.manifest.rows_name, self.manifest.rows_bytes
        try:
            with open(self.folder / name, "rb") as file:
                text = file.read(needed)
        except FileNotFoundError:
            text = b""
        if len(text) < needed:
            raise ValueError(_damaged(self.folder, f"{name} has {len(text)} bytes of {needed}"))
        return text

    def content_key(self) -> bytes:
        """Return what stays the same while the epochs do: a store only ever adds to what it holds."""
        return self.manifest.id.encode()

    def _announce(self, shard: int, local: np.ndarray) -> None:
        """Ask the system to fetch epochs, all at once, that would else be fetched one after another."""
        if not hasattr(mmap, "MADV_WILLNEED"):
            return
        size, mapped = self.manifest.epoch_bytes, self._maps[shard]
        for row in local.tolist():
            start = row * size // mmap.PAGESIZE * mmap.PAGESIZE
            mapped.madvise(mmap.MADV_WILLNEED, start, (row + 1) * size - start)

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "manifest": self.manifest, "stamps": self._stamps}

    def __setstate__(self, state: dict[str, Any]) -> None:
        folder, then = state["folder"], state["manifest"]
        now = read_manifest(folder)
        if now.id == then.id:
            self.__init__(folder, then)  # type: ignore[misc]
            # An append lengthens the last shard, and touches nothing that was there before.
            sealed = len(self._stamps) - (now.n_epochs > then.n_epochs)
            if self._stamps[:sealed] == state["stamps"][:sealed]:
                return
        raise ValueError(
            f"the EpochsStore {str(folder)!r} has changed since this view of it was pickled."
            " Open the store and make the view again."
        )


def _open(folder: Path, manifest: Manifest, shard: int) -> tuple[mmap.mmap, tuple[int, int]]:
    """Map what counts of a shard, and return the size and time of its file."""
    path, needed = folder / manifest.shard_name(shard), manifest.shard_bytes(shard)
    try:
        with open(path, "rb") as file:
            stat = os.fstat(file.fileno())
            if stat.st_size >= needed:
                mapped = mmap.mmap(file.fileno(), needed, access=mmap.ACCESS_READ)
                return mapped, (stat.st_size, stat.st_mtime_ns)
    except FileNotFoundError:
        raise ValueError(_damaged(folder, f"{path.name} is missing")) from None
    raise ValueError(_damaged(folder, f"{path.name} has {stat.st_size} bytes of {needed}"))


def _damaged(folder: Path, what: str) -> str:
    return f"the EpochsStore {str(folder)!r} is damaged: {what}. Copy it again, or make it anew."
