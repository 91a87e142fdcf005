"""Encoders saved before there was one format for all: ``encoder.json`` beside ``weights.safetensors`` and tables."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from .._utils.folders import Content, FolderError, checked
from .._utils.folders.files import read_regular

_MOST = 2**33
_TABLES = ("targets", "text_targets")


def read_format_1(folder: str | os.PathLike) -> Content | None:
    """Read an encoder of format 1 as what its save would consist of today.

    Parameters
    ----------
    folder : path-like
        The folder.

    Returns
    -------
    Content | None
        None where there is no such save.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    FolderError
        If a file is not what was saved.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    folder = Path(folder)
    path = folder / "encoder.json"
    if not path.is_file():
        return None
    try:
        said = checked(json.loads(read_regular(path, most=2**26)), dict[str, Any], path)
        if said["format"] != 1:
            raise ValueError(f"format {said['format']!r:.20}")
        fitted = said["fitted"]
        facts = {
            "n_chans": fitted["n_chans_"],
            "n_times": fitted["n_times_in_"],
            "n_outputs": fitted["n_outputs_"],
            "history": fitted["history_"],
            "selection": fitted["selection_"],
            # Older ones have no such records.
            "trained_on": said.get("trained_on", {}),
            "stated": _without_marks(said.get("input", {"ch_names": said["ch_names"]})),
            **{
                name: said[name]
                for name in (
                    "params",
                    "net",
                    "net_class",
                    "net_params",
                    "chs_info",
                    "criterion_params",
                    "ch_names",
                    "subjects",
                )
            },
        }
        tables = [name for name in _TABLES if name in said["tables"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FolderError(f"{str(path)!r} is not what EEGEncoder.save wrote ({error}).") from None
    content = read_regular(folder / "weights.safetensors", most=_MOST)
    try:
        if hashlib.sha256(content).hexdigest() != said.get("sha256"):
            raise ValueError("other bytes than were saved with its encoder.json")
        weights = load(content)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise FolderError(
            f"{str(folder / 'weights.safetensors')!r} is not what was saved: {error}. Get the folder again."
        ) from None
    parts = {
        name: Content(
            "EmbeddingTable",
            files={"table.safetensors": read_regular(folder / f"{name}.safetensors", most=_MOST)},
        )
        for name in tables
    }
    facts["params"] = {**facts["params"], **{name: {"__part__": name} for name in tables}}
    return Content("EEGEncoder", facts, arrays=weights, parts=parts)


def _without_marks(value: Any) -> Any:
    """Tuples as lists, which a schema takes for them."""
    if isinstance(value, dict):
        if "__tuple__" in value:
            return [_without_marks(item) for item in value["__tuple__"]]
        return {key: _without_marks(item) for key, item in value.items()}
    return value
