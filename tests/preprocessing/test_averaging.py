from __future__ import annotations

import numpy as np
import pytest

from skeegclip.preprocessing import average_repetitions


@pytest.fixture
def epochs():
    rng = np.random.default_rng(0)
    y = np.array(["b", "a", "b", "c", "a", "b", "b", "a"])
    subject = np.array(["s2", "s1", "s2", "s1", "s1", "s1", "s2", "s1"])
    return rng.standard_normal((8, 3, 5)).astype(np.float32), y, subject


def test_means_of_each_pair_in_order_of_first_appearance(epochs):
    X, y, subject = epochs
    mean, y_mean, subject_mean = average_repetitions(X, y, subject)
    pairs = list(zip(subject_mean, y_mean, strict=True))
    assert pairs == [("s2", "b"), ("s1", "a"), ("s1", "c"), ("s1", "b")]
    for row, (of_subject, stimulus) in enumerate(pairs):
        expected = X[(subject == of_subject) & (y == stimulus)].mean(axis=0)
        np.testing.assert_allclose(mean[row], expected, rtol=1e-6)
    assert mean.dtype == np.float32


def test_without_subject_stimuli_are_pooled(epochs):
    X, y, _ = epochs
    mean, y_mean, subject_mean = average_repetitions(X, y)
    assert y_mean.tolist() == ["b", "a", "c"]
    assert subject_mean is None
    np.testing.assert_allclose(mean[0], X[y == "b"].mean(axis=0), rtol=1e-6)


def test_n_averages_a_random_choice():
    X = np.eye(6)[:, None]  # the mean shows which rows it is made of
    y = ["a"] * 6
    draws = [average_repetitions(X, y, n=2, random_state=seed)[0][0, 0] for seed in range(40)]
    assert all(sorted(draw)[-3:] == [0.0, 0.5, 0.5] for draw in draws)
    assert len({tuple(draw) for draw in draws}) > 10
    again = average_repetitions(X, y, n=2, random_state=0)[0][0, 0]
    np.testing.assert_array_equal(draws[0], again)


def test_integers_become_float64_and_the_input_stays():
    X = np.array([[1], [2]])
    mean, _, _ = average_repetitions(X, ["a", "a"])
    assert mean.dtype == np.float64
    assert mean.tolist() == [[1.5]]
    assert X.tolist() == [[1], [2]]


def test_integer_labels_and_one_subject_name():
    mean, y, subject = average_repetitions(np.ones((3, 2)), [7, 5, 7], "sub-01")
    assert y.tolist() == [7, 5]
    assert subject.tolist() == ["sub-01", "sub-01"]
    assert mean.shape == (2, 2)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"y": ["a"]}, ValueError, r"y must hold one stimulus per epoch, shape \(8,\), got \(1,\)"),
        ({"subject": ["s"]}, ValueError, "subject must hold one id per epoch"),
        ({"n": 0}, ValueError, "n must lie in"),
        ({"n": 1.5}, TypeError, "n must be an int or None"),
        ({"n": 3}, ValueError, r"n=3, but 1 of 3 stimuli have fewer repetitions \(first: c has 1\)"),
        ({"X": "epochs"}, TypeError, "X is a name"),
    ],
)
def test_bad_input_is_refused(epochs, change, error, match):
    X, y, _ = epochs
    with pytest.raises(error, match=match):
        average_repetitions(**{"X": X, "y": y, **change})


def test_views_stay_views_and_epochs_stay_epochs():
    import mne
    import pandas as pd

    from skeegclip import EpochsView

    rng = np.random.default_rng(0)
    X = rng.standard_normal((6, 2, 5)).astype(np.float32)
    y, subject = np.array(list("aabbab")), np.array(["s1", "s1", "s1", "s1", "s2", "s2"])
    expected, y_mean, subject_mean = average_repetitions(X, y, subject)
    info = mne.create_info(["Oz", "Pz"], 100.0, "eeg")
    rows = pd.DataFrame({"stimulus": y, "subject": subject, "repetition": range(6)})

    view = EpochsView.from_arrays(X, info=info, tmin=-0.02, rows=rows)[::-1].pick(["Pz"]).crop(0)
    got, y_view, subject_view = average_repetitions(view, y[::-1])
    assert isinstance(got, EpochsView)
    np.testing.assert_allclose(np.asarray(got), expected[::-1][:, [1], 2:], rtol=1e-6)
    assert got.subject.tolist() == subject_view.tolist() == subject_mean[::-1].tolist()
    assert (y_view.tolist(), got.rows["repetition"].tolist()) == (y_mean[::-1].tolist(), [5, 4, 3, 1])
    assert got.ch_names == ("Pz",)
    np.testing.assert_allclose(got.times, [0, 0.01, 0.02], atol=1e-12)

    epochs = mne.EpochsArray(1e-6 * X, info, tmin=-0.02, metadata=rows, verbose=False)
    got, y_epochs, subject_epochs = average_repetitions(epochs, y)
    np.testing.assert_allclose(got.get_data(units="uV"), expected, rtol=1e-6)
    assert got.metadata["repetition"].tolist() == [0, 2, 4, 5]
    assert (y_epochs.tolist(), subject_epochs.tolist(), got.tmin) == (
        y_mean.tolist(),
        subject_mean.tolist(),
        -0.02,
    )
    with pytest.raises(ValueError, match="disagrees"):
        average_repetitions(epochs, y, subject="s3")


def test_a_mean_does_not_hide_what_was_missing():
    X = np.ones((4, 2, 3))
    X[2, 1, 0] = np.nan
    with pytest.raises(ValueError, match="X contains NaN"):
        average_repetitions(X, ["a", "a", "b", "b"])
