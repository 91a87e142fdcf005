"""What a write is about to make, told before it is made, so that the next write may remove it after a kill."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

from .._utils.persistence import read_regular, sync_folder
from ._files import cut, sync, write_at
from ._manifest import LOCK, NAME, Manifest, current

JOURNAL = ".skeegclip-writing"
FRESH = ".manifest.json.fresh"  # becomes the manifest
_HEAD = b"skeegclip-epochs-journal-1\n"
_LIMIT = 2**26
_TAG = r"(-([1-9]\d{0,9}|[0-9a-f]{16}))?"
_NAMES = re.compile(rf"epochs{_TAG}-\d{{5,}}\.f(32|16)|rows{_TAG}\.csv|info{_TAG}\.json|{re.escape(FRESH)}")


class Journal:
    """The list of files that a write makes or replaces, a line each.

    Parameters
    ----------
    folder : Path
        The store, locked and without a journal.
    made : iterable of str
        Files that are made first; there must be none of their names, because what is told of here may be removed.
    replaced : iterable of str
        Files of the store that go when the new state counts.
    """

    def __init__(self, folder: Path, made: Iterable[str], replaced: Iterable[str]) -> None:
        self.path = folder / JOURNAL
        self._size = 0
        made = [self._free(name) for name in made]
        self._append(_HEAD + _lines([*made, *replaced]))
        sync_folder(folder)

    def add(self, name: str) -> None:
        """Tell of one more file that is made."""
        self._append(_lines([self._free(name)]))

    def _free(self, name: str) -> str:
        if os.path.lexists(path := self.path.with_name(name)):
            raise FileExistsError(f"{str(path)!r} is in the way, and not of the store. Move it.")
        return name

    def _append(self, text: bytes) -> None:
        write_at(self.path, self._size, text, is_new=self._size == 0)
        self._size += len(text)
        sync(self.path)


def _lines(names: Iterable[str]) -> bytes:
    return "".join(f"{name}\n" for name in names).encode()


def told(folder: Path) -> list[str] | None:
    """Return the names in a journal; None where there is none."""
    try:
        text = read_regular(folder / JOURNAL, limit=_LIMIT)
    except FileNotFoundError:
        return None
    head, lines = text[: len(_HEAD)], text[len(_HEAD) :]
    # A kill may have cut the text off anywhere; what a cut line names was not made yet.
    if not _HEAD.startswith(head):
        raise ValueError(f"{str(folder / JOURNAL)!r} is not the journal of an EpochsStore. Move it.")
    names = lines[: lines.rfind(b"\n") + 1].decode("ascii", "replace").splitlines()
    if odd := [name for name in names if not _NAMES.fullmatch(name)]:
        raise ValueError(f"{str(folder / JOURNAL)!r} is damaged: it tells of {odd[0][:80]!r}. Move it.")
    return names


def foreign_files(folder: Path) -> list[str]:
    """Return what a folder holds besides a store."""
    # In this order, for a folder that is being written: what a write makes it tells of first, and then it counts.
    found, names, now = os.listdir(folder), told(folder), current(folder)
    ours = {NAME, *now.names()} if now is not None else set()
    if names is not None:
        ours |= {JOURNAL, *names}
    lock = folder / LOCK
    if os.path.lexists(lock) and not lock.is_symlink() and lock.is_file() and lock.stat().st_size == 0:
        ours.add(LOCK)
    return sorted(name for name in found if name not in ours and os.path.lexists(folder / name))


def recover(folder: Path) -> Manifest | None:
    """Remove what a write has left that failed or was killed, or what it has replaced; returns the state that counts."""
    now, names = current(folder), told(folder)
    if now is not None:
        last = now.n_shards - 1
        cut(folder / now.shard_name(last), now.shard_bytes(last))
        cut(folder / now.rows_name, now.rows_bytes)
    if names is not None:
        keep = set() if now is None else now.names()
        left = [name for name in names if name not in keep and not _removed(folder / name)]
        # Where another process still maps a replaced file, Windows keeps it: a later write removes it.
        if not left:
            (folder / JOURNAL).unlink()
    return now


def _removed(path: Path) -> bool:
    with contextlib.suppress(PermissionError, IsADirectoryError):
        path.unlink(missing_ok=True)
    return not os.path.lexists(path) or path.is_dir()
