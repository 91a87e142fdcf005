"""Files of a result in a folder that may hold others: a list says which are ours, and only those are replaced."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from .persistence import locked, read_regular, settle, sweep, write_whole

LIST = "skeegclip-files.json"
_MOST_BYTES = 2**20


def check_unclaimed(folder: str | os.PathLike, names: Iterable[str]) -> None:
    """Refuse a folder in which files of these names are somebody else's.

    Parameters
    ----------
    folder : path-like
        It need not be there.
    names : iterable of str
        Files that are to be written.

    Raises
    ------
    FileExistsError
        If one of them is there, and is not what an earlier save wrote.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{str(folder)!r} is a file. Choose a folder.")
    ours = _listed(folder)
    for name in names:
        path = folder / name
        if (path.exists() or path.is_symlink()) and _sum_of(path) not in ours.get(name, ()):
            raise FileExistsError(
                f"{str(path)!r} is not what an earlier save wrote there, and would be replaced. Choose another folder,"
                " or move it away."
            )


def write_listed(folder: str | os.PathLike, contents: Mapping[str, bytes]) -> None:
    """Write files, all or none, in place of those that an earlier call wrote.

    Parameters
    ----------
    folder : path-like
        Made if missing. Other files in it are left alone.
    contents : mapping of str to bytes
        Content by name.

    Raises
    ------
    FileExistsError
        If one of the names is taken by a file that is not ours; nothing is changed then.
    OSError
        If the disk is full, say; what was there before still is.
    """
    folder = Path(folder)
    check_unclaimed(folder, contents)
    folder.mkdir(parents=True, exist_ok=True)
    ours = _listed(folder)
    new = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    sweep(folder)
    waiting: dict[str, Path] = {}
    with contextlib.ExitStack() as held:  # the locks of the files, by which what a kill has left is known
        try:
            for name, content in contents.items():
                file, waiting[name] = locked(folder / name)
                held.enter_context(file)
                file.write(content)
                settle(file)
            # Until all have their names, either content is ours: a kill in between leaves nothing that a save would refuse.
            _write_list(folder, ours | {name: [*ours.get(name, []), sum_] for name, sum_ in new.items()})
            for name, path in waiting.items():
                os.replace(path, folder / name)
        except BaseException:
            for path in waiting.values():
                path.unlink(missing_ok=True)
            raise
    _write_list(folder, ours | {name: [sum_] for name, sum_ in new.items()})


def _listed(folder: Path) -> dict[str, list[str]]:
    """Checksums of the files that earlier saves wrote, by name; nothing where there is no such list."""
    try:
        said = json.loads(read_regular(folder / LIST, limit=_MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(said, dict):
        return {}
    return {
        name: sums
        for name, sums in said.items()
        if isinstance(sums, list) and all(isinstance(one, str) for one in sums)
    }


def _write_list(folder: Path, sums: Mapping[str, list[str]]) -> None:
    write_whole(folder / LIST, json.dumps(sums, indent=1, sort_keys=True).encode())


def _sum_of(path: Path) -> str | None:
    """Checksum of an ordinary file, None of a link or a folder."""
    if path.is_symlink() or not path.is_file():
        return None
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
