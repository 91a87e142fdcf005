"""What a store says of itself: one small file, swapped whole, that decides which bytes of the others count."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from .._utils.persistence import conforming, read_regular

FORMAT = "skeegclip-epochs-store"
NAME = "manifest.json"
LOCK = ".lock"
_VERSION = 2
_TRACED = 3  # of a store that tells what its parts were made of
_SUFFIX = {"float32": "f32", "float16": "f16"}
_LIMIT = 2**26  # bytes of a manifest: parts of a million appends
_MOST = 2**48  # of anything counted: products of two stay numbers that files can have
_ID = re.compile("[0-9a-f]{32}")
_SHA256 = re.compile("[0-9a-f]{64}")
# Generations are numbers in stores of version 1, and drawn since: a name drawn is in nobody's way.
_GENERATION = re.compile("|[1-9][0-9]{0,9}|[0-9a-f]{16}")

Kind = Literal["text", "bool", "int", "float"]


def damaged(folder: Path, what: str) -> ValueError:
    """Return the error for a store that is not what it says."""
    return ValueError(f"the EpochsStore {str(folder)!r} is damaged: {what}. Copy it again, or make it anew.")


@dataclass(frozen=True)
class Part:
    """What one write has added.

    Attributes
    ----------
    n_epochs, rows_bytes : int
        Where it ends, in epochs and in bytes of the rows; it begins where the one before ends.
    epochs : int | None
        crc32 of its epochs on disk; None in version 1. It is there to notice damage and edits, and takes a third of
        the time of a cryptographic digest; what tells parts apart is their id.
    rows : str | None
        sha256 of its rows; None in version 1.
    id : str
        Drawn by the write.
    origin : dict | None
        What it was made of, as the writer has told; since version 3.
    """

    n_epochs: int
    rows_bytes: int
    epochs: int | None
    rows: str | None
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    origin: dict[str, Any] | None = None

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}


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
    generation : str
        In the names of files: differs each time the store is overwritten.
    id : str
        Stays under appends and changes when overwritten.
    info : str | None
        sha256 of the file of channels; None in version 1.
    parts : list of Part
        What each write has added.
    times : list of int
        When each shard was last written, in ns: who edits one in place is found out by it.
    version : int
        Of the format: 1 has no digests; 3 is 2 with an origin of some part, which earlier versions of skeegclip refuse.
    """

    n_chans: int
    n_times: int
    dtype: Literal["float32", "float16"]
    epochs_per_shard: int
    columns: dict[str, Kind]
    n_epochs: int = 0
    rows_bytes: int = 0
    generation: str = ""
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    info: str | None = None
    parts: list[Part] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    version: int = _VERSION

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

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
    def left(self) -> int:
        """How many parts were to follow, as the last origin tells that tells of it: others come by hand."""
        told = [part.origin["left"] for part in self.parts if part.origin and "left" in part.origin][-1:]
        return next((n for n in told if type(n) is int and n > 0), 0)

    @property
    def _tag(self) -> str:
        return f"-{self.generation}" if self.generation else ""

    def names(self) -> set[str]:
        """Return the files that count."""
        return {self.rows_name, self.info_name, *map(self.shard_name, range(self.n_shards))}

    def to_json(self) -> bytes:
        """Return the text of the file."""
        content = {"format": FORMAT, **asdict(self)}
        for part in content["parts"]:
            if part["origin"] is None:  # as before there were any
                del part["origin"]
        return json.dumps(content | {"sha256": _digest(content)}, indent=1).encode()


def _digest(content: dict[str, Any]) -> str:
    """What tells a manifest that was changed by anything but a write."""
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


@dataclass(frozen=True)
class _First:
    """A manifest of version 1."""

    n_chans: int
    n_times: int
    dtype: Literal["float32", "float16"]
    epochs_per_shard: int
    columns: dict[str, Kind]
    n_epochs: int
    rows_bytes: int
    generation: int
    id: str

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}


