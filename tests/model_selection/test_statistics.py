"""Intervals and tests, against known values and by simulation."""

from statistics import NormalDist

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, logit

from skeegclip.model_selection._statistics import (
    Spread,
    difference_interval,
    holm,
    permutation_p,
    share_interval,
    sign_flip_p,
    spreads,
)


def test_variances_of_a_crossed_table():
    rng = np.random.default_rng(0)
    people, pictures = rng.normal(0, 2, (6, 1)), rng.normal(0, 1, (1, 9))
    table = people + pictures  # nothing but the two
    found = spreads(table)
    assert found["subjects"].variance == pytest.approx(people.var(ddof=1) / 6)
    assert found["stimuli"].variance == pytest.approx(pictures.var(ddof=1) / 9)
    both = found["stimuli and subjects"]
    assert both.variance == pytest.approx(found["subjects"].variance + found["stimuli"].variance)
    assert 5 < both.dof < 14


def test_the_variance_is_unbiased():
    rng = np.random.default_rng(1)
    estimates, means = [], []
    for _ in range(3000):
        table = rng.normal(0, 1, (5, 1)) + rng.normal(0, 1, (1, 8)) + rng.normal(0, 2, (5, 8))
        found = spreads(table)
        estimates.append(found["stimuli and subjects"].variance)
        means.append(table.mean())
    true = 1 / 5 + 1 / 8 + 4 / 40
    assert np.var(means) == pytest.approx(true, rel=0.08)
    # Never below either part, and so a little too large on average.
    assert true < np.mean(estimates) < 1.12 * true


def test_one_person_one_picture_one_seed():
    assert set(spreads(np.zeros((1, 5)))) == {"stimuli"}
    assert set(spreads(np.zeros((5, 1)))) == {"subjects"}
    assert spreads(np.zeros((1, 1)), np.zeros(1)) == {}
    assert spreads(np.zeros((1, 1)), np.array([0.2, 0.4]))["seeds"].variance == pytest.approx(0.01)


def test_disjoint_pictures():
    # Each person saw other pictures: the mean is still that of the people's means.
    table = np.full((2, 6), np.nan)
    table[0, :2], table[1, 2:] = [0, 1], [1, 1, 1, 0]
    found = spreads(table)
    assert found["subjects"].variance == pytest.approx(np.var([0.5, 0.75], ddof=1) / 2)
    assert found["stimuli"].variance > 0


def test_wilson_against_the_textbook():
    hits, n = 7, 50
    p = hits / n
    z = NormalDist().inv_cdf(0.975)
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5
    # As many degrees of freedom as make Student's t normal; the variance of a share of independent pictures.
    found = share_interval(p, Spread(p * (1 - p) / n, 1e9, n), 0.95)
    np.testing.assert_allclose(found, (centre - half, centre + half), rtol=1e-6)
    expected = stats.binomtest(hits, n).proportion_ci(method="wilson")
    np.testing.assert_allclose(found, (expected.low, expected.high), rtol=1e-6)


def test_no_hit_at_all_is_not_certainty():
    low, high = share_interval(0.0, Spread(0.0, 199, 200), 0.95)
    assert low == 0
    assert 0.01 < high < 0.03
    low, high = share_interval(1.0, Spread(0.0, 199, 200), 0.95)
    assert 0.97 < low < 0.99
    assert high == 1


def simulate(rng, n_subjects, n_stimuli, base, sd_subjects, sd_stimuli):
    logits = (
        logit(base)
        + sd_subjects * rng.standard_normal((n_subjects, 1))
        + sd_stimuli * rng.standard_normal(n_stimuli)
    )
    return (rng.random((n_subjects, n_stimuli)) < expit(logits)).astype(float)


