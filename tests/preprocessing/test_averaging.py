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
        ({"X": "epochs"}, TypeError, "X must be a numeric array"),
    ],
)
def test_bad_input_is_refused(epochs, change, error, match):
    X, y, _ = epochs
    with pytest.raises(error, match=match):
        average_repetitions(**{"X": X, "y": y, **change})
