"""Single files: written to the disk, and read only where they are ordinary ones."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from .content import FolderError


def write_new(path: Path, content: bytes) -> None:
    with open(path, "xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    # So that new names survive a power cut too; Windows has no such thing.
    if hasattr(os, "O_DIRECTORY"):
        number = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def read_regular(path: Path, most: int) -> bytes:
    """Read a file that is neither a link, a pipe nor larger than it should be."""
    flags = (
        os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    )
    try:
        number = os.open(path, flags)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise FolderError(f"{str(path)!r} is no ordinary file. Get the folder again.") from None
        raise
    with open(number, "rb") as file:
        state = os.fstat(number)
        if not stat.S_ISREG(state.st_mode):
            raise FolderError(f"{str(path)!r} is no ordinary file. Get the folder again.")
        if state.st_size > most:
            raise FolderError(f"{str(path)!r} is larger than what was saved. Get the folder again.")
        return file.read(most + 1)
