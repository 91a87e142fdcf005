"""Smoothing at random: the average of scipy, braindecode's manners."""

import numpy as np
import pytest
import torch
from scipy.ndimage import uniform_filter1d

from skeegclip import EEGEncoder
from skeegclip.augmentation import MovingAverage


@pytest.mark.parametrize("n_samples", [1, 4, 5, 9])
def test_it_is_scipys_uniform_filter(n_samples):
    x = np.random.default_rng(0).standard_normal((6, 3, 40))
    # braindecode works in single precision.
    smooth, y = MovingAverage(1.0, n_samples)(torch.from_numpy(x), torch.arange(6))
    np.testing.assert_allclose(smooth, uniform_filter1d(x, n_samples, mode="nearest"), atol=2e-6)
    assert torch.equal(y, torch.arange(6))


def test_epochs_are_smoothed_with_the_probability_given():
    x = torch.randn(2000, 1, 12, generator=torch.Generator().manual_seed(0))
    smooth = MovingAverage(random_state=0)(x)
    whole = MovingAverage(1.0)(x)
    done = (smooth != x).flatten(1).any(1)
    assert done.float().mean() == pytest.approx(0.5, abs=0.04)
    assert torch.equal(smooth, torch.where(done[:, None, None], whole, x))
    assert torch.equal(smooth, MovingAverage(random_state=0)(x))
    assert not torch.equal(smooth, MovingAverage(random_state=1)(x))


def test_an_encoder_trains_with_it_and_repeats_itself():
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((40, 4, 30), dtype="float32"), rng.standard_normal((40, 6))
    params = {"max_epochs": 2, "batch_size": 16, "random_state": 0, "device": "cpu"}
    fits = [
        EEGEncoder("eegproject", augment=augment, **params).fit(X, Y).transform(X)
        for augment in (MovingAverage(), MovingAverage(random_state=3), MovingAverage(n_samples=9), None)
    ]
    assert np.array_equal(fits[0], fits[1])
    assert not np.array_equal(fits[0], fits[2])
    assert not np.array_equal(fits[0], fits[3])


@pytest.mark.parametrize("n_samples", [0, -5, 2.5, True, None])
def test_bad_lengths(n_samples):
    with pytest.raises(ValueError, match="n_samples must be a positive int, got"):
        MovingAverage(n_samples=n_samples)
