"""A loaded image network of transformers or diffusers: pictures in, vectors and tokens out."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .._utils.autoencoders import latents_of
from .._utils.pictures import square
from ._layers import Layer, block_of
from ._loaded import at_precision


class Loaded:
    """A network with what prepares its pictures; shared by embedders.

    Parameters
    ----------
    net : nn.Module
        In evaluation mode, on the device.
    processor : object | None
        An image processor of transformers; None for an autoencoder.
    """

    def __init__(self, net: Any, processor: Any) -> None:
        self.net, self.processor = net, processor


class ImageModel:
    """A network that is given pictures of one size.

    Parameters
    ----------
    loaded : Loaded
        The network.
    device : str
        Torch device.
    size : int | None
        Height and width in pixels; None is the model's own.
    """

    def __init__(self, loaded: Loaded, device: str, size: int | None) -> None:
        self.loaded, self.device = loaded, device
        if loaded.processor is None:
            self._shaper: Any = _Square(size or int(loaded.net.config.sample_size))
        elif hasattr(loaded.processor, "val_transforms"):
            self._shaper = _Timm(loaded.processor, size)
        else:
            self._shaper = _Processor(loaded.processor, size)

    def shape(self, picture: Any) -> Any:
        """Resize and crop a PIL image to what the model takes."""
        return self._shaper.shape(picture)

    def pixels(self, picture: Any, *, shaped: bool = False) -> np.ndarray:
        """A PIL image as the network gets it, float32 (3, height, width)."""
        return np.asarray(self._shaper.pixels(picture, shaped), dtype=np.float32)

    def encode_pixels(self, pixels: np.ndarray, read: Callable[..., Any], precision: str) -> np.ndarray:
        """Run the network.

        Parameters
        ----------
        pixels : ndarray of float32, shape (n, 3, height, width)
            Pictures as :meth:`pixels` gives them.
        read : callable
            From network and pixels to a tensor with a row per picture.
        precision : {"float32", "bfloat16"}
            Of the matrix products.

        Returns
        -------
        ndarray of float32, shape (n, ...)
            What `read` gives.
        """
        import torch

        with torch.inference_mode(), at_precision(precision, self.device):
            return read(self.loaded.net, torch.from_numpy(pixels).to(self.device)).float().cpu().numpy()


class _Square:
    """Pictures of an autoencoder, as LowLevelDecoder has them: the centre square, in -1..1."""

    def __init__(self, size: int) -> None:
        self._size = size

    def shape(self, picture: Any) -> Any:
        from PIL import Image

        return Image.fromarray((self._squared(picture) * 255).round().astype(np.uint8))

    def pixels(self, picture: Any, shaped: bool) -> np.ndarray:
        return self._squared(picture).transpose(2, 0, 1) * 2 - 1

    def _squared(self, picture: Any) -> np.ndarray:
        return square(np.asarray(picture, dtype=np.float32) / 255, self._size)


class _Timm:
    """The evaluation transform of timm, whose first steps work on PIL images."""

    def __init__(self, processor: Any, size: int | None) -> None:
        if size is not None:
            raise ValueError(
                f"size must be None for a model of timm, which has a size of its own, got {size}."
            )
        steps = processor.val_transforms.transforms
        tensor = next(
            k for k, step in enumerate(steps) if type(step).__name__ in ("ToTensor", "MaybeToTensor")
        )
        self._shaping, self._rest = steps[:tensor], steps[tensor:]

    def shape(self, picture: Any) -> Any:
        return _through(self._shaping, picture)

    def pixels(self, picture: Any, shaped: bool) -> Any:
        return _through(self._rest, picture if shaped else self.shape(picture))


def _through(steps: Iterable[Callable[[Any], Any]], picture: Any) -> Any:
    for step in steps:
        picture = step(picture)
    return picture


class _Processor:
    """An image processor of transformers."""

    def __init__(self, processor: Any, size: int | None) -> None:
        self._processor = processor
        self._size = {} if size is None else size_params(processor, size)

    def shape(self, picture: Any) -> Any:
        from PIL import Image

        raw = self._call(picture, do_rescale=False, do_normalize=False, **self._size)
        return Image.fromarray(np.asarray(raw).round().clip(0, 255).astype(np.uint8).transpose(1, 2, 0))

    def pixels(self, picture: Any, shaped: bool) -> np.ndarray:
        # All in one call where it may be: some processors normalise before they resize.
        return self._call(
            picture, **({"do_resize": False, "do_center_crop": False} if shaped else self._size)
        )

    def _call(self, picture: Any, **params: Any) -> np.ndarray:
        pixels = self._processor(picture, return_tensors="np", **params)["pixel_values"][0]
        if pixels.ndim != 3 or (
            pixels.shape[1] != pixels.shape[2] and not self._processor.size.get("height")
        ):
            raise ValueError(
                f"model: its image processor, {type(self._processor).__name__}, gives pixels {pixels.shape}, not one square"
                " for each picture. Take another model."
            )
        return pixels


def size_params(processor: Any, size: int) -> dict[str, Any]:
    """What a processor of transformers is told for pictures of `size` pixels; a crop keeps its share."""
    own, both = processor.size, {"height": size, "width": size}
    crop = getattr(processor, "crop_size", None) if getattr(processor, "do_center_crop", None) else None
    if not crop:
        return {"size": both if own.get("height") else {"shortest_edge": size}}
    scale = size / crop["height"]
    sides = ("height", "width") if own.get("height") else ("shortest_edge",)
    return {"size": {side: round(own[side] * scale) for side in sides}, "crop_size": both}


def is_autoencoder(net: Any) -> bool:
    """Whether it is one of diffusers, and no network of transformers."""
    return hasattr(net, "encode") and hasattr(net, "decode")


def image_vectors(net: Any, pixels: Any, layers: tuple[Layer, ...], pooling: str) -> Any:
    """Vectors of a batch of pictures, the layers one after another.

    Parameters
    ----------
    net : nn.Module
        From :func:`~._vision.load_vision`.
    pixels : Tensor, shape (n, 3, height, width)
        Prepared as the model expects.
    layers : tuple
        As :func:`~._layers.read_layer` gives them.
    pooling : {"mean", "cls", "none"}
        The mean of the patches, the class token, or all tokens (of an autoencoder: the latent) in a row.

    Returns
    -------
    Tensor, shape (n, n_dims)
        Not scaled to unit length.
    """
    import torch

    if is_autoencoder(net):
        _only_latents(layers)
        latents = latents_of(net, pixels).float()
        if pooling == "cls":
            raise _no_class_token()
        return latents.flatten(1) if pooling == "none" else latents.mean(dim=(2, 3))
    if pooling == "cls" and not _has_class_token(net):
        raise _no_class_token()
    found = zip(layers, _tokens(net, pixels, layers), strict=True)
    return torch.cat([_pooled(net, pixels, layer, tokens.float(), pooling) for layer, tokens in found], dim=1)


def _pooled(net: Any, pixels: Any, layer: Layer, tokens: Any, pooling: str) -> Any:
    if pooling == "none":
        return tokens.flatten(1)
    first = _n_prefix(net, layer)
    side, depths = getattr(net.config, "patch_size", None), getattr(net.config, "depths", None)
    if side and not depths and not hasattr(net, "timm_model"):
        high, wide = (int(side), int(side)) if isinstance(side, (int, float)) else side
        n_patches = (pixels.shape[2] // high) * (pixels.shape[3] // wide)
        if tokens.shape[1] != first + n_patches:
            raise ValueError(
                f"pool={pooling!r}, but {type(net).__name__} gives {tokens.shape[1]} tokens of {n_patches} patches, and which"
                ' of them are patches is not known. Use pool="none".'
            )
    return tokens[:, 0] if pooling == "cls" else tokens[:, first:].mean(dim=1)


def image_tokens(net: Any, pixels: Any, layer: Layer) -> Any:
    """Tokens of a batch of pictures after one layer, (n, n_tokens, width), class and register tokens first."""
    if is_autoencoder(net):
        _only_latents((layer,))
        return latents_of(net, pixels).flatten(2).transpose(1, 2)
    return _tokens(net, pixels, (layer,))[0]


def _only_latents(layers: tuple[Layer, ...]) -> None:
    if layers != ("final",):
        raise ValueError(f'layer must be "final" for an autoencoder, whose latent it is, got {list(layers)}.')


def _no_class_token() -> ValueError:
    return ValueError('pool="cls", but this network has no class token. Use pool="mean".')


def _has_token(net: Any, *kinds: str) -> bool:
    """Whether a token of its own goes in beside the patches; a head that pools may have one too."""
    names = (name.split(".") for name, _ in net.named_parameters())
    return any(path[-1] in kinds and "head" not in path for path in names)


def _has_class_token(net: Any) -> bool:
    return _has_token(net, "cls_token", "class_token", "class_embedding")


def _n_prefix(net: Any, layer: Layer) -> int:
    """How many tokens stand before those of the patches."""
    if hasattr(net, "timm_model"):
        return int(getattr(net.timm_model, "num_prefix_tokens", 0))
    if net.config.model_type == "dinov3_convnext":  # puts the mean of its map before it
        return int(layer == "final")
    n_registers = int(getattr(net.config, "num_register_tokens", 0) or 0)
    return _has_class_token(net) + _has_token(net, "distillation_token") + n_registers


class _EnoughError(Exception):
    """The last block that was asked for has run."""


def _tokens(net: Any, pixels: Any, layers: tuple[Layer, ...]) -> list[Any]:
    """Tokens after each layer; blocks after the last one asked for do not run."""
    inner = [layer for layer in layers if layer != "final"]
    blocks = _blocks(net) if inner else []
    wanted = {block_of(layer, len(blocks)) for layer in inner}
    found: dict[int, Any] = {}
    # Hooks are the network's, which other threads may be running too.
    thread = threading.get_ident()

    def keep(number: int) -> Callable[..., None]:
        def hook(module: Any, given: Any, output: Any) -> None:
            if threading.get_ident() == thread:
                found[number] = output if hasattr(output, "shape") else output[0]
                if number == max(wanted) and "final" not in layers:
                    raise _EnoughError

        return hook

    hooks = [blocks[number].register_forward_hook(keep(number)) for number in wanted]
    final = None
    try:
        final = net(pixel_values=pixels, **_of_any_size(net, pixels)).last_hidden_state
    except _EnoughError:
        pass
    finally:
        for hook in hooks:
            hook.remove()
    if wanted - found.keys() or not all(hasattr(each, "ndim") for each in found.values()):
        raise _no_blocks(net)
    each = [final if layer == "final" else found[block_of(layer, len(blocks))] for layer in layers]
    return [_as_tokens(net, output) for output in each]


def _of_any_size(net: Any, pixels: Any) -> dict[str, bool]:
    """Ask for interpolated positions where the pictures have another size than the positions were learnt for."""
    own = getattr(net.config, "image_size", None)
    own = list(own) if isinstance(own, (list, tuple)) else [own, own]
    if (
        own == list(pixels.shape[2:])
        or "interpolate_pos_encoding" not in inspect.signature(net.forward).parameters
    ):
        return {}
    return {"interpolate_pos_encoding": True}


def _blocks(net: Any) -> list[Any]:
    """The blocks of a transformer, or the stages of a network whose maps shrink."""
    from torch.nn import ModuleList

    if hasattr(net, "timm_model"):
        found = [getattr(net.timm_model, "blocks", ())]
    else:
        depths = getattr(net.config, "depths", None)
        count = len(depths) if depths else getattr(net.config, "num_hidden_layers", None)
        # The outermost list of that length; embeddings of several sizes are none.
        found = [
            module
            for name, module in net.named_modules()
            if isinstance(module, ModuleList) and len(module) == count and "embed" not in name
        ]
    if not found or not len(found[0]):
        raise _no_blocks(net)
    return list(found[0])


def _no_blocks(net: Any) -> ValueError:
    return ValueError(f'layer must be "final": {type(net).__name__} does not give its intermediate layers.')


def _as_tokens(net: Any, output: Any) -> Any:
    """A map of features as tokens, row by row."""
    if output.ndim == 4:
        last = getattr(getattr(net, "timm_model", None), "output_fmt", "NCHW") == "NHWC"
        return output.flatten(1, 2) if last else output.flatten(2).transpose(1, 2)
    return output
