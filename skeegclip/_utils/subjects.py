"""Ids of rows as text: one subject, stimulus or session for each."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np

_PREFIX = re.compile(r"^(participant|subject|subj|sub|s|p)(?=\d)")


def as_subject(subject: Any, n_rows: int, *, name: str = "subject") -> np.ndarray:
    """One id per row, as strings; a single id serves all rows."""
    if isinstance(subject, str):
        return np.full(n_rows, subject)
    refuse_masked(subject, name=name)
    array = np.asarray(subject)
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


def text_or_empty(values: Iterable[Any]) -> np.ndarray:
    """Ids as text, with "" for what is missing."""
    return np.array(["" if is_missing(value) else id_text(value) for value in values], dtype=str)


def id_text(value: Any) -> str:
    """Return an id as text. Whole floats are ints: one NaN in a column of pandas makes 1.0 of every 1."""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def is_missing(value: Any) -> bool:
    """Whether a value is None, NaN, NaT or pandas' NA, which cannot be compared."""
    if value is None or type(value).__name__ == "NAType":
        return True
    return isinstance(value, (float, np.floating)) and value != value or type(value).__name__ == "NaTType"


def refuse_masked(values: Any, *, name: str) -> None:
    """Refuse a masked array of which something is masked: no estimator and no metric looks at a mask."""
    if n_masked := int(np.ma.count_masked(values)) if isinstance(values, np.ma.MaskedArray) else 0:
        raise ValueError(
            f"{name} contains NaN: {n_masked} values of this masked array are masked, and nothing here looks at a mask."
            " Drop or repair these rows first, or fill them: array.filled(...)."
        )


def refuse_missing(values: Any, *, name: str) -> None:
    """Refuse ids of which some are missing, in an array of objects; NaN in numbers is found elsewhere."""
    refuse_masked(values, name=name)
    array = np.asarray(values)
    objects = array.tolist() if array.dtype == object and array.ndim == 1 else []
    if missing := [row for row, value in enumerate(objects) if is_missing(value)]:
        raise ValueError(
            f"{name} is missing (None or NaN) in {len(missing)} rows (first: row {missing[0]}). Drop these rows, or"
            " name what was shown."
        )


def warn_alike(subjects: Iterable[str], known: Iterable[str], *, stacklevel: int) -> None:
    """Warn of the first subject that is not known, but looks like a known one spelt otherwise."""
    known = list(known)
    unknown = [subject for subject in dict.fromkeys(subjects) if subject not in set(known)]
    spelt = {_bare(name): name for name in known}
    for subject in unknown:
        if (other := spelt.get(_bare(subject))) is not None:
            warnings.warn(
                f"subject {str(subject)!r} is not known, but looks like {str(other)!r} spelt otherwise; it is taken for"
                " somebody else. Write ids alike everywhere if they are the same person.",
                UserWarning,
                stacklevel=stacklevel + 1,
            )
            return


def warn_alike_within(subjects: Iterable[str], *, stacklevel: int) -> None:
    """Warn where two of the subjects look like one spelt in two ways."""
    first: dict[str, str] = {}
    for subject in sorted(set(subjects)):
        if (other := first.setdefault(_bare(subject), subject)) != subject:
            warnings.warn(
                f"subjects {other!r} and {subject!r} look like one person spelt in two ways; they are taken for two."
                " Write ids alike everywhere if they are the same person.",
                UserWarning,
                stacklevel=stacklevel + 1,
            )
            return


@lru_cache(maxsize=4096)
def _bare(subject: str) -> str:
    """What is left of an id without case, spaces, signs, "sub" and leading zeros."""
    text = re.sub(r"\.0+$", "", subject.strip().casefold())
    text = _PREFIX.sub("", re.sub(r"[\W_]+", "", text))
    return re.sub(r"0*(\d+)", r"\1", text)
