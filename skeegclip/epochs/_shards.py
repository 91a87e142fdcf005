"""Shards read through memory maps."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import numpy as np

from ._manifest import Manifest, read_manifest


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
        self.stamps = [_stamp(folder, manifest, shard) for shard in range(manifest.n_shards)]
        self._maps: dict[int, np.ndarray] = {}

    def gather(self, rows: np.ndarray, chans: np.ndarray, times: slice) -> np.ndarray:
        """Read some epochs, channels and times."""
        shards, local = np.divmod(rows, self.manifest.epochs_per_shard)
        whole = len(chans) == self.shape[1] and (np.diff(chans) == 1).all()
        out = np.empty((len(rows), len(chans), times.stop - times.start), dtype=np.float32)
        for shard in np.unique(shards):
            here = shards == shard
            data = self._map(int(shard))
            out[here] = data[local[here], :, times] if whole else data[local[here][:, None], chans, times]
        return out

    def _map(self, shard: int) -> np.ndarray:
        if shard not in self._maps:
            n_bytes = self.manifest.shard_bytes(shard)
            with open(self.folder / self.manifest.shard_name(shard), "rb") as file:
                mapped = mmap.mmap(file.fileno(), n_bytes, access=mmap.ACCESS_READ)
            dtype = np.dtype(self.manifest.dtype).newbyteorder("<")
            self._maps[shard] = np.frombuffer(mapped, dtype=dtype).reshape(-1, *self.shape[1:])
        return self._maps[shard]

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "manifest": self.manifest, "stamps": self.stamps}

    def __setstate__(self, state: dict[str, Any]) -> None:
        now = read_manifest(state["folder"])
        self.__init__(state["folder"], state["manifest"])  # type: ignore[misc]
        for shard, (then, stamp) in enumerate(zip(state["stamps"], self.stamps, strict=True)):
            # An append lengthens the last shard, and touches nothing that was there.
            grown = now.n_epochs > self.manifest.n_epochs and shard == self.manifest.n_shards - 1
            if now.id != self.manifest.id or (stamp != then and not grown):
                raise ValueError(
                    f"the EpochsStore {str(self.folder)!r} has changed since this view was pickled"
                    f" (file {self.manifest.shard_name(shard)!r}). Open the store and make the view again."
                )


def _stamp(folder: Path, manifest: Manifest, shard: int) -> tuple[int, int]:
    """Size and time of a shard, which must hold all that counts."""
    path = folder / manifest.shard_name(shard)
    needed = manifest.shard_bytes(shard)
    try:
        stat = path.stat()
    except FileNotFoundError:
        raise ValueError(
            f"the EpochsStore {str(folder)!r} is damaged: {path.name} is missing. Copy or make it anew."
        ) from None
    if stat.st_size < needed:
        raise ValueError(
            f"the EpochsStore {str(folder)!r} is damaged: {path.name} has {stat.st_size} bytes of {needed}."
            " Copy or make it anew."
        )
    return stat.st_size, stat.st_mtime_ns
