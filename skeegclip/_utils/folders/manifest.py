"""The manifest of a saved folder: what it may say, and which names a save gives."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .content import FolderError, checked
from .files import read_regular

FORMAT, VERSION = "skeegclip", 2
MANIFEST, WEIGHTS = "skeegclip.json", "weights.safetensors"
# In a folder of files: the list of what it will hold, and the manifest that is about to count.
LISTED, NEXT = "files.json", "next.json"
MANIFEST_BYTES = 1 << 26
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
    sha256: str  # of all the rest, so that a number that was damaged, or changed by hand, is not taken for what was saved


def sealed(said: dict[str, Any]) -> dict[str, Any]:
    """A manifest with the right `sha256`."""
    rest = {key: value for key, value in said.items() if key != "sha256"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return {**rest, "sha256": hashlib.sha256(text.encode()).hexdigest()}


def read_manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    if folder.is_file():
        raise FolderError(f"{str(folder)!r} is a file. Pass the folder that was saved.")
    try:
        text = read_regular(path, most=MANIFEST_BYTES)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{str(folder)!r} is not a folder that skeegclip saved: it has no {MANIFEST}."
        ) from None
    return parse_manifest(text, path)


def parse_manifest(text: bytes, path: Path) -> Manifest:
    """Check what a manifest says; a save asks it too, so that what is written can be read."""
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
    if sealed(said)["sha256"] != said.get("sha256"):
        raise FolderError(
            f"{str(path)!r} is not what skeegclip saves: it is damaged, or was changed by hand. Get the folder again."
        )
    manifest = checked(said, Manifest, path)
    expected = list(file_names(manifest.content))
    if (
        not FOLDER.fullmatch(manifest.folder)
        or len({name.lower() for name in expected}) != len(expected)
        or set(expected) != set(manifest.files)
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


def places(files: Mapping[str, File]) -> dict[str, str]:
    """Where each file lies: equal ones, such as a table that several parts hold, lie where the first of them does."""
    first: dict[File, str] = {}
    return {name: first.setdefault(files[name], name) for name in sorted(files)}


def is_inside(name: str) -> bool:
    parts = name.split("/")
    return len(parts) <= _PARTS_DEEP and all(map(NAME.fullmatch, parts)) and name not in (LISTED, NEXT)
