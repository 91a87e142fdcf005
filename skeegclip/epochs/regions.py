"""Regions of the scalp and of the MEG helmet, by name or by position."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .._utils.params import check_option
from ._positions import regions_by_position
from ._sites import CTF, OCCIPITO_PARIETAL, REGIONS, ROWS, THINGS_EEG_REGIONS

if TYPE_CHECKING:
    import mne

_THINGS = {name: region for region, names in THINGS_EEG_REGIONS.items() for name in names}
_ROWS = {row.upper(): region for row, region in ROWS.items()}
_SITE = re.compile(f"({'|'.join(sorted(_ROWS, key=len, reverse=True))})(Z|[1-9]H?|10H?)", re.IGNORECASE)
_CTF_NAME = re.compile(r"M[LRZ]([FCTPO])\d\d(-\d+)?")
_SETS = {"occipito-parietal": OCCIPITO_PARIETAL}


def regions(channels: Sequence[str] | mne.Info, scheme: str = "auto") -> dict[str, list[str]]:
    """Assign channels to frontal, central, temporal, parietal and occipital regions.

    Parameters
    ----------
    channels : sequence of str | Info
        Channel names, or the info that also gives their types and positions.
    scheme : {"auto", "things", "10-10", "ctf", "position"}
        How a channel is assigned:

        - "things": by the lists of the THINGS-EEG2 montage (15 frontal, 10 central, 14 temporal, 16 parietal and 8
          occipital channels), which the papers' analyses by region use;
        - "10-10": by the letters of a 10-10 or 10-05 name: Fp, AF and F are frontal; FC, C and CP central; FT, T and TP
          temporal; P parietal; PO, O and I occipital;
        - "ctf": by the letter of a CTF sensor's name, such as the O of ``MLO11``;
        - "position": by the nearest 10-10 site (EEG, fNIRS) or sensor of the CTF helmet (MEG), in direction from the
          centre of the head; needs an info;
        - "auto": "things" where every EEG channel is one of THINGS-EEG2's, else "10-10" where most EEG names are such
          names; "ctf" for CTF sensors; "position" for what remains.

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
    The lists of "things" are those of the NICE code (frontal and central by elimination); the paper shows its regions
    in a figure only.

    Examples
    --------
    >>> from skeegclip.epochs import regions
    >>> regions(["Fp1", "Cz", "CP1", "Oz"])["parietal"]
    ['CP1']
    >>> regions(["Fp1", "Fz", "Cz", "CP1", "Oz"])["central"]
    ['Cz', 'CP1']
    >>> regions(["MLO11-1609", "MRT23-1609"])["occipital"]
    ['MLO11-1609']
    """
    check_option("scheme", scheme, ["auto", "things", "10-10", "ctf", "position"])
    names, info = _names(channels)
    if scheme == "position" and info is None:
        raise ValueError('scheme="position" needs positions, got names only. Pass the mne.Info as channels.')
    found: dict[str, str] = {}
    if scheme in ("auto", "ctf"):
        found |= {name: CTF[match[1]] for name in names if (match := _CTF_NAME.fullmatch(name))}
    if scheme in ("auto", "things", "10-10"):
        found |= _by_site(names, info, scheme)
    if info is not None and scheme in ("auto", "position"):
        found |= regions_by_position(info, [name for name in names if name not in found])
    if unknown := [name for name in names if name not in found]:
        raise ValueError(
            f"channels: {len(unknown)} of {len(names)} cannot be assigned to a region with scheme={scheme!r}"
            f" ({', '.join(map(repr, unknown[:3]))}{', ...' if len(unknown) > 3 else ''}). Leave them out, rename them"
            " to 10-10 names, or pass an mne.Info with positions (info.set_montage)."
        )
    return {region: [name for name in names if found[name] == region] for region in REGIONS}


def find_channels(wanted: Sequence[Any], names: Sequence[str] | None, info: mne.Info | None) -> list[int]:
    """Return the positions, among `names`, of channels and of members of regions of `info`."""
    if names is None:
        raise KeyError(
            "channels: this view has no channel names. Pass positions, or make the view with info=."
        )
    place = {name: position for position, name in enumerate(names)}
    members: dict[str, list[str]] = {}
    found: list[int] = []
    for channel in wanted:
        if not isinstance(channel, str):
            found.append(int(channel))
        elif channel in place:
            found.append(place[channel])
        elif channel in _SETS:
            if absent := [name for name in _SETS[channel] if name not in place]:
                raise KeyError(
                    f"channels: of {channel!r}, {', '.join(absent)} are not among this view's channels."
                )
            found += sorted(place[name] for name in _SETS[channel])
        elif channel in REGIONS:
            members = members or regions(info if info is not None else names)
            here = [place[name] for name in members[channel] if name in place]
            if not here:
                raise KeyError(f"channels: no channel of this view lies in region {channel!r}.")
            found += sorted(here)
        else:
            close = difflib.get_close_matches(channel, [*names, *REGIONS, *_SETS], n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise KeyError(
                f"channels: {channel!r} is not among this view's channels ({_some(names)}), nor a region"
                f" ({', '.join([*REGIONS, *_SETS])}).{hint}"
            )
    return found


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (f", ... {len(names)} in all" if len(names) > 6 else "")


def _names(channels: Any) -> tuple[list[str], Any]:
    if hasattr(channels, "ch_names"):
        return list(channels.ch_names), channels
    if isinstance(channels, str) or not all(isinstance(name, str) for name in channels):
        raise TypeError("channels must be a sequence of channel names or an mne.Info.")
    return list(channels), None


def _by_site(names: list[str], info: Any, scheme: str) -> dict[str, str]:
    """Regions of channels with names of sites; in "auto" only where most EEG channels have such names."""
    if info is not None:
        types = dict(zip(info.ch_names, info.get_channel_types(), strict=True))
        names = [name for name in names if types[name] == "eeg"]
    if scheme == "things" or (scheme == "auto" and all(name in _THINGS for name in names)):
        return {name: _THINGS[name] for name in names if name in _THINGS}
    found = {name: _ROWS[match[1].upper()] for name in names if (match := _SITE.fullmatch(name))}
    # BioSemi's A1 ... D32 have C1 to C10 among them: a few matches prove nothing where positions tell.
    believed = scheme == "10-10" or info is None or 2 * len(found) > len(names)
    return found if believed else {}
