"""Intervals of the analyses against the truth."""

import numpy as np
import pytest

from skeegclip.inspection._statistics import with_intervals
from skeegclip.metrics._intervals import share_interval
from skeegclip.model_selection._statistics import spreads


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
