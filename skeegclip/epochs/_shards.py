"""Shards read through memory maps."""

from __future__ import annotations

import hashlib
import itertools
import json
import mmap
import os
from pathlib import Path
from typing import Any

import numpy as np

from ._files import epochs_digest, mapped, read
from ._manifest import Manifest, damaged, read_manifest
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
        self._maps: list[mmap.mmap] = []
        self._stamps: list[tuple[int, int]] = []
        for shard in range(manifest.n_shards):
            content, stamp = mapped(folder, manifest, shard)
            self._maps.append(content)
            self._stamps.append(stamp)
        _refuse_misread(folder, manifest, self._stamps)
        dtype = np.dtype(manifest.dtype).newbyteorder("<")
        self._arrays = [np.frombuffer(m, dtype=dtype).reshape(-1, *self.shape[1:]) for m in self._maps]
        self._digests: dict[tuple, int] = {}  # of what was edited, and had to be read

    @property
    def times(self) -> list[int]:
        """When each shard was last written, as it was when it was opened."""
        return [time for _, time in self._stamps]

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
        """Return what counts of the file of rows, as it was written."""
        name = self.manifest.rows_name
        text = read(self.folder, name, self.manifest.rows_bytes)
        start = 0
        for part in self.manifest.parts:
            now = hashlib.sha256(memoryview(text)[start : part.rows_bytes]).hexdigest()
            if part.rows not in (None, now):
                raise damaged(self.folder, f"{name} was edited since it was written")
            start = part.rows_bytes
        return text

    def digest(self, start: int, stop: int) -> int:
        """Read some epochs, and return the crc32 of them."""
        return epochs_digest(self.manifest, self._maps, start, stop)

    def check(self, shard: int) -> None:
        """Refuse a shard that is not what was written; it is read where its file has another time than then."""
        if self._changed(shard, shard + 1):
            per_shard = self.manifest.epochs_per_shard
            self.verify(shard * per_shard, (shard + 1) * per_shard)

    def verify(self, first: int, last: int) -> None:
        """Read all parts that some epochs belong to, and refuse those that are not what was written."""
        start = 0
        for part in self.manifest.parts:
            stop = part.n_epochs
            if start < last and stop > first and part.epochs not in (None, self.digest(start, stop)):
                raise damaged(
                    self.folder, f"epochs {start} to {stop - 1} were changed since they were written"
                )
            start = stop

    def content_key(self, rows: np.ndarray) -> bytes:
        """Return what tells some epochs from others: the id of the store, and what was written of its parts.

        A copy has the key of the original until something else is added to either. Epochs are read only where their
        file was changed since, and in version 1 the times of the files stand for what they hold.
        """
        now = self.manifest
        ends = np.array([part.n_epochs for part in now.parts])
        facts: list[Any] = [now.id, now.info, now.dtype, self.shape[1:]]
        for number in np.unique(np.searchsorted(ends, rows, side="right")).tolist():
            start, part = (int(ends[number - 1]) if number else 0), now.parts[number]
            first, last = start // now.epochs_per_shard, (part.n_epochs - 1) // now.epochs_per_shard + 1
            held: Any = part.epochs
            if held is None:
                held = self._found(first, last)
            elif changed := self._changed(first, last):
                held = self._digests.get(key := (number, *changed))
                if held is None:
                    held = self._digests[key] = self.digest(start, part.n_epochs)
            facts.append([start, part.id, held, part.rows])
        return hashlib.sha256(json.dumps(facts).encode()).digest()

    def _found(self, first: int, last: int) -> list[int]:
        """The times that some shards have now, -1 where there is none: overwritten, and open here alone."""
        found = []
        for shard in range(first, last):
            try:
                found.append(os.stat(self.folder / self.manifest.shard_name(shard)).st_mtime_ns)
            except FileNotFoundError:
                found.append(-1)
        return found

    def _changed(self, first: int, last: int) -> list[int]:
        """The times of some shards, if one of them was written to by anything but a write to the store."""
        found = self._found(first, last)
        known = [list(self.manifest.times[first:last])]
        if found not in known:
            try:
                now = read_manifest(
                    self.folder
                )  # an append has a new time for the shard that it went on with
            except (OSError, ValueError):
                now = self.manifest
            if now.id == self.manifest.id:
                known.append(list(now.times[first:last]))
        return [] if found in known or set(found) == {-1} else found

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


def _refuse_misread(folder: Path, manifest: Manifest, stamps: list[tuple[int, int]]) -> None:
    """Refuse files that are longer than what is to be read of them, and not by what a killed write may have left.

    That is how a wrong number of times shows in version 1, whose manifest has no digest.
    """
    sizes = [size for size, _ in stamps]
    needed = [manifest.shard_bytes(shard) for shard in range(manifest.n_shards)]
    per_shard = max(1, 2**30 // manifest.epoch_bytes)
    if sizes[:-1] != needed[:-1] or (
        sizes != needed and manifest.version == 1 and per_shard != manifest.epochs_per_shard
    ):
        raise damaged(folder, f"its shards have {sizes} bytes, and {needed} of them are told of")
