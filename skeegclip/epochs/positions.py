"""Regions by position: a sensor lies where its nearest neighbour of a known layout lies."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .sites import CTF, is_lettered, region_of, sites_of

if TYPE_CHECKING:
    import mne

SCALP = (
    "eeg",
    "csd",
    "hbo",
    "hbr",
    "fnirs_cw_amplitude",
    "fnirs_fd_ac_amplitude",
    "fnirs_fd_phase",
    "fnirs_od",
)
HELMET = ("mag", "grad")

# Where directions are taken from, in metres. They are constants, and not the centre of the sensors asked about, so that
# a sensor's region does not depend on which others are there. Templates centre their sphere 40 mm above the line
# between the ears; real heads, and the template that the sites are taken from, have theirs 15 mm further in front.
CENTRE = np.array([0.0, 0.010, 0.040])  # in head coordinates
_CENTRE_OF_SITES = np.array([0.0, 0.015, 0.039])
_CENTRE_UNDER_HELMET = np.array([0.0, 0.0, 0.045])  # in head coordinates
_CENTRE_OF_HELMET = {  # in device coordinates, whose zero is each maker's own: Neuromag's, BTi's, CTF's, KIT's
    3: np.array([0.0, 0.015, -0.011]),
    4: np.array([0.0, 0.042, -0.008]),
    5: np.array([0.0, -0.004, -0.019]),
    6: np.array([0.0, 0.0, -0.006]),
}
_PITCH = np.deg2rad(8.0)  # by which heads look down in a helmet, in sample recordings of CTF and Neuromag
_FEWEST = 10  # electrodes that a sphere is fitted to
_BIOSEMI = ("biosemi128", "biosemi160", "biosemi256")  # whose electrodes are called A1 to H32

Directions = dict[str, np.ndarray]


def regions_by_position(info: Any, names: list[str]) -> dict[str, str]:
    """Return the regions of those of the named channels that have a position outside the head.

    Scalp sensors take the region of the nearest 10-05 site, MEG sensors that of the nearest sensor of the CTF helmet,
    both by direction from a fixed point in the head: caps and helmets differ in size. Left and right count as one.
    """
    found: dict[str, str] = {}
    layouts: tuple[tuple[Directions, Callable], ...] = (
        (_on_scalp(info), _sites),
        (_in_helmet(info), _helmet),
    )
    for placed, layout in layouts:
        here = [name for name in names if name in placed]
        if here:
            known = layout()
            nearest = (_folded(placed[name] for name in here) @ _folded(known.values()).T).argmax(axis=1)
            regions = [CTF[name[2]] if layout is _helmet else region_of(name) for name in known]
            found |= {name: regions[i] for name, i in zip(here, nearest, strict=True)}
    return found


def called_by_letter(info: Any, sites: dict[str, str]) -> set[str]:
    """Return the channels that stand nearer to BioSemi's electrode of that name than to the 10-10 site.

    Parameters
    ----------
    info : Info
        Positions.
    sites : dict of str
        Channel -> the site that its name tells.
    """
    placed = _on_scalp(info)
    asked = {name: site for name, site in sites.items() if is_lettered(site) and name in placed}
    if not asked:
        return set()
    known, biosemi = _sites(), [_montage(montage) for montage in _BIOSEMI]
    return {
        name
        for name, site in asked.items()
        if site not in known
        or any(placed[name] @ cap[site] > placed[name] @ known[site] for cap in biosemi if site in cap)
    }


def directions(info: Any) -> dict[str, np.ndarray]:
    """Return unit vectors (right, front, up) to those channels that have a position outside the head."""
    return {**_on_scalp(info), **_in_helmet(info)}


def site_directions() -> dict[str, np.ndarray]:
    """Return unit vectors to the sites of the 10-05 system, by their names in capitals."""
    return _sites()


def placed_on_scalp(info: Any) -> set[str]:
    """Return the channels that have a position on the scalp."""
    return set(_on_scalp(info))


def eeg_montage() -> mne.channels.DigMontage:
    """Return the 10-05 positions, under the name that the installed MNE gives them."""
    import mne

    name = "colin27_1005" if "colin27_1005" in mne.channels.get_builtin_montages() else "standard_1005"
    return mne.channels.make_standard_montage(name)


@functools.cache
def _sites() -> Directions:
    """Directions of the sites of the 10-05 system."""
    placed = _on_scalp(_info_of(eeg_montage()), _CENTRE_OF_SITES)
    named = ((sites_of(name), name) for name in placed)
    return {sites[0]: placed[name] for sites, name in named if sites and sites[0] == name.upper()}


@functools.cache
def _montage(name: str) -> Directions:
    import mne

    return _on_scalp(_info_of(mne.channels.make_standard_montage(name)))


def _info_of(montage: mne.channels.DigMontage) -> mne.Info:
    import mne

    return mne.create_info(montage.ch_names, 1.0, "eeg", verbose=False).set_montage(montage, verbose=False)


@functools.cache
def _helmet() -> Directions:
    """Directions of the sensors of the CTF helmet, whose names tell their region."""
    import mne

    return _in_helmet(mne.channels.read_meg_canonical_info("ctf275", verbose=False))


def _on_scalp(info: Any, centre: np.ndarray | None = None) -> Directions:
    """Unit vectors (right, front, up) of the channels on the scalp that have a position."""
    centre = _centre(info) if centre is None else centre
    return {ch["ch_name"]: _unit(_place(ch) - centre) for ch in _placed(info, SCALP)}


def _centre(info: Any) -> np.ndarray:
    """The centre of the head.

    Where landmarks were not measured, MNE puts them as far from the origin as the electrodes are on average: the origin
    is then not between the ears but anywhere, as a rule in the centre of a sphere (positions of EEGLAB). The electrodes
    of the recording tell it, those in `dig`, which stay when channels are picked.
    """
    from mne.io.constants import FIFF

    dig = info["dig"] or ()
    points = np.array([p["r"] for p in dig if int(p["kind"]) == FIFF.FIFFV_POINT_EEG], dtype=float)
    landmarks = np.array([p["r"] for p in dig if int(p["kind"]) == FIFF.FIFFV_POINT_CARDINAL], dtype=float)
    if not len(points) or not len(landmarks):
        return CENTRE
    radius = np.linalg.norm(points, axis=1).mean()
    if not np.allclose(np.linalg.norm(landmarks, axis=1), radius, rtol=5e-4):
        return CENTRE
    if len(points) >= _FEWEST:
        system = np.column_stack([2 * points, np.ones(len(points))])
        centre = np.linalg.lstsq(system, (points**2).sum(axis=1), rcond=None)[0][:3]
        if np.linalg.norm(centre) < 0.6 * radius:  # else they lie in a plane
            return centre * [0, 1, 1]  # left and right are what the positions say
    return np.zeros(3)


def _in_helmet(info: Any) -> Directions:
    """Unit vectors (right, front, up) of the MEG sensors, of the helmet when a head is in it as usual."""
    from mne.io.constants import FIFF

    to_head = np.eye(4) if info["dev_head_t"] is None else info["dev_head_t"]["trans"]
    measured = not np.allclose(to_head, np.eye(4))  # which is what MNE writes where the head was not measured
    cos, sin = np.cos(_PITCH), np.sin(_PITCH)
    turn = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    found = {}
    for ch in _placed(info, HELMET):
        place, in_head = _place(ch), ch["coord_frame"] == FIFF.FIFFV_COORD_HEAD
        if in_head or measured:
            place = place if in_head else to_head[:3, :3] @ place + to_head[:3, 3]
            found[ch["ch_name"]] = _unit(turn @ (place - _CENTRE_UNDER_HELMET))
        else:
            maker = int(ch["coil_type"] & 0xFFFF) // 1000
            found[ch["ch_name"]] = _unit(place - _CENTRE_OF_HELMET.get(maker, _CENTRE_OF_HELMET[5]))
    return found


def _placed(info: Any, kinds: tuple[str, ...]) -> list[dict]:
    """Channels of some types that have a position."""
    return [
        ch
        for ch, kind in zip(info["chs"], info.get_channel_types(), strict=True)
        if kind in kinds and np.isfinite(ch["loc"][:3]).all() and np.any(ch["loc"][:3])
    ]


def _place(ch: dict) -> np.ndarray:
    return np.asarray(ch["loc"][:3], dtype=float)


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def _folded(directions: Any) -> np.ndarray:
    """Stack directions, those to the left as their mirror images."""
    stacked = np.stack(list(directions))
    stacked[:, 0] = np.abs(stacked[:, 0])
    return stacked
