"""Concepts and pictures as points in a space of factors, and the names of concepts."""

from __future__ import annotations

import numpy as np

from ._shapes import SHAPES

# What each factor (standard normal) decides in a picture.
FACTORS = (
    *("hue_a", "hue_b", "lightness", "ground_hue_a", "ground_hue_b", "ground_lightness"),
    *("size", "elongation", "texture_a", "texture_b", "texture_scale"),
    *("shape_a", "shape_b", "shape_c", "shape_d"),
)
COLOURS = ("red", "orange", "yellow", "green", "teal", "blue", "violet", "pink")
# Hue angles of the colours' middles in the Oklab plane, degrees.
COLOUR_HUES = np.array([25.0, 55.0, 95.0, 140.0, 190.0, 255.0, 300.0, 350.0])
TEXTURES = ("plain", "striped", "dotted", "checked", "wavy")
_SIZES = ("small", "", "large")
MAX_CONCEPTS = 4000

_COLUMN = {name: column for column, name in enumerate(FACTORS)}


def column(factors: np.ndarray, name: str) -> np.ndarray:
    """Return the values of one factor."""
    return factors[:, _COLUMN[name]]


def hue(factors: np.ndarray, prefix: str = "") -> np.ndarray:
    """Return hue angles in degrees, [0, 360)."""
    angle = np.arctan2(column(factors, f"{prefix}hue_b"), column(factors, f"{prefix}hue_a"))
    return np.rad2deg(angle) % 360


def texture_kind(factors: np.ndarray) -> np.ndarray:
    """Return indices into ``TEXTURES``: five sectors of a plane."""
    angle = np.arctan2(column(factors, "texture_b"), column(factors, "texture_a"))
    return np.floor(angle / (2 * np.pi) * len(TEXTURES)).astype(int) % len(TEXTURES)


def shape_kind(factors: np.ndarray) -> np.ndarray:
    """Return indices into ``SHAPES``: the nearest of twelve directions that fill the sphere evenly."""
    place = np.column_stack([column(factors, f"shape_{axis}") for axis in "abcd"])
    return (place @ _shape_directions().T).argmax(axis=1)


def sample_concepts(n_concepts: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw concepts that all differ in name, hence in look.

    Returns
    -------
    factors : ndarray, shape (n_concepts, n_factors)
        Standard normal, but for the names refused.
    names : ndarray of str, shape (n_concepts,)
        For example ``"small_red_striped_star_on_blue"``; unique.
    """
    factors = np.empty((0, len(FACTORS)))
    names = np.empty(0, dtype=str)
    while len(names) < n_concepts:
        factors = np.vstack([factors, rng.standard_normal((n_concepts, len(FACTORS)))])
        names = concept_names(factors)
        first = np.sort(np.unique(names, return_index=True)[1])
        factors, names = factors[first], names[first]
    return factors[:n_concepts], names[:n_concepts]


def concept_names(factors: np.ndarray) -> np.ndarray:
    """Return what a picture with these factors shows, in words joined by underscores."""
    size = np.digitize(column(factors, "size"), [-0.7, 0.7])
    words = zip(
        np.array(_SIZES)[size],
        np.array(COLOURS)[_nearest_colour(hue(factors))],
        np.array(TEXTURES)[texture_kind(factors)],
        np.array(list(SHAPES))[shape_kind(factors)],
        np.array(COLOURS)[_nearest_colour(hue(factors, "ground_"))],
        strict=True,
    )
    parts = [[s, c, t if t != "plain" else "", shape, "on", ground] for s, c, t, shape, ground in words]
    return np.array(["_".join(word for word in part if word) for part in parts], dtype=str)


def sample_images(
    concepts: np.ndarray, n_images: int, variation: float, rng: np.random.Generator
) -> np.ndarray:
    """Return factors of pictures, shape (n_concepts * n_images, n_factors): a concept's, and some of their own."""
    repeated = np.repeat(concepts, n_images, axis=0)
    return np.sqrt(1 - variation**2) * repeated + variation * rng.standard_normal(repeated.shape)


def _nearest_colour(angle: np.ndarray) -> np.ndarray:
    away = np.abs(angle[:, None] - COLOUR_HUES)
    return np.minimum(away, 360 - away).argmin(axis=1)


def _shape_directions() -> np.ndarray:
    """Twelve unit vectors in four dimensions: of each opposite pair of the 24-cell's vertices, one."""
    vertices = []
    for i in range(4):
        for j in range(i + 1, 4):
            for sign in (-1.0, 1.0):
                vertex = np.zeros(4)
                vertex[i], vertex[j] = 1.0, sign
                vertices.append(vertex * (-1) ** (i + j))
    return np.array(vertices) / np.sqrt(2)
