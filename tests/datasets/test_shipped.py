"""The recordings in the package, against what is known of them from elsewhere."""

from __future__ import annotations

from importlib.resources import files

import mne
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skeegclip.datasets import load_faces_houses, load_things_sub08
from skeegclip.metrics import cosine_similarity, top_k_accuracy


@pytest.fixture(scope="module")
def faces():
    return load_faces_houses()


@pytest.fixture(scope="module")
def embedded():
    return load_things_sub08()


def test_faces_are_answered_by_a_negative_peak_above_the_ears(faces):
    """The N170 (Bentin et al., 1996), found with MNE alone. This headband sees it at 215 ms, and not on the forehead."""
    epochs = mne.EpochsArray(1e-6 * faces.X, faces.info, tmin=faces.tmin, verbose="error")
    assert epochs.get_montage() is not None
    face, house = (epochs[faces.y == name].average() for name in ("face", "house"))
    difference = mne.combine_evoked([face, house], weights=[1, -1]).crop(0.1, 0.3)
    _, when, volts = difference.copy().pick(["TP9", "TP10"]).get_peak(mode="neg", return_amplitude=True)
    assert 0.15 < when < 0.24
    assert volts < -2e-6
    assert difference.pick(["AF7", "AF8"]).get_data().min() > volts / 2


def test_faces_are_told_from_houses_by_the_codes_that_were_published(faces):
    """A weak set, but not an empty one: single trials, a linear classifier, stretches of time held out."""
    bins = faces.X[:, :, :225].reshape(len(faces.X), 4, 25, 9).mean(axis=3).reshape(len(faces.X), -1)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1e-2))
    p = cross_val_predict(model, bins, faces.y == "face", cv=KFold(5), method="predict_proba")[:, 1]
    assert roc_auc_score(faces.y == "face", p) > 0.65


def test_faces_and_houses_as_described(faces):
    assert faces.X.shape == (1127, 4, 232)
    assert faces.X.dtype == np.float32
    assert np.ptp(faces.X, axis=2).max() <= 75.1  # microvolts; stored in half precision
    assert (int((faces.y == "house").sum()), int((faces.y == "face").sum())) == (565, 562)
    assert faces.times[0] == -0.1
    np.testing.assert_allclose(np.diff(faces.times), 1 / faces.info["sfreq"])
    assert faces.info["ch_names"] == faces.ch_names


def test_subject_8_is_retrieved_as_the_paper_says(embedded):
    similarity = cosine_similarity(embedded.X, embedded.image_embeddings.lookup(embedded.y))
    assert top_k_accuracy(similarity, np.arange(200)) == pytest.approx(0.36)
    assert top_k_accuracy(similarity, np.arange(200), k=5) == pytest.approx(0.725)


def test_subject_8_as_described(embedded):
    np.testing.assert_allclose(np.linalg.norm(embedded.image_embeddings.vectors, axis=1), 1, rtol=1e-5)
    assert len(set(embedded.y)) == len(set(embedded.concept)) == 200
    assert all(y.startswith(concept) for y, concept in zip(embedded.y, embedded.concept, strict=True))
    assert {"animal", "tool", ""} <= set(embedded.category_bottom_up)


@pytest.mark.parametrize("load", [load_faces_houses, load_things_sub08])
def test_both_know_their_source_and_licence(load):
    data = load()
    X, y = load(return_X_y=True)
    np.testing.assert_array_equal(X, data.X)
    np.testing.assert_array_equal(y, data.y)
    assert "Licence" in data.DESCR
    assert "cite" in data.DESCR
    name = load.__name__.removeprefix("load_")
    assert (files("skeegclip.datasets") / "_shipped" / f"{name}_LICENSE").read_text().count(
        "Copyright (c)"
    ) == 1


def test_they_are_small():
    folder = files("skeegclip.datasets") / "_shipped"
    assert sum(len(file.read_bytes()) for file in folder.iterdir()) < 4_000_000


def test_they_are_what_was_handed_over(real_data, faces, embedded):
    path = real_data / "n170_subject1.npz"
    if not path.exists():
        pytest.skip("real data has no file n170_subject1.npz")
    np.testing.assert_array_equal(np.load(path)["X"].astype(np.float32), faces.X)
    np.testing.assert_array_equal(np.load(path)["y"], [faces.event_id[name] for name in faces.y])
    folder = real_data / "things_eeg2_sub08"
    np.testing.assert_array_equal(np.load(folder / "eeg_embeddings.npy"), embedded.X)
    np.testing.assert_array_equal(np.load(folder / "image_embeddings.npy"), embedded.image_embeddings.vectors)
