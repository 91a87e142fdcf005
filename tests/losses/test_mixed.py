"""Mean squared error on its scale, and the mixture with the CLIP loss."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from skeegclip.losses import ClipLoss, MixedLoss, ScaledMAELoss, ScaledMSELoss


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    z, target, text = (torch.randn(6, 4, generator=generator) for _ in range(3))
    return z, {"target": target, "stimulus": torch.tensor([0, 1, 0, 2, 2, 0]), "text": text}


def test_predicting_the_mean_costs_one_at_any_scale():
    targets = np.random.default_rng(0).normal(2, 3, size=(50, 4)) * [1, 2, 3, 4]
    for factor in (1.0, 1000.0):
        t = torch.tensor(factor * targets)
        loss = ScaledMSELoss(variance=float((factor * targets).var(axis=0).mean()))
        assert loss(t.mean(0).expand_as(t), t).item() == pytest.approx(1, rel=1e-5)
        assert loss(t, t).item() == 0


def test_scaled_mse_by_hand():
    loss = ScaledMSELoss(4.0)(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 6.0]]))
    assert loss.item() == pytest.approx((4 + 16) / 2 / 4)


def test_scaled_mae_by_hand():
    loss = ScaledMAELoss(4.0)(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, -4.0]]))
    assert loss.item() == pytest.approx((2 + 6) / 2 / 2)


def test_the_absolute_error_takes_the_place_of_the_squared_one(batch):
    z, target = batch
    loss = MixedLoss(loss_weight=0.0, target_variance=2.5, error="l1")
    expected = (z - target["target"]).abs().mean() / math.sqrt(2.5)
    assert loss(z, target).item() == pytest.approx(expected.item(), rel=1e-6)
    with pytest.raises(ValueError, match="error must be 'l2' or 'l1', got 'mse'"):
        MixedLoss(error="mse")


@pytest.mark.parametrize("variance", [0, -1.0, math.inf, math.nan])
def test_bad_variance(variance):
    with pytest.raises(ValueError, match="variance must be a positive, finite number"):
        ScaledMAELoss(variance)
    with pytest.raises(ValueError, match="variance must be a positive, finite number"):
        ScaledMSELoss(variance)
    with pytest.raises(ValueError, match="variance must be a positive, finite number"):
        MixedLoss(target_variance=variance)


@pytest.mark.parametrize("loss_weight", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("text_weight", [0.0, 0.2, 1.0])
def test_equals_its_equation(batch, loss_weight, text_weight):
    z, target = batch
    loss = MixedLoss(loss_weight=loss_weight, text_weight=text_weight, target_variance=2.5, normalize="image")
    clip = ClipLoss(normalize="image")
    contrastive = (1 - text_weight) * clip(z, target["target"], target["stimulus"])
    contrastive = contrastive + text_weight * clip(z, target["text"], target["stimulus"])
    squared = ((z - target["target"]) ** 2).mean() / 2.5
    expected = loss_weight * contrastive + (1 - loss_weight) * squared
    assert loss(z, target).item() == pytest.approx(expected.item(), rel=1e-6)


def test_a_tensor_makes_every_row_its_own_stimulus(batch):
    z, target = batch
    loss = MixedLoss(loss_weight=0.5)
    expected = loss(z, {"target": target["target"], "stimulus": torch.arange(6)}).item()
    assert loss(z, target["target"]).item() == pytest.approx(expected, rel=1e-6)
    assert loss(z, {"target": target["target"]}).item() == pytest.approx(expected, rel=1e-6)
    assert loss(z, target).item() != pytest.approx(expected, rel=1e-3)


def test_parameters_reach_the_clip_loss(batch):
    z, target = batch
    params = {"normalize": "none", "temperature": 0.3, "temperature_mode": "raw", "same_stimulus": "mask"}
    expected = ClipLoss(**params)(z, target["target"], target["stimulus"]).item()
    assert MixedLoss(**params)(z, target).item() == pytest.approx(expected)


@pytest.mark.parametrize(("loss_weight", "skipped"), [(0.0, "clip"), (1.0, "error")])
def test_a_part_of_weight_zero_is_not_computed(batch, loss_weight, skipped):
    z, target = batch
    loss = MixedLoss(loss_weight=loss_weight)
    getattr(loss, skipped).forward = None  # calling it would raise
    assert torch.isfinite(loss(z, target))


def test_temperature_learns_and_gradients_reach_the_embeddings(batch):
    z, target = batch
    z.requires_grad_()
    loss = MixedLoss(loss_weight=0.5, text_weight=0.5)
    loss(z, target).backward()
    assert z.grad.abs().min() > 0
    assert [name for name, p in loss.named_parameters() if p.grad.abs() > 0] == ["clip.log_scale"]


def test_squared_error_is_float32_under_autocast(batch):
    z, target = batch
    loss = MixedLoss(loss_weight=0.0)
    exact = loss(z.bfloat16().float(), target)
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(z.bfloat16(), target)
    assert value.dtype == torch.float32
    assert value.item() == exact.item()


@pytest.mark.parametrize("name", ["loss_weight", "text_weight"])
@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_weights_out_of_range(name, value):
    with pytest.raises(ValueError, match=rf"{name} must be in \[0, 1\], got {value}"):
        MixedLoss(**{name: value})


def test_missing_parts_are_named(batch):
    z, target = batch
    with pytest.raises(ValueError, match=r"needs the key 'target'; got \['stimulus'\]"):
        MixedLoss()(z, {"stimulus": target["stimulus"]})
    with pytest.raises(ValueError, match=r"text_weight=0.1 needs the texts' embeddings under the key 'text'"):
        MixedLoss(text_weight=0.1)(z, target["target"])


def test_a_projector_compares_in_its_own_space():
    generator = torch.Generator().manual_seed(0)
    z, target = torch.randn(6, 3, generator=generator), torch.randn(6, 5, generator=generator)
    loss = MixedLoss(projector=(5, 3))
    projected = target @ loss.project.weight.T
    assert torch.allclose(loss(z, target), ClipLoss()(z, projected))
    # The text goes through the same map, the stimulus through none.
    mixed = MixedLoss(projector=(5, 3), text_weight=0.5)
    mixed.project.load_state_dict(loss.project.state_dict())
    parts = {"target": target, "text": 2 * target, "stimulus": torch.arange(6)}
    assert torch.allclose(mixed(z, parts), ClipLoss()(z, projected, torch.arange(6)))
    mixed(z, parts).backward()
    assert mixed.project.weight.grad.abs().sum() > 0
    assert MixedLoss().project(target) is target


def test_a_projector_and_the_squared_error_exclude_each_other():
    with pytest.raises(ValueError, match="projector needs loss_weight=1, got 0.5"):
        MixedLoss(projector=(5, 3), loss_weight=0.5)
