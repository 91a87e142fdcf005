"""Writing a saved folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ..._version import __version__
from ..persistence import FULL, sync_folder
from .content import Content, FolderError
from .files import NO_FILE, read_regular, write_new
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
    parse_manifest,
    places,
    read_manifest,
    sealed,
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
        If the folder holds anything else, which is left as it is.
    BlockingIOError
        If another process or thread is saving there for more than a minute.
    TypeError
        If a reader could not take it: it is nested too deep, say.
    OSError
        If the disk is full, say; what was there before still is.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{str(folder)!r} is a file. Choose a folder.")
    tree, files = _laid_out(content)
    manifest = Manifest(
        FORMAT, VERSION, __version__, f"saved-{secrets.token_hex(8)}", tree, _described(files), ""
    )
    text = _as_text(manifest)
    _check_room(folder, content.kind)
    made = _make_folders(folder)
    try:
        with _only_writer(folder):
            try:
                old = _check_room(folder, content.kind)
                _sweep(folder, keep=old)
                _write(folder, manifest, text, files)
                _sweep(folder, keep=manifest)
            except BaseException:
                if made and not (folder / MANIFEST).exists():  # of a folder that is new, nothing stays
                    with contextlib.suppress(OSError):
                        (folder / _LOCK).unlink()
                raise
    except BaseException:
        for path in made:
            with contextlib.suppress(OSError):
                path.rmdir()
        raise


def _laid_out(content: Content, prefix: str = "") -> tuple[Tree, dict[str, Sequence]]:
    """The tree of the manifest, and the content of every file by its path inside the folder of files."""
    from safetensors.numpy import save

    files = dict(content.files)
    if content.arrays:
        # safetensors writes the memory of an array as it lies, whatever its strides.
        files[WEIGHTS] = save({key: np.asarray(value, order="C") for key, value in content.arrays.items()})
    names = [*files, *content.parts]
    for name in names:
        if not NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot name a file: use letters, digits, '_', '-' and '.'.")
    if len({name.lower() for name in names}) != len(names):
        raise ValueError(f"names of files differ by more than their capitals, got {sorted(names)}.")
    every: dict[str, Sequence] = {
        prefix + name: value if isinstance(value, list) else [value] for name, value in files.items()
    }
    parts = {}
    for name, part in content.parts.items():
        parts[name], inside = _laid_out(part, f"{prefix}{name}/")
        every.update(inside)
    return Tree(content.kind, content.facts, sorted(files), parts), every


def _described(files: dict[str, Sequence]) -> dict[str, File]:
    described = {}
    for name, content in files.items():
        size, digest = 0, hashlib.sha256()
        for part in content:
            size += memoryview(part).nbytes
            digest.update(part)
        described[name] = File(size, digest.hexdigest())
    return described


def _as_text(manifest: Manifest) -> bytes:
    text = json.dumps(sealed(asdict(manifest)), indent=1).encode()
    try:
        if len(text) > MANIFEST_BYTES:
            raise FolderError(f"its manifest has {len(text):,} bytes, more than a load reads")
        parse_manifest(text, Path(MANIFEST))
    except FolderError as error:
        raise TypeError(
            f"this {manifest.content.kind} has no place in a folder: no load would take it ({error})."
        ) from None
    return text


def _check_room(folder: Path, kind: str) -> Manifest | None:
    """What an earlier save left in a folder; refuse one that holds anything else and no save of ours."""
    if not folder.exists():
        return None
    if (folder / MANIFEST).is_symlink() or (folder / MANIFEST).exists():
        try:
            old = read_manifest(folder)
        except FolderError as error:
            raise _refusal(folder, f"a {MANIFEST} that this version cannot read ({error})", kind) from None
        if old.content.kind != kind:
            raise _refusal(folder, f"a saved {old.content.kind}", kind)
        return old
    # A manifest that is there by now is of a save at the same time, which the lock will have us wait for.
    foreign = sorted(
        path.name for path in folder.iterdir() if path.name not in (_LOCK, MANIFEST) and not _is_ours(path)
    )
    if foreign:
        raise _refusal(folder, f"other files (first: {foreign[0]!r})", kind)
    return None


def _refusal(folder: Path, what: str, kind: str) -> FileExistsError:
    return FileExistsError(
        f"{str(folder)!r} holds {what}. A save replaces an earlier save of the same kind ({kind}) and nothing else:"
        " choose another folder."
    )


def _is_ours(path: Path) -> bool:
    """Whether a folder of files was begun by a save: it lists what it holds, before it holds it."""
    if not FOLDER.fullmatch(path.name) or path.is_symlink() or not path.is_dir():
        return False
    try:
        return {entry.name for entry in path.iterdir()} <= {LISTED} or _listed(path) is not None
    except FileNotFoundError:
        return True  # removed meanwhile


def _make_folders(folder: Path) -> list[Path]:
    """Make a folder and those above it; return the new ones, the innermost first."""
    missing = [path for path in [folder, *folder.parents] if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        sync_folder(path.parent)
    return missing


@contextlib.contextmanager
def _only_writer(folder: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    if (folder / _LOCK).is_symlink():  # older versions of filelock would empty what it points to
        raise FileExistsError(NO_FILE.format(str(folder / _LOCK)))
    try:
        with FileLock(folder / _LOCK, timeout=60):  # let go of when the process dies
            yield
    except Timeout:
        raise BlockingIOError(
            f"{str(folder)!r} is being saved to by another process or thread. Wait for it, or choose another folder."
        ) from None


def _write(folder: Path, manifest: Manifest, text: bytes, files: dict[str, Sequence]) -> None:
    place = folder / manifest.folder
    names = sorted(set(places(manifest.files).values()))
    try:
        place.mkdir()
        write_new(place / LISTED, [json.dumps(names).encode()])
        for name in names:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            write_new(place / name, files[name])
        write_new(place / NEXT, [text])
        for path in sorted({place, *_inner(place, names)}):
            sync_folder(path)
        sync_folder(folder)
        os.replace(place / NEXT, folder / MANIFEST)
        sync_folder(folder)
    except BaseException as error:
        # Ctrl-C may come after the step that made it count.
        if not _counts(folder, place.name):
            _remove(place)
        if isinstance(error, OSError) and error.errno in FULL:
            needed = sum(manifest.files[name].bytes for name in names)
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
        names = json.loads(read_regular(place / LISTED, most=MANIFEST_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    is_list = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return names if is_list and all(map(is_inside, names)) else None


def _inner(place: Path, names: list[str]) -> set[Path]:
    """The folders of parts in a folder of files."""
    return {parent for name in names for parent in (place / name).parents if place in parent.parents}


def _remove(place: Path) -> None:
    """Remove the listed files of a folder, and it where nothing else is in it."""
    with contextlib.suppress(OSError):
        names = _listed(place)
        if names is None and {entry.name for entry in place.iterdir()} > {LISTED}:
            return  # without the list nobody would know whose the files are
        names = names or []
        # The list goes last: a removal that is killed can be taken up again.
        for name in [*names, NEXT]:
            if not any(parent.is_symlink() for parent in _inner(place, [name])):
                (place / name).unlink(missing_ok=True)
        for path in sorted(_inner(place, names), key=lambda path: -len(path.parts)):
            with contextlib.suppress(FileNotFoundError):
                path.rmdir()
        (place / LISTED).unlink(missing_ok=True)
        place.rmdir()
