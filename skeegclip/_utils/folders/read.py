"""Reading a saved folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from .content import Content, FolderError
from .files import NO_FILE, read_regular
from .manifest import MANIFEST, WEIGHTS, File, Tree, places, read_manifest

_TRIES = 50  # a reader that is overtaken by so many saves gives up


def is_saved(folder: str | os.PathLike) -> bool:
    """Whether a folder has the manifest of a save."""
    return (Path(folder) / MANIFEST).is_file()


def read_folder(folder: str | os.PathLike, *, kind: str | None = None) -> Content:
    """Read what `write_folder` wrote, with every byte checked before it is believed.

    Parameters
    ----------
    folder : path-like
        The folder.
    kind : str | None
        The class whose save it must be.

    Returns
    -------
    Content
        The same as was written.

    Raises
    ------
    FileNotFoundError
        If it holds no save.
    FolderError
        If a file is missing, is another one than was saved, is a link, or says what no save says.
    """
    folder = Path(folder)
    for _ in range(_TRIES):
        manifest = read_manifest(folder)
        if kind is not None and manifest.content.kind != kind:
            raise FolderError(f"{str(folder)!r} holds a saved {manifest.content.kind} and no {kind}.")
        try:
            place = places(manifest.files)
            content = {
                name: _read_file(folder / manifest.folder, name, manifest.files[name])
                for name in set(place.values())
            }
        except FolderError:
            if read_manifest(folder).folder == manifest.folder:
                raise
            continue  # another save came in between, and its files are there now
        files = {name: content[at] for name, at in place.items()}
        return _content(manifest.content, files, folder)
    raise FolderError(f"{str(folder)!r} is saved to again and again. Wait until that has ended.")


def _read_file(place: Path, name: str, said: File) -> bytes:
    path = place / name
    linked = [
        above
        for above in [place, *(place / name).parents]
        if above.is_symlink() and place.parent in above.parents
    ]
    if linked:
        raise FolderError(NO_FILE.format(str(linked[0])))
    try:
        content = read_regular(path, size=said.bytes)
    except FileNotFoundError:
        raise FolderError(f"{str(path)!r} does not exist: the folder was not copied whole.") from None
    if hashlib.sha256(content).hexdigest() != said.sha256:
        raise FolderError(
            f"{str(path)!r} is not the file that was saved (other bytes): the copy is cut short, or damaged, or of"
            " another save. Get the folder again."
        )
    return content


def _content(tree: Tree, files: Mapping[str, bytes], folder: Path, prefix: str = "") -> Content:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    own = {name: files[prefix + name] for name in tree.files}
    weights = own.pop(WEIGHTS, None)
    try:
        arrays = {} if weights is None else load(weights)
    except (SafetensorError, ValueError, KeyError) as error:
        raise FolderError(
            f"{str(folder)!r}: {prefix}{WEIGHTS} is not a readable safetensors file ({error})."
        ) from None
    parts = {name: _content(part, files, folder, f"{prefix}{name}/") for name, part in tree.parts.items()}
    return Content(tree.kind, tree.facts, arrays, own, parts)
