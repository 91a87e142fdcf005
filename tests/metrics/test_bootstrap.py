from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from skeegclip.metrics import bootstrap_interval


def test_agrees_with_scipy():
    values = np.random.default_rng(0).exponential(size=80)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=20000, method="percentile", confidence_level=0.9, random_state=1
    ).confidence_interval
    ours = bootstrap_interval(values, confidence=0.9, n_resamples=20000, random_state=2)
    np.testing.assert_allclose(ours, theirs, atol=0.01)


def test_rows_of_one_group_stay_together():
    rng = np.random.default_rng(0)
    effect = rng.standard_normal(30)
    values = np.repeat(effect, 20)
    names = np.repeat([f"stimulus {i}" for i in range(30)], 20)
    shuffled = rng.permutation(600)
    width = {
        "rows": np.ptp(bootstrap_interval(values, random_state=0)),
        "groups": np.ptp(bootstrap_interval(values[shuffled], groups=names[shuffled], random_state=0)),
        "means": np.ptp(bootstrap_interval(effect, random_state=0)),
    }
    assert width["groups"] == pytest.approx(width["means"], rel=0.08)
    assert width["groups"] > 4 * width["rows"]


def test_uneven_groups_weigh_by_their_rows():
    # Group means of 10 for the large ones and 0 for the small ones: their pooled mean is near 10, that of groups 5.
    sizes = np.tile([1, 19], 15)
    values, groups = np.repeat(np.tile([0.0, 10.0], 15), sizes), np.repeat(np.arange(30), sizes)
    low, high = bootstrap_interval(values, groups=groups, n_resamples=4000, random_state=0)
    # Each resample pools its own rows: 10 * 19 m / (19 m + 30 - m), where m of the 30 groups drawn are large.
    large = stats.binom(30, 0.5).ppf([0.025, 0.975])
    np.testing.assert_allclose([low, high], 190 * large / (18 * large + 30), atol=1e-9)


@pytest.mark.parametrize(("n", "chance"), [(200, 0.005), (1000, 0.002), (100, 0.98), (40, 0.05), (12, 0.5)])
def test_coverage_of_hits(n, chance):
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(400):
        low, high = bootstrap_interval(rng.random(n) < chance, n_resamples=200, random_state=rng)
        inside += low <= chance <= high
    assert inside / 400 > 0.9  # Wilson's interval, which textbooks give as 0.92 to 0.98 here


@pytest.mark.parametrize("n_groups", [2, 3, 8])
def test_coverage_with_few_groups(n_groups):
    rng = np.random.default_rng(2)
    people = np.repeat(np.arange(n_groups), 5)
    inside = 0
    for _ in range(400):
        values = rng.normal(3, 1, n_groups)[people] + rng.normal(0, 0.5, 5 * n_groups)
        low, high = bootstrap_interval(values, groups=people, n_resamples=10, random_state=rng)
        inside += low <= 3 <= high
    assert inside >= stats.binom.ppf(1e-3, 400, 0.95)


def test_hits_alone_and_none():
    expected = stats.binomtest(0, 300).proportion_ci(method="wilson")
    low, high = bootstrap_interval(np.zeros(300))
    assert low == 0
    assert high == pytest.approx(expected.high, rel=0.02)  # Student's t in place of the normal
    np.testing.assert_allclose(bootstrap_interval(np.ones(300)), (1 - high, 1))


def test_a_mean_of_few_is_students():
    values = np.array([3.0, -1.0, 2.0, 5.0, 4.5])
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    np.testing.assert_allclose(bootstrap_interval(values, confidence=0.9), expected)


def test_seeds():
    values = np.random.default_rng(0).random(50)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    assert bootstrap_interval(values, random_state=5) == bootstrap_interval(values, random_state=5)
    assert bootstrap_interval(values, random_state=5) != bootstrap_interval(values, random_state=6)
    assert bootstrap_interval(values) != bootstrap_interval(values)
    legacy = [bootstrap_interval(values, random_state=np.random.RandomState(3)) for _ in range(2)]
    assert legacy[0] == legacy[1]
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_blocks_keep_the_spread(monkeypatch):
    values = np.random.default_rng(0).random(50)
    whole = bootstrap_interval(values, random_state=0)
    monkeypatch.setattr("skeegclip.metrics.bootstrap._BLOCK", 700)
    np.testing.assert_allclose(bootstrap_interval(values, random_state=0), whole, atol=0.02)


@pytest.mark.parametrize(
    ("values", "keywords", "error", "match"),
    [
        (np.ones((2, 2)), {}, ValueError, r"values must have shape \(n,\), got shape \(2, 2\)"),
        ([1, np.nan], {}, ValueError, "NaN or inf, first at position 1"),
        ([1.0], {}, ValueError, "at least 2 groups, got 1"),
        ([1.0, 2.0], {"groups": ["a", "a"]}, ValueError, "at least 2 groups, got 1"),
        ([1.0, 2.0], {"groups": ["a"]}, ValueError, r"groups must have shape \(2,\)"),
        ([1.0, 2.0], {"confidence": 95}, ValueError, "confidence must lie between 0 and 1.*got 95"),
        ([1.0, 2.0], {"n_resamples": 0}, ValueError, "n_resamples must lie in .*got 0"),
        ([1.0, 2.0], {"n_resamples": 1e3}, TypeError, "n_resamples must be an int"),
    ],
)
def test_bad_input_is_refused(values, keywords, error, match):
    with pytest.raises(error, match=match):
        bootstrap_interval(values, **keywords)
