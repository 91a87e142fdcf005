"""One subject id per row."""

from __future__ import annotations

from typing import Any

import numpy as np


def as_subject(subject: Any, n_rows: int, *, name: str = "subject") -> np.ndarray:
    """One id per row, as strings; a single id serves all rows."""
    if isinstance(subject, str):
        return np.full(n_rows, subject)
    array = np.asarray(subject)
    if array.ndim == 0:
        return np.full(n_rows, str(subject))
    if array.shape != (n_rows,):
        raise ValueError(
            f"{name} must hold one id per epoch, shape ({n_rows},), got {array.shape}."
            " Pass the column of ids that belongs to these rows."
        )
    missing = [row for row, value in enumerate(array.tolist()) if value is None or value != value]
    if missing:
        raise ValueError(
            f"{name} is missing (None or NaN) in {len(missing)} rows (first: row {missing[0]})."
            f" Name every row's {name}, or pass no {name} at all."
        )
    return array.astype(str)