@pytest.mark.slow
@pytest.mark.parametrize("n_subjects", [1, 4, 10])
@pytest.mark.parametrize("base", [0.01, 0.25, 0.8])
def test_intervals_cover_at_their_nominal_rate(n_subjects, base):
    """A decoder's accuracy differs between people and between pictures; the interval must hold the true mean."""
    rng = np.random.default_rng(0)
    sd_subjects = 0.4 if n_subjects > 1 else 0.0  # of a single person nothing can be said about others
    spread = np.hypot(sd_subjects, 1.0)
    true = expit(logit(base) + spread * rng.standard_normal(400_000)).mean()
    over = "stimuli and subjects" if n_subjects > 1 else "stimuli"
    covered = []
    for _ in range(1000):
        table = simulate(rng, n_subjects, 200, base, sd_subjects, 1.0)
        low, high = share_interval(table.mean(), spreads(table)[over], 0.95)
        covered.append(low <= true <= high)
    assert 0.93 <= np.mean(covered) <= 0.985


@pytest.mark.slow
def test_differences_cover_at_their_nominal_rate():
    rng = np.random.default_rng(1)
    covered = []
    for _ in range(1000):
        shared = rng.normal(0, 0.1, (6, 1)) + rng.normal(0, 0.2, 100)
        table = (
            0.05
            + rng.normal(0, 0.02, (6, 1))
            + rng.normal(0, 0.1, 100)
            + 0 * shared
            + rng.normal(0, 0.3, (6, 100))
        )
        low, high = difference_interval(table.mean(), spreads(table)["stimuli and subjects"], 0.95)
        covered.append(low <= 0.05 <= high)
    assert 0.93 <= np.mean(covered) <= 0.98


def test_sign_flips():
    rng = np.random.default_rng(0)
    # All signs equal: of 2**6 flips only two are as extreme.
    assert sign_flip_p(np.arange(1.0, 7.0), rng, 1000) == pytest.approx(2 / 64)
    assert sign_flip_p(np.zeros(5), rng, 1000) == 1.0
    expected = stats.permutation_test(
        (np.array([0.1, -0.4, 0.3, 0.2, 0.25]), np.zeros(5)),
        lambda a, b, axis: np.mean(a - b, axis=axis),
        permutation_type="samples",
        vectorized=True,
    ).pvalue
    assert sign_flip_p(np.array([0.1, -0.4, 0.3, 0.2, 0.25]), rng, 1000) == pytest.approx(expected)
    drawn = sign_flip_p(rng.normal(1, 1, 40), rng, 2000)
    assert 1 / 2001 <= drawn < 0.01


def hits_of(rng, n_gallery, n_queries, accuracy):
    target = rng.integers(n_gallery, size=n_queries)
    top = rng.integers(n_gallery, size=(n_queries, 1))
    right = rng.random(n_queries) < accuracy
    top[right, 0] = target[right]
    return target, top, n_gallery


@pytest.mark.parametrize("n_gallery", [4, 50])
def test_permutations_find_what_is_there_and_nothing_else(n_gallery):
    rng = np.random.default_rng(0)
    sets = [hits_of(rng, n_gallery, 60, 0.5) for _ in range(3)]
    assert permutation_p(sets, rng, 500) == pytest.approx(1 / 501)
    p = [permutation_p([hits_of(rng, n_gallery, 60, 0.0) for _ in range(3)], rng, 200) for _ in range(200)]
    # Under the null hypothesis p is uniform (or larger, where accuracies tie).
    assert np.mean(np.array(p) <= 0.05) < 0.09
    assert np.mean(np.array(p) <= 0.5) < 0.62
    assert np.mean(p) > 0.45


def test_hubs_alone_are_not_significant():
    # Everybody finds the same picture always: right once in n, for every permutation.
    target = np.arange(40)
    assert permutation_p([(target, np.zeros((40, 1), int), 40)] * 5, np.random.default_rng(0), 200) == 1.0


def test_holm():
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03])), [0.03, 0.06, 0.06])
    np.testing.assert_allclose(holm(np.array([0.9, 0.8])), [1.0, 1.0])
    assert holm(np.array([])).shape == (0,)
