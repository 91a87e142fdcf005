"""Where weights that somebody trained before come from: a file, a folder, the hub, memory or a loader."""

from __future__ import annotations

import functools
import hashlib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .._utils.folders import is_saved, read_folder
from .._utils.hub import file_sha256, from_hub, lacks_file
from .._utils.seeding import seeded_torch
from .._utils.state_dicts import INDEX, files_of, part_names, read_state_dict

_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
# As huggingface_hub names them, most wanted first; an index stands for several files.
_FILES = [name + several for name in ("model.safetensors", "pytorch_model.bin") for several in ("", INDEX)]
_REPOSITORY = re.compile(
    r"(?P<name>[\w-][\w.-]*/[\w-][\w.-]*)(@(?P<revision>[\w./-]+))?(:(?P<file>[\w./-]+))?"
)
NOT_SAVED = "not saved: "  # begins the parameter of a loaded encoder that started from weights in memory
_KINDS = (
    "a file, a folder, owner/name of the hub (owner/name@revision:file), a state dict, a module, or a function that"
    " returns one of the last two"
)


@dataclass(frozen=True, eq=False)
class WeightsSource:
    """Weights by name, and what names them.

    Attributes
    ----------
    state : dict of str to Tensor
        On the CPU; floating-point values as float32.
    named : dict of str to str
        For a report: "source", and of files "file" and "sha256", of the hub "revision", the commit. No path.
    ch_names : tuple of str | None
        Names of the channels that the network saw, in its order, where that is known.
    """

    state: dict[str, torch.Tensor]
    named: dict[str, str]
    ch_names: tuple[str, ...] | None = None


def read_pretrained(given: Any) -> WeightsSource:
    """Read weights without running code from a file.

    Parameters
    ----------
    given : path-like | str | Mapping | Module | callable
        As ``EEGEncoder(pretrained=...)``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    OSError
        If the hub cannot be reached.
    TypeError, ValueError
        If it is no weights.
    """
    if isinstance(given, nn.Module):
        return _of_memory(given.state_dict(), f"module {type(given).__name__}")
    if isinstance(given, Mapping):
        return _of_memory(given, "state dict")
    if isinstance(given, str) and given.startswith(NOT_SAVED):
        raise ValueError(
            f"pretrained: the folder that this encoder was loaded from does not hold what its training started from"
            f" ({given.removeprefix(NOT_SAVED)}). Set pretrained to that to fit it anew, or to None to start from nothing."
        )
    if isinstance(given, (str, os.PathLike)):
        path = Path(given).expanduser()
        if path.is_file():
            return _of_file(path)
        if path.is_dir():
            return _of_folder(path)
        name = os.fspath(given)
        match = _REPOSITORY.fullmatch(name) if isinstance(given, str) else None
        if match is None or (name.endswith(_SUFFIXES) and match["file"] is None):
            raise FileNotFoundError(
                f"pretrained={name!r} is neither a file nor a folder, nor owner/name of the hub. Check the path."
            )
        return _of_hub(**match.groupdict())
    if callable(given) and not isinstance(given, type):
        with seeded_torch(0, "cpu"):  # a loader builds a network, which draws weights first
            made = given()
        if not isinstance(made, (nn.Module, Mapping)):
            raise TypeError(
                f"pretrained: {_name_of(given)} returned a {type(made).__name__}, neither a torch module nor a state dict."
            )
        source = read_pretrained(made)
        return WeightsSource(source.state, {**source.named, "source": _name_of(given)})
    raise TypeError(f"pretrained must be None or {_KINDS}; got {given!r:.80} of type {type(given).__name__}.")


def _of_memory(state: Mapping[str, Any], name: str) -> WeightsSource:
    values = read_state_dict(state, "pretrained")
    digest = hashlib.sha256()
    for key, value in values.items():
        digest.update(f"{key} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(value.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return WeightsSource(values, {"source": name, "sha256": digest.hexdigest()})


def _of_file(path: Path, **named: str) -> WeightsSource:
    state = read_state_dict(path, "pretrained")
    digests = [file_sha256(str(part)) for part in files_of(path)]
    whole = digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    return WeightsSource(state, {"source": "file", "file": path.name, "sha256": whole, **named})


def _of_folder(folder: Path) -> WeightsSource:
    if is_saved(folder):
        content = read_folder(folder)
        arrays = {
            key.removeprefix("module_."): torch.from_numpy(value)
            for key, value in content.arrays.items()
            if key.startswith("module_.")
        }
        if not arrays:
            raise ValueError(
                f"pretrained: {str(folder)!r} is a save of {content.kind}, which holds no network itself. Save the encoder in"
                " it, and pass that folder."
            )
        named = _of_memory(arrays, f"saved {content.kind}")
        names = content.facts.get("ch_names")
        return WeightsSource(
            named.state, {**named.named, "file": folder.name}, None if names is None else tuple(names)
        )
    found = [folder / name for name in _FILES if (folder / name).is_file()][:1]
    found = found or sorted(path for path in folder.iterdir() if path.suffix in _SUFFIXES)
    if len(found) != 1:
        holds = f"{len(found)} files of weights" if found else "no weights"
        raise ValueError(
            f"pretrained: the folder {str(folder)!r} holds {holds} ({', '.join(_SUFFIXES)}). Pass the file itself."
        )
    return _of_file(found[0], source="folder")


def _of_hub(name: str, revision: str | None, file: str | None) -> WeightsSource:
    def fetch(files: list[str], revision: str | None) -> Path:
        pinned = "" if revision is None else f" --revision {revision}"
        return Path(
            from_hub(
                name,
                files,
                name,
                revision,
                command=f"hf download {name}{'' if file is None else f' {file}'}{pinned}",
                instead="pass a file or a folder (there is none of that name here) as pretrained=",
            )
        )

    files = _FILES if file is None else [file]
    try:
        path = fetch(files, revision)
    except OSError as error:
        if not lacks_file(error):
            raise
        raise ValueError(
            f"pretrained={name!r}: that repository has no {' or '.join(files)}. Name the file of the weights:"
            f" pretrained='{name}:file'."
        ) from error
    within = Path(file or path.name).parent
    commit = path.parents[len(within.parts)].name  # .../snapshots/<commit>/<file>
    if path.name.endswith(INDEX):
        for part in part_names(path):
            fetch([(within / part).as_posix()], commit)
    return _of_file(path, source=name, revision=commit)


def _name_of(loader: Callable) -> str:
    if isinstance(loader, functools.partial):
        texts = [repr(arg) for arg in loader.args if isinstance(arg, str) and not os.path.exists(arg)]
        return f"{_name_of(loader.func)}({', '.join(texts)})"
    return getattr(loader, "__qualname__", type(loader).__name__)
