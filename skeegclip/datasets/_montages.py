"""The sensors of THINGS-EEG2 and THINGS-MEG: names, places, regions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..epochs.positions import eeg_montage
from ..epochs.regions import THINGS_MONTAGE
from ..epochs.sites import THINGS_EEG_CHANNELS

if TYPE_CHECKING:
    import mne


# Of the 275 sensors of the CTF system three were dead when THINGS-MEG was recorded, and its authors drop MRO11.
_CTF_ABSENT = {"MLF25", "MRF43", "MRO13", "MRO11"}
_CTF_SUFFIX = "-1609"


def eeg_info(sfreq: float, names: Sequence[str] = THINGS_EEG_CHANNELS) -> mne.Info:
    """Return the info of the 63 channels of THINGS-EEG2, or of some of them, with 10-05 positions."""
    import mne

    info = mne.create_info(list(names), sfreq, "eeg", verbose="ERROR")
    info["description"] = THINGS_MONTAGE
    return info.set_montage(eeg_montage(), on_missing="ignore", verbose="ERROR")


def meg_info(sfreq: float, head_center: np.ndarray) -> mne.Info:
    """Return the info of the 271 axial gradiometers of THINGS-MEG, the helmet centred on `head_center` (m)."""
    import mne

    # MNE's canonical CTF helmet lacks MLO42: take the mirror image of its right-hand twin.
    helmet = mne.channels.read_meg_canonical_info("ctf275", verbose="ERROR")
    sensors = {ch["ch_name"].partition("-")[0]: ch for ch in helmet["chs"]}
    sensors.setdefault("MLO42", _mirrored(sensors["MRO42"]))
    names = sorted(set(sensors) - _CTF_ABSENT)
    info = mne.create_info([name + _CTF_SUFFIX for name in names], sfreq, "mag", verbose="ERROR")
    with info._unlock():
        for channel, name in zip(info["chs"], names, strict=True):
            channel.update({key: sensors[name][key] for key in ("loc", "coil_type", "unit", "coord_frame")})
        shift = np.eye(4)
        shift[:3, 3] = head_center - _sphere_center(np.array([ch["loc"][:3] for ch in info["chs"]]))
        info["dev_head_t"] = mne.transforms.Transform("meg", "head", shift)
    return info


def _mirrored(channel: dict) -> dict:
    """Return the sensor reflected in the plane x = 0 (its coil axes stay right-handed)."""
    place = channel["loc"].reshape(4, 3) * [-1, 1, 1]
    place[2] *= -1
    return {**channel, "loc": place.ravel()}


def _sphere_center(points: np.ndarray) -> np.ndarray:
    """Return the centre of the sphere that fits the points best, in the least-squares sense."""
    system = np.column_stack([2 * points, np.ones(len(points))])
    return np.linalg.lstsq(system, (points**2).sum(axis=1), rcond=None)[0][:3]
