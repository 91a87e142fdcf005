"""Regions by position: a sensor lies where its nearest neighbour of a known layout lies."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from ._sites import CTF, ROWS, SITE_ROWS

if TYPE_CHECKING:
    import mne

_SCALP = ("eeg", "hbo", "hbr", "fnirs_cw_amplitude", "fnirs_od")
_HELMET = ("mag", "grad")
_FEWEST = 10  # points that a sphere is fitted to


def regions_by_position(info: Any, names: list[str]) -> dict[str, str]:
    """Return the regions of those of the named channels that have a position outside the head.

    Scalp sensors take the region of the nearest 10-10 site, MEG sensors that of the nearest sensor of the CTF helmet,
    both by direction from the centre of a sphere through the layout: caps, templates and helmets differ in size and
    in where their origin lies.
    """
    found: dict[str, str] = {}
    for kinds, layout in ((_SCALP, _sites), (_HELMET, _helmet)):
        placed = _directions(info, kinds)
        here = [name for name in names if name in placed]
        if here:
            region, known = layout()
            nearest = (np.stack([placed[name] for name in here]) @ known.T).argmax(axis=1)
            found |= {name: region[i] for name, i in zip(here, nearest, strict=True)}
    return found


def eeg_montage() -> mne.channels.DigMontage:
    """Return the 10-05 positions, under the name that the installed MNE gives them."""
    import mne

    name = "colin27_1005" if "colin27_1005" in mne.channels.get_builtin_montages() else "standard_1005"
    return mne.channels.make_standard_montage(name)


@functools.cache
def _sites() -> tuple[list[str], np.ndarray]:
    """Regions and directions of the sites of the 10-10 system."""
    import mne

    montage = eeg_montage()
    info = mne.create_info(montage.ch_names, 1.0, "eeg", verbose=False).set_montage(montage, verbose=False)
    placed = _directions(info, _SCALP)
    region = {f"{row}{column}": ROWS[row] for row in SITE_ROWS for column in ["z", *range(1, 11)]}
    names = [name for name in placed if name in region and name not in ("T3", "T4", "T5", "T6")]
    return [region[name] for name in names], np.stack([placed[name] for name in names])


@functools.cache
def _helmet() -> tuple[list[str], np.ndarray]:
    """Regions and directions of the sensors of the CTF helmet, whose names tell their region."""
    import mne

    placed = _directions(mne.channels.read_meg_canonical_info("ctf275", verbose=False), _HELMET)
    return [CTF[name[2]] for name in placed], np.stack(list(placed.values()))


def _directions(info: Any, kinds: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Unit vectors (right, front, up) of the channels of some types that have a position."""
    place = {
        ch["ch_name"]: np.asarray(ch["loc"][:3], dtype=float)
        for ch, kind in zip(info["chs"], info.get_channel_types(), strict=True)
        if kind in kinds and np.isfinite(ch["loc"][:3]).all() and np.any(ch["loc"][:3])
    }
    if not place:
        return {}
    points = np.stack(list(place.values()))
    points = points - _center(points)
    if kinds == _HELMET and info["dev_head_t"] is not None:
        points = points @ info["dev_head_t"]["trans"][:3, :3].T
    return dict(zip(place, points / np.linalg.norm(points, axis=1, keepdims=True), strict=True))


def _center(points: np.ndarray) -> np.ndarray:
    """Return the centre of the sphere that fits the points best."""
    if len(points) < _FEWEST:
        return np.array([0.0, 0.0, 0.04])  # MNE's default origin of a spherical head, in head coordinates
    system = np.column_stack([2 * points, np.ones(len(points))])
    return np.linalg.lstsq(system, (points**2).sum(axis=1), rcond=None)[0][:3]
