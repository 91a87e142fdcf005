"""MVNN against the published recipe, written out."""

import mne
import numpy as np
import pytest
import scipy.linalg
from sklearn.discriminant_analysis import _cov

from skeegclip import EpochsView
from skeegclip.preprocessing import MVNN

N_CHANS, N_TIMES = 5, 40


@pytest.fixture
def recording():
    """Two subjects with two sessions each, and their own noise; six stimuli, three repetitions a session."""
    rng = np.random.default_rng(0)
    subject = np.repeat(["ana", "ben"], 36)
    session = np.tile(np.repeat(["1", "2"], 18), 2)
    y = np.tile(np.repeat([f"image_{i}" for i in range(6)], 3), 4)
    X = (
        rng.standard_normal((72, N_CHANS, N_TIMES))
        + 3 * rng.standard_normal((6, N_CHANS, N_TIMES))[np.tile(np.repeat(np.arange(6), 3), 4)]
    )
    for part in np.split(np.arange(72), 4):
        X[part] = rng.standard_normal((N_CHANS, N_CHANS)) @ X[part] * rng.uniform(5, 50)
    shuffled = rng.permutation(72)
    return X.astype(np.float32)[shuffled], y[shuffled], subject[shuffled], session[shuffled]


def by_hand(X, y, mode):
    """The covariance of the published recipe, with scikit-learn's private function that it calls."""
    X = X.astype(np.float64)
    of_conditions = []
    for condition in np.unique(y):
        data = X[y == condition]
        if mode == "epoch":
            of_conditions.append(np.mean([_cov(epoch.T, shrinkage="auto") for epoch in data], axis=0))
        elif len(data) > 1:
            of_conditions.append(
                np.mean([_cov(data[:, :, t], shrinkage="auto") for t in range(X.shape[2])], axis=0)
            )
    return np.mean(of_conditions, axis=0)


@pytest.mark.parametrize("mode", ["epoch", "time"])
def test_equals_the_published_recipe(mode, recording):
    X, y, subject, session = recording
    mvnn = MVNN(mode).fit(X, y, subject=subject, session=session)
    Z = mvnn.transform(X, subject=subject, session=session)
    assert mvnn.groups_.keys == (("ana", "1"), ("ana", "2"), ("ben", "1"), ("ben", "2"))
    for key, covariance in zip(mvnn.groups_.keys, mvnn.covariances_, strict=True):
        rows = (subject == key[0]) & (session == key[1])
        expected = by_hand(X[rows], y[rows], mode)
        np.testing.assert_allclose(covariance, expected, rtol=1e-10)
        whitener = scipy.linalg.fractional_matrix_power(expected, -0.5)
        whitened = (X[rows].swapaxes(1, 2) @ whitener).swapaxes(1, 2)
        np.testing.assert_allclose(Z[rows], whitened, rtol=1e-4, atol=1e-4)
    assert Z.dtype == np.float32


def test_unequal_repetitions_weigh_conditions_not_epochs():
    rng = np.random.default_rng(1)
    X = rng.standard_normal((9, N_CHANS, N_TIMES)) * np.repeat([1.0, 10.0], [8, 1])[:, None, None]
    y = np.array(["often"] * 8 + ["once"])
    np.testing.assert_allclose(MVNN().fit(X, y).covariances_[0], by_hand(X, y, "epoch"), rtol=1e-5)
    # "time" learns from what repeats alone.
    np.testing.assert_allclose(MVNN("time").fit(X, y).covariances_[0], by_hand(X, y, "time"), rtol=1e-5)


def test_noise_becomes_white():
    rng = np.random.default_rng(2)
    mixing = 10 * np.eye(N_CHANS) + 3 * rng.standard_normal((N_CHANS, N_CHANS))
    X = mixing @ rng.standard_normal((300, N_CHANS, 200))
    Z = MVNN().fit_transform(X, np.repeat(np.arange(100), 3))
    np.testing.assert_allclose(np.cov(Z.swapaxes(0, 1).reshape(N_CHANS, -1)), np.eye(N_CHANS), atol=0.1)


def test_y_may_be_stimuli_embeddings_or_what_the_view_carries(recording):
    X, y, *_ = recording
    vectors = np.eye(6)[np.unique(y, return_inverse=True)[1]]
    by_ids = MVNN("time").fit(X, y).covariances_
    view = EpochsView.from_arrays(X, stimulus=y)
    for same in (MVNN("time").fit(X, vectors), MVNN("time").fit(view)):
        np.testing.assert_allclose(same.covariances_, by_ids, rtol=1e-9)
    assert not np.allclose(MVNN("time").fit(X).covariances_, by_ids)  # all epochs one condition


def test_one_time_is_read_over_epochs():
    rng = np.random.default_rng(3)
    X, y = rng.standard_normal((40, N_CHANS)) * 7, np.repeat(np.arange(4), 10)
    Z = MVNN().fit(X, y).transform(X)
    assert Z.shape == X.shape
    np.testing.assert_allclose(MVNN().fit(X, y).covariances_[0], by_hand(X[:, :, None], y, "time"), rtol=1e-5)


def test_a_channel_without_variance_stays_zero(recording):
    X, y, *_ = recording
    X[:, 2] = 0
    Z = MVNN().fit_transform(X, y)
    assert np.isfinite(Z).all()
    np.testing.assert_allclose(Z[:, 2], 0, atol=1e-12)
    assert (MVNN().fit_transform(np.zeros_like(X), y) == 0).all()


# -- subjects and sessions not seen in fit ------------------------------------------------------------


