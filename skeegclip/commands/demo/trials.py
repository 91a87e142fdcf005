"""Averaged epochs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...preprocessing import average_repetitions


@dataclass(frozen=True)
class Trials:
    """Averaged epochs, and the stimulus and the concept of each."""

    X: np.ndarray
    y: np.ndarray
    concept: np.ndarray


def averaged(data: Any, rows: np.ndarray) -> Trials:
    """Means over the repetitions of each stimulus."""
    X, y, _ = average_repetitions(data.X[rows], data.y[rows])
    concept = dict(zip(data.y[rows].tolist(), data.concept[rows].tolist(), strict=True))
    return Trials(X, y, np.array([concept[stimulus] for stimulus in y.tolist()]))
