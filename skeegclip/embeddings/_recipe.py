"""All that decides a vector besides the picture itself, checked."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from .._utils.device import resolve_device, resolve_precision
from .._utils.params import check_number
from .._utils.seeding import draw_seed
from ._layers import Layer, read_layer
from ._pictures import Picture
from ._views import blurred, views
from ._weights import Weights

# Raised when this code gives other vectors for the same settings, so that a cache does not mix them.
_VERSION = 1


@dataclass(frozen=True)
class Recipe:
    """The parameters of an embedder, checked and resolved; nothing is loaded yet.

    Attributes
    ----------
    weights : Weights
        Which weights.
    layers : tuple
        Layers of the image tower.
    pooling : str | None
        How their tokens become a vector; None where that is the model's own affair.
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
    size : int | None
        Height and width in pixels that pictures are brought to; None is the model's own.
    """

    weights: Weights
    layers: tuple[Layer, ...]
    pooling: str | None
    blur: float | None
    foveal: bool
    n_views: int
    seed: int
    batch_size: int
    device: str
    precision: str
    size: int | None = None

    @classmethod
    def of(
        cls, embedder: Any, find: Callable[[], Weights], *, pooling: str | None, size: int | None = None
    ) -> Self:
        """Check the parameters that all embedders have, and name the weights.

        Parameters
        ----------
        embedder : estimator
            Its parameters are read.
        find : callable
            Names the weights; called last, as it may have to ask the hub.
        pooling, size : str | None, int | None
            As above, checked.

        Returns
        -------
        Recipe
            All that decides a vector.
        """
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
        weights = find()
        device = resolve_device(embedder.device)
        return cls(
            weights,
            layers,
            pooling,
            None if embedder.blur is None else float(embedder.blur),
            bool(embedder.foveal),
            int(embedder.n_views),
            seed,
            int(embedder.batch_size),
            device,
            resolve_precision(embedder.precision, device),
            size,
        )

    def prepare(self, model: Any, picture: Picture) -> np.ndarray:
        """Open a picture and return its views as the network gets them, (n_views, ...)."""
        image = picture.open()
        if self.blur is None and self.n_views == 1:
            return model.pixels(image)[None]
        image = model.shape(image)
        if self.blur is not None:
            image = blurred(image, self.blur, foveal=self.foveal)
        return np.stack([model.pixels(view, shaped=True) for view in views(image, self.n_views, self.seed)])

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
        if self.pooling is not None:
            settings["pooling"] = self.pooling
        if self.size is not None:
            settings["size"] = self.size
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
