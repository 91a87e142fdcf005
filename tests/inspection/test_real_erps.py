"""When and where people never seen tell categories apart, on real evoked responses."""

import mne
import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold

from skeegclip import EpochsView, ZeroShotClassifier
from skeegclip.inspection import region_importance, time_resolved


@pytest.fixture(scope="module")
def asked(real_data):
    path = real_data / "things_eeg1_category_erps" / "erps.npz"
    if not path.exists():
        pytest.skip("real data has no file things_eeg1_category_erps/erps.npz")
    file = np.load(path)
    n_people, n_categories, n_chans, n_times = file["X"].shape
    view = EpochsView.from_arrays(
        file["X"].reshape(-1, n_chans, n_times),
        subject=np.repeat(file["subjects"], n_categories),
        stimulus=np.tile(file["cats"], n_people),
        info=mne.create_info([str(name) for name in file["ch_names"]], 250.0, "eeg"),
        tmin=-0.1,
    )
    return {
        "estimator": ZeroShotClassifier(Ridge(1e4)),
        "X": view,
        "y": view.stimulus,
        "cv": GroupKFold(5),
        "interval": "subject",
    }


def test_categories_come_after_the_picture(asked):
    table = time_resolved(mode="sliding", **asked).table
    assert (table["p_corrected"][table["stop"] < 0] > 0.05).all()
    best = table.loc[table["accuracy"].idxmax()]
    assert 0.1 < (best["start"] + best["stop"]) / 2 < 0.4
    assert best["low"] > 0.4


def test_the_back_of_the_head_holds_most(asked):
    alone = region_importance(**asked).query("kept == 'alone'").set_index("region")["similarity"]
    assert alone.idxmax() == "occipital"
    assert alone["occipital"] > alone["frontal"] + 0.05
