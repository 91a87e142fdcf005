"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def write_whole(path: str | os.PathLike, content: bytes | Iterable[Any]) -> None:
    """Write `content` to `path`: a kill at any moment leaves the old file or the new one.

    Parameters
    ----------
    path : path-like
        File to write or replace. Missing parent folders are made.
    content : bytes | iterable of bytes-like
        The new content, or its parts in their order, for what should not be in memory at once.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The temporary file lies in the same folder: os.replace is atomic only inside one file system.
    # Not tempfile.mkstemp, whose files only their owner may read.
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "xb") as file:
            parts: Iterable[Any] = [content] if isinstance(content, bytes) else content
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
