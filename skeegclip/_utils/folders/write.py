"""Writing a saved folder."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ..._version import __version__
from .content import Content
from .files import read_regular, sync_folder, write_new
from .manifest import (
    FOLDER,
    FORMAT,
    LISTED,
    MANIFEST,
    MANIFEST_BYTES,
    NAME,
    NEXT,
    VERSION,
    WEIGHTS,
    File,
    Manifest,
    Tree,
    is_inside,
    read_manifest,
)

_LOCK = ".skeegclip.lock"


def write_folder(folder: str | os.PathLike, content: Content) -> None:
    """Save, whole or not at all.

    Parameters
    ----------
    folder : path-like
        Made if missing. An earlier save of the same kind is replaced; until the new one is there it can be read.
    content : Content
        What to save.

    Raises
    ------
    FileExistsError
        If the folder holds something else, which is left as it is.
    BlockingIOError
        If another process or thread is saving there.
    OSError
        If the disk is full, say; what was there before still is.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{str(folder)!r} is a file. Choose a folder.")
    tree, files = _laid_out(content)
    _check_room(folder, content.kind)
    made = _make_folders(folder)
    try:
        with _only_writer(folder):
            old = _check_room(folder, content.kind)
            _sweep(folder, keep=old)
            _write(folder, tree, files)
            _sweep(folder, keep=read_manifest(folder))
    except BaseException:
        if made:  # of a folder that is new, nothing stays
            with contextlib.suppress(OSError):
                (folder / _LOCK).unlink()
            for path in made:
                with contextlib.suppress(OSError):
                    path.rmdir()
        raise


def _laid_out(content: Content, prefix: str = "") -> tuple[Tree, dict[str, bytes]]:
    """The tree of the manifest, and the content of every file by its path inside the folder of files."""
    from safetensors.numpy import save

    files = dict(content.files)
    if content.arrays:
        # safetensors writes the memory of an array as it lies, whatever its strides.
        files[WEIGHTS] = save({key: np.ascontiguousarray(value) for key, value in content.arrays.items()})
    for name in [*files, *content.parts]:
        if not NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot name a file: use letters, digits, '_', '-' and '.'.")
    tree_files = sorted(files)
    every = {prefix + name: value for name, value in files.items()}
    parts = {}
    for name, part in content.parts.items():
        parts[name], inside = _laid_out(part, f"{prefix}{name}/")
        every.update(inside)
    return Tree(content.kind, content.facts, tree_files, parts), every


def _check_room(folder: Path, kind: str) -> Manifest | None:
    """What an earlier save left in a folder; refuse one that holds anything else and no save of ours."""
    if not folder.exists():
        return None
    if (folder / MANIFEST).is_symlink() or (folder / MANIFEST).exists():
        old = read_manifest(folder)
        if old.content.kind != kind:
            raise FileExistsError(
                f"{str(folder)!r} holds a saved {old.content.kind}, not a {kind}. Choose another folder."
            )
        return old
    foreign = sorted(path.name for path in folder.iterdir() if path.name != _LOCK and not _is_ours(path))
    if foreign:
        raise FileExistsError(
            f"{str(folder)!r} holds other files (first: {foreign[0]!r}). Choose a folder of its own."
        )
    return None


def _is_ours(path: Path) -> bool:
    """Whether a folder of files was begun by a save: it lists what it holds, before it holds it."""
    if not FOLDER.fullmatch(path.name) or path.is_symlink() or not path.is_dir():
        return False
    return {entry.name for entry in path.iterdir()} <= {LISTED} or _listed(path) is not None


def _make_folders(folder: Path) -> list[Path]:
    """Make a folder and those above it; return the new ones, the innermost first."""
    missing = [path for path in [folder, *folder.parents] if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


@contextlib.contextmanager
def _only_writer(folder: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    try:
        with FileLock(folder / _LOCK, timeout=60):  # let go of when the process dies
            yield
    except Timeout:
        raise BlockingIOError(
            f"{str(folder)!r} is being saved to by another process or thread. Wait for it, or choose another folder."
        ) from None


def _write(folder: Path, tree: Tree, files: dict[str, bytes]) -> None:
    place = folder / f"saved-{secrets.token_hex(8)}"
    listed = {
        name: File(len(content), hashlib.sha256(content).hexdigest()) for name, content in files.items()
    }
    manifest = Manifest(FORMAT, VERSION, __version__, place.name, tree, listed)
    try:
        text = json.dumps(asdict(manifest), indent=1, allow_nan=True).encode()
        place.mkdir()
        write_new(place / LISTED, json.dumps(sorted(files)).encode())
        for name, content in files.items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            write_new(place / name, content)
        write_new(place / NEXT, text)
        for path in {place, *((place / name).parent for name in files)}:
            sync_folder(path)
        os.replace(place / NEXT, folder / MANIFEST)
        sync_folder(folder)
    except BaseException as error:
        # Ctrl-C may come after the step that made it count.
        if not _counts(folder, place.name):
            _remove(place)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            needed = sum(map(len, files.values()))
            raise OSError(
                error.errno,
                f"no room on the disk for the {needed:,} bytes of this save; what was there before is untouched",
                str(folder),
            ) from error
        raise


def _counts(folder: Path, name: str) -> bool:
    try:
        return read_manifest(folder).folder == name
    except (OSError, ValueError):
        return False


def _sweep(folder: Path, keep: Manifest | None) -> None:
    """Remove the files of earlier saves, and of those that were killed; the lock is held, so that none is alive."""
    for path in list(folder.iterdir()):
        if (keep is None or path.name != keep.folder) and _is_ours(path):
            _remove(path)


def _listed(place: Path) -> list[str] | None:
    """The files that a folder of files says it holds, None where it says nothing that a save would write."""
    try:
        names = json.loads(read_regular(place / LISTED, MANIFEST_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    is_list = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return names if is_list and all(map(is_inside, names)) else None


def _remove(place: Path) -> None:
    """Remove the listed files of a folder, and it where nothing else is in it."""
    names = _listed(place) or []
    inner = {parent for name in names for parent in (place / name).parents if place in parent.parents}
    # The list goes last: a removal that is killed can be taken up again.
    with contextlib.suppress(OSError):
        for name in [*names, NEXT]:
            if not any(parent.is_symlink() for parent in (place / name).parents if place in parent.parents):
                (place / name).unlink(missing_ok=True)
        for path in sorted(inner, key=lambda path: -len(path.parts)):
            path.rmdir()
        (place / LISTED).unlink(missing_ok=True)
        place.rmdir()
