"""What may be done to a picture before it is embedded: blur, and averages of spoilt views.

All of it works on the picture as the model gets it (resized and cropped), so that a radius in pixels means the same
for every picture. EEG carries little fine detail; targets that hold none of it are easier to reach.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ._pictures import pixel_digest

# Strengths for a model input of 224 pixels, those of NeuroBridge's published code (arXiv:2511.06836): an OpenCV
# kernel of 15 pixels (whose standard deviation is 2.6), noise of 25 grey levels, a tenth of the resolution, blocks of 5.
_SIDE, _BLUR, _NOISE, _RESOLUTION, _BLOCK = 224, 2.6, 25.0, 0.1, 5.0
_N_LEVELS = 8


def blurred(picture: Any, radius: float, *, foveal: bool) -> Any:
    """Blur a PIL image: everywhere alike, or from not at all in the centre to `radius` in the corners.

    Parameters
    ----------
    picture : PIL.Image.Image
        RGB.
    radius : float
        Standard deviation of the Gaussian in pixels.
    foveal : bool
        Whether the standard deviation grows with the distance from the centre, linearly.

    Returns
    -------
    PIL.Image.Image
        Of the same size.
    """
    from PIL import Image, ImageFilter

    if not foveal:
        return picture.filter(ImageFilter.GaussianBlur(radius))
    # Between the two nearest of a few evenly blurred pictures.
    levels = [picture.filter(ImageFilter.GaussianBlur(radius * k / _N_LEVELS)) for k in range(_N_LEVELS + 1)]
    stack = np.stack([np.asarray(level, dtype=np.float32) for level in levels])
    level = _eccentricity(picture.height, picture.width) * _N_LEVELS
    below = np.minimum(level.astype(int), _N_LEVELS - 1)
    weight = (level - below)[..., None]
    row, column = np.indices(below.shape)
    mixed = (1 - weight) * stack[below, row, column] + weight * stack[below + 1, row, column]
    return Image.fromarray(mixed.round().astype(np.uint8))


def _eccentricity(height: int, width: int) -> np.ndarray:
    """Distance from the centre, 1 in the corners."""
    y = np.linspace(-1, 1, height)[:, None] * (height - 1)
    x = np.linspace(-1, 1, width) * (width - 1)
    distance = np.hypot(y, x)
    return distance / max(distance.max(), 1)


def views(picture: Any, n_views: int, seed: int) -> list:
    """Spoilt copies of a PIL image: blur, noise, low resolution, mosaic, and round again.

    Parameters
    ----------
    picture : PIL.Image.Image
        RGB.
    n_views : int
        How many; 1 gives the picture itself.
    seed : int
        With the pixels it decides all that is drawn, so that a picture's views do not depend on its neighbours.

    Returns
    -------
    list of PIL.Image.Image
        Of the same size.
    """
    if n_views == 1:
        return [picture]
    content = np.frombuffer(pixel_digest(np.asarray(picture)), dtype=np.uint32)
    rng = np.random.default_rng([seed, *content.tolist()])
    # Half to one and a half of the nominal strength, so that a second round is not the first one again.
    return [_KINDS[view % len(_KINDS)](picture, rng.uniform(0.5, 1.5), rng) for view in range(n_views)]


def _blur(picture: Any, strength: float, rng: np.random.Generator) -> Any:
    return blurred(picture, strength * _BLUR * picture.width / _SIDE, foveal=False)


def _noise(picture: Any, strength: float, rng: np.random.Generator) -> Any:
    from PIL import Image

    pixels = np.asarray(picture, dtype=np.float32)
    noise = rng.standard_normal(pixels.shape, dtype=np.float32) * (strength * _NOISE)
    return Image.fromarray((pixels + noise).clip(0, 255).round().astype(np.uint8))


def _low_resolution(picture: Any, strength: float, rng: np.random.Generator) -> Any:
    from PIL.Image import Resampling

    return _shrunk(picture, strength / _RESOLUTION, Resampling.BILINEAR, Resampling.BILINEAR)


def _mosaic(picture: Any, strength: float, rng: np.random.Generator) -> Any:
    from PIL.Image import Resampling

    return _shrunk(picture, strength * _BLOCK * picture.width / _SIDE, Resampling.BOX, Resampling.NEAREST)


def _shrunk(picture: Any, factor: float, down: Any, up: Any) -> Any:
    size = [max(1, round(side / max(factor, 1))) for side in picture.size]
    return picture.resize(size, down).resize(picture.size, up)


_KINDS = (_blur, _noise, _low_resolution, _mosaic)
