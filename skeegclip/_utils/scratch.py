"""Folders for what is needed for a while, gone with their owner: at once, or with the next one after a kill."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from .persistence import HOST, lock, open_regular

_OWNER = ".owner"


@contextlib.contextmanager
def scratch_folder(kind: str, place: str | os.PathLike | None = None) -> Iterator[Path]:
    """Give a new folder, which is removed when the block ends.

    What processes of this machine have left in the same place that were killed is removed first: their folders are
    those whose lock nobody holds.

    Parameters
    ----------
    kind : str
        For the name of the folder.
    place : path-like | None
        Where to make it; made where it is missing. None takes the folder of temporary files.

    Yields
    ------
    Path
        The folder, absolute.
    """
    parent = _parent(place)
    parent.mkdir(parents=True, exist_ok=True)
    sweep_folders(kind, parent)
    folder, owner = _owned(parent, kind)
    try:
        with owner:
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _owned(parent: Path, kind: str) -> tuple[Path, BinaryIO]:
    """A new folder, and the open file in it that holds its lock."""
    while True:
        folder = parent / f".skeegclip-{kind}-{HOST}-{uuid.uuid4().hex}"
        folder.mkdir(mode=0o700)
        with contextlib.suppress(FileNotFoundError):  # who sweeps at this very moment was quicker
            owner = open(folder / _OWNER, "xb")  # noqa: SIM115
            if lock(owner) in (True, None) and (folder / _OWNER).exists():
                return folder, owner
            owner.close()


def _parent(place: str | os.PathLike | None) -> Path:
    return Path(tempfile.gettempdir() if place is None else place).absolute()


def sweep_folders(kind: str, place: str | os.PathLike | None = None) -> None:
    """Remove the folders of owners that are dead, for who may come to need none himself.

    Parameters
    ----------
    kind, place
        As of :func:`scratch_folder`; the place may be missing.
    """
    parent, start = _parent(place), f".skeegclip-{kind}-{HOST}-"
    for name in os.listdir(parent) if parent.is_dir() else ():
        token = name.removeprefix(start)
        if len(token) != 32 or token.strip("0123456789abcdef") or not name.startswith(start):
            continue
        folder = parent / name
        with contextlib.suppress(OSError, ValueError):  # of another user, or gone meanwhile
            try:
                owner = open_regular(folder / _OWNER)
            except FileNotFoundError:
                folder.rmdir()  # killed before it was owned; not if there is anything in it
                continue
            with owner:
                if lock(owner):
                    shutil.rmtree(folder)
