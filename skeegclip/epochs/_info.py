"""Channels, sampling rate and start of a store, in a JSON file."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from .._utils.channels import DISPLAY_UNITS, describe
from .._utils.persistence import conforming, read_regular
from .._utils.stated import Stated
from ._manifest import Manifest, damaged

if TYPE_CHECKING:
    import mne

LIMIT = 2**28  # bytes


def to_json(info: mne.Info, tmin: float, known: Stated) -> bytes:
    """Write what a person may want to look up first, then all of the info."""
    kinds = sorted(set(info.get_channel_types()))
    content = {
        "sfreq": float(info["sfreq"]),
        "tmin": tmin,
        "tmin_known": known.tmin is not None,
        "referenced": known.referenced,
        "unit": {kind: DISPLAY_UNITS.get(kind, "SI") for kind in kinds},
        "ch_names": list(info["ch_names"]),
        "info": info.to_json_dict(),
    }
    return json.dumps(content, indent=1).encode()


@dataclass(frozen=True)
class _Facts:
    """What such a file says; the last two came later."""

    sfreq: float
    tmin: float
    unit: dict[str, str]
    ch_names: list[str]
    info: dict[str, Any]
    tmin_known: bool = True
    referenced: bool | None = None

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}


def from_json(folder: Path, manifest: Manifest) -> tuple[mne.Info, float, Stated]:
    """Read info and tmin, and what is known of them; no class is looked up by a name in the file."""
    import mne

    name = manifest.info_name
    try:
        text = read_regular(folder / name, limit=LIMIT)
        if manifest.info not in (None, hashlib.sha256(text).hexdigest()):
            raise ValueError("it was edited since it was written")
        told = json.loads(text)
        content = conforming(_Facts, told)
        info = mne.Info.from_json_dict(content.info)
        if not math.isfinite(content.tmin) or (len(info["ch_names"]), info["ch_names"]) != (
            manifest.n_chans,
            content.ch_names,
        ):
            raise ValueError(f"it does not describe the {manifest.n_chans} channels of the epochs")
        start = content.tmin if content.tmin_known else None
        known = describe(info, range(manifest.n_chans), tmin=start, is_recorded=False)
        referenced = content.referenced if "referenced" in told else known.referenced
        return info, content.tmin, replace(known, referenced=referenced)
    except Exception as error:  # MNE has many for an info that is none
        said = str(error).strip().rstrip(".") or type(error).__name__
        raise damaged(folder, f"{name} cannot be read ({said[:500]})") from error
