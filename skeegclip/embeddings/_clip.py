"""A loaded CLIP model: pictures and texts in, arrays out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ._loaded import at_precision, load_once
from ._weights import Weights, load_tokenizer, load_weights


def clip_model(weights: Weights, device: str) -> ClipModel:
    """Return the model with these weights on this device, loaded once.

    Parameters
    ----------
    weights : Weights
        What to load.
    device : str
        Torch device.

    Returns
    -------
    ClipModel
        Shared by whoever asks for the same.
    """
    return load_once(weights.identity, device, lambda: ClipModel(load_weights(weights, device), device))


class ClipModel:
    """A network of open_clip with the evaluation transform that belongs to it.

    Parameters
    ----------
    net : nn.Module
        In evaluation mode, on the device.
    device : str
        Torch device.
    """

    def __init__(self, net: Any, device: str) -> None:
        from open_clip.transform import MaybeToTensor, PreprocessCfg, image_transform_v2

        self.net = net
        self.device = device
        self._tokenizer: Any = None
        settings = PreprocessCfg(**net.visual.preprocess_cfg)
        # Resizing and cropping work on PIL images, before the first tensor; the rest is done on whole batches.
        self._shaping = []
        for step in image_transform_v2(settings, is_train=False).transforms:
            if isinstance(step, MaybeToTensor):
                break
            self._shaping.append(step)
        self._mean, self._std = settings.mean, settings.std

    def shape(self, picture: Any) -> Any:
        """Resize and crop a PIL image to what the model takes."""
        for step in self._shaping:
            picture = step(picture)
        return picture

    def pixels(self, picture: Any, *, shaped: bool = False) -> np.ndarray:
        """A PIL image as the network gets it but for the normalisation, uint8 (height, width, 3)."""
        return np.asarray(picture if shaped else self.shape(picture))

    def encode_pixels(self, pixels: np.ndarray, read: Callable[..., Any], precision: str) -> np.ndarray:
        """Run the image tower.

        Parameters
        ----------
        pixels : ndarray of uint8, shape (n, height, width, 3)
            Shaped pictures.
        read : callable
            From network and normalised pixels to a tensor with a row per picture.
        precision : {"float32", "bfloat16"}
            Of the matrix products.

        Returns
        -------
        ndarray of float32, shape (n, ...)
            What `read` gives.
        """
        import torch

        with torch.inference_mode():
            # The same operations in the same order as open_clip's ToTensor and Normalize.
            batch = (
                torch.from_numpy(pixels).to(self.device).permute(0, 3, 1, 2).contiguous().float().div_(255)
            )
            mean, std = (batch.new_tensor(each).view(1, -1, 1, 1) for each in (self._mean, self._std))
            batch = batch.sub_(mean).div_(std)
            with at_precision(precision, self.device):
                return read(self.net, batch).float().cpu().numpy()

    def encode_texts(self, texts: Sequence[str], model: str, precision: str) -> np.ndarray:
        """Run the text tower.

        Parameters
        ----------
        texts : sequence of str
            Whole sentences; what is longer than the context is cut off.
        model : str
            The model as the user named it, which decides the tokenizer.
        precision : {"float32", "bfloat16"}
            Of the matrix products.

        Returns
        -------
        ndarray of float32, shape (n, n_dims)
            Not scaled to unit length.
        """
        import torch

        if self._tokenizer is None:
            self._tokenizer = load_tokenizer(model)
        with torch.inference_mode(), at_precision(precision, self.device):
            tokens = self._tokenizer(list(texts)).to(self.device)
            return self.net.encode_text(tokens, normalize=False).float().cpu().numpy()
