"""Intervals of the analyses against the truth."""

from itertools import permutations, product

import numpy as np
import pytest
from scipy import stats

from skeegclip._evaluation.statistics import spreads
from skeegclip.inspection._look import ranked
from skeegclip.inspection._statistics import chance, hits_of, p_values, with_intervals
from skeegclip.metrics.intervals import share_interval


def joined(hits, people, stimuli):
    found = {"hits": hits, "similarity": hits, "subject": people, "stimulus": stimuli}
    return {**found, "concept": stimuli}


@pytest.mark.parametrize("interval", ["stimulus", "subject"])
def test_intervals_are_those_of_a_report(interval):
    rng = np.random.default_rng(0)
    hits = (rng.random((3, 40)) < rng.random((3, 1)) / 2).astype(float)
    people, stimuli = np.repeat(list("abc"), 40), np.tile(np.arange(40).astype(str), 3)
    table = with_intervals(joined(hits.reshape(1, -1), people, stimuli), interval, 0)
    over = {"stimulus": "stimuli", "subject": "subjects"}[interval]
    want = share_interval(hits.mean(), spreads(hits)[over], 0.95)
    np.testing.assert_allclose(table[["low", "high"]].to_numpy()[0], want)
    order = rng.permutation(120)
    mixed = joined(hits.reshape(1, -1)[:, order], people[order], stimuli[order])
    np.testing.assert_allclose(with_intervals(mixed, interval, 0)[["low", "high"]], [want])


def test_no_hit_is_no_certainty():
    people, stimuli = np.full(50, "all"), np.arange(50).astype(str)
    table = with_intervals(joined(np.zeros((1, 50)), people, stimuli), "stimulus", 0)
    assert table["low"].item() == 0
    assert 0.05 < table["high"].item() < 0.1  # Wilson: 0.07


@pytest.mark.parametrize("accuracy", [0.02, 0.05, 0.4])
def test_intervals_cover_at_their_nominal_rate(accuracy):
    """Each stimulus has its own chance of a hit, and is a query four times over: trials, or people."""
    rng = np.random.default_rng(0)
    spread = 0.5 * accuracy
    n_runs, n_stimuli = 400, 50
    chances = accuracy + spread * rng.choice([-1, 1], size=(n_runs, n_stimuli))
    hits = (rng.random((n_runs, 4, n_stimuli)) < chances[:, None]).astype(float).reshape(n_runs, -1)
    stimuli = np.tile(np.arange(n_stimuli).astype(str), 4)
    table = with_intervals(joined(hits, np.full(hits.shape[1], "all"), stimuli), "stimulus", 0)
    held = (table["low"] <= accuracy) & (accuracy <= table["high"])
    assert 0.92 <= held.mean() <= 0.99


def looks(similarity, person, names, k=1, labels=False):
    """A fold as the analyses hand it on, from similarities (n_windows, n_queries, n_gallery)."""
    target = np.arange(similarity.shape[1]) % similarity.shape[2]
    found = [ranked(window, target, k) for window in similarity]
    fold = {name: np.stack([each[name] for each in found]) for name in found[0]}
    fold |= {"target": np.tile(target, (len(found), 1)), "labels": np.full(len(found), labels)}
    return fold | {"stimulus": names[target], "subject": np.full(len(target), person)}


@pytest.mark.parametrize("k", [1, 2])
def test_p_values_are_those_of_scipy(k):
    """All 120 orders of five pictures that three people saw, in four windows; scipy keeps the order of its pairings."""
    rng = np.random.default_rng(1)
    names = np.array(list("abcde"))
    similarity = rng.normal(size=(3, 4, 5, 5)) + 1.5 * np.eye(5) * np.arange(4)[:, None, None]
    p, corrected, smallest = p_values(
        [looks(person, str(i), names, k) for i, person in enumerate(similarity)], 0
    )
    best = np.argsort(-similarity, axis=3)[..., :k]
    null = []
    for window in range(4):
        result = stats.permutation_test(
            (np.arange(5),),
            lambda order, window=window: np.mean(best[:, window] == order[:, None]) * k,
            permutation_type="pairings",
            alternative="greater",
            vectorized=False,
            n_resamples=1000,
        )
        assert p[window] == pytest.approx(result.pvalue)
        null.append(result.null_distribution)
    seen = np.array([np.mean(best[:, window] == np.arange(5)[:, None]) * k for window in range(4)])
    expected = [np.mean(np.max(null, axis=0) >= value - 1e-9) for value in seen]
    np.testing.assert_allclose(corrected, expected)
    assert smallest == 1 / 120
    assert len(set(np.round(corrected, 6))) > 1


def test_chance_is_that_of_a_mean_over_queries():
    """Two of one fold have a chance of 1/2 each, eight of another 1/8: of ten queries two are right by chance."""
    folds = [looks(np.zeros((1, n, n)), "ann", np.array([f"{n} {i}" for i in range(n)])) for n in (2, 8)]
    assert chance(folds, 1) == pytest.approx(0.2)
    hits = np.concatenate([hits_of(fold)[0] for fold in folds])
    assert hits.mean() == pytest.approx(0.2)  # all tie, and count in part


def test_ties_count_in_part_in_p_values():
    # A window that says the same of all pictures is right by chance, whatever the order.
    names = np.array(list("abcdef"))
    similarity = np.stack([np.zeros((6, 6)), np.eye(6)])
    p, corrected, _ = p_values([looks(similarity, "ann", names)], 0)
    np.testing.assert_allclose(p, [1, 1 / 720])
    np.testing.assert_allclose(corrected, [1, 1 / 720])


def test_single_queries_are_exchanged_where_classes_were_trained_on():
    names = np.array(["face", "house"])
    right = np.tile(np.eye(2), (1, 20, 1))  # 40 queries, all right
    p, _, smallest = p_values([looks(right, "ann", names, labels=True)], 0)
    assert p[0] == smallest == 1 / 2001
    p, _, smallest = p_values([looks(right, "ann", names)], 0)
    assert p[0] == smallest == 1 / 2  # as pictures: there are two orders


def test_p_values_of_several_trials_and_folds_of_one_person():
    """Two folds test different pictures, three times each: pictures change places within their fold, with all trials."""
    rng = np.random.default_rng(2)
    folds, seen, found = [], [], []
    for fold in range(2):
        names = np.array([f"{fold}{letter}" for letter in "abc"])
        similarity = rng.normal(size=(1, 9, 3)) + 1.5 * np.tile(np.eye(3), (3, 1))
        folds.append(looks(similarity, "ann", names))
        seen.append(names[np.arange(9) % 3])
        found.append(names[similarity[0].argmax(axis=1)])
    p, _, smallest = p_values(folds, 0)
    null = []
    for orders in product(permutations("abc"), repeat=2):
        new = {
            f"{f}{a}": f"{f}{b}" for f, order in enumerate(orders) for a, b in zip("abc", order, strict=True)
        }
        null.append(
            np.mean([new[s] == f for s, f in zip(np.concatenate(seen), np.concatenate(found), strict=True)])
        )
    assert p[0] == np.mean(np.array(null) >= null[0] - 1e-9)
    assert smallest == 1 / 36
