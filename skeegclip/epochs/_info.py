"""Channels, sampling rate and start of a store, in a JSON file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._utils.inputs import DISPLAY_UNITS

if TYPE_CHECKING:
    import mne


def to_json(info: mne.Info, tmin: float) -> bytes:
    """Write what a person may want to look up first, then all of the info."""
    kinds = sorted(set(info.get_channel_types()))
    content = {
        "sfreq": float(info["sfreq"]),
        "tmin": tmin,
        "unit": {kind: DISPLAY_UNITS.get(kind, "SI") for kind in kinds},
        "ch_names": list(info["ch_names"]),
        "info": info.to_json_dict(),
    }
    return json.dumps(content, indent=1).encode()


def from_json(path: Path) -> tuple[mne.Info, float]:
    """Read info and tmin; no class is looked up by a name in the file."""
    import mne

    try:
        content = json.loads(path.read_bytes())
        return mne.Info.from_json_dict(content["info"]), float(content["tmin"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"the EpochsStore {str(path.parent)!r} is damaged: {path.name} cannot be read ({error})."
            " Copy it again, or make it anew."
        ) from error


def check_same_channels(read: Any, info: mne.Info, tmin: float) -> None:
    """Refuse to append epochs of other channels, sampling rate or start, where they say what they have."""
    if read.info is not None:
        for mine, theirs in zip(info["ch_names"], read.info["ch_names"], strict=False):
            if mine != theirs:
                raise ValueError(
                    f"X has channel {theirs!r} where the store has {mine!r}. Pick and reorder the channels of the store."
                )
        if abs(read.info["sfreq"] - info["sfreq"]) > 1e-6 * info["sfreq"]:
            raise ValueError(
                f"X has a sampling rate of {read.info['sfreq']:g} Hz, but the store has {info['sfreq']:g} Hz. Resample."
            )
    if read.tmin is not None and abs(read.tmin - tmin) > 0.5 / info["sfreq"]:
        raise ValueError(
            f"X begins at {read.tmin:g} s, but the store's epochs at {tmin:g} s. Crop to the same times."
        )
