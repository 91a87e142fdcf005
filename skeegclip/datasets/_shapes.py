"""The shapes that are drawn, as distances from their edge (about): negative inside, in radii of the shape."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Shape = Callable[[np.ndarray, np.ndarray], np.ndarray]


def _disc(x, y):
    return np.hypot(x, y) - 0.85


def _ring(x, y):
    return np.abs(np.hypot(x, y) - 0.66) - 0.24


def _box(x, y, width, height, corner=0.12):
    dx, dy = np.abs(x) - width + corner, np.abs(y) - height + corner
    return np.hypot(np.maximum(dx, 0), np.maximum(dy, 0)) + np.minimum(np.maximum(dx, dy), 0) - corner


def _square(x, y):
    return _box(x, y, 0.76, 0.76)


def _cross(x, y):
    return np.minimum(_box(x, y, 0.95, 0.33), _box(x, y, 0.33, 0.95))


def _triangle(x, y):
    third = np.pi / 3
    y = y - 0.12
    angle = np.mod(np.arctan2(x, y) + third, 2 * third) - third  # from the nearest side's normal
    return np.hypot(x, y) * np.cos(angle) - 0.53


def _star(x, y, n_points=5, inner=0.45):
    half = np.pi / n_points
    angle = np.abs(np.mod(np.arctan2(x, -y) + half, 2 * half) - half)
    u, v = np.hypot(x, y) * np.cos(angle), np.hypot(x, y) * np.sin(angle)
    # The edge runs from the tip (1, 0) to the notch.
    notch = inner * np.array([np.cos(half), np.sin(half)])
    normal = np.array([notch[1], 1 - notch[0]]) / np.hypot(notch[1], 1 - notch[0])
    return (u - 1) * normal[0] + v * normal[1]


def _flower(x, y):
    return 0.8 * (np.hypot(x, y) - 0.72 - 0.22 * np.cos(6 * np.arctan2(y, x)))


def _gear(x, y):
    teeth = np.clip(2.5 * np.cos(9 * np.arctan2(y, x)), -1, 1)
    radius = np.hypot(x, y)
    return np.maximum(radius - 0.83 - 0.1 * teeth, 0.28 - radius)


def _heart(x, y):
    x, y = np.abs(x) / 1.5, (0.85 - y) / 1.5
    lobe = np.hypot(x - 0.25, y - 0.75) - np.sqrt(2) / 4
    along = 0.5 * np.maximum(x + y, 0)
    sides = np.sqrt(np.minimum(x**2 + (y - 1) ** 2, (x - along) ** 2 + (y - along) ** 2)) * np.sign(x - y)
    return 1.5 * np.where(x + y > 1, lobe, sides)


def _drop(x, y):
    centre, radius = 0.3, 0.6
    slope = radius / (1 + centre)  # sine of the angle between the axis and the tangent from the tip (0, -1)
    cone = np.abs(x) * np.sqrt(1 - slope**2) - (y + 1) * slope
    return np.minimum(np.hypot(x, y - centre) - radius, np.maximum(cone, y - centre + radius * slope))


def _leaf(x, y):
    return np.hypot(np.abs(x) + 0.62, y) - 1.15


def _moon(x, y):
    return np.maximum(np.hypot(x + 0.1, y) - 0.9, 0.72 - np.hypot(x - 0.36, y + 0.12))


SHAPES: dict[str, Shape] = {
    "disc": _disc,
    "ring": _ring,
    "square": _square,
    "cross": _cross,
    "triangle": _triangle,
    "star": _star,
    "flower": _flower,
    "gear": _gear,
    "heart": _heart,
    "drop": _drop,
    "leaf": _leaf,
    "moon": _moon,
}
