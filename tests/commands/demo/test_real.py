"""Real brains in the demo, against figures that are known from elsewhere."""

import numpy as np
import pytest
import scipy.stats
from sklearn.utils import Bunch

from skeegclip.commands.demo.real import evoked_above_ears, follow_time, search_gallery, tell_faces
from skeegclip.datasets import load_faces_houses, load_things_sub08


@pytest.fixture(scope="module")
def faces():
    """One epoch in four: enough to see it."""
    data = load_faces_houses()
    return Bunch(**{**data, "X": data.X[::4], "y": data.y[::4]})


def test_the_rungs_are_those_that_are_published_and_documented():
    rungs = search_gallery(load_things_sub08(), seed=0)
    assert rungs["found"].tolist() == pytest.approx([0.36, 0.49, 0.59])
    assert rungs["gain"].tolist() == pytest.approx([0, 0.13, 0.23])
    assert (rungs["found_low"] < rungs["found"]).all()
    assert (rungs["found"] < rungs["found_high"]).all()


@pytest.mark.slow
def test_the_difference_is_that_of_the_areas(faces):
    table = tell_faces(faces, 1, seed=0)
    linear, network = table.to_dict("records")
    assert linear["more"] == linear["more_low"] == linear["more_high"] == 0
    assert network["more"] == pytest.approx(network["auc"] - linear["auc"])
    assert network["more_low"] < network["more"] < network["more_high"]
    assert linear["auc_low"] < linear["auc"] < linear["auc_high"]
    assert linear["auc"] > 0.55
    again = tell_faces(faces, 1, seed=0)
    np.testing.assert_array_equal(again, table)


@pytest.mark.slow
def test_shuffled_labels_are_not_told_apart(faces):
    shuffled = Bunch(**{**faces, "y": np.random.default_rng(0).permutation(faces.y)})
    table = tell_faces(shuffled, 1, seed=0)
    assert (table["auc_low"] < 0.55).all()
    assert (table["auc"] < 0.6).all()


def test_faces_are_told_from_houses_after_the_picture_and_not_before():
    course = follow_time(load_faces_houses()).set_index("time")["auc"]
    assert course.idxmax() == pytest.approx(0.25)
    assert course.max() > 0.65
    assert abs(course[course.index < 0].iloc[0] - 0.5) < 0.05


def test_evoked_responses_are_those_of_mne(faces):
    import mne

    evoked = evoked_above_ears(faces)
    epochs = mne.EpochsArray(1e-6 * faces.X, faces.info, tmin=faces.tmin, verbose="error")
    for name in ("face", "house"):
        own = epochs[faces.y == name].copy().pick(["TP9", "TP10"])
        np.testing.assert_allclose(evoked[name], 1e6 * own.average().data.mean(axis=0), rtol=1e-4, atol=1e-4)
        trials = 1e6 * own.get_data(copy=True).mean(axis=1)
        expected = scipy.stats.sem(trials, axis=0)
        np.testing.assert_allclose(evoked[f"{name}_se"], expected, rtol=1e-4)
    np.testing.assert_allclose(evoked.index, epochs.times, atol=0.5 / faces.sfreq)  # MNE has whole samples
