"""The channel layer: a weighted mean of neighbours, blind to order and to what is not there."""

import numpy as np
import pytest
import torch

from skeegclip.nets import ATM, get_net
from skeegclip.nets.build import build_net
from skeegclip.nets.channel_layer import ChannelLayer, fourier_features


@pytest.fixture
def places():
    v = np.random.default_rng(0).normal(size=(12, 3))
    v[:, 2] = np.abs(v[:, 2])
    return np.column_stack([v / np.linalg.norm(v, axis=1, keepdims=True), np.zeros(12)]).astype(np.float32)


@pytest.fixture
def layer(places):
    torch.manual_seed(0)
    layer = ChannelLayer(places[:7])
    with torch.no_grad():
        layer.weight.normal_(0, 0.1)
    return layer


def test_weights_are_those_of_the_formula(layer, places):
    """By hand, in double precision: a softmax over the channels that an epoch has."""
    x = torch.randn(3, 12, 5, generator=torch.Generator().manual_seed(1))
    x[0, 4:] = torch.nan
    p = torch.from_numpy(places[:, :3]).double()
    logits = 50 * (p[:7] @ p.T - 1) + layer.weight.detach().double() @ fourier_features(p, 8).T
    for row in range(3):
        n = 4 if row == 0 else 12
        expected = logits[:, :n].softmax(dim=1) @ x[row, :n].double()
        got = layer(x[row : row + 1], torch.from_numpy(places))[0].double()
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


def test_features_are_the_waves_of_a_map(places):
    top = fourier_features(torch.tensor([[0.0, 0.0, 1.0]]), 3)
    torch.testing.assert_close(top, torch.tensor([[1.0] * 9 + [0.0] * 9]))
    right = fourier_features(torch.tensor([[1.0, 0.0, 0.0]]), 2)  # a quarter of the way round: 0.5 on the map
    torch.testing.assert_close(
        right[0, :4], torch.tensor([1.0, 1.0, np.cos(np.pi / 2.4), np.cos(np.pi / 2.4)], dtype=torch.float32)
    )


def test_order_of_channels_does_not_matter(layer, places):
    x, order = torch.randn(2, 12, 5), np.random.default_rng(1).permutation(12)
    a = layer(x, torch.from_numpy(places))
    b = layer(x[:, order], torch.from_numpy(places[order]))
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_a_channel_that_is_not_there_is_as_one_left_out(layer, places):
    x = torch.randn(2, 12, 5)
    fewer = layer(x[:, :9], torch.from_numpy(places[:9]))
    x[:, 9:] = torch.nan
    torch.testing.assert_close(layer(x, torch.from_numpy(places)), fewer, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [0.0, 0.1])
def test_far_channels_mean_the_same_alone_and_among_others(places, size):
    # On the other side of the head from what the virtual channels stand for.
    places = np.concatenate([places, places * np.array([-1, -1, -0.3, 1], dtype=np.float32)])
    places[:, :3] /= np.linalg.norm(places[:, :3], axis=1, keepdims=True)
    layer = ChannelLayer(places[:12])
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        layer.weight.copy_(size * torch.randn(layer.weight.shape, generator=generator))
    for own in (slice(12, 24), slice(20, 23), slice(22, 24)):
        x = torch.full((2, 24, 5), torch.nan)
        x[:, own] = torch.randn(x[:, own].shape, generator=generator)
        alone = layer(x[:, own], torch.from_numpy(places[own]))
        torch.testing.assert_close(layer(x, torch.from_numpy(places)), alone, rtol=1e-5, atol=1e-6)


def test_types_are_kept_apart_and_brought_to_one_size(places):
    kinds = np.repeat([0.0, 1.0], 6)
    both = np.column_stack([places[:, :3], kinds]).astype(np.float32)
    layer = ChannelLayer(both, gains=[1.0, 0.5])
    x = torch.ones(1, 12, 4)
    torch.testing.assert_close(layer(x)[0, :, 0], torch.tensor([1.0] * 6 + [0.5] * 6))
    alone = layer(x[:, :6], torch.from_numpy(both[:6]))
    assert (alone[0, 6:] == 0).all()
    torch.testing.assert_close(alone[0, :6], x[0, :6])


def test_far_channels_still_give_numbers():
    layer = ChannelLayer([[0, 1, 0, 0]], sharpness=500.0)
    z = layer(torch.full((1, 2, 3), 2.0), torch.tensor([[0, -1.0, 0, 0], [0, -0.99, 0.141, 0]]))
    torch.testing.assert_close(z, torch.full((1, 1, 3), 2.0))


def test_gradients_are_finite_with_absent_channels(layer, places):
    x = torch.randn(4, 12, 5)
    x[:2, 3:] = torch.nan
    layer(x, torch.from_numpy(places)).square().sum().backward()
    assert layer.weight.grad.isfinite().all()
    assert layer.weight.grad.abs().max() > 0


@pytest.mark.parametrize("net", ["atm-s", "EEGNet"])
def test_any_network_stands_behind_it(places, net):
    cls, own = get_net(net, 100)
    net = build_net(
        cls, {"n_outputs": 8, "n_chans": 12, "n_times": 100, **own, "channel_layer": {"places": places}}
    )
    assert isinstance(net.eval().net, cls)
    assert net(torch.randn(3, 12, 100)).shape == (3, 8)
    told = torch.from_numpy(places[:2]).expand(3, -1, -1)
    assert net(torch.randn(3, 2, 100), places=told).shape == (3, 8)


def test_subjects_reach_the_network_behind_it(places):
    sizes = {"n_outputs": 8, "n_chans": 12, "n_times": 100, "n_subjects": 2}
    net = build_net(ATM, {**sizes, "channel_layer": {"places": places}}).eval()
    x = torch.randn(2, 12, 100)
    same = net(x, subject=torch.tensor([0, 1]))
    swapped = net(x, subject=torch.tensor([1, 0]))
    assert (same - swapped).abs().max() > 1e-4
