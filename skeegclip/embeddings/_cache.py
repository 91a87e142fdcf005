"""Vectors on disk, so that no picture is embedded twice."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._utils.persistence import open_regular, sweep, write_whole
from .table import EmbeddingTable

# A file for every picture would be 16,540 files for THINGS-EEG2; a file at the end would lose all to a crash.
_SECONDS_BETWEEN_FILES = 5.0
_NAME = re.compile("[0-9a-f]{32}")


class VectorCache:
    """A folder of small tables, one folder for each set of settings.

    A file is written whole, never changed, and named by a digest of what it holds: several processes may write beside
    each other, and a damaged file is known by its name. Files of other names are nobody's business here.

    Parameters
    ----------
    folder : path-like
        Where all settings have their folders.
    settings : dict
        JSON-serialisable; all that decides a vector, besides the item itself.
    """

    def __init__(self, folder: str | os.PathLike, settings: dict[str, Any]) -> None:
        self._text = json.dumps(settings, sort_keys=True, indent=1)
        name = hashlib.blake2b(self._text.encode(), digest_size=16).hexdigest()
        self.folder = Path(folder).expanduser() / name

    def read(self) -> dict[str, np.ndarray]:
        """Return all vectors by key; damaged files are dropped, so that their items are computed again."""
        vectors: dict[str, np.ndarray] = {}
        if self.folder.is_dir():
            sweep(self.folder)  # who finds everything here writes nothing, which would sweep too
        for path in sorted(self.folder.glob("*.safetensors")):
            if not _NAME.fullmatch(path.stem) or path.is_dir():
                continue
            try:
                with open_regular(path):  # no link, no pipe
                    table = EmbeddingTable.load(path)
                whole = _digest(table) == path.stem
            except FileNotFoundError:  # another process has found it damaged
                continue
            except ValueError:
                whole = False
            if whole:
                vectors.update(zip(table.ids.tolist(), table.vectors, strict=True))
            else:
                warnings.warn(
                    f"The cache file {path} is damaged; what it held is computed again.",
                    UserWarning,
                    stacklevel=4,
                )
                path.unlink(missing_ok=True)
        return vectors

    @contextlib.contextmanager
    def writing(self) -> Iterator[Callable[[Sequence[str], np.ndarray], None]]:
        """Give a function that keeps keys and vectors; all of them are on disk when the block ends, however it ends."""
        keys: list[str] = []
        parts: list[np.ndarray] = []
        last = time.monotonic()

        def flush() -> None:
            if keys:
                table = EmbeddingTable(keys, np.concatenate(parts))
                table.save(self.folder / f"{_digest(table)}.safetensors")
                keys.clear()
                parts.clear()

        def keep(new_keys: Sequence[str], vectors: np.ndarray) -> None:
            nonlocal last
            keys.extend(new_keys)
            parts.append(vectors)
            if time.monotonic() - last >= _SECONDS_BETWEEN_FILES:
                flush()
                last = time.monotonic()

        about = self.folder / "settings.json"
        if not about.exists():  # for people who wonder what the folder is
            write_whole(about, self._text.encode())
        try:
            yield keep
        finally:
            flush()


def _digest(table: EmbeddingTable) -> str:
    digest = hashlib.blake2b("\n".join(table.ids.tolist()).encode(), digest_size=16)
    digest.update(table.vectors.tobytes())
    return digest.hexdigest()
