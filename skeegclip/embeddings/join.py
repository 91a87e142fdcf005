"""Several tables side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .table import EmbeddingTable, check_table


def join_tables(tables: Iterable[EmbeddingTable]) -> EmbeddingTable:
    """Put the vectors that several tables have for one stimulus side by side.

    Parameters
    ----------
    tables : iterable of EmbeddingTable
        Tables of the same stimuli, such as two layers of a network.

    Returns
    -------
    EmbeddingTable
        The ids of the first table, each with the vectors of all tables one after the other.

    Raises
    ------
    ValueError
        If there is no table.
    KeyError
        If an id of the first table is missing in another.

    Examples
    --------
    >>> from skeegclip import EmbeddingTable
    >>> from skeegclip.embeddings import join_tables
    >>> early, late = EmbeddingTable(["cat", "dog"], [[1], [2]]), EmbeddingTable(["dog", "cat"], [[3, 4], [5, 6]])
    >>> join_tables([early, late]).lookup(["cat"])
    array([[1., 5., 6.]], dtype=float32)
    """
    if isinstance(tables, EmbeddingTable):
        raise TypeError("tables must be a list of EmbeddingTables, got one table. Pass [table, ...].")
    tables = list(tables)
    if not tables:
        raise ValueError("tables must hold at least one EmbeddingTable, got none.")
    for table in tables:
        check_table("tables", table)
    ids = tables[0].ids
    return EmbeddingTable(ids, np.hstack([table.lookup(ids) for table in tables]))


def as_tables(name: str, value: Any) -> list[EmbeddingTable]:
    """List the tables that a parameter holds: one, several, or several by name."""
    if isinstance(value, Mapping):
        value = list(value.values())
    tables = list(value) if isinstance(value, (list, tuple)) else [value]
    if not tables:
        raise ValueError(f"{name} must hold at least one EmbeddingTable, got none.")
    for table in tables:
        check_table(name, table)
    return tables


def joined(name: str, value: Any) -> EmbeddingTable | None:
    """One table of all that a parameter holds, or None."""
    if value is None or hasattr(value, "lookup"):
        return value
    tables = as_tables(name, value)
    if len(tables) == 1:
        return tables[0]
    ids = tables[0].ids
    for place, table in enumerate(tables[1:], start=2):
        if (missing := np.setdiff1d(ids, table.ids)).size:
            raise KeyError(
                f"{name}: {missing.size} of the {len(ids)} ids of the first table are not in table {place} of {len(tables)}"
                f" (first: {str(missing[0])!r}), and what is searched needs all of them. Take the ids that all have"
                " (table.subset)."
            )
    return join_tables(tables)
