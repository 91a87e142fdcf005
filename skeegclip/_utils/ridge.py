"""Ridge regression of many outputs from products of its rows, and its error on rows held out, for many penalties at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def spectrum_of(gram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues of the inputs' products, none negative, and their axes."""
    values, axes = np.linalg.eigh(gram)
    return values.clip(min=0), axes


def solve(spectrum: tuple, cross: np.ndarray, penalty: float, goal: np.ndarray | float = 0.0) -> np.ndarray:
    """Coefficients that shrink to the diagonal `goal`, from the spectrum of the inputs' products."""
    values, axes = spectrum
    return axes @ ((axes.T @ cross + penalty * _diagonal(axes, cross, goal)) / (values[:, None] + penalty))


def _diagonal(axes: np.ndarray, cross: np.ndarray, goal: np.ndarray | float) -> np.ndarray:
    """The matrix with `goal` on its diagonal, along the axes."""
    if not np.any(goal):
        return np.zeros_like(cross)
    inside = min(cross.shape)
    matrix = np.zeros_like(cross)
    matrix[:, :inside] = axes.T[:, :inside] * np.broadcast_to(goal, cross.shape[1])[:inside]
    return matrix


def held_out_errors(
    spectrum: tuple,
    cross: np.ndarray,
    held_gram: np.ndarray,
    held_cross: np.ndarray,
    penalties: np.ndarray,
    goals: Sequence[np.ndarray | float] = (0.0,),
) -> np.ndarray:
    """Squared error on held-out rows (less a constant) by goal and penalty.

    Along the axes of the inputs the coefficients are ``(cross + penalty * goal) / (values + penalty)``, so that the error
    is a quadratic form in those factors, whose matrices serve every penalty: to try one costs no product of matrices.
    """
    values, axes = spectrum
    gram, target, cross = axes.T @ held_gram @ axes, axes.T @ held_cross, axes.T @ cross
    factors = 1 / (values + penalties[:, None])  # (n_penalties, n_inputs)
    own, own_hit = gram * (cross @ cross.T), np.sum(cross * target, axis=1)
    plain = np.sum(factors @ own * factors, axis=1) - 2 * factors @ own_hit
    rows = []
    for goal in goals:
        row = plain
        if np.any(goal):
            A = _diagonal(axes, cross, goal)
            pulled = factors * penalties[:, None]
            row = row + 2 * np.sum(factors @ (gram * (cross @ A.T)) * pulled, axis=1)
            row = row + np.sum(pulled @ (gram * (A @ A.T)) * pulled, axis=1)
            row = row - 2 * pulled @ np.sum(A * target, axis=1)
        rows.append(row)
    return np.stack(rows)
