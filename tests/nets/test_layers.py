"""Shared layers against torch's own."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from skeegclip.nets.filter_bank import window_moments, windows
from skeegclip.nets.layers import Dropout, Linear, ProjectionHead, dropout
from skeegclip.nets.transformer import SelfAttention
from skeegclip.nets.tsconv import _MovingAverage


@pytest.mark.parametrize("p", [0.1, 0.25, 0.5, 0.9])
def test_dropout_keeps_rate_and_mean(p):
    torch.manual_seed(0)
    y = dropout(torch.ones(300, 1001), p, training=True)
    n = y.numel()
    assert y.unique().tolist() == pytest.approx([0.0, 1 / (1 - p)], rel=2e-4)
    assert (y == 0).float().mean().item() == pytest.approx(p, abs=5 * (p * (1 - p) / n) ** 0.5)
    # Neighbours, which share a draw, are independent: so is every lag up to two draws.
    kept = (y.flatten() > 0).double() - (1 - p)
    for lag in range(1, 17):
        correlation = (kept[lag:] * kept[:-lag]).mean().item() / (p * (1 - p))
        assert abs(correlation) < 5 / n**0.5


def test_dropout_passes_gradients_where_it_keeps():
    x = torch.randn(4, 33, requires_grad=True)
    y = dropout(x, 0.25, training=True)
    y.sum().backward()
    torch.testing.assert_close(x.grad, torch.where(y == 0, 0.0, 1 / 0.75))


def test_dropout_at_the_ends_and_in_evaluation():
    x = torch.randn(5, 3)
    assert dropout(x, 0.0, training=True) is x
    assert torch.equal(dropout(x, 1.0, training=True), torch.zeros(5, 3))
    assert Dropout(0.5).eval()(x) is x
    assert dropout(x[:0], 0.5, training=True).shape == (0, 3)


def test_dropout_follows_torchs_generator():
    x = torch.ones(1000)
    torch.manual_seed(3)
    first = dropout(x, 0.5, training=True)
    second = dropout(x, 0.5, training=True)
    torch.manual_seed(3)
    assert torch.equal(dropout(x, 0.5, training=True), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize(("n_in", "n_out"), [(250, 744), (7, 250), (8, 16), (1, 1)])
def test_linear_is_torchs_linear(n_in, n_out):
    layer = Linear(n_in, n_out).double()
    x = torch.randn(3, 5, n_in, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(3, 5, n_out, dtype=torch.float64)
    y = layer(x)
    expected = F.linear(x, layer.weight, layer.bias)
    torch.testing.assert_close(y, expected)
    wanted = torch.autograd.grad((expected * weights).sum(), [x, layer.weight, layer.bias])
    got = torch.autograd.grad((y * weights).sum(), [x, layer.weight, layer.bias])
    torch.testing.assert_close(got, wanted)


def test_window_moments_survive_an_offset_and_have_gradients():
    torch.manual_seed(0)
    x = torch.randn(3, 2, 23).cumsum(-1) + 1000
    mean, covariance = window_moments(x, 5, 3)
    rows = windows(x, 5, 3).double()
    torch.testing.assert_close(covariance, torch.cov(rows.T, correction=0), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(mean, rows.mean(0), rtol=1e-6, atol=0)
    x = torch.randn(2, 2, 12, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: window_moments(x, 5, 3), x)


def test_attention_in_training_has_the_value_of_fused_attention_on_average():
    torch.manual_seed(0)
    attention = SelfAttention(16, n_heads=4, dropout=0.25).double()
    x = torch.randn(1, 5, 16, dtype=torch.float64)
    mean = attention.train()(x.expand(20000, 5, 16)).mean(0)
    torch.testing.assert_close(mean, attention.eval()(x)[0], atol=0.01, rtol=0)


def test_projection_head_drops_only_in_training():
    head = ProjectionHead(6, 4, dropout=0.5)
    x = torch.randn(8, 6)
    assert not torch.equal(head(x), head(x))
    head.eval()
    assert torch.equal(head(x), head(x))


@pytest.mark.parametrize("length", [1, 2, 7, 8, 51])
def test_moving_average_is_a_pooling_of_step_one(length):
    x = torch.randn(2, 3, 60, dtype=torch.float64, requires_grad=True)
    averages, expected = _MovingAverage.apply(x, length), F.avg_pool1d(x, length, 1)
    torch.testing.assert_close(averages, expected)
    weights = torch.randn_like(expected)
    got, wanted = (torch.autograd.grad((y * weights).sum(), x) for y in (averages, expected))
    torch.testing.assert_close(got, wanted)
    offset = 1000 + torch.randn(2, 3, 60)
    torch.testing.assert_close(
        _MovingAverage.apply(offset, length),
        F.avg_pool1d(offset.double(), length, 1).float(),
        rtol=2e-7,
        atol=0,
    )
