"""Pictures drawn from factors: a shaded, textured shape on a coloured ground."""

from __future__ import annotations

import numpy as np

from ._concepts import TEXTURES, column, hue, shape_kind, texture_kind
from ._shapes import SHAPES

SIZE = 64  # pixels
_BLOCK = 128  # pictures drawn at once


def draw(factors: np.ndarray, kinds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw one picture per row.

    Parameters
    ----------
    factors : ndarray, shape (n, n_factors)
        Factors of the pictures.
    kinds : ndarray, shape (n, n_factors)
        Factors that decide shape and texture kind: those of the concepts, which all its pictures share.
    rng : numpy.random.Generator
        Source of place, turn and light.

    Returns
    -------
    ndarray of uint8, shape (n, 64, 64, 3)
        sRGB pictures.
    """
    n = len(factors)
    # float32 throughout the drawing: half the time, and far finer than a grey level.
    factors = factors.astype(np.float32)
    pose = {
        "place": rng.uniform(-0.16, 0.16, (n, 2)),
        "turn": rng.normal(0, 0.22, n),
        "light": rng.uniform(-0.9, -0.2, n) * np.pi,
        "phase": rng.uniform(0, 2 * np.pi, (n, 2)),
    }
    pose = {name: value.astype(np.float32) for name, value in pose.items()}
    shapes, textures = shape_kind(kinds), texture_kind(kinds)
    pictures = np.empty((n, SIZE, SIZE, 3), dtype=np.uint8)
    for kind, shape in enumerate(SHAPES.values()):
        rows = np.flatnonzero(shapes == kind)
        for part in np.array_split(rows, range(_BLOCK, len(rows), _BLOCK)):
            if len(part):
                own = {name: value[part] for name, value in pose.items()}
                pictures[part] = _draw(shape, factors[part], textures[part], own)
    return pictures


def _draw(shape, factors, textures, pose) -> np.ndarray:
    axis = ((np.arange(SIZE) + 0.5) / SIZE * 2 - 1).astype(np.float32)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    size = (0.58 + 0.13 * np.tanh(column(factors, "size")))[:, None, None]
    stretch = np.exp(0.14 * np.tanh(column(factors, "elongation")))[:, None, None]
    place = pose["place"][:, :, None, None]
    cos, sin = (f(pose["turn"])[:, None, None] for f in (np.cos, np.sin))

    def to_shape(x, y):
        """Picture coordinates -> coordinates of the turned, stretched shape of radius 1."""
        x, y = (x - place[:, 0]) / size, (y - place[:, 1]) / size
        return (cos * x + sin * y) / stretch, (cos * y - sin * x) * stretch

    u, v = to_shape(x, y)
    distance = shape(u, v) * size
    edge = 1.5 * 2 / SIZE
    inside = _smooth(-distance, edge)
    shadow = _smooth(-shape(*to_shape(x - 0.05, y - 0.08)) * size, 0.16)

    ink = _texture(textures, u, v, 4.5 + 1.5 * np.tanh(column(factors, "texture_scale")), pose["phase"])
    light = pose["light"][:, None, None]
    shading = 0.09 * (np.cos(light) * u + np.sin(light) * v)
    rim = _smooth(distance + 0.07, 0.05)
    lightness = 0.66 + 0.09 * np.tanh(column(factors, "lightness"))[:, None, None]
    figure = _oklab(
        lightness + shading - 0.2 * ink - 0.12 * rim, 0.16, hue(factors)[:, None, None] + 25 * ink
    )

    level = 0.5 + 0.5 * np.tanh(1.2 * column(factors, "ground_lightness"))[:, None, None]
    ground = _oklab(
        0.32 + 0.58 * level - 0.06 * y - 0.16 * shadow,
        0.055 + 0.03 * (1 - level),
        hue(factors, "ground_")[:, None, None],
    )
    linear = _linear_rgb(*(g + inside * (f - g) for f, g in zip(figure, ground, strict=True)))
    return _SRGB_LEVELS[np.round(linear * (len(_SRGB_LEVELS) - 1)).astype(np.intp)]


def _texture(kinds, u, v, scale, phase):
    """How much of the second colour is on each pixel, 0..1, by kind of texture."""
    scale, first, second = scale[:, None, None], phase[:, :1, None], phase[:, 1:, None]
    a, b = scale * u + first, scale * v + second
    waves = {
        "plain": lambda a, b: np.full(a.shape, -1.0),
        "striped": lambda a, b: np.sin(1.6 * (a + b)),
        "dotted": lambda a, b: 2.0 * np.sin(1.5 * a) * np.sin(1.5 * b) - 0.7,
        "checked": lambda a, b: 2.0 * np.sin(a) * np.sin(b),
        "wavy": lambda a, b: np.sin(1.8 * b + 1.3 * np.sin(1.1 * a)),
    }
    ink = np.empty_like(u)
    for kind, name in enumerate(TEXTURES):
        rows = kinds == kind
        ink[rows] = _smooth(waves[name](a[rows], b[rows]), 0.5)
    return ink


def _smooth(value, width):
    """Step from 0 to 1 around zero, `width` wide: edges without jags."""
    step = np.clip(value / width + 0.5, 0, 1)
    return step * step * (3 - 2 * step)


def _oklab(lightness, chroma, hue_degrees):
    """Lightness, chroma and hue -> the three Oklab coordinates, in which the colours are mixed."""
    angle = np.deg2rad(hue_degrees)
    return lightness, chroma * np.cos(angle), chroma * np.sin(angle)


def _linear_rgb(lightness, a, b):
    """Oklab -> linear sRGB clipped to 0..1, channels last [1]_.

    .. [1] B. Ottosson, "A perceptual color space for image processing", 2020.
    """
    cones = [(lightness + p * a + q * b) ** 3 for p, q in _OKLAB_TO_CONES]
    rgb = np.empty((*lightness.shape, 3), dtype=np.float32)
    for channel, weights in enumerate(_CONES_TO_RGB):
        rgb[..., channel] = sum(w * cone for w, cone in zip(weights, cones, strict=True))
    return np.clip(rgb, 0, 1, out=rgb)


def _srgb_levels(n_steps: int) -> np.ndarray:
    """Grey levels 0..255 of evenly spaced linear intensities: a table is faster than a power per pixel."""
    linear = np.linspace(0, 1, n_steps)
    curve = 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055
    return np.round(255 * np.where(linear <= 0.0031308, 12.92 * linear, curve)).astype(np.uint8)


_SRGB_LEVELS = _srgb_levels(2**14)
_OKLAB_TO_CONES = (
    (0.3963377774, 0.2158037573),
    (-0.1055613458, -0.0638541728),
    (-0.0894841775, -1.2914855480),
)
_CONES_TO_RGB = (
    (4.0767416621, -3.3077115913, 0.2309699292),
    (-1.2684380046, 2.6097574011, -0.3413193965),
    (-0.0041960863, -0.7034186147, 1.7076147010),
)
