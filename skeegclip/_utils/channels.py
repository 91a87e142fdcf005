"""Which channels of a recording are read, and in which unit."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Any

import numpy as np

from .stated import Stated

# MNE's display units: microvolts for EEG, fT for magnetometers, fT/cm for gradiometers, millivolts for sEEG, ...
DISPLAY_UNITS = {
    "eeg": "uV",
    "mag": "fT",
    "grad": "fT/cm",
    "seeg": "mV",
    "dbs": "uV",
    "ecog": "uV",
    "csd": "mV/m^2",
    "hbo": "uM",
    "hbr": "uM",
}
# What is read beside these is in SI units on display too.
_DATA = {*DISPLAY_UNITS, "fnirs_cw_amplitude", "fnirs_fd_ac_amplitude", "fnirs_fd_phase", "fnirs_od"}
_HAS_REFERENCE = {"eeg", "seeg", "ecog", "dbs"}
_AVERAGE_REFERENCE = 10  # FIFFV_PROJ_ITEM_EEG_AVREF

_log = logging.getLogger("skeegclip")


def channel_kinds(info: Any) -> list[str]:
    """Type of each channel, as MNE names it."""
    return [_kind(int(ch["kind"]), int(ch["coil_type"]), int(ch["unit"])) for ch in info["chs"]]


@lru_cache(maxsize=1024)
def _kind(kind: int, coil_type: int, unit: int) -> str:
    import mne

    # MNE asks for a whole info, and looks at these three alone; for all channels it takes as long as reading an epoch.
    return mne.channel_type({"chs": [{"kind": kind, "coil_type": coil_type, "unit": unit}]}, 0)


def without_mask(channels: Any, n_chans: int) -> list:
    """Channels as names and positions: a mask of bools becomes positions, and what is neither is refused."""
    chosen: list[Any] = [channels] if isinstance(channels, str) else list(channels)
    if chosen and all(isinstance(channel, (bool, np.bool_)) for channel in chosen):
        if len(chosen) != n_chans:
            raise ValueError(
                f"channels: a mask must tell for each of the {n_chans} channels, got {len(chosen)} bools."
            )
        chosen = np.flatnonzero(chosen).tolist()
    for channel in chosen:
        if isinstance(channel, (bool, np.bool_)) or not isinstance(channel, (str, int, np.integer)):
            raise TypeError(f"channels must hold names or whole numbers, got {channel!r}.")
    if not chosen:
        raise ValueError("channels must name at least one channel, got none.")
    return chosen


def data_picks(info: Any) -> np.ndarray:
    """Positions of the channels that are read; refuse an info without any.

    Channels marked as bad are read like all others: recordings would have different channels otherwise.
    """
    kinds = channel_kinds(info)
    picks = np.array([row for row, kind in enumerate(kinds) if kind in _DATA], dtype=np.intp)
    if len(picks) == 0:
        raise ValueError(
            "X: these Epochs have no data channel (EEG, MEG, sEEG, ECoG, DBS, fNIRS, CSD),"
            f" only {sorted(set(kinds))}. Set the types with epochs.set_channel_types()."
        )
    return picks


def typed_picks(info: Any) -> np.ndarray:
    """Positions of the channels that are read of arrays and windows, where an info came beside them.

    Channels that are all of type misc were never given a type (it is the default of ``mne.create_info``): all are read.
    """
    if set(channel_kinds(info)) == {"misc"}:
        return np.arange(len(info["chs"]))
    return data_picks(info)


def display_factors(kinds: Any) -> np.ndarray:
    """What brings channels of these types from SI to the units in which they are read, shape (n_chans, 1).

    No types, no factor.
    """
    from mne.defaults import DEFAULTS

    if kinds is None:
        return np.ones((1, 1))
    return np.array([DEFAULTS["scalings"][kind] if kind in DISPLAY_UNITS else 1.0 for kind in kinds])[:, None]


def describe(info: Any, picks: Any, *, tmin: float | None, is_recorded: bool) -> Stated:
    """What an info says of some of its channels.

    Parameters
    ----------
    info : mne.Info
        The channels.
    picks : sequence of int
        Which of them.
    tmin : float | None
        Time of the first sample.
    is_recorded : bool
        Whether MNE has kept the info with the data: then no sign of a new reference means there was none. An info
        that somebody made for an array tells nothing by saying nothing.
    """
    kinds, names = channel_kinds(info), info["ch_names"]
    picks = [int(pick) for pick in picks]
    chosen = {names[pick] for pick in picks}
    referenced = None
    if any(kinds[pick] in _HAS_REFERENCE for pick in picks):
        referenced = bool(info["custom_ref_applied"]) or any(
            proj["active"] and int(proj["kind"]) == _AVERAGE_REFERENCE for proj in info["projs"]
        )
    return Stated(
        ch_names=tuple(names[pick] for pick in picks),
        ch_types=None
        if all(kinds[pick] == "misc" for pick in picks)
        else tuple(kinds[pick] for pick in picks),
        sfreq=float(info["sfreq"]),
        tmin=tmin,
        referenced=referenced if is_recorded else referenced or None,
        bads=tuple(name for name in info["bads"] if name in chosen),
    )


def left_out(info: Any, picks: Any) -> tuple[str, ...]:
    """Names and types of the channels that are not read."""
    read = set(np.asarray(picks).tolist())
    kinds = channel_kinds(info)
    return tuple(f"{name} ({kinds[row]})" for row, name in enumerate(info["ch_names"]) if row not in read)


def log_left_out(names: tuple[str, ...]) -> None:
    """Say which channels are not read."""
    if names:
        shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        _log.info("X: %d channels that hold no data of the brain are left out: %s", len(names), shown)
