"""Ids of rows as text: one stimulus, subject or session for each, and the rows that some of them stand in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .missing import id_array, is_missing, refuse_masked, refuse_missing


def id_text(value: Any) -> str:
    """Return an id as text. Whole floats are ints: one NaN in a column of pandas makes 1.0 of every 1."""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def text_or_empty(values: Iterable[Any]) -> np.ndarray:
    """Ids as text, with "" for what is missing."""
    return np.array(["" if is_missing(value) else id_text(value) for value in values], dtype=str)


def as_subject(subject: Any, n_rows: int, *, name: str = "subject") -> np.ndarray:
    """One id per row, as strings; a single id serves all rows."""
    if isinstance(subject, str):
        return np.full(n_rows, subject)
    refuse_masked(subject, name=name)
    array = id_array(subject)
    if array.ndim == 0:
        if is_missing(array.item()):
            raise ValueError(f"{name} is {subject!r}. Name it, or pass no {name} at all.")
        return np.full(n_rows, id_text(array.item()))
    if array.shape != (n_rows,):
        raise ValueError(
            f"{name} must hold one id per epoch, shape ({n_rows},), got {array.shape}."
            " Pass the column of ids that belongs to these rows."
        )
    if array.dtype.kind in "UiubS":
        return array.astype(str)
    values = array.tolist()
    missing = [row for row, value in enumerate(values) if is_missing(value)]
    if missing:
        raise ValueError(
            f"{name} is missing (None or NaN) in {len(missing)} rows (first: row {missing[0]})."
            f" Name every row's {name}, or pass no {name} at all."
        )
    return np.array([id_text(value) for value in values], dtype=str)


def as_ids(ids: Any, *, name: str) -> np.ndarray:
    """Return `ids` as a 1-D array of str, refusing everything that is not text."""
    array = id_array(ids if hasattr(ids, "__array__") else _as_sequence(ids, name))
    if array.ndim != 1:
        raise ValueError(f"{name} must be 1-D, got shape {array.shape}. Pass one string per row.")
    refuse_missing(array, name=name)
    if array.size and array.dtype.kind not in "UT" and not all(isinstance(i, str) for i in array.tolist()):
        hint = (
            " scikit-learn's cross_val_predict(method='predict_proba') and VotingClassifier re-encode labels"
            " as 0..k-1 before fit, so an integer could fetch another stimulus's vector in silence."
            if array.dtype.kind in "iub"
            else ""
        )
        raise TypeError(
            f"{name} must hold strings (stimulus ids), got {array.dtype} ({array[0]!r}, ...).{hint}"
            " Convert ids to strings once, where the table is made and where y is made."
        )
    return array.astype(str)


def _as_sequence(ids: Any, name: str) -> Any:
    if isinstance(ids, (str, bytes)) or not isinstance(ids, Iterable):
        raise TypeError(f"{name} must be a sequence of strings (stimulus ids), got {ids!r}.")
    return list(ids)


def unique_ids(ids: Any, *, name: str) -> tuple[np.ndarray, dict[str, int]]:
    """Return the ids and their positions; refuse repeated ones."""
    array = as_ids(ids, name=name)
    position = {key: row for row, key in enumerate(array.tolist())}
    if len(position) != len(array):
        values, counts = np.unique(array, return_counts=True)
        repeated = values[counts > 1]
        raise ValueError(
            f"{name} must be unique, got {len(repeated)} repeated ({_some(repeated)}). Keep one row per stimulus."
        )
    return array, position


def positions(position: dict[str, int], wanted: Any, *, name: str, what: str) -> np.ndarray:
    """Row numbers of the wanted ids; the KeyError names the first unknown ones and how many there are."""
    keys = as_ids(wanted, name=name).tolist()
    try:
        return np.fromiter((position[key] for key in keys), dtype=np.intp, count=len(keys))
    except KeyError:
        unknown = list(dict.fromkeys(key for key in keys if key not in position))
        raise KeyError(
            f"{name}: {len(unknown)} of {len(set(keys))} ids are not in the {what} of {len(position)}"
            f" ({_some(unknown)}). Add them to the table, or select the rows whose ids it holds."
        ) from None


def _some(items: Iterable[Any], first: int = 3) -> str:
    items = list(items)
    return ", ".join(repr(str(item)) for item in items[:first]) + (", ..." if len(items) > first else "")


def mapping_to_array(mapping: Any, ids: Sequence[str], *, name: str) -> np.ndarray:
    """Read `mapping` (dict, Series or callable: id -> group) at each id, as strings."""
    if callable(mapping):
        return as_ids([mapping(i) for i in ids], name=name)
    if not hasattr(mapping, "__getitem__") or not hasattr(mapping, "keys"):
        raise TypeError(
            f"{name} must be a mapping (dict, pandas Series) or a callable from stimulus id to group,"
            f" got {type(mapping).__name__}."
        )
    unknown = [i for i in ids if i not in mapping]
    if unknown:
        raise KeyError(
            f"{name}: no entry for {len(unknown)} ids ({_some(unknown)}). Add them to the mapping."
        )
    return as_ids([mapping[i] for i in ids], name=name)
