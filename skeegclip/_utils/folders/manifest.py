"""The manifest of a saved folder: what it may say, and which names a save gives."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .content import FolderError, checked
from .files import read_regular

FORMAT, VERSION = "skeegclip", 2
MANIFEST, WEIGHTS = "skeegclip.json", "weights.safetensors"
# In a folder of files: the list of what it will hold, and the manifest that is about to count.
LISTED, NEXT = "files.json", "next.json"
MANIFEST_BYTES = 1 << 28
_DEPTH, _PARTS_DEEP = 200, 20
FOLDER = re.compile(r"saved-[0-9a-f]{16}")
# Names that mean the same on every file system, and nothing but a file of this folder.
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


@dataclass(frozen=True)
class File:
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Tree:
    kind: str
    facts: dict[str, Any]
    files: list[str]
    parts: dict[str, Tree]


@dataclass(frozen=True)
class Manifest:
    format: str
    version: int
    skeegclip: str
    folder: str
    content: Tree
    files: dict[str, File]


def read_manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    try:
        text = read_regular(path, MANIFEST_BYTES)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{str(folder)!r} is not a folder that skeegclip saved: it has no {MANIFEST}."
        ) from None
    try:
        said = json.loads(text)
        version = said["version"] if isinstance(said, dict) and said.get("format") == FORMAT else None
    except (ValueError, KeyError, RecursionError):
        version = None
    if version is None or _depth(said) > _DEPTH:
        raise FolderError(f"{str(path)!r} is not what skeegclip saves, or damaged. Get the folder again.")
    if version != VERSION:
        raise FolderError(
            f"{str(path)!r} has format {version!r:.40}, this version reads {VERSION}. It was written by skeegclip"
            f" {said.get('skeegclip')!r:.40}: install that version, or save again with this one."
        )
    manifest = checked(said, Manifest, path)
    expected = set(file_names(manifest.content))
    if (
        not FOLDER.fullmatch(manifest.folder)
        or expected != set(manifest.files)
        or not all(map(is_inside, expected))
    ):
        raise FolderError(f"{str(path)!r} names files that no save writes. Get the folder again.")
    return manifest


def _depth(value: Any) -> int:
    """How deep lists and dicts are nested."""
    deep, level = 0, [value]
    while level:
        deep += 1
        level = [
            item
            for outer in level
            if isinstance(outer, (dict, list))
            for item in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return deep


def file_names(tree: Tree, prefix: str = "") -> Iterator[str]:
    yield from (prefix + name for name in tree.files)
    for name, part in tree.parts.items():
        yield from file_names(part, f"{prefix}{name}/")


def is_inside(name: str) -> bool:
    parts = name.split("/")
    return len(parts) <= _PARTS_DEEP and all(map(NAME.fullmatch, parts)) and name not in (LISTED, NEXT)
