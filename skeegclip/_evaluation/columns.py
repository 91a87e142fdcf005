"""What is known of each row: from a view's table, the metadata of Epochs, or arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .._utils.ids import text_or_empty
from .._utils.tables import rows_of

# Columns that make one recording: onsets are counted within it.
RECORDING = ("subject", "session", "run")


def per_row(
    column: str, given: Any, X: Any, n_rows: int, *, stimulus: Any = None, name: str | None = None
) -> np.ndarray | None:
    """One text per row, "" where unknown, or None where nothing is known.

    Parameters
    ----------
    column : str
        What is looked for in what X carries where nothing is given.
    given : None | str | mapping | array-like, shape (n_rows,)
        The values, the name of another column, or a mapping from stimulus id.
    X : EpochsView | Epochs | DataFrame | object
        What may carry a table.
    n_rows : int
        Number of rows.
    stimulus : ndarray of str | None
        Ids that a mapping is read at.
    name : str | None
        Name of the parameter that `given` comes from, for messages; None is that of the column.
    """
    name = name or column
    if isinstance(given, Mapping):
        if stimulus is None:
            raise ValueError(f"{name} is a mapping from stimulus ids, but no ids are known. Pass y.")
        return as_text([given.get(key) for key in stimulus.tolist()])
    if given is not None and not isinstance(given, str):
        values = np.asarray(given)
        if values.shape != (n_rows,):
            raise ValueError(
                f"{name} must hold one value per row, shape ({n_rows},), got {values.shape}."
                " Pass the column that belongs to these rows."
            )
        return as_text(values)
    table = rows_of(X)
    if table is not None and (given or column) in table:
        return as_text(table[given or column].to_numpy())
    if given is not None:
        known = "no table" if table is None else f"the columns {list(table.columns)}"
        raise ValueError(
            f"{name}={given!r} names a column, but X carries {known}. Pass the values themselves."
        )
    return None


def as_text(values: Any) -> np.ndarray:
    """Values as text, with "" for None and NaN."""
    return text_or_empty(np.asarray(values, object).tolist())


def stimuli_of(X: Any, y: Any, n_rows: int) -> np.ndarray | None:
    """Stimulus of each row: y where it is a column of ids, else what X carries."""
    if y is not None:
        values = np.asarray(y)
        if values.ndim == 1 and (values.dtype.kind in "UT" or all(isinstance(v, str) for v in values)):
            return per_row("stimulus", values, X, n_rows)
    return per_row("stimulus", None, X, n_rows)
