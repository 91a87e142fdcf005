"""The networks of the prior, against the published ones."""

import json

import numpy as np
import pytest
import torch

from skeegclip.generation.prior.nets.layers import sinusoids
from skeegclip.generation.prior.nets.mlp import PriorMLP
from skeegclip.generation.prior.nets.unet import PriorUNet


def _hash_values(n):
    i = np.arange(n, dtype=np.int64)
    return (((i % 65521) ** 2 * 31 + i * 7919 + n) % 65521) / 65521 - 0.5


def test_sizes_are_those_of_the_published_networks():
    with torch.device("meta"):
        unet, mlp = PriorUNet(1024, 1024), PriorMLP(1024, 1024)
    assert sum(p.numel() for p in unet.parameters()) == 9_675_648
    assert sum(p.numel() for p in mlp.parameters()) == 8_932_352


def test_weights_have_the_published_names_and_shapes(real_data):
    reference = json.loads((real_data / "reference_state_dicts.json").read_text())["DiffusionPriorUNet"]
    with torch.device("meta"):
        unet = PriorUNet(1024, 1024)
    assert {key: list(value.shape) for key, value in unet.state_dict().items()} == reference


def test_the_unet_gives_what_the_published_one_gives():
    """First five values, sum and norm were computed with the published code, weights and input as below."""
    net = PriorUNet(1024, 1024).eval()
    with torch.no_grad():
        for p in net.parameters():
            n = p.numel()
            values = _hash_values(n) * 2 / np.sqrt(n / p.shape[0]) if p.ndim > 1 else _hash_values(n) + 0.5
            p.copy_(torch.tensor(values).view(p.shape))
        x = torch.tensor(2 * _hash_values(2048), dtype=torch.float32).view(2, 1024)
        out = net(x, torch.tensor([10, 500]), 0.5 * x)
    first = torch.tensor([14.883133, -0.608332, 1.212632, 0.040392, -0.431643])
    torch.testing.assert_close(out[0, :5], first, rtol=1e-4, atol=1e-4)
    assert out.sum().item() == pytest.approx(814.66830, rel=1e-4)
    assert out.norm().item() == pytest.approx(49.16716, rel=1e-4)


def test_time_features_are_those_of_diffusers():
    from diffusers.models.embeddings import get_timestep_embedding

    t = torch.tensor([0, 1, 10, 999])
    theirs = get_timestep_embedding(t, 32, flip_sin_to_cos=True, downscale_freq_shift=0)
    torch.testing.assert_close(sinusoids(t, 32), theirs)


@pytest.mark.parametrize("make", [lambda: PriorUNet(5, 3, widths=(8, 4)), lambda: PriorMLP(5, 3, width=8)])
def test_a_dropped_condition_is_no_condition(make):
    net = make().eval()
    x, c, t = torch.randn(4, 5), torch.randn(4, 3), torch.tensor([3, 50, 7, 900])
    keep = torch.tensor([True, False, True, False])
    mixed = net(x, t, c, keep)
    torch.testing.assert_close(mixed[keep], net(x, t, c)[keep])
    torch.testing.assert_close(mixed[~keep], net(x, t)[~keep])
    assert not torch.allclose(net(x, t, c), net(x, t))
    torch.testing.assert_close(net(x, t[:1], c)[0], net(x, t, c)[0])  # one time step serves all rows
