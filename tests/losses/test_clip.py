"""CLIP loss against numpy, hand-computed cases and its own symmetries."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from skeegclip.losses import ClipLoss

MODES = ["positive", "mask", "negative"]


def _numpy_loss(z, target, scale, stimulus, same_stimulus):
    """Row by row, straight from the definition."""

    def one_way(s):
        losses = []
        for i, row in enumerate(s):
            same = [j for j in range(len(row)) if stimulus[j] == stimulus[i]]
            if same_stimulus == "mask":
                kept = [j for j in range(len(row)) if j == i or j not in same]
                losses.append(-log_softmax(row[kept])[kept.index(i)])
            else:
                positives = same if same_stimulus == "positive" else [i]
                losses.append(-log_softmax(row)[positives].mean())
        return np.mean(losses)

    s = scale * z @ target.T
    return (one_way(s) + one_way(s.T)) / 2


def _unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    return rng.normal(size=(7, 5)), rng.normal(size=(7, 5)), np.array([3, 1, 3, 0, 1, 3, 2])


@pytest.mark.parametrize("same_stimulus", MODES)
@pytest.mark.parametrize("normalize", ["none", "eeg", "image", "both"])
def test_equals_the_definition(batch, same_stimulus, normalize):
    z, target, stimulus = batch
    loss = ClipLoss(normalize=normalize, temperature=0.5, same_stimulus=same_stimulus)
    got = loss(torch.tensor(z), torch.tensor(target), torch.tensor(stimulus))
    z = _unit(z) if normalize in ("eeg", "both") else z
    target = _unit(target) if normalize in ("image", "both") else target
    assert got.item() == pytest.approx(_numpy_loss(z, target, 2.0, stimulus, same_stimulus), rel=1e-5)


def test_the_published_figure():
    i = np.arange(4 * 1024, dtype=np.int64)
    z = 2 * ((((i % 65521) ** 2 * 31 + i * 7919 + len(i)) % 65521) / 65521 - 0.5).reshape(4, 1024)
    target = _unit(np.cos(0.07 * i).reshape(4, 1024))
    loss = ClipLoss(normalize="none", temperature=0.07, temperature_mode="raw")
    assert loss.scale.item() == pytest.approx(2.65926, abs=1e-5)
    assert loss(torch.tensor(z), torch.tensor(target)).item() == pytest.approx(2.351606, abs=2e-6)


def test_two_rows_by_hand():
    # Similarities 1 and 0 at temperature 1: each cross-entropy is log(e + 1) - 1.
    loss = ClipLoss(temperature=1.0)
    assert loss(torch.eye(2), torch.eye(2)).item() == pytest.approx(math.log(math.e + 1) - 1)
    # Both rows show one stimulus: half of each is expected at the other; or there is no other to confuse it with.
    same = torch.tensor([5, 5])
    expected = {"positive": math.log(math.e + 1) - 0.5, "mask": 0.0, "negative": math.log(math.e + 1) - 1}
    for mode, value in expected.items():
        loss = ClipLoss(temperature=1.0, same_stimulus=mode)
        assert loss(torch.eye(2), torch.eye(2), same).item() == pytest.approx(value, abs=1e-6)


def test_modes_agree_without_repeats(batch):
    z, target = map(torch.tensor, batch[:2])
    losses = [ClipLoss(same_stimulus=mode)(z, target, torch.arange(7)).item() for mode in MODES]
    assert losses == pytest.approx([ClipLoss()(z, target).item()] * 3, rel=1e-6)


@pytest.mark.parametrize("same_stimulus", MODES)
def test_order_of_rows_and_names_of_stimuli_do_not_matter(batch, same_stimulus):
    z, target, stimulus = map(torch.tensor, batch)
    loss = ClipLoss(same_stimulus=same_stimulus)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(0))
    expected = loss(z, target, stimulus).item()
    assert loss(z[order], target[order], 100 - stimulus[order]).item() == pytest.approx(expected, rel=1e-6)
    # Both directions count alike.
    assert loss(target, z, stimulus).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("same_stimulus", MODES)
def test_gradients_are_those_of_finite_differences(batch, same_stimulus):
    z, target, stimulus = batch
    loss = ClipLoss(same_stimulus=same_stimulus, temperature=0.5)
    x = torch.tensor(z, dtype=torch.float32, requires_grad=True)
    loss(x, torch.tensor(target), torch.tensor(stimulus)).backward()
    rng = np.random.default_rng(1)
    step = rng.normal(size=z.shape) * 1e-5

    def value(z):
        return _numpy_loss(_unit(z), _unit(target), 2.0, stimulus, same_stimulus)

    assert (x.grad.numpy() * step).sum() == pytest.approx((value(z + step) - value(z - step)) / 2, rel=1e-3)
    assert torch.isfinite(loss.log_scale.grad)
    assert loss.log_scale.grad != 0


def test_scale_of_each_mode():
    assert ClipLoss(temperature=0.07).scale.item() == pytest.approx(1 / 0.07)
    fixed = ClipLoss(temperature=0.07, temperature_mode="fixed")
    assert fixed.scale.item() == pytest.approx(1 / 0.07)
    assert list(fixed.parameters()) == []
    assert ClipLoss(temperature=0.07, temperature_mode="raw").scale.item() == pytest.approx(
        math.log(1 / 0.07)
    )


def test_learnable_scale_is_exponentiated_and_stops_at_100():
    loss = ClipLoss()
    with torch.no_grad():
        loss.log_scale.fill_(2.0)
    assert loss.scale.item() == pytest.approx(math.exp(2))
    with torch.no_grad():
        loss.log_scale.fill_(9.0)
    assert loss.scale.item() == pytest.approx(100, rel=1e-5)


def test_large_embeddings_stay_finite_and_one_row_costs_nothing():
    z = 1e4 * torch.randn(6, 8)
    z.requires_grad_()
    loss = ClipLoss(normalize="none")(z, torch.randn(6, 8), torch.tensor([0, 0, 0, 1, 1, 1]))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(z.grad).all()
    assert ClipLoss()(torch.randn(1, 8), torch.randn(1, 8)).item() == pytest.approx(0, abs=1e-6)


def test_computed_in_float32_under_autocast(batch):
    z, target, stimulus = map(torch.tensor, batch)
    loss = ClipLoss()
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(z.float(), target.float(), stimulus)
    assert value.dtype == torch.float32
    assert value.item() == loss(z.float(), target.float(), stimulus).item()


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"normalize": "text"}, "normalize must be one of 'none', 'eeg', 'image', 'both'; got 'text'"),
        ({"temperature": 0}, "temperature must be a positive number, got 0"),
        ({"temperature": math.inf}, "temperature must be a positive number, got inf"),
        ({"temperature_mode": "softplus"}, "temperature_mode must be one of .*; got 'softplus'"),
        ({"same_stimulus": True}, "same_stimulus must be one of .*; got True"),
    ],
)
def test_bad_parameters(params, match):
    with pytest.raises(ValueError, match=match):
        ClipLoss(**params)


def test_bad_shapes():
    with pytest.raises(ValueError, match=r"got \(3, 4\) and \(3, 5\).*n_outputs"):
        ClipLoss()(torch.zeros(3, 4), torch.zeros(3, 5))
    with pytest.raises(ValueError, match=r"stimulus must have shape \(3,\), one an epoch; got \(2,\)"):
        ClipLoss()(torch.zeros(3, 4), torch.zeros(3, 4), torch.tensor([0, 1]))
