"""What the brain and the embedding take from a picture."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.ndimage import uniform_filter

from ._concepts import FACTORS, sample_concepts, sample_images
from ._pictures import draw

VARIATION = 0.3  # share of a picture's factors that is its own, not its concept's (standard deviations)
# Parts of an embedding, relative to what varies with the picture. As in CLIP, unrelated pictures have a cosine
# of about .4 (a large common mean), and texts lie apart from pictures.
_MEAN, _GAP, _NOISE, _TEXT_NOISE, _NORM = 0.8, 1.3, 0.25, 0.5, 15.0
_LOW_LEVEL_SHARE = 0.7
_BLOCK = 256


def low_level_features(pictures: np.ndarray, n_features: int) -> np.ndarray:
    """Return principal components of coarse light, colour and contrast, of about unit variance.

    The components are those of a fixed sample of pictures, so that a picture's features depend on nothing else.

    Parameters
    ----------
    pictures : ndarray of uint8, shape (n, 64, 64, 3)
        Pictures.
    n_features : int
        Number of components.

    Returns
    -------
    ndarray, shape (n, n_features)
        Features, largest component first.
    """
    mean, components = _basis()
    return (_coarse(pictures) - mean) @ components[:, :n_features]


@cache
def _basis() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    concepts, _ = sample_concepts(300, rng)
    values = _coarse(draw(sample_images(concepts, 1, VARIATION, rng), concepts, rng))
    mean = values.mean(axis=0)
    _, size, right = np.linalg.svd(values - mean, full_matrices=False)
    return mean, right.T * (np.sqrt(len(values)) / size)


def _coarse(pictures: np.ndarray) -> np.ndarray:
    """Light and contrast on a 4 x 4 grid, two colour differences on a 2 x 2 grid."""
    parts = []
    for start in range(0, len(pictures), _BLOCK):
        pixels = pictures[start : start + _BLOCK].astype(np.float32) / 255
        red, green, blue = np.moveaxis(pixels, 3, 0)
        light = (red + green + blue) / 3
        contrast = np.abs(light - uniform_filter(light, (0, 9, 9)))
        maps = [(light, 4), (3 * contrast, 4), (2 * (red - green), 2), (2 * (blue - light), 2)]
        parts.append(np.hstack([_pooled(image, cells) for image, cells in maps]))
    return np.vstack(parts).astype(np.float64)


def _pooled(images: np.ndarray, cells: int) -> np.ndarray:
    n, height, width = images.shape
    blocks = images.reshape(n, cells, height // cells, cells, width // cells)
    return blocks.mean(axis=(2, 4)).reshape(n, -1)


class EmbeddingMap:
    """A fixed random map from factors and low-level features into one space, as CLIP's two towers are.

    Parameters
    ----------
    n_low : int
        Number of low-level features.
    n_dims : int
        Width of the embedding.
    rng : numpy.random.Generator
        Source of the map.
    """

    def __init__(self, n_low: int, n_dims: int, rng: np.random.Generator) -> None:
        n_in, n_hidden = len(FACTORS) + n_low, 2 * n_dims
        self._first = rng.standard_normal((n_in, n_hidden)) / np.sqrt(n_in)
        self._second = rng.standard_normal((n_hidden, n_dims)) / np.sqrt(n_hidden)
        self._mean, self._gap = rng.standard_normal((2, n_dims))
        self._rng = rng

    def images(self, factors: np.ndarray, low: np.ndarray) -> np.ndarray:
        """Return vectors of pictures, float32, shape (n, n_dims), of norm about 20."""
        return self._vectors(factors, low, _MEAN * self._mean, _NOISE)

    def texts(self, factors: np.ndarray) -> np.ndarray:
        """Return vectors of concept names: the concept's factors, an average look, and the modality gap."""
        low = np.zeros((len(factors), len(self._first) - len(FACTORS)))
        return self._vectors(factors, low, _MEAN * self._mean + _GAP * self._gap, _TEXT_NOISE)

    def _vectors(self, factors: np.ndarray, low: np.ndarray, offset: np.ndarray, noise: float) -> np.ndarray:
        hidden = np.tanh(1.5 * np.hstack([factors, _LOW_LEVEL_SHARE * low]) @ self._first)
        vectors = hidden @ self._second / 0.6 + offset
        vectors += noise * self._rng.standard_normal(vectors.shape)
        return (_NORM / np.sqrt(offset.size) * vectors).astype(np.float32)
