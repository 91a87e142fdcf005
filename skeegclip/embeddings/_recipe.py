"""All that decides a vector besides the picture itself, checked."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from .._utils.device import resolve_device, resolve_precision
from .._utils.params import check_number, check_option
from .._utils.seeding import draw_seed
from ._layers import Layer, read_layer
from ._pictures import Picture
from ._views import blurred, views
from ._weights import Weights, find_weights

# Raised when this code gives other vectors for the same settings, so that a cache does not mix them.
_VERSION = 1


@dataclass(frozen=True)
class Recipe:
    """The parameters of a CLIPEmbedder, checked and resolved; nothing is loaded yet.

    Attributes
    ----------
    weights : Weights
        Which weights.
    layers : tuple
        Layers of the image tower.
    pooling : str
        How their tokens become a vector.
    blur : float | None
        Standard deviation in pixels.
    foveal : bool
        Whether the centre stays sharp.
    n_views : int
        Spoilt views, or 1.
    seed : int
        Of the views.
    batch_size : int
        Pictures or texts in a batch.
    device : str
        Torch device.
    precision : str
        "float32" or "bfloat16".
    """

    weights: Weights
    layers: tuple[Layer, ...]
    pooling: str
    blur: float | None
    foveal: bool
    n_views: int
    seed: int
    batch_size: int
    device: str
    precision: str

    @classmethod
    def of(cls, embedder: Any) -> Self:
        """Check an embedder's parameters."""
        check_option("pooling", embedder.pooling, ["mean", "cls"])
        check_number("batch_size", embedder.batch_size, low=1, integer=True)
        check_number("n_views", embedder.n_views, low=1, integer=True)
        check_number("blur", embedder.blur, low=0, open_low=True, none=True)
        if embedder.foveal and embedder.blur is None:
            raise ValueError(
                "foveal=True needs a blur, got blur=None. Set blur to the radius in the corners."
            )
        if embedder.cache_dir is not None and not isinstance(embedder.cache_dir, (str, os.PathLike)):
            raise TypeError(f"cache_dir must be a path or None, got {type(embedder.cache_dir).__name__}.")
        layers = read_layer(embedder.layer)
        seed = draw_seed(embedder.random_state) if embedder.n_views > 1 else 0
        weights = find_weights(embedder.model, embedder.pretrained)
        device = resolve_device(embedder.device)
        return cls(
            weights,
            layers,
            embedder.pooling,
            None if embedder.blur is None else float(embedder.blur),
            bool(embedder.foveal),
            int(embedder.n_views),
            seed,
            int(embedder.batch_size),
            device,
            resolve_precision(embedder.precision, device),
        )

    def prepare(self, clip: Any, picture: Picture) -> np.ndarray:
        """Open a picture and return its views as the network gets them, uint8 (n_views, height, width, 3)."""
        image = clip.shape(picture.open())
        if self.blur is not None:
            image = blurred(image, self.blur, foveal=self.foveal)
        return np.stack([np.asarray(view) for view in views(image, self.n_views, self.seed)])

    def one_layer(self) -> Layer:
        """The only layer; tokens of several have no common meaning."""
        if len(self.layers) != 1:
            raise ValueError(f"layer must be one layer for patch tokens, got {list(self.layers)}.")
        return self.layers[0]

    def of_texts(self) -> dict[str, Any]:
        """What decides the vector of a text; JSON-serialisable."""
        return {
            "kind": "text",
            "version": _VERSION,
            "weights": self.weights.identity,
            "precision": self.precision,
            "normalized": False,
        }

    def of_pictures(self) -> dict[str, Any]:
        """What decides the vector of a picture; JSON-serialisable."""
        settings = self.of_texts() | {"kind": "image", "layer": list(self.layers)}
        # Only what matters, so that what does not cannot make two caches of one.
        if self.layers != ("final",):
            settings["pooling"] = self.pooling
        if self.blur is not None:
            settings |= {"blur": self.blur, "foveal": self.foveal}
        if self.n_views > 1:
            settings |= {"n_views": self.n_views, "random_state": self.seed}
        return settings

    def of_tokens(self) -> dict[str, Any]:
        """What decides the tokens of a picture; JSON-serialisable."""
        settings = self.of_pictures() | {"kind": "tokens", "layer": self.one_layer()}
        settings.pop("pooling", None)
        return settings
