"""Weights that change over the training."""

import numpy as np
import pytest

from skeegclip.losses.schedule import values_of, weight_at


@pytest.mark.parametrize("n_knots", [2, 3, 7])
def test_lines_between_even_knots_are_numpys(n_knots):
    rng = np.random.default_rng(n_knots)
    knots = rng.uniform(size=n_knots).tolist()
    for share in (0, 1, *rng.uniform(size=20)):
        expected = np.interp(share, np.linspace(0, 1, n_knots), knots)
        assert weight_at(knots, share) == pytest.approx(expected, abs=1e-12)


def test_a_number_stays():
    assert (weight_at(0.3, 0), weight_at(1, 0.7)) == (0.3, 1.0)
    assert (values_of(0.3), values_of((1, 0))) == ([0.3], [1, 0])


def test_one_number_a_pass():
    knots = np.random.default_rng(0).uniform(size=60).tolist()
    assert [weight_at(knots, k / 59) for k in range(60)] == pytest.approx(knots)