def test_unknown_is_refused_by_default(recording):
    X, y, subject, session = recording
    mvnn = MVNN().fit(X, y, subject=subject, session=session)
    assert mvnn.transductive_ is False
    with pytest.raises(ValueError, match=r"subject 'eve', session '1', not seen in fit \(1 such, 72 of 72"):
        mvnn.transform(X, subject="eve", session="1")
    with pytest.raises(ValueError, match="subject 'ana', no session"):
        mvnn.transform(X, subject="ana")
    with pytest.raises(ValueError, match="no subject, no session"):
        mvnn.transform(X)


def test_pooled_takes_the_subjects_other_sessions_or_everybody(recording):
    X, y, subject, session = recording
    mvnn = MVNN(unknown="pooled").fit(X, y, subject=subject, session=session)
    ana, ben = mvnn.covariances_[:2], mvnn.covariances_[2:]
    for key, expected in ({("ben", "9"): ben, ("eve", "1"): [*ana, *ben]}).items():
        Z = mvnn.transform(X, subject=key[0], session=key[1])
        whitener = scipy.linalg.fractional_matrix_power(np.mean(expected, axis=0), -0.5)
        np.testing.assert_allclose(Z, whitener @ X, rtol=1e-3, atol=1e-4)
    assert mvnn.transductive_ is False


def test_known_rows_beside_unknown_ones_are_as_alone(recording):
    X, y, subject, session = recording
    mvnn = MVNN(unknown="pooled").fit(X, y, subject=subject, session=session)
    alone = mvnn.transform(X, subject=subject, session=session)
    mixed = np.where(np.arange(72) < 30, "eve", subject)
    np.testing.assert_array_equal(mvnn.transform(X, subject=mixed, session=session)[30:], alone[30:])


def test_transductive_learns_from_the_test_epochs_without_their_stimuli(recording):
    X, y, subject, session = recording
    train = subject == "ana"
    mvnn = MVNN(unknown="transductive").fit(X[train], y[train], subject=subject[train])
    assert mvnn.transductive_ is True
    Z = mvnn.transform(X[~train], subject=subject[~train])
    expected = MVNN().fit(X[~train], np.zeros((~train).sum())).transform(X[~train])
    np.testing.assert_array_equal(Z, expected)
    view = EpochsView.from_arrays(X, subject=subject, stimulus=y)
    np.testing.assert_array_equal(np.asarray(mvnn.transform(view))[~train], Z)


def test_what_fit_did_not_know_is_not_looked_at(recording):
    X, y, subject, session = recording
    mvnn = MVNN().fit(X, y)
    np.testing.assert_array_equal(mvnn.transform(X, subject=subject, session=session), mvnn.transform(X))
    by_subject = MVNN().fit(X, y, subject=subject)
    assert by_subject.groups_.keys == (("ana",), ("ben",))
    by_subject.transform(X, subject=subject, session=session)
    by_session = MVNN(unknown="pooled").fit(X, y, session=session)
    assert by_session.groups_.keys == (("1",), ("2",))
    whitener = scipy.linalg.fractional_matrix_power(by_session.covariances_.mean(axis=0), -0.5)
    np.testing.assert_allclose(by_session.transform(X, session="3"), whitener @ X, rtol=1e-3, atol=1e-4)


def test_sessions_come_from_the_view_and_from_metadata(recording):
    X, y, subject, session = recording
    import pandas as pd

    rows = pd.DataFrame({"subject": subject, "session": session, "stimulus": y})
    view = EpochsView.from_arrays(X, rows=rows)
    epochs = mne.EpochsArray(1e-6 * X, mne.create_info(N_CHANS, 100.0, "eeg"), metadata=rows, verbose=False)
    expected = MVNN().fit(X, y, subject=subject, session=session)
    for given in (view, epochs):
        fitted = MVNN().fit(given)
        assert fitted.groups_ == expected.groups_
        np.testing.assert_allclose(fitted.covariances_, expected.covariances_, rtol=1e-4)


# -- errors -------------------------------------------------------------------------------------------


def test_bad_parameters_and_data(recording):
    X, y, subject, session = recording
    with pytest.raises(
        ValueError, match="mode must be one of 'epoch', 'time', got 'epochs'. Did you mean 'epoch'"
    ):
        MVNN("epochs").fit(X, y)
    with pytest.raises(ValueError, match="unknown must be one of"):
        MVNN(unknown="mean").fit(X, y)
    with pytest.raises(ValueError, match="every condition has one sample only"):
        MVNN("time").fit(X, np.arange(72))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        MVNN().fit(X, y[:-1])
    with pytest.raises(ValueError, match=r"session must hold one id per epoch, shape \(72,\), got \(3,\)"):
        MVNN().fit(X, y, session=["1", "2", "3"])
    with pytest.raises(ValueError, match="NaN: first in epoch 0"):
        MVNN().fit(np.full_like(X, np.nan), y)


def test_a_failed_fit_leaves_the_estimator_as_it_was(recording):
    X, y, subject, session = recording
    mvnn = MVNN().fit(X, y, subject=subject)
    before = mvnn.transform(X, subject=subject)
    with pytest.raises(ValueError, match="inconsistent"):
        mvnn.fit(X[:, :3], y[:5], subject=subject)
    np.testing.assert_array_equal(mvnn.transform(X, subject=subject), before)


def test_progress_is_shown_on_request(recording, capsys):
    X, y, *_ = recording
    MVNN().fit(X, y)
    assert capsys.readouterr().err == ""
    MVNN(verbose=1).fit(X, y)
    assert "72/72" in capsys.readouterr().err
