"""Intervals and tests, against known values and by simulation."""

from statistics import NormalDist

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, logit

from skeegclip._evaluation.statistics import holm, paired_interval, paired_p, sign_flip_p, spreads
from skeegclip.metrics.intervals import Spread, share_interval


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


@pytest.mark.parametrize(("sd_people", "sd_pictures"), [(10, 0.1), (1, 1), (0.1, 10)])
def test_degrees_of_freedom_are_those_of_welch(sd_people, sd_pictures):
    """Of a sum of two variances, as in Welch's test: near those of whichever is larger."""
    rng = np.random.default_rng(0)
    people, pictures = rng.normal(0, sd_people, 6), rng.normal(0, sd_pictures, 40)
    found = spreads(people[:, None] + pictures)["stimuli and subjects"]
    assert found.dof == pytest.approx(stats.ttest_ind(people, pictures, equal_var=False).df)


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
@pytest.mark.parametrize("n_subjects", [1, 4])
@pytest.mark.parametrize("n_stimuli", [5, 12, 100])
@pytest.mark.parametrize("accuracies", [(0.95, 0.1), (0.4, 0.3), (0.1, 0.1)])
def test_differences_cover_at_their_nominal_rate(n_subjects, n_stimuli, accuracies):
    rng = np.random.default_rng(1)
    sd_subjects = 0.4 if n_subjects > 1 else 0.0
    spread = np.hypot(sd_subjects, 1.0) * rng.standard_normal(400_000)
    high, low = (expit(logit(base) + spread).mean() for base in accuracies)
    over = "stimuli and subjects" if n_subjects > 1 else "stimuli"
    covered = []
    for _ in range(400):
        effects = sd_subjects * rng.standard_normal((n_subjects, 1)) + rng.standard_normal(n_stimuli)
        first, second = (
            (rng.random(effects.shape) < expit(logit(base) + effects)).astype(float) for base in accuracies
        )
        ends = paired_interval(first, second, over, 0.95)
        assert -1 <= ends[0] <= first.mean() - second.mean() + 1e-9
        assert first.mean() - second.mean() - 1e-9 <= ends[1] <= 1
        covered.append(ends[0] <= high - low <= ends[1])
    assert np.mean(covered) > 0.9


def test_all_against_none_is_not_certainty():
    low, high = paired_interval(np.ones((1, 5)), np.zeros((1, 5)), "stimuli", 0.95)
    assert high == 1
    assert 0 < low < 0.5
    # Newcombe, table II: 29 pairs of 30 where the first alone is right; with Student's t in place of the normal.
    hits = np.ones((1, 30))
    hits[0, 0] = 0
    low, high = paired_interval(hits, np.zeros((1, 30)), "stimuli", 0.95)
    assert (low, high) == (pytest.approx(0.787, abs=0.02), pytest.approx(0.995, abs=0.01))


def test_decoders_that_agree_differ_by_little():
    """One finds the same 50 of 100 pictures as the other, and one more: the difference is known far better than either."""
    first, second = np.zeros((1, 100)), np.zeros((1, 100))
    first[0, :51] = second[0, :50] = 1
    low, high = paired_interval(first, second, "stimuli", 0.95)
    assert -0.03 < low < 0.01 < high < 0.06
    low, high = paired_interval(first, second[:, ::-1], "stimuli", 0.95)  # other pictures
    assert high - low > 0.25


def test_people_who_err_alike_count_once():
    """Two decoders of noise, whose luck with a picture is that of all people: no evidence for either."""
    rng = np.random.default_rng(0)
    p = []
    for _ in range(200):
        luck = rng.choice([-1.0, 0.0, 1.0], 20)
        found, unit = paired_p(np.tile(luck, (10, 1)), rng, 500)
        p.append(found)
    assert unit == "subjects"
    assert np.sum(np.array(p) <= 0.05) <= stats.binom.isf(1e-3, 200, 0.05)
    clear = np.tile(rng.random(20) < 0.9, (10, 1)).astype(float)
    assert paired_p(clear, rng, 2000)[0] < 0.01


def test_the_p_of_one_person_is_no_smaller_than_students():
    differences = np.random.default_rng(0).normal(0.3, 1, (1, 60))
    p, unit = paired_p(differences, np.random.default_rng(1), 5000)
    expected = stats.ttest_1samp(differences[0], 0).pvalue
    assert unit == "stimuli"
    assert expected * (1 - 1e-9) <= p <= expected + 4 * np.sqrt(expected / 5000)


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


def test_holm():
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03])), [0.03, 0.06, 0.06])
    np.testing.assert_allclose(holm(np.array([0.9, 0.8])), [1.0, 1.0])
    assert holm(np.array([])).shape == (0,)
