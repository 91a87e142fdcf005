"""Single files: written to the disk, and read only where they are ordinary ones."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ..persistence import open_regular
from .content import FolderError

NO_FILE = (
    "{!r} is a link or no ordinary file, which skeegclip neither writes nor follows. Get the folder with its files:"
    " cp -rL, or snapshot_download(..., local_dir=...)."
)


def write_new(path: Path, content: Sequence) -> None:
    with open(path, "xb") as file:
        for part in content:
            file.write(part)
        file.flush()
        os.fsync(file.fileno())


def read_regular(path: Path, *, size: int | None = None, most: int | None = None) -> bytes:
    """Read a file that is neither a link nor a pipe, and of one size, or of a size up to `most`."""
    try:
        file = open_regular(path)
    except (ValueError, NotADirectoryError):
        raise FolderError(NO_FILE.format(str(path))) from None
    with file:
        found = os.fstat(file.fileno()).st_size
        # Looked at first: to read n bytes Python reserves n.
        if found != size if size is not None else found > (most or 0):
            raise FolderError(
                f"{str(path)!r} has {found} bytes, which is not what was saved: the copy is cut short, or another file."
                " Get the folder again."
            )
        return file.read(found)
