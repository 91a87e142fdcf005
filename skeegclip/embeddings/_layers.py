"""Which layers of an image tower make a target, and how their tokens become one vector."""

from __future__ import annotations

import numbers
from typing import Any

Layer = str | int | float


def read_layer(layer: Any) -> tuple[Layer, ...]:
    """Return the layers asked for as a tuple of "final", int and float; refuse anything else."""
    layers = tuple(layer) if isinstance(layer, (list, tuple)) else (layer,)
    if not layers:
        raise ValueError('layer is an empty list. Name at least one layer, such as "final" or -1.')
    return tuple(_read_one(each) for each in layers)


def _read_one(layer: Any) -> Layer:
    if isinstance(layer, str):
        if layer == "final":
            return layer
    elif isinstance(layer, numbers.Integral) and not isinstance(layer, bool):
        return int(layer)
    elif isinstance(layer, numbers.Real) and not isinstance(layer, bool) and 0 < float(layer) <= 1:
        return float(layer)
    raise ValueError(
        'layer must be "final", the number of a block (int, negative from the end), a fraction of the depth'
        f" (float in (0, 1]), or a list of these, got {layer!r}."
    )


def block_of(layer: Layer, n_blocks: int) -> int:
    """Number of the block that `layer` (not "final") stands for."""
    if isinstance(layer, float):
        return max(round(layer * n_blocks), 1) - 1
    assert isinstance(layer, int)
    if not -n_blocks <= layer < n_blocks:
        raise ValueError(
            f"layer must lie in [{-n_blocks}, {n_blocks - 1}]: this image tower has {n_blocks} blocks,"
            f" got {layer}."
        )
    return layer % n_blocks


def n_blocks(tower: Any) -> int:
    """How many blocks an image tower of open_clip has."""
    from open_clip.model import ModifiedResNet, TimmModel, VisionTransformer

    if isinstance(tower, VisionTransformer):
        return len(tower.transformer.resblocks)
    if isinstance(tower, ModifiedResNet):
        return 5  # the stem and four stages
    if isinstance(tower, TimmModel) and hasattr(tower.trunk, "forward_intermediates"):
        return len(tower.trunk.feature_info)
    raise ValueError(f'layer must be "final": {type(tower).__name__} does not give its intermediate layers.')


def has_class_token(tower: Any) -> bool:
    """Whether the first of the tower's tokens stands for the whole picture."""
    from open_clip.model import TimmModel, VisionTransformer

    if isinstance(tower, TimmModel):
        return getattr(tower.trunk, "cls_token", None) is not None
    return isinstance(tower, VisionTransformer)


def picture_vectors(net: Any, pixels: Any, layers: tuple[Layer, ...], pooling: str | None) -> Any:
    """Vectors of a batch of pictures, the layers one after another.

    Parameters
    ----------
    net : nn.Module
        A model of open_clip.
    pixels : Tensor, shape (n, 3, height, width)
        Normalised as the model expects.
    layers : tuple
        As :func:`read_layer` gives them.
    pooling : {"mean", "cls"}
        For intermediate layers.

    Returns
    -------
    Tensor, shape (n, n_dims)
        Not scaled to unit length.
    """
    import torch

    if layers == ("final",):
        return net.encode_image(pixels, normalize=False)
    tower = net.visual
    count = n_blocks(tower)
    if pooling == "cls" and not has_class_token(tower):
        raise ValueError('pool="cls", but this image tower has no class token. Use pool="mean".')
    blocks = {layer: block_of(layer, count) for layer in layers if layer != "final"}
    final = "final" in layers
    # The last block must run for the final vector; open_clip's ResNet stops after the last block asked for.
    wanted = sorted({*blocks.values(), *([count - 1] if final else [])})
    found = tower.forward_intermediates(
        pixels,
        indices=wanted,
        stop_early=not final,
        intermediates_only=not final,
        output_extra_tokens=pooling == "cls",
    )
    if pooling == "cls":
        pooled = [tokens[:, 0].float() for tokens in found["image_intermediates_prefix"]]
    else:
        pooled = [grid.float().mean(dim=(2, 3)) for grid in found["image_intermediates"]]
    of_block = dict(zip(wanted, pooled, strict=True))
    return torch.cat(
        [
            found["image_features"].float() if layer == "final" else of_block[blocks[layer]]
            for layer in layers
        ],
        dim=1,
    )


def picture_tokens(net: Any, pixels: Any, layer: Layer) -> Any:
    """Tokens of a batch of pictures after one layer, the class token first where there is one.

    Parameters
    ----------
    net : nn.Module
        A model of open_clip.
    pixels : Tensor, shape (n, 3, height, width)
        Normalised as the model expects.
    layer : "final" | int | float
        "final" is the last block with the tower's last normalisation, any other the block's output as it is.

    Returns
    -------
    Tensor, shape (n, n_tokens, width)
        The tokens, patches row by row.
    """
    import torch

    tower = net.visual
    count = n_blocks(tower)
    final = layer == "final"
    if final and getattr(tower, "attn_pool", None) is not None:
        raise ValueError(
            'layer="final", but this image tower pools by attention and its last normalisation comes'
            " after that. Use layer=-1."
        )
    with_class = has_class_token(tower)
    found = tower.forward_intermediates(
        pixels,
        indices=[count - 1 if final else block_of(layer, count)],
        stop_early=True,
        intermediates_only=True,
        normalize_intermediates=final,
        output_extra_tokens=with_class,
    )
    tokens = found["image_intermediates"][0].flatten(2).transpose(1, 2)
    if with_class:
        tokens = torch.cat([found["image_intermediates_prefix"][0], tokens], dim=1)
    return tokens
