"""Layers of the image tower, against what hooks see while open_clip's own encode_image runs."""

from __future__ import annotations

import numpy as np
import pytest

from skeegclip import CLIPEmbedder
from skeegclip.embeddings._layers import block_of, read_layer


def blocks_of(tower):
    if hasattr(tower, "transformer"):
        return list(tower.transformer.resblocks)
    if hasattr(tower, "trunk"):
        return list(getattr(tower.trunk, "blocks", None) or tower.trunk.stages)
    return [tower.avgpool, tower.layer1, tower.layer2, tower.layer3, tower.layer4]


def outputs(tiny, pictures):
    """What each block gives, as arrays (n, n_tokens, width), class token included."""
    import torch

    found = []

    def keep(module, given, output):
        grid = output.flatten(2).transpose(1, 2) if output.ndim == 4 else output
        found.append(grid.detach().numpy())

    hooks = [block.register_forward_hook(keep) for block in blocks_of(tiny.net.visual)]
    with torch.no_grad():
        tiny.encode(pictures)
    for hook in hooks:
        hook.remove()
    return found


KINDS = ["vit", "resnet", "timm-vit", "timm-convnext", "coca"]
WITH_CLASS = {"vit", "timm-vit", "coca"}


@pytest.mark.parametrize("kind", KINDS)
def test_intermediate_layers_are_the_blocks_outputs(kind, tiny_clip, pictures):
    tiny = tiny_clip(kind)
    found = outputs(tiny, pictures)
    params = {"device": "cpu", "verbose": 0}
    patches = slice(1, None) if kind in WITH_CLASS else slice(None)
    for block, tokens in enumerate(found):
        for layer in (block, block - len(found)):
            mean = CLIPEmbedder(tiny.name, tiny.weights, layer=layer, **params).embed_images(pictures)
            np.testing.assert_allclose(mean.vectors, tokens[:, patches].mean(axis=1), rtol=1e-4, atol=1e-5)
        embedder = CLIPEmbedder(tiny.name, tiny.weights, layer=block, pool="cls", **params)
        if kind in WITH_CLASS:
            np.testing.assert_allclose(
                embedder.embed_images(pictures).vectors, tokens[:, 0], rtol=1e-4, atol=1e-5
            )
        else:
            with pytest.raises(ValueError, match='has no class token. Use pool="mean"'):
                embedder.embed_images(pictures)


@pytest.mark.parametrize("mix", [[-1, "final", 0, 1.0], ["final", 1]], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_a_mix_puts_its_layers_one_after_another(kind, mix, tiny_clip, pictures):
    tiny = tiny_clip(kind)
    patches = slice(1, None) if kind in WITH_CLASS else slice(None)
    pooled = [tokens[:, patches].mean(axis=1) for tokens in outputs(tiny, pictures)]
    parts = {
        "final": tiny.encode(pictures),
        "-1": pooled[-1],
        "1.0": pooled[-1],
        "0": pooled[0],
        "1": pooled[1],
    }
    embedder = CLIPEmbedder(tiny.name, tiny.weights, layer=mix, device="cpu", verbose=0)
    table = embedder.embed_images(pictures)
    expected = np.concatenate([parts[str(layer)] for layer in mix], axis=1)
    np.testing.assert_allclose(table.vectors, expected, rtol=1e-4, atol=1e-5)
    assert table.meta["layer"] == mix


def test_a_fraction_counts_blocks_passed():
    # 35 % of ViT-H's 32 blocks: 11 of them, and block 10 is the eleventh.
    assert block_of(0.35, 32) == 10
    assert block_of(0.9, 12) == 10
    assert [block_of(f, 4) for f in (0.01, 0.25, 0.5, 0.75, 1.0)] == [0, 0, 1, 2, 3]
    assert [block_of(i, 4) for i in (0, 3, -1, -4)] == [0, 3, 3, 0]


def test_layers_are_read_as_a_tuple():
    assert read_layer("final") == ("final",)
    assert read_layer(np.int64(3)) == (3,)
    assert read_layer([np.float32(0.5), "final"]) == (0.5, "final")
    assert isinstance(read_layer(1.0)[0], float)  # the whole depth, not block 1
    assert read_layer((1,)) == (1,)


@pytest.mark.parametrize("layer", ["last", 0.0, 1.5, -0.5, True, None, [], [0, "x"], [[0]], float("nan")])
def test_other_layers_are_refused(layer):
    with pytest.raises(ValueError, match="layer (must be|is an empty list)"):
        read_layer(layer)
