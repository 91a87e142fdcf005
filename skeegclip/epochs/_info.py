"""Channels, sampling rate and start of a store, in a JSON file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .._utils.channels import DISPLAY_UNITS, describe
from .._utils.stated import Stated

if TYPE_CHECKING:
    import mne


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


def from_json(path: Path) -> tuple[mne.Info, float, Stated]:
    """Read info and tmin, and what is known of them; no class is looked up by a name in the file."""
    import mne

    try:
        content = json.loads(path.read_bytes())
        info, tmin = mne.Info.from_json_dict(content["info"]), float(content["tmin"])
        start = tmin if content.get("tmin_known", True) else None
        known = describe(info, range(len(info["ch_names"])), tmin=start, is_recorded=False)
        return info, tmin, replace(known, referenced=content.get("referenced", known.referenced))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"the EpochsStore {str(path.parent)!r} is damaged: {path.name} cannot be read ({error})."
            " Copy it again, or make it anew."
        ) from error
