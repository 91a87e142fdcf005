"""What a saved LowLevelDecoder says, and its encoder again."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from ..._utils.contents import Loading
from ..._utils.folders import Content
from .._sharing import Fitted, schema
from .linear_latents import LinearLatents
from .training import ENCODERS, network

OWN = "(your own)"


@schema
class _Facts:
    latent_shape_: tuple[int, int, int]


FITTED = Fitted(
    _Facts,
    {"latent_mean_": ("n_channels", "height", "width"), "latent_scale_": ("n_channels", 1, 1)},
)


def without_own(params: dict[str, Any]) -> dict[str, Any]:
    """Parameters without what no file holds: a network class and an autoencoder of the user's."""
    own = {name: OWN for name in ("net", "vae") if not isinstance(params[name], (str, type(None)))}
    return {**params, **own}


def with_own(params: dict[str, Any], loading: Loading) -> dict[str, Any]:
    """The same, with what the user hands over."""
    return {**params, **{name: loading.need(name) for name in ("net", "vae") if params.get(name) == OWN}}


def encoder_of(decoder: Any, content: Content, loading: Loading) -> Any:
    """What maps epochs to the latents of a decoder that is otherwise read."""
    part = content.parts.get("encoder")
    cls: Any = LinearLatents if decoder.net == "linear" else ENCODERS[decoder.loss]
    if part is None or part.kind != cls.__name__:
        raise loading.refuse(f"its encoder is no {cls.__name__}")
    if decoder.latent_mean_.shape != tuple(decoder.latent_shape_) or decoder.latent_scale_.min() <= 0:
        raise loading.refuse("its latents are of another shape")
    # The network has its name here; the encoder has only its class.
    given = {} if decoder.net == "linear" else {"net": network(decoder.net)}
    encoder = cls._from_content(part, dataclasses.replace(loading.part("encoder"), given=given))
    width = len(encoder.offset_) if decoder.net == "linear" else encoder.n_outputs_
    if width != math.prod(decoder.latent_shape_):
        raise loading.refuse(f"its encoder gives {width} numbers, not a latent of {decoder.latent_shape_}")
    return encoder
