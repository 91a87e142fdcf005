from __future__ import annotations

import numpy as np
import pytest

from skeegclip.metrics import bootstrap_interval


def test_agrees_with_scipy():
    from scipy.stats import bootstrap

    values = np.random.default_rng(0).exponential(size=80)
    theirs = bootstrap(
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
    # "b" has nine rows of 1 and "a" one of 0; a resample of both is their pooled mean, not 1/2.
    values, groups = np.r_[0, np.ones(9)], list("abbbbbbbbb")
    low, high = bootstrap_interval(values, groups=groups, confidence=0.4, random_state=0)
    assert (low, high) == (0.9, 0.9)


def test_coverage_of_the_mean():
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(300):
        low, high = bootstrap_interval(rng.random(60) < 0.4, n_resamples=400, random_state=rng)
        inside += low <= 0.4 <= high
    assert 0.90 < inside / 300 < 0.985


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
