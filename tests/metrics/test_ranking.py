from __future__ import annotations

from itertools import combinations, permutations
from math import comb

import numpy as np
import pytest

from skeegclip.metrics import (
    chance_level,
    cosine_similarity,
    n_way_accuracy,
    n_way_probability,
    ranks,
    top_k_accuracy,
)


def brute_force(row: np.ndarray, target: int, n_way: int, k: int) -> float:
    """Mean hit over every set of distractors and every order of the tied items."""
    others = [j for j in range(len(row)) if j != target]
    hits = []
    for distractors in combinations(others, n_way - 1):
        for order in permutations([*distractors, target]):
            best = sorted(order, key=lambda j: -row[j])[:k]  # a stable sort keeps the order of tied items
            hits.append(target in best)
    return float(np.mean(hits))


@pytest.mark.parametrize(("n_way", "k"), [(2, 1), (3, 1), (3, 2), (5, 1), (5, 3), (6, 1), (6, 2), (6, 5)])
@pytest.mark.parametrize("n_values", [100, 3, 2, 1], ids=["no ties", "ties", "many ties", "constant"])
def test_n_way_equals_the_enumeration(n_way, k, n_values):
    similarity = np.random.default_rng(n_values).integers(n_values, size=(5, 6)) / 7
    target = np.array([0, 5, 2, 2, 3])
    expected = [brute_force(row, t, n_way, k) for row, t in zip(similarity, target, strict=True)]
    np.testing.assert_allclose(n_way_probability(similarity, target, n_way, k), expected, atol=1e-12)
    np.testing.assert_allclose(n_way_accuracy(similarity, target, n_way, k), np.mean(expected), atol=1e-12)
    if n_way == 6:
        np.testing.assert_allclose(top_k_accuracy(similarity, target, k), np.mean(expected), atol=1e-12)


def test_ties_equal_monte_carlo_of_random_tie_breaking():
    rng = np.random.default_rng(0)
    similarity = rng.integers(6, size=(40, 30)).astype(np.float32)
    target = rng.integers(30, size=40)
    n_way, k, n_draws = 10, 3, 4000
    hits = np.zeros(40)
    for _ in range(n_draws):
        noisy = similarity + rng.uniform(0, 0.5, size=similarity.shape)
        true = noisy[np.arange(40), target]
        noisy[np.arange(40), target] = np.inf  # the true item is always among the drawn ones
        keys = rng.random((40, 30))
        keys[np.arange(40), target] = -1
        drawn = np.argsort(keys, axis=1)[:, :n_way]
        hits += (np.take_along_axis(noisy, drawn, axis=1) > true[:, None]).sum(axis=1) - 1 < k
    exact = n_way_probability(similarity, target, n_way, k)
    assert np.abs(hits / n_draws - exact).max() < 4.5 * 0.5 / np.sqrt(n_draws)
    assert 0.1 < exact.mean() < 0.9


def test_ranks_by_hand():
    similarity = np.array([[0.9, 0.5, 0.1], [0.5, 0.5, 0.1], [0.5, 0.5, 0.5], [-1, 2, 3]])
    np.testing.assert_array_equal(ranks(similarity, [0, 0, 0, 0]), [1, 1.5, 2, 3])
    np.testing.assert_array_equal(ranks(similarity, [0, 0, 0, 0], ties="pessimistic"), [1, 2, 3, 3])
    np.testing.assert_array_equal(ranks(-similarity, [1, 1, 1, 1]), [2, 2.5, 2, 2])


def test_a_constant_embedding_scores_exactly_chance():
    similarity, target = np.ones((12, 12), np.float32), np.arange(12)
    assert ranks(similarity, target).mean() == 6.5
    for n_way, k in [(2, 1), (4, 3), (12, 1), (12, 5)]:
        assert n_way_accuracy(similarity, target, n_way, k) == pytest.approx(
            chance_level(n_way, k), abs=1e-12
        )
    assert top_k_accuracy(similarity, target, 5) == pytest.approx(5 / 12, abs=1e-12)


def test_blocks_give_the_same_counts(monkeypatch):
    rng = np.random.default_rng(3)
    similarity, target = rng.integers(5, size=(23, 11)), rng.integers(11, size=23)
    whole = ranks(similarity, target)
    monkeypatch.setattr("skeegclip.metrics.counts._BLOCK", 40)
    np.testing.assert_array_equal(ranks(similarity, target), whole)
    with pytest.raises(ValueError, match="NaN, first in row 17"):
        ranks(np.where(np.arange(23)[:, None] == 17, np.nan, similarity), target)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize(("n_way", "k"), [(2, 1), (200, 1), (200, 5), (1000, 100)])
