"""Where sensors are: names and positions agree, and an unknown place is named."""

import mne
import numpy as np
import pytest

from skeegclip import EpochsView
from skeegclip.epochs.places import direction_of, info_at, places_of, places_of_info
from skeegclip.epochs.sites import THINGS_EEG_CHANNELS


def info(names, montage=None, kind="eeg"):
    made = mne.create_info(list(names), 100.0, kind)
    return made if montage is None else made.set_montage(montage)


def degrees(a, b):
    return np.rad2deg(np.arccos(np.clip((a[:, :3] * b[:, :3]).sum(axis=1), -1, 1)))


def test_names_tell_what_positions_do():
    placed = places_of_info(info(THINGS_EEG_CHANNELS, "colin27_1005"))
    named = places_of_info(info([f"EEG {name.upper()}-Ref" for name in THINGS_EEG_CHANNELS]))
    assert np.allclose(np.linalg.norm(placed[:, :3], axis=1), 1, atol=1e-6)
    assert degrees(placed, named).max() < 6
    assert (
        placed[THINGS_EEG_CHANNELS.index("Oz"), 1] < -0.9 < 0.9 < placed[THINGS_EEG_CHANNELS.index("Cz"), 2]
    )


def test_heads_of_other_sizes_share_directions():
    montage = mne.channels.make_standard_montage("standard_1005", head_size=0.095)
    larger = mne.channels.make_standard_montage("standard_1005", head_size=0.11)
    names = ["Oz", "Cz", "T8", "Fp1"]
    assert degrees(places_of_info(info(names, montage)), places_of_info(info(names, larger))).max() < 4


def test_channels_that_were_never_given_a_type_are_eeg():
    untyped = mne.create_info(["Oz", "C3"], 100.0)
    assert np.array_equal(places_of_info(untyped), places_of_info(info(["Oz", "C3"])))


def test_what_was_placed_is_found_there_again():
    directions = places_of_info(info(THINGS_EEG_CHANNELS))[:, :3]
    again = places_of_info(info_at([f"E{k}" for k in range(63)], directions, 100.0))
    assert np.allclose(again[:, :3], directions, atol=1e-6)


def test_unknown_places_are_named():
    with pytest.raises(ValueError, match=r"2 of 3 channels are not known \('X1', 'Oz-Pz'\).*set_montage"):
        places_of_info(info(["X1", "Oz", "Oz-Pz"]))
    # Beside electrodes that only BioSemi has, C3 is not the site of that name.
    with pytest.raises(ValueError, match="'B1', 'C3'"):
        places_of_info(info(["B1", "C3", "Oz"]))
    with pytest.raises(ValueError, match="does not name its channels"):
        places_of(np.zeros((2, 3, 4)))
    with pytest.raises(ValueError, match="does not name its channels"):
        places_of(EpochsView.from_arrays(np.zeros((2, 3, 4))))
    assert direction_of("nowhere") is None
