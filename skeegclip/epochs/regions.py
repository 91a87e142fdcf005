"""Regions of the scalp and of the MEG helmet, by name or by position."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .._utils.channels import data_picks
from .._utils.params import check_option
from .positions import called_by_letter, placed_on_scalp, regions_by_position
from .sites import (
    CTF,
    OCCIPITO_PARIETAL,
    REGIONS,
    THINGS_REGION,
    are_lettered,
    is_lettered,
    region_of,
    sites_of,
)

if TYPE_CHECKING:
    import mne

THINGS_MONTAGE = "THINGS-EEG2"  # the description of an info that this package makes of it, or of a part of it
_CTF_NAME = re.compile(r"M[LRZ]([FCTPO])\d\d(-\d+)?")
_SETS = {"occipito-parietal": OCCIPITO_PARIETAL}


def regions(channels: Sequence[str] | mne.Info, scheme: str = "auto") -> dict[str, list[str]]:
    """Assign channels to frontal, central, temporal, parietal and occipital regions.

    Parameters
    ----------
    channels : sequence of str | Info
        Channel names, or the info that also gives their types and positions. Of an info only the data channels are
        looked at, without EOG, stimulus channels and the like.
    scheme : {"auto", "things", "10-10", "ctf", "position"}
        How a channel is assigned:

        - "things": by the lists of the THINGS-EEG2 montage (15 frontal, 10 central, 14 temporal, 16 parietal and 8
          occipital channels), which the papers' analyses by region use;
        - "10-10": by the letters of the 10-10 or 10-05 site in a name ("Fp1", "EEG FP1-REF", "Fc5.", and T3 to T6 of
          the 10-20 system): Fp, AF and F are frontal; FC, C and CP central; FT, T and TP temporal; P parietal; PO, O
          and I occipital;
        - "ctf": by the letter of a CTF sensor's name, such as the O of ``MLO11``;
        - "position": by the nearest 10-05 site (EEG, fNIRS) or sensor of the CTF helmet (MEG), in direction from the
          centre of the head; needs an info;
        - "auto": "10-10" where a name tells a site, "ctf" for CTF sensors, and "position" for what remains. The montage
          of THINGS-EEG2, all 63 channels or any part of an info that this package made of it, goes by "things".

    Returns
    -------
    dict of list of str
        Region -> its channels, in the order given. A region may be empty.

    Raises
    ------
    ValueError
        If channels cannot be assigned; the message names them.

    Notes
    -----
    A channel's region does not depend on the other channels, so that the regions of a part of a cap are those of the
    cap. Names and positions are judged one by one: BioSemi calls electrodes C1 to C10 and F1 to F10 that stand
    elsewhere than the sites of that name, and those go by position; without positions, next to electrodes that
    only BioSemi has (B1, D23), they cannot be assigned. The exception is the complete montage of THINGS-EEG2, which
    is recognised as a whole by its 63 names.

    The lists of "things" are those of the NICE code (frontal and central by elimination); the paper shows its regions
    in a figure only.

    Examples
    --------
    >>> from skeegclip.epochs import regions
    >>> regions(["Fp1", "Fz", "Cz", "CP1", "Oz"])["central"]
    ['Cz', 'CP1']
    >>> regions(["Cz", "CP1", "Oz"], scheme="things")["parietal"]
    ['CP1']
    >>> regions(["EEG T5-Ref", "EEG O1-Ref"])["occipital"]
    ['EEG O1-Ref']
    >>> regions(["MLO11-1609", "MRT23-1609"])["occipital"]
    ['MLO11-1609']
    """
    check_option("scheme", scheme, ["auto", "things", "10-10", "ctf", "position"])
    names, info = _names(channels)
    if scheme == "position" and info is None:
        raise ValueError('scheme="position" needs positions, got names only. Pass the mne.Info as channels.')
    found = _assign(names, info, scheme)
    if unknown := [name for name in names if name not in found]:
        raise ValueError(_unassigned(unknown, names, scheme))
    return {region: [name for name in names if found[name] == region] for region in REGIONS}


def _assign(names: list[str], info: Any, scheme: str) -> dict[str, str]:
    """Region of each channel that can be assigned."""
    found: dict[str, str] = {}
    kinds = None if info is None else dict(zip(info.ch_names, info.get_channel_types(), strict=True))
    if scheme in ("auto", "ctf"):
        meg = names if kinds is None else [name for name in names if kinds[name] in ("mag", "grad")]
        found |= {name: CTF[match[1]] for name in meg if (match := _CTF_NAME.fullmatch(name))}
    if scheme in ("auto", "things", "10-10"):
        scalp = names if kinds is None else [name for name in names if kinds[name] in ("eeg", "csd")]
        found |= _by_site(scalp, info, scheme)
    if info is not None and scheme in ("auto", "position"):
        found |= regions_by_position(info, [name for name in names if name not in found])
    return found


def _unassigned(unknown: Sequence[str], names: Sequence[str], scheme: str) -> str:
    return (
        f"channels: {len(unknown)} of {len(names)} cannot be assigned to a region with scheme={scheme!r}"
        f" ({', '.join(map(repr, unknown[:3]))}{', ...' if len(unknown) > 3 else ''}). Leave them out, rename them"
        " to 10-10 names, or pass an mne.Info with positions (info.set_montage)."
    )


def find_channels(wanted: Sequence[Any], names: Sequence[str] | None, info: mne.Info | None) -> list[int]:
    """Return the positions, among `names`, of channels and of members of regions of `info`."""
    if names is None:
        raise KeyError(
            "channels: this view has no channel names. Pass positions, or make the view with info=."
        )
    place = {name: position for position, name in enumerate(names)}
    found: list[int] = []
    for channel in wanted:
        if not isinstance(channel, str):
            found.append(int(channel))
        elif channel in place:
            found.append(place[channel])
        elif channel in _SETS:
            sites = {site: position for name, position in place.items() for site in sites_of(name)}
            if absent := [name for name in _SETS[channel] if name.upper() not in sites]:
                raise KeyError(
                    f"channels: of {channel!r}, {', '.join(absent)} are not among this view's channels."
                )
            found += sorted(sites[name.upper()] for name in _SETS[channel])
        elif channel in REGIONS:
            found += _members(channel, place, names if info is None else info)
        else:
            close = difflib.get_close_matches(channel, [*names, *REGIONS, *_SETS], n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise KeyError(
                f"channels: {channel!r} is not among this view's channels ({_some(names)}), nor a region"
                f" ({', '.join([*REGIONS, *_SETS])}).{hint}"
            )
    return found


def _members(region: str, place: dict[str, int], channels: Any) -> list[int]:
    """Positions of the members of a region; channels whose region is not known are no member of any."""
    whole, info = _names(channels)
    region_by_name = _assign(whole, info, "auto")
    here = sorted(place[name] for name, own in region_by_name.items() if own == region and name in place)
    if here:
        return here
    if unknown := [name for name in place if name not in region_by_name]:
        raise ValueError(_unassigned(unknown, list(place), "auto"))
    raise KeyError(f"channels: no channel of this view lies in region {region!r}.")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (f", ... {len(names)} in all" if len(names) > 6 else "")


def _names(channels: Any) -> tuple[list[str], Any]:
    if hasattr(channels, "ch_names"):
        if channels.get_channel_types(unique=True) == ["misc"]:  # MNE's default: nobody told the types
            return list(channels.ch_names), None
        return [channels.ch_names[pick] for pick in data_picks(channels)], channels
    if isinstance(channels, str) or not all(isinstance(name, str) for name in channels):
        raise TypeError("channels must be a sequence of channel names or an mne.Info.")
    return list(channels), None


def _by_site(names: list[str], info: Any, scheme: str) -> dict[str, str]:
    """Regions of channels whose names tell sites; of two sites, as in a bipolar channel, where both lie in one."""
    sites = {name: found for name in names if (found := sites_of(name))}
    montage = {site for found in sites.values() for site in found}
    is_things = (info is not None and info["description"] == THINGS_MONTAGE) or (
        montage == set(THINGS_REGION) and len(names) == len(montage)
    )
    if scheme == "things" or (scheme == "auto" and is_things):
        region: Any = THINGS_REGION.get
    else:
        region = region_of
        if scheme == "auto":
            sites = _believed(sites, names, info)
    among = {name: {region(site) for site in found} for name, found in sites.items()}
    return {name: own.pop() for name, own in among.items() if len(own) == 1 and None not in own}


def _believed(sites: dict[str, tuple[str, ...]], names: list[str], info: Any) -> dict[str, tuple[str, ...]]:
    """Leave out the names that are BioSemi's letters and numbers, not sites."""
    doubtful = {name: found[0] for name, found in sites.items() if is_lettered(found[0])}
    if not doubtful:
        return sites
    placed = set() if info is None else placed_on_scalp(info)
    wrong = set() if info is None else called_by_letter(info, doubtful)
    if are_lettered(names):
        wrong |= doubtful.keys() - placed
    return {name: found for name, found in sites.items() if name not in wrong}
