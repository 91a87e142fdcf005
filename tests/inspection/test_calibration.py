"""Calibration curves against scikit-learn by hand, and a drift between sessions that is planted."""

import numpy as np
import pandas as pd
import pytest
from mne.decoding import Vectorizer
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneGroupOut
from sklearn.pipeline import make_pipeline

from skeegclip import EmbeddingTable, EpochsView, ImageRetriever, ZeroShotClassifier
from skeegclip.inspection import calibration_curve
from skeegclip.model_selection import LeaveOneSessionOut, LeaveOneSubjectOut
from skeegclip.preprocessing import MVNN, EpochScaler, SubjectAligner

N_CHANS, N_TIMES = 3, 6


def recorded(drift, seed=0, n_people=4, n_epochs=80):
    """Two categories; each person has two sessions, whose channels drift apart; an epoch every 3 s."""
    rng = np.random.default_rng(seed)
    pattern = 0.5 * rng.standard_normal((N_CHANS, N_TIMES))
    y = rng.integers(2, size=(n_people, 2, n_epochs))
    sources = (2 * y - 1)[..., None, None] * pattern + rng.standard_normal((*y.shape, N_CHANS, N_TIMES))
    mixing = np.eye(N_CHANS) + drift * rng.standard_normal((n_people, 2, 1, N_CHANS, N_CHANS))
    common = 3 * drift * rng.standard_normal((n_people, 2, 1, N_CHANS, N_TIMES))
    rows = pd.DataFrame(
        {
            "subject": np.repeat([f"sub-{i}" for i in range(n_people)], 2 * n_epochs),
            "session": np.tile(np.repeat(["mon", "tue"], n_epochs), n_people),
            "stimulus": np.where(y.ravel() == 1, "cat", "dog"),
            "onset": np.tile(10 + 3.0 * np.arange(n_epochs), 2 * n_people),
        }
    )
    X = 10 * (mixing @ sources + common).reshape(-1, N_CHANS, N_TIMES)
    return EpochsView.from_arrays(X, rows=rows)


def decoder(**params):
    return make_pipeline(SubjectAligner(unknown="pooled", **params), ZeroShotClassifier(Ridge(10.0)))


def test_a_planted_drift_between_sessions_is_made_up_for():
    cv = LeaveOneSessionOut(shared_stimuli=True)
    drifting, still = (
        calibration_curve(decoder(), recorded(drift), cv=cv, minutes=[0, 2]) for drift in (0.5, 0.0)
    )
    assert drifting["accuracy"][0] < still["accuracy"][0] - 0.1
    for row in (1, 3):  # two minutes, without and with labels
        assert drifting["accuracy"][row] > still["accuracy"][row] - 0.06
        assert drifting["gain"][row] > 0.1
    assert drifting["n_epochs"].tolist() == [0, 40, 0, 40]
    assert (drifting["chance"] == 0.5).all()


def test_each_point_is_what_calibrating_by_hand_gives():
    view = recorded(0.5, n_people=3).select(session="mon")
    table = calibration_curve(decoder(), view, cv=LeaveOneGroupOut(), minutes=[0, 1, 2], onset=3.0)
    y, seconds = view.stimulus, view.rows["onset"].to_numpy() - 10
    hits = np.zeros((6, 0))
    for train, test in LeaveOneGroupOut().split(view, y, view.subject):
        later = test[seconds[test] >= 120]
        found = []
        for length in (0, 60, 120):
            fitted = decoder().fit(view[train], y[train])
            if length:
                fitted[0].calibrate(view[test[seconds[test] < length]])
            found.append(fitted.predict(view[later]) == y[later])
        for length in (0, 60, 120):
            rows = np.concatenate([train, test[seconds[test] < length]])
            found.append(decoder().fit(view[rows], y[rows]).predict(view[later]) == y[later])
        hits = np.concatenate([hits, found], axis=1)
    np.testing.assert_allclose(table["accuracy"], hits.mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(table["gain"], (hits - hits[0]).mean(axis=1), atol=1e-6)
    assert (table["low"] <= table["accuracy"]).all()
    assert (table["accuracy"] <= table["high"]).all()
    by_column = calibration_curve(decoder(), view, cv=LeaveOneGroupOut(), minutes=[2, 1, 0])
    pd.testing.assert_frame_equal(table, by_column)


def test_steps_inside_a_retriever_and_held_out_pictures():
    rng = np.random.default_rng(0)
    table = EmbeddingTable([f"image_{i}" for i in range(8)], rng.standard_normal((8, 3)))
    shown, subject = np.tile(table.ids, 15), np.repeat(["ana", "ben", "eve"], 40)
    X = (table.lookup(shown) @ rng.standard_normal((3, N_CHANS * N_TIMES))).reshape(-1, N_CHANS, N_TIMES)
    X = X * np.repeat([10, 40, 90], 40)[:, None, None] + rng.standard_normal(X.shape)
    view = EpochsView.from_arrays(X, subject=subject, stimulus=shown)
    steps = EpochScaler(per_subject=True, unknown="pooled"), MVNN(unknown="pooled"), Vectorizer(), Ridge()
    inside = ImageRetriever(make_pipeline(*steps), targets=table)
    cv = LeaveOneSubjectOut(test_stimuli=table.ids[:4])
    curve = calibration_curve(inside, view, cv=cv, minutes=[0, 1], onset=3.0, average_test=True, k=2)
    # Of the twenty epochs in a minute eight show pictures that are not tested: the others calibrate nothing.
    assert curve["n_epochs"].tolist() == [0, 8, 0, 8]
    assert curve["accuracy"][1] >= curve["accuracy"][0]


def test_what_cannot_calibrate_stays_as_it_is_without_labels():
    view = recorded(0.5, n_people=3)
    plain = ZeroShotClassifier(Ridge(10.0))
    # Sessions have the same clock here: only the first may calibrate.
    table = calibration_curve(plain, view.select(session="mon"), cv=LeaveOneGroupOut(), minutes=[0, 2])
    assert table["accuracy"][0] == table["accuracy"][1] == table["accuracy"][2]
    assert table["accuracy"][3] != table["accuracy"][2]


def test_what_it_refuses_and_warns_of():
    view = recorded(0.1, n_people=3)
    cv = LeaveOneGroupOut()
    with pytest.raises(ValueError, match="minutes: after 4 minutes too few test epochs are left"):
        calibration_curve(decoder(), view, cv=cv, minutes=[4])
    with pytest.raises(ValueError, match="minutes must hold at least one length"):
        calibration_curve(decoder(), view, cv=cv, minutes=[])
    with pytest.raises(ValueError, match="minutes must lie in"):
        calibration_curve(decoder(), view, cv=cv, minutes=[-1])
    silent = EpochsView.from_arrays(np.asarray(view), subject=view.subject, stimulus=view.stimulus)
    with pytest.raises(ValueError, match="onset: it is not known when the epochs began"):
        calibration_curve(decoder(), silent, cv=cv, minutes=[0])
    with pytest.raises(ValueError, match="onset must hold seconds, got 'soon' in row 1"):
        calibration_curve(decoder(), view, cv=cv, minutes=[0], onset=["1", "soon"] + ["2"] * 478)
    own = make_pipeline(SubjectAligner(unknown="transductive"), ZeroShotClassifier(Ridge(10.0)))
    with pytest.warns(UserWarning, match="learned from their own test epochs, and so does not depend on"):
        calibration_curve(own, view.select(session="mon"), cv=cv, minutes=[0])
