"""Where the sensors of any cap are: directions from the centre of the head, which caps of all sizes share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils.channels import channel_kinds
from .._utils.epoched import is_view
from .._utils.inputs import as_mne_list
from .._utils.windows import unwrapped
from ._adapters import carried_info
from .positions import CENTRE, HELMET, SCALP, directions, site_directions
from .sites import are_lettered, is_lettered, sites_of

if TYPE_CHECKING:
    import mne

KINDS = (*SCALP, *HELMET)  # numbered by their place here: networks that are saved know them by number
RADIUS = 0.095  # metres


def places_of(X: Any) -> np.ndarray:
    """Return where the channels of epochs are, shape (n_chans, 4), float32: a unit vector, and the number of the type.

    Unit vectors point to the right, to the front and up. Where an info has no position, the name tells it.

    Parameters
    ----------
    X : Epochs | list of Epochs | EpochsView | BaseConcatDataset
        Epochs that name their channels.

    Raises
    ------
    ValueError
        Names the channels whose place is not known.
    """
    carries = is_view(X) or as_mne_list(X) is not None or unwrapped(X)[0] is not None
    info = carried_info(X) if carries else None
    if info is None:
        raise ValueError(
            "X does not name its channels, so that their places are not known. Pass mne.Epochs, or"
            " EpochsView.from_arrays(X, info=...)."
        )
    return places_of_info(info)


def places_of_info(info: mne.Info) -> np.ndarray:
    """Do as :func:`places_of` for the channels of an info, all of which hold data."""
    found = directions_of(info)
    kinds = _kinds(info)
    unknown = [name for name, place in zip(info["ch_names"], found, strict=True) if np.isnan(place).any()]
    if unknown:
        shown = ", ".join(map(repr, unknown[:5])) + (", ..." if len(unknown) > 5 else "")
        raise ValueError(
            f"X: the places of {len(unknown)} of {len(kinds)} channels are not known ({shown}). Give them positions with"
            " set_montage(), rename them to 10-05 names, or leave them out."
        )
    numbers = [KINDS.index(kind) for kind in kinds]
    return np.column_stack([found, numbers]).astype(np.float32)


def directions_of(info: mne.Info) -> np.ndarray:
    """Return unit vectors to the channels of an info, shape (n_chans, 3); NaN where neither position nor name tells."""
    placed, names = directions(info), list(info["ch_names"])
    kinds = dict(zip(names, _kinds(info), strict=True))
    lettered = are_lettered(names)  # then C3 may be BioSemi's, which is somewhere else
    places = np.full((len(names), 3), np.nan)
    for row, name in enumerate(names):
        if name in placed:
            places[row] = placed[name]
        elif kinds[name] in SCALP:
            place = None if lettered and is_lettered(name.upper()) else direction_of(name)
            places[row] = np.nan if place is None else place
    return places


def _kinds(info: mne.Info) -> list[str]:
    """Type of each channel; those that were never given one are EEG, as they are where epochs are read."""
    kinds = channel_kinds(info)
    return ["eeg"] * len(kinds) if set(kinds) == {"misc"} else kinds


def direction_of(name: str) -> np.ndarray | None:
    """Return the unit vector to the 10-05 site that a name tells; None where it tells none, or two."""
    sites = sites_of(name)
    return site_directions().get(sites[0]) if len(sites) == 1 else None


def info_at(names: list[str], places: np.ndarray, sfreq: float) -> mne.Info:
    """Return an info of EEG channels on a sphere, at unit vectors (n_chans, 3)."""
    import mne

    points = CENTRE + RADIUS * np.asarray(places, dtype=float)
    montage = mne.channels.make_dig_montage(dict(zip(names, points, strict=True)), coord_frame="head")
    info = mne.create_info(list(names), sfreq, "eeg", verbose=False)
    return info.set_montage(montage, verbose=False)
