from __future__ import annotations

import numpy as np
import pytest

from skeegclip.metrics import bootstrap_interval, n_way_accuracy, n_way_probability, n_way_table


@pytest.fixture
def evaluation():
    rng = np.random.default_rng(0)
    target = np.repeat(np.arange(30), 2)
    similarity = rng.standard_normal((60, 30))
    similarity[np.arange(60), target] += 1.5
    return similarity, target


def test_every_row_is_the_figure_of_its_function(evaluation):
    table = n_way_table(*evaluation, random_state=0)
    assert list(table.columns) == ["n_way", "k", "accuracy", "low", "high", "chance"]
    pairs = [(int(n), int(k)) for n, k in zip(table["n_way"], table["k"], strict=True)]
    assert pairs == [(2, 1), (4, 1), (10, 1), (10, 5), (30, 1), (30, 5)]
    for row in table.itertuples():
        assert row.accuracy == pytest.approx(n_way_accuracy(*evaluation, int(row.n_way), int(row.k)))
        assert row.chance == row.k / row.n_way
        assert row.low < row.accuracy < row.high


def test_the_interval_is_over_stimuli(evaluation):
    table = n_way_table(*evaluation, [10], [1], random_state=4)
    values = n_way_probability(*evaluation, 10)
    expected = bootstrap_interval(values, groups=evaluation[1], random_state=4)
    assert (table["low"][0], table["high"][0]) == pytest.approx(expected)
    by_row = n_way_table(*evaluation, [10], [1], groups=np.arange(60), random_state=4)
    assert by_row["low"][0] != table["low"][0]


def test_without_intervals(evaluation):
    table = n_way_table(*evaluation, [3], [2, 1], n_resamples=0)
    assert list(table.columns) == ["n_way", "k", "accuracy", "chance"]
    assert list(table["k"]) == [2, 1]


def test_a_certain_hit_is_left_out(evaluation):
    table = n_way_table(*evaluation, [5, 10], [1, 5, 10], n_resamples=0)
    assert table[["n_way", "k"]].to_numpy().tolist() == [[5, 1], [10, 1], [10, 5]]


def test_bad_input_is_refused(evaluation):
    with pytest.raises(ValueError, match="n_way must be at most 30, the size of the gallery.*got 50"):
        n_way_table(*evaluation, [2, 50])
    with pytest.raises(ValueError, match=r"ks must hold a k smaller than some n"):
        n_way_table(*evaluation, [2, 4], [5])
    with pytest.raises(ValueError, match="ks must lie in .*got 0"):
        n_way_table(*evaluation, ks=[0])
