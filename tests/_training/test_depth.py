"""How deep a parameter is, and how fast it learns."""

import numpy as np
import pytest
from small_nets import Blocks
from torch import nn

from skeegclip import EEGEncoder
from skeegclip._training.adapting import new_parameters
from skeegclip._training.depth import depths_of, rates_of
from skeegclip.nets.build import build_net


def depths(net):
    new = new_parameters(net, ())
    return depths_of(net, [name for name, _ in net.named_parameters() if name not in new])


def of_labram(name, n_blocks):
    """The rule of LaBraM's published fine-tuning, by the names that braindecode gives its parts."""
    if name in ("cls_token", "position_embedding", "temporal_embedding") or name.startswith("patch_embed"):
        return 0
    if name.startswith("blocks."):
        return int(name.split(".")[1]) + 1
    return n_blocks + 1


def test_labrams_depths_are_those_of_its_published_fine_tuning():
    from braindecode.models import Labram

    net = Labram(n_outputs=4, n_chans=8, n_times=400, patch_size=200, num_layers=3, embed_dim=20, num_heads=2)
    found, n = depths(net)
    assert n == 4
    assert found == {name: of_labram(name, 3) for name in found}
    assert set(found.values()) == {0, 1, 2, 3, 4}
    assert {name for name, _ in net.named_parameters()} - set(found) == {
        "final_layer.weight",
        "final_layer.bias",
    }


def test_networks_without_blocks_are_as_deep_as_they_have_matrices():
    from braindecode.models import EEGNet

    found, n = depths(build_net(EEGNet, {"n_outputs": 4, "n_chans": 8, "n_times": 100}))
    layers = ["conv_temporal", "conv_spatial", "conv_separable_depth", "conv_separable_point"]
    assert n == 4
    assert {name.split(".")[0]: depth for name, depth in found.items()} == {
        **{layer: depth for depth, layer in enumerate(layers)},
        "bnorm_temporal": 0,
        "bnorm_1": 1,
        "bnorm_2": 3,
    }


def test_a_stack_is_what_holds_the_blocks_not_the_layers_inside_them():
    inner = nn.Sequential(nn.Linear(4, 4), nn.GELU(), nn.Linear(4, 4))
    found, n = depths(nn.Sequential(inner, nn.Linear(4, 2)))
    assert (found["0.0.weight"], found["0.2.weight"], n) == (0, 1, 2)
    blocks = nn.Sequential(*(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)) for _ in range(2)))
    found, n = depths(nn.Sequential(nn.Linear(4, 4), blocks, nn.Linear(4, 2)))
    assert (found["0.weight"], found["1.0.1.weight"], found["1.1.0.weight"], n) == (0, 1, 2, 3)


def test_rates_fall_from_the_head_and_new_parts_have_the_heads():
    net = Blocks(3, 2, 5)
    new = new_parameters(net, {"blocks.0.norm.weight"})
    rates = rates_of(net, new, lr=1.0, layer_decay=0.5, head_lr=7.0)
    assert rates["final_layer.weight"] == rates["blocks.0.norm.weight"] == 7
    assert rates["token"] == rates["embed.weight"] == rates["batch_norm.bias"] == 0.5**3
    assert (rates["blocks.0.mix.weight"], rates["blocks.1.mix.weight"]) == (0.5**2, 0.5)
    assert rates["norm.weight"] == 1


@pytest.mark.parametrize("head_lr", [None, 0.3])
def test_a_step_of_gradient_descent_is_as_long_as_the_rates_say(head_lr, rng):
    # One step of plain SGD moves a weight by its gradient times its rate.
    X, y = rng.normal(size=(16, 3, 8)).astype(np.float32), rng.normal(size=(16, 4)).astype(np.float32)
    common = {
        "optimizer": "sgd",
        "max_epochs": 1,
        "batch_size": 16,
        "validation": 0,
        "device": "cpu",
        "lr": 0.1,
    }
    start = Blocks(4, 3, 8, dropout=0.0).state_dict()

    def moved(**params):
        encoder = EEGEncoder(Blocks, net_params={"dropout": 0.0}, pretrained=start, random_state=0, **common)
        state = encoder.set_params(**params).fit(X, y).net_.module_.state_dict()
        return {name: (state[name] - start[name]).numpy() for name in start}

    plain, decayed = moved(), moved(layer_decay=0.5, head_lr=head_lr)
    for name, power in [
        ("embed.weight", 3),
        ("blocks.0.mix.weight", 2),
        ("blocks.1.mix.weight", 1),
        ("norm.bias", 0),
    ]:
        assert np.abs(plain[name]).max() > 1e-5
        np.testing.assert_allclose(decayed[name], plain[name] * 0.5**power, rtol=1e-3, atol=1e-7)
    factor = 1 if head_lr is None else 3
    np.testing.assert_allclose(
        decayed["final_layer.weight"], factor * plain["final_layer.weight"], rtol=1e-3, atol=1e-7
    )


def test_without_decay_and_a_rate_of_its_own_nothing_is_grouped(rng):
    X, y = rng.normal(size=(16, 3, 8)).astype(np.float32), rng.normal(size=(16, 4)).astype(np.float32)
    encoder = EEGEncoder(Blocks, max_epochs=1, batch_size=16, device="cpu", random_state=0).fit(X, y)
    assert len(encoder.net_.optimizer_.param_groups) == 1
