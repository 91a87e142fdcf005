"""Accuracies and chance levels of queries, put together by hand."""

import numpy as np
import pytest

from skeegclip._evaluation.cells import Cell, Ranked
from skeegclip.model_selection._report.estimates import estimates, query_table, query_weights


def ranked(subject, stimulus, better, n_gallery, passes=None):
    better = np.asarray(better)
    gallery = np.array([f"image_{i:02d}" for i in range(n_gallery)])
    counts = (
        {} if passes is None else {"pass_better": np.asarray(passes), "pass_equal": 0 * np.asarray(passes)}
    )
    return Ranked(
        subject=np.asarray(subject),
        stimulus=np.asarray(stimulus),
        gallery=gallery,
        target=np.searchsorted(gallery, stimulus),
        better=better,
        equal=np.zeros_like(better),
        top=np.zeros((len(better), 5), int),
        **counts,
    )


def found(*cells):
    return dict(
        estimates(query_table([Cell("ridge", f"fold-{i}", 0, {"retrieval": c}) for i, c in enumerate(cells)]))
    )


def stimuli(n):
    return [f"image_{i:02d}" for i in range(n)]


@pytest.mark.slow
def test_chance_is_what_guessing_gives():
    """Two people have a gallery of 4 and one of 20: people count alike, and so do their chance levels."""
    rng = np.random.default_rng(0)
    sizes = {"ann": 4, "bob": 20, "cyd": 4}
    means, levels = [], []
    for _ in range(300):
        cells = [ranked([name] * n, stimuli(n), rng.integers(n, size=n), n) for name, n in sizes.items()]
        estimate = found(*cells)["ridge", "retrieval", "top-1"]
        means.append(estimate.mean)
        levels.append(estimate.chance)
    assert levels[0] == pytest.approx((1 / 4 + 1 / 20 + 1 / 4) / 3)
    assert np.mean(means) == pytest.approx(levels[0], abs=4 * np.std(means) / np.sqrt(300))
    # Among two all have the same chance.
    assert found(*cells)["ridge", "retrieval", "2-way"].chance == pytest.approx(0.5)


def test_a_person_with_more_trials_counts_no_more():
    one = ranked(
        ["ann"] * 4 + ["bob"] * 2, ["image_00"] * 3 + ["image_01"] + stimuli(2), [0, 0, 0, 1, 1, 0], 3
    )
    estimate = found(one)["ridge", "retrieval", "top-1"]
    assert estimate.by_subject.tolist() == [0.5, 0.5]
    weights = query_weights(query_table([Cell("ridge", "fold", 0, {"retrieval": one})]))
    np.testing.assert_allclose(weights, [1 / 12] * 3 + [1 / 4] * 3)
    assert weights @ (one.better == 0) == pytest.approx(estimate.mean)


def test_the_oracle_is_the_best_pass_of_each_person_and_the_earliest_of_equals():
    # Passes by queries. ann: passes 1 and 2 find one of two; pass 2 has the other among five. bob: all are alike.
    passes = [[9, 9, 0, 5], [0, 9, 0, 4], [0, 4, 0, 3], [4, 0, 0, 2]]
    cell = ranked(["ann", "ann", "bob", "bob"], [*stimuli(2), *stimuli(2)], passes[3], 12, passes)
    table = query_table([Cell("net", "fold", 0, {"retrieval": cell})])
    honest, oracle = (table.loc[table["oracle"] == which, "better"].tolist() for which in (False, True))
    assert honest == passes[3]
    assert oracle == [0, 4, 0, 4]  # ann's third pass; bob's second, the first with both among five
