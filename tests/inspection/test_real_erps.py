"""When and where people never seen tell categories apart, on real evoked responses."""

import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold

from skeegclip import ZeroShotClassifier
from skeegclip.inspection import region_importance, time_resolved


@pytest.fixture
def asked(category_erps):
    return {
        "estimator": ZeroShotClassifier(Ridge(1e4)),
        "X": category_erps,
        "cv": GroupKFold(5),
        "interval": "subject",
    }


@pytest.mark.slow
def test_categories_come_after_the_picture(asked):
    table = time_resolved(mode="sliding", **asked).table
    assert (table["p_corrected"][table["stop"] < 0] > 0.05).all()
    best = table.loc[table["accuracy"].idxmax()]
    assert 0.1 < (best["start"] + best["stop"]) / 2 < 0.4
    assert best["low"] > 0.4


@pytest.mark.slow
def test_the_back_of_the_head_holds_most(asked):
    alone = region_importance(**asked).query("kept == 'alone'").set_index("region")["similarity"]
    assert alone.idxmax() == "occipital"
    assert alone["occipital"] > alone["frontal"] + 0.05
