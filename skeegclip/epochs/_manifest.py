"""What a store says of itself: one small file, swapped whole, that decides which bytes of the others count."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from .._utils.persistence import write_whole

_FORMAT = "skeegclip-epochs-store"
_VERSION = 1
_NAME = "manifest.json"
# All that a store writes, so that leftovers of a killed write are known from the files of others.
_OURS = re.compile(r"(epochs|rows|info)(-\d+)*\.(f32|f16|csv|json)|\.?manifest\.json.*|\.lock")
_SUFFIX = {"float32": "f32", "float16": "f16"}


@dataclass(frozen=True)
class Manifest:
    """The state of a store.

    Attributes
    ----------
    n_chans, n_times : int
        Shape of an epoch.
    dtype : "float32" | "float16"
        Type on disk.
    epochs_per_shard : int
        Every shard but the last holds so many.
    columns : dict
        Kind of each column of the rows, in order.
    n_epochs : int
        Number of epochs.
    rows_bytes : int
        Length of the rows; what follows is garbage.
    generation : int
        Counts the times the store was overwritten: new files have new names.
    id : str
        Stays under appends and changes when overwritten.
    """

    n_chans: int
    n_times: int
    dtype: str
    epochs_per_shard: int
    columns: dict[str, str]
    n_epochs: int = 0
    rows_bytes: int = 0
    generation: int = 0
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def epoch_bytes(self) -> int:
        """Bytes of an epoch on disk."""
        return self.n_chans * self.n_times * np.dtype(self.dtype).itemsize

    @property
    def n_shards(self) -> int:
        """Number of shards that count."""
        return -(-self.n_epochs // self.epochs_per_shard)

    def shard_bytes(self, shard: int) -> int:
        """Bytes of a shard that count."""
        n_epochs = min(self.epochs_per_shard, self.n_epochs - shard * self.epochs_per_shard)
        return n_epochs * self.epoch_bytes

    def shard_name(self, shard: int) -> str:
        """File name of a shard."""
        return f"epochs{self._tag}-{shard:05d}.{_SUFFIX[self.dtype]}"

    @property
    def rows_name(self) -> str:
        """File name of the rows."""
        return f"rows{self._tag}.csv"

    @property
    def info_name(self) -> str:
        """File name of the channels."""
        return f"info{self._tag}.json"

    @property
    def _tag(self) -> str:
        return f"-{self.generation}" if self.generation else ""

    def names(self) -> set[str]:
        """Return the files that count."""
        return {self.rows_name, self.info_name, *map(self.shard_name, range(self.n_shards))}

    def write(self, folder: Path) -> None:
        """Make this the state of the store in a folder."""
        content = {"format": _FORMAT, "version": _VERSION, **asdict(self)}
        write_whole(folder / _NAME, json.dumps(content, indent=1).encode())


def current(folder: Path) -> Manifest | None:
    """Return the state of the store in a folder, None where there is none yet."""
    return read_manifest(folder) if (folder / _NAME).exists() else None


def read_manifest(folder: Path) -> Manifest:
    """Read the state of the store in a folder."""
    try:
        content = json.loads((folder / _NAME).read_bytes())
    except FileNotFoundError:
        raise FileNotFoundError(
            f"path: {str(folder)!r} is not an EpochsStore (it has no {_NAME}). Make one with EpochsStore.create(...)."
        ) from None
    except ValueError as error:
        raise ValueError(
            f"path: {str(folder / _NAME)!r} is damaged ({error}). Make the store anew."
        ) from None
    if not isinstance(content, dict) or content.pop("format", None) != _FORMAT:
        raise ValueError(f"path: {str(folder / _NAME)!r} is not the manifest of an EpochsStore.")
    if (version := content.pop("version", None)) != _VERSION:
        raise ValueError(
            f"path: {str(folder)!r} is an EpochsStore of version {version!r}; this skeegclip reads version {_VERSION}."
            " Upgrade skeegclip."
        )
    try:
        return Manifest(**content)
    except TypeError as error:
        raise ValueError(
            f"path: {str(folder / _NAME)!r} is damaged ({error}). Make the store anew."
        ) from None


def foreign_files(folder: Path) -> list[str]:
    """Return names in a folder that no store writes."""
    return sorted(p.name for p in folder.iterdir() if not _OURS.fullmatch(p.name))


def garbage(folder: Path, keep: set[str]) -> list[Path]:
    """Return files of earlier or killed writes."""
    return [
        path
        for path in folder.iterdir()
        if path.name not in keep | {_NAME, ".lock"} and _OURS.fullmatch(path.name)
    ]
