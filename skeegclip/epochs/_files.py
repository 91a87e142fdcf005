"""The files of a store, opened so that nothing outside of its folder is read or written."""

from __future__ import annotations

import contextlib
import mmap
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .._utils.persistence import open_regular, room_told
from ._manifest import Manifest, damaged


def opened(folder: Path, name: str, needed: int) -> Any:
    """Open a file for reading that has as many bytes as count."""
    try:
        file = open_regular(folder / name)
    except FileNotFoundError:
        raise damaged(folder, f"{name} is missing") from None
    except ValueError as error:
        raise damaged(folder, str(error).rstrip(".")) from None
    if (size := os.fstat(file.fileno()).st_size) < needed:
        file.close()
        raise damaged(folder, f"{name} has {size} bytes of {needed}")
    return file


def read(folder: Path, name: str, needed: int) -> bytes:
    """Return what counts of a file."""
    with opened(folder, name, needed) as file:
        return file.read(needed)


def mapped(folder: Path, manifest: Manifest, shard: int) -> tuple[mmap.mmap, tuple[int, int]]:
    """Map what counts of a shard, and return the size and time of its file."""
    needed = manifest.shard_bytes(shard)
    with opened(folder, manifest.shard_name(shard), needed) as file:
        status = os.fstat(file.fileno())
        content = mmap.mmap(file.fileno(), needed, access=mmap.ACCESS_READ)
        return content, (status.st_size, status.st_mtime_ns)


def epochs_digest(manifest: Manifest, maps: list[mmap.mmap], start: int, stop: int) -> int:
    """Return the crc32 of some epochs on disk."""
    digest, size, per_shard = 0, manifest.epoch_bytes, manifest.epochs_per_shard
    while start < stop:
        shard, place = divmod(start, per_shard)
        count = min(stop - start, per_shard - place)
        with memoryview(maps[shard]) as whole, whole[place * size : (place + count) * size] as part:
            digest = zlib.crc32(part, digest)
        start += count
    return digest


def write_at(path: Path, offset: int, content: Any, *, is_new: bool) -> None:
    """Write to a place in a file of the store, or to a new file where there is none."""
    content = memoryview(content).cast("B")
    with _writable(path, is_new) as file, room_told(path, offset + len(content)):
        os.lseek(file, offset, os.SEEK_SET)
        while content:
            content = content[os.write(file, content) :]


def cut(path: Path, size: int) -> None:
    """Cut off what lies behind `size`."""
    # Looked at first: a store in a folder that may only be read needs no cut.
    try:
        has = path.lstat().st_size
    except FileNotFoundError:
        raise damaged(path.parent, f"{path.name} is missing") from None
    if has > size:
        with _writable(path, is_new=False) as file:
            os.truncate(file, size)


def sync(path: Path) -> int:
    """Bring a file to the disk; returns the time of its last change in ns."""
    with _writable(path, is_new=False) as file:
        os.fsync(file)
        return os.fstat(file).st_mtime_ns


@contextlib.contextmanager
def _writable(path: Path, is_new: bool) -> Iterator[int]:
    if not is_new:
        with open_regular(path, os.O_RDWR) as file:
            yield file.fileno()
        return
    try:
        number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    except FileExistsError:
        raise FileExistsError(f"{str(path)!r} is in the way, and not of the store. Move it.") from None
    try:
        yield number
    finally:
        os.close(number)
