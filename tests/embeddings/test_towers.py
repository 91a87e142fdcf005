"""What is read off networks of many kinds, which are asked as transformers builds them."""

from __future__ import annotations

import numpy as np
import pytest

from skeegclip.embeddings import _towers
from skeegclip.embeddings._towers import size_params

_VIT = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
_VIT |= {"image_size": 32, "patch_size": 8}


def built(model_type, **settings):
    import torch
    from transformers import AutoConfig, AutoModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AutoModel.from_config(AutoConfig.for_model(model_type, **settings)).eval()


def test_a_crop_keeps_its_share_of_the_picture():
    from transformers import BitImageProcessor, EfficientNetImageProcessor

    # DINOv2's own: 256 and 224; the contest's 518 pixels.
    processor = BitImageProcessor(size={"shortest_edge": 256}, crop_size={"height": 224, "width": 224})
    both = {"height": 518, "width": 518}
    assert size_params(processor, 518) == {"size": {"shortest_edge": 592}, "crop_size": both}
    processor = EfficientNetImageProcessor(
        size={"height": 256, "width": 256}, crop_size={"height": 224, "width": 224}, do_center_crop=True
    )
    assert size_params(processor, 112)["size"] == {"height": 128, "width": 128}
    processor.do_center_crop = False
    assert size_params(processor, 518) == {"size": both}


@pytest.mark.parametrize(
    ("model_type", "settings", "n_prefix"),
    [
        ("dinov2_with_registers", {**_VIT, "num_register_tokens": 4}, 5),
        ("deit", _VIT, 2),  # a token of distillation
        ("aimv2_vision_model", _VIT, 0),  # the class token of its head is none of the tower's
        (
            "dinov3_convnext",
            {"hidden_sizes": [8] * 4, "depths": [1] * 4},
            1,
        ),  # puts the mean of its map first
    ],
)
def test_the_mean_is_over_the_patches_alone(model_type, settings, n_prefix):
    import torch

    net = built(model_type, **settings)
    pixels = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        own = net(pixels).last_hidden_state
        found = _towers.image_vectors(net, pixels, ("final",), "mean")
    assert own.shape[1] - n_prefix == (1 if "convnext" in model_type else 16)
    np.testing.assert_allclose(found, own[:, n_prefix:].mean(1), rtol=1e-5, atol=1e-5)


def test_what_stands_among_the_tokens_must_be_known():
    import torch

    net = built("yolos", **{**_VIT, "image_size": [32, 32]})
    pixels = torch.zeros(1, 3, 32, 32)
    with torch.no_grad():
        with pytest.raises(ValueError, match=r"YolosModel gives 117 tokens of 16 patches.*pool=\"none\""):
            _towers.image_vectors(net, pixels, ("final",), "mean")
        assert _towers.image_vectors(net, pixels, ("final",), "none").shape == (1, 117 * 16)


@pytest.mark.parametrize("model_type", ["efficientnet", "pvt_v2"])
def test_a_network_that_hides_its_blocks_says_so(model_type):
    import torch

    small = {"width_coefficient": 0.1, "depth_coefficient": 0.1} if model_type == "efficientnet" else {}
    net = built(model_type, **small)
    with torch.no_grad(), pytest.raises(ValueError, match='layer must be "final": .* intermediate layers'):
        _towers.image_vectors(net, torch.zeros(1, 3, 32, 32), (0,), "mean")
