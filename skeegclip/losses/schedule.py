"""Weights that change over the training."""

from __future__ import annotations

from collections.abc import Sequence


def weight_at(schedule: float | Sequence[float], share: float) -> float:
    """Value of a schedule when a share of the training is done.

    Parameters
    ----------
    schedule : float | sequence of float
        A number, always the same; or two numbers or more, spread evenly over the training, with straight lines between
        them.
    share : float
        In [0, 1].

    Returns
    -------
    float
        The value.

    Examples
    --------
    >>> weight_at((1, 0), 0.25), weight_at((1, 0, 0), 0.25), weight_at(0.9, 0.25)
    (0.75, 0.5, 0.9)
    """
    if not isinstance(schedule, Sequence):
        return float(schedule)
    place = share * (len(schedule) - 1)
    before = min(int(place), len(schedule) - 2)
    start, end, way = float(schedule[before]), float(schedule[before + 1]), place - before
    return (
        start if start == end else (1 - way) * start + way * end
    )  # 0 and 1 to the bit, which leave a loss out


def values_of(schedule: float | Sequence[float]) -> list[float]:
    """All numbers of a schedule."""
    return list(schedule) if isinstance(schedule, Sequence) else [schedule]
