from __future__ import annotations

import numpy as np

from skeegclip.datasets import _montages
from skeegclip.epochs import regions


def test_63_eeg_channels_without_the_reference():
    names = _montages.THINGS_EEG_CHANNELS
    assert len(set(names)) == 63
    assert "Fz" not in names
    assert names[:2] == ("Fp1", "Fp2")
    assert names[-1] == "O2"
    sizes = {region: len(members) for region, members in regions(names).items()}
    assert sizes == {"frontal": 15, "central": 10, "temporal": 14, "parietal": 16, "occipital": 8}


def test_eeg_electrodes_are_where_their_names_say():
    info = _montages.eeg_info(100.0)
    place = {ch["ch_name"]: ch["loc"][:3] for ch in info["chs"]}
    assert all(np.isfinite(p).all() and 0.05 < np.linalg.norm(p) < 0.15 for p in place.values())
    assert place["O1"][0] < 0 < place["O2"][0]  # left, right
    assert place["Oz"][1] < place["Cz"][1] < place["AFz"][1]  # back to front
    assert place["Cz"][2] > place["T7"][2]  # up


def test_271_meg_sensors_surround_the_head():
    center = np.array([0.0, 0.015, 0.044])
    info = _montages.meg_info(200.0, center)
    assert len(set(info["ch_names"])) == 271
    missing = {"MLF25", "MRF43", "MRO13", "MRO11"}
    assert not missing & {name.partition("-")[0] for name in info["ch_names"]}
    axial_gradiometer = 5001
    assert {int(ch["coil_type"]) for ch in info["chs"]} == {axial_gradiometer}
    device = np.array([ch["loc"][:3] for ch in info["chs"]])
    head = device + info["dev_head_t"]["trans"][:3, 3]
    distance = np.linalg.norm(head - center, axis=1)
    assert 0.1 < distance.min() < distance.max() < 0.15


def test_the_mirrored_sensor_lies_between_its_neighbours():
    sensors = {ch["ch_name"][:5]: ch["loc"] for ch in _montages.meg_info(200.0, np.zeros(3))["chs"]}
    mirrored, right = sensors["MLO42"], sensors["MRO42"]
    np.testing.assert_allclose(mirrored[:3], right[:3] * [-1, 1, 1])
    neighbours = (sensors["MLO41"][:3] + sensors["MLO43"][:3]) / 2
    assert np.linalg.norm(mirrored[:3] - neighbours) < 0.01
    axes = mirrored[3:].reshape(3, 3)
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-4)
    assert np.linalg.det(axes) > 0
    # It points outwards like its left neighbour, with coils turned alike.
    np.testing.assert_allclose(axes, sensors["MLO41"][3:].reshape(3, 3), atol=0.5)