def test_a_gallery_of_a_million(n_way, k, tied):
    n, rank = 10**6, 3000
    similarity = np.linspace(1, 0, n)[None]
    if tied:
        similarity = np.repeat(similarity[:, ::2], 2, axis=1)  # ranks 2999 and 3000 are one pair
    shared = (rank - 1, rank) if tied else (rank,)
    # Integers of Python: exact until the one division.
    exact = [
        sum(comb(r - 1, j) * comb(n - r, n_way - 1 - j) for j in range(k)) / comb(n - 1, n_way - 1)
        for r in shared
    ]
    got = n_way_probability(similarity, [rank - 1], n_way, k)[0]
    assert got == pytest.approx(np.mean(exact), rel=1e-9)


def test_real_data(things_eeg2_sub08):
    similarity, target = cosine_similarity(*things_eeg2_sub08), np.arange(200)
    assert top_k_accuracy(similarity, target) == pytest.approx(0.36, abs=1e-12)
    assert top_k_accuracy(similarity, target, 5) == pytest.approx(0.725, abs=1e-12)
    assert n_way_accuracy(similarity, target, 200) == pytest.approx(0.36, abs=1e-12)
    assert n_way_accuracy(similarity, target, 2) == pytest.approx(0.9703, abs=5e-5)
    assert n_way_accuracy(similarity, target, 10) == pytest.approx(0.832, abs=5e-4)


@pytest.mark.parametrize(
    ("similarity", "target", "error", "match"),
    [
        (np.ones(3), [0], ValueError, r"similarity must be .* got shape \(3,\)"),
        (np.ones((0, 3)), [], ValueError, r"similarity must be a non-empty"),
        (np.ones((1, 3), complex), [0], TypeError, "real numbers, got dtype complex128"),
        (np.array([["a", "b"]]), [0], TypeError, "real numbers"),
        ([[0.1, np.nan]], [0], ValueError, "NaN, first in row 0"),
        (np.ones((2, 3)), [0], ValueError, r"target must have shape \(2,\).*got shape \(1,\)"),
        (np.ones((2, 3)), [0, 3], ValueError, r"lie in 0 .. 2.*got 3 at position 1"),
        (np.ones((2, 3)), [-1, 0], ValueError, "got -1 at position 0"),
        (np.ones((2, 3)), [0.0, 1.0], TypeError, "integer gallery columns, got dtype float64"),
        (np.ones((2, 3)), ["a", "b"], TypeError, "return_inverse"),
        (np.ones((2, 3)), [True, False], TypeError, "dtype bool"),
    ],
)
def test_bad_arrays_are_refused(similarity, target, error, match):
    with pytest.raises(error, match=match):
        ranks(similarity, target)


@pytest.mark.parametrize(
    ("n_way", "k", "error", "match"),
    [
        (1, 1, ValueError, "n_way must lie in .2, inf., got 1"),
        (5, 1, ValueError, "n_way must be at most 4, the size of the gallery.*got 5"),
        (2.0, 1, TypeError, "n_way must be an int, got 2.0"),
        (True, 1, TypeError, "n_way must be an int"),
        (4, 0, ValueError, "k must lie in .*got 0"),
        (4, 4, ValueError, "k must be smaller than 4.*got 4: a hit would be certain"),
        (4, "1", TypeError, "k must be an int, got '1'"),
    ],
)
def test_bad_sizes_are_refused(n_way, k, error, match):
    with pytest.raises(error, match=match):
        n_way_accuracy(np.eye(4), np.arange(4), n_way, k)


def test_other_refusals():
    with pytest.raises(ValueError, match="ties must be one of 'mid', 'pessimistic', got 'best'"):
        ranks(np.eye(2), [0, 1], ties="best")
    with pytest.raises(ValueError, match="k must be smaller than 4.*got 5"):
        top_k_accuracy(np.eye(4), np.arange(4), 5)
    with pytest.raises(ValueError, match="at least 2 gallery items"):
        top_k_accuracy(np.ones((3, 1)), [0, 0, 0])
    with pytest.raises(ValueError, match="k must be smaller than 2.*got 2"):
        chance_level(2, 2)
    assert chance_level(200, 5) == 0.025