def current(folder: Path) -> Manifest | None:
    """Return the state of the store in a folder, None where there is none yet."""
    try:
        return read_manifest(folder)
    except FileNotFoundError:
        return None


def read_manifest(folder: Path) -> Manifest:
    """Read the state of the store in a folder."""
    path = folder / NAME
    try:
        content = json.loads(read_regular(path, limit=_LIMIT))
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(
            f"path: {str(folder)!r} is not an EpochsStore (it has no {NAME}). Make one with EpochsStore.create(...)."
        ) from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"path: {str(path)!r} is damaged ({error}). Make the store anew.") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"path: {str(path)!r} is not the manifest of an EpochsStore.")
    version = content.get("version")
    if type(version) is not int or not 1 <= version <= _TRACED:
        raise ValueError(
            f"path: {str(folder)!r} is an EpochsStore of version {str(version)[:20]}; this skeegclip reads versions 1 to"
            f" {_TRACED}. Upgrade skeegclip."
        )
    try:
        return _of_first(content) if version == 1 else _of_second(content)
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"path: {str(path)!r} is damaged ({error}). Make the store anew.") from None


def _of_second(content: dict[str, Any]) -> Manifest:
    told = content.pop("sha256", None)
    if told != _digest(content):
        raise ValueError("it does not have the sha256 that it tells")
    content.pop("format")
    manifest = conforming(Manifest, content)
    parts = manifest.parts
    digests = [manifest.info, *(part.rows for part in parts)]
    ends = [(part.n_epochs, part.rows_bytes) for part in parts]
    _refuse(
        {
            "digests are no sha256": not all(_SHA256.fullmatch(digest or "") for digest in digests),
            "digests are no crc32": not all(
                0 <= (-1 if p.epochs is None else p.epochs) < 2**32 for p in parts
            ),
            "ids are none": not all(_ID.fullmatch(part.id) for part in parts),
            "parts do not follow each other": any(
                this[0] <= before[0] or this[1] <= before[1]
                for before, this in zip([(0, 0), *ends], ends, strict=False)
            ),
            "parts do not add up": ends[-1:] != [(manifest.n_epochs, manifest.rows_bytes)],
        }
    )
    return _plausible(manifest)


def _of_first(content: dict[str, Any]) -> Manifest:
    first = conforming(
        _First, {key: value for key, value in content.items() if key not in ("format", "version")}
    )
    facts = asdict(first) | {"generation": str(first.generation) if first.generation else ""}
    part = Part(first.n_epochs, first.rows_bytes, None, None, first.id)
    return _plausible(Manifest(**facts, parts=[part], version=1))


def _plausible(manifest: Manifest) -> Manifest:
    """Return a manifest that a store could have; nothing of it is used before."""
    counts = (
        manifest.n_chans,
        manifest.n_times,
        manifest.epochs_per_shard,
        manifest.n_epochs,
        manifest.rows_bytes,
    )
    _refuse(
        {
            "counts must be positive": not all(0 < count < _MOST for count in counts),
            "generation is none": not _GENERATION.fullmatch(manifest.generation),
            "id is none": not _ID.fullmatch(manifest.id),
            "columns must have names": not manifest.columns or "" in manifest.columns,
        }
    )
    wrong = manifest.version > 1 and len(manifest.times) != manifest.n_shards
    _refuse({"times must tell of every shard": wrong})
    return manifest


def _refuse(faults: dict[str, bool]) -> None:
    for fault, is_there in faults.items():
        if is_there:
            raise ValueError(fault)


def added(start: Manifest, **facts: Any) -> Manifest:
    """Return the state after a write, with the part it has added."""
    origin = facts.pop("origin")
    part = Part(facts["n_epochs"], facts["rows_bytes"], facts.pop("epochs"), facts.pop("rows"), origin=origin)
    version = start.version if origin is None else _TRACED
    return replace(start, **facts, parts=[*start.parts, part], version=version)
