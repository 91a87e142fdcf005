"""Which epochs belong together, and random choices among them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .params import check_number
from .seeding import draw_seed


def group_rows(keys: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the rows of each distinct combination of the keys, in order of first appearance."""
    codes = np.zeros(len(keys[0]), dtype=np.int64)
    for key in keys:
        _, of_key = np.unique(key, return_inverse=True)
        # Renumbered each time, so that many keys cannot overflow.
        _, codes = np.unique(codes * (of_key.max(initial=0) + 1) + of_key, return_inverse=True)
    _, first, counts = np.unique(codes, return_index=True, return_counts=True)
    rows = np.split(np.argsort(codes, kind="stable"), np.cumsum(counts)[:-1])
    return [rows[group] for group in np.argsort(first)]


def draw_rows(
    groups: list[np.ndarray], n: Any, n_draws: Any = 1, random_state: Any = None, *, labels: np.ndarray
) -> list[np.ndarray]:
    """Draw `n` rows of each group, `n_draws` times, no two draws of a group alike; all rows where `n` is None.

    Parameters
    ----------
    groups : list of ndarray of int
        Rows that belong together.
    n : int | None
        Rows to draw, without replacement.
    n_draws : int
        Draws from each group.
    random_state : int | RandomState | Generator | None
        Seed.
    labels : ndarray, shape (n_rows,)
        What the messages call a group.

    Returns
    -------
    list of ndarray of int
        ``n_draws`` after one another for each group, each sorted.
    """
    check_number("n", n, low=1, integer=True, none=True)
    check_number("n_draws", n_draws, low=1, integer=True)
    if n is None:
        if n_draws > 1:
            raise ValueError(
                f"n_draws={n_draws} draws need n, the number of repetitions in each. Pass n=2, say."
            )
        return groups
    short = [rows for rows in groups if len(rows) < n]
    if short:
        raise ValueError(
            f"n={n}, but {len(short)} of {len(groups)} stimuli have fewer repetitions"
            f" (first: {labels[short[0][0]]!s} has {len(short[0])}). Choose a smaller n, or leave those stimuli out."
        )
    fewest = min(groups, key=len)
    if (possible := math.comb(len(fewest), n)) < n_draws:
        raise ValueError(
            f"n_draws={n_draws}, but {len(fewest)} repetitions ({labels[fewest[0]]!s}) give {possible} different"
            f" averages of n={n}. Draw fewer, or choose another n."
        )
    rng = np.random.default_rng(draw_seed(random_state))
    return [rows for group in groups for rows in _distinct(group, n, n_draws, rng)]


def _distinct(rows: np.ndarray, n: int, n_draws: int, rng: np.random.Generator) -> list[np.ndarray]:
    drawn: dict[bytes, np.ndarray] = {}
    while len(drawn) < n_draws:
        choice = np.sort(rng.choice(rows, n, replace=False))
        drawn[choice.tobytes()] = choice
    return list(drawn.values())
