"""The table of rows: ids as text, numbers as numbers, and both through a CSV file unchanged."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils.inputs import as_subject

if TYPE_CHECKING:
    import pandas as pd

# These are ids even where they look like numbers: "00012" and "null" stay what they are.
TEXT = ("subject", "stimulus", "concept", "session", "run", "split")
_COMPLETE = ("subject", "stimulus")  # without these an epoch cannot be used


def as_frame(rows: Any, n_rows: int) -> pd.DataFrame:
    """Read a table: text columns become categoricals of str (small in memory and in pickles), the rest numbers.

    Parameters
    ----------
    rows : DataFrame | mapping of columns | None
        One line per epoch.
    n_rows : int
        Number of epochs.

    Returns
    -------
    DataFrame, length n_rows
        A new table with a plain index.
    """
    import pandas as pd

    index = pd.RangeIndex(n_rows)
    if rows is None:
        return pd.DataFrame(index=index)
    if not isinstance(rows, (pd.DataFrame, Mapping)):
        raise TypeError(f"rows must be a DataFrame or a mapping of columns, got {type(rows).__name__}.")
    names = list(rows)
    for name in names:
        if not isinstance(name, str) or names.count(name) > 1:
            raise ValueError(f"rows: column names must be text, each used once, got {name!r}. Rename it.")
    for name in names:
        if len(rows[name]) != n_rows:
            raise ValueError(f"rows must have one line per epoch ({n_rows}), got {len(rows[name])}.")
    return pd.DataFrame({name: _column(name, rows[name]) for name in names}, index=index)


def kind_of(column: pd.Series) -> str:
    """Return "text", "bool", "int" or "float" for a column of :func:`as_frame`."""
    return {"O": "text", "b": "bool", "i": "int", "f": "float"}[column.dtype.kind]


def as_text(column: pd.Series) -> np.ndarray:
    """Return a text column as an array of str."""
    return column.cat.categories.to_numpy(dtype=str)[column.cat.codes.to_numpy()]


def plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the table as people expect it: text instead of categoricals."""
    text = {name: frame[name].astype(str) for name in frame if kind_of(frame[name]) == "text"}
    return frame.assign(**text)


def to_csv(frame: pd.DataFrame, *, header: bool) -> bytes:
    """Write a table of :func:`as_frame`."""
    return frame.to_csv(index=False, header=header, lineterminator="\n").encode()


def from_csv(content: bytes, kinds: Mapping[str, str]) -> pd.DataFrame:
    """Read what :func:`to_csv` wrote; `kinds` gives the kind of each column."""
    import pandas as pd

    # Not dtype="category" for text: it makes numbers of texts that look like numbers.
    dtypes = {"text": str, "bool": bool, "int": np.int64, "float": np.float64}
    frame = pd.read_csv(
        io.BytesIO(content),
        dtype={name: dtypes[kind] for name, kind in kinds.items()},
        keep_default_na=False,
        na_values={name: [""] for name, kind in kinds.items() if kind == "float"},
        float_precision="round_trip",
        skip_blank_lines=False,
    )
    text = {name: frame[name].astype("category") for name, kind in kinds.items() if kind == "text"}
    return frame.assign(**text)


def _column(name: str, values: Any) -> Any:
    import pandas as pd

    series = pd.Series(np.asarray(values) if not isinstance(values, pd.Series) else values)
    series = series.reset_index(drop=True).infer_objects()
    if name in _COMPLETE:
        try:
            text = as_subject(series.to_numpy(dtype=object), len(series))
        except ValueError as error:
            raise ValueError(str(error).replace("subject", name, 1)) from None
        return _categorical(text)
    if name not in TEXT and pd.api.types.is_bool_dtype(series) and not series.isna().any():
        return series.to_numpy(dtype=bool)
    if name not in TEXT and pd.api.types.is_numeric_dtype(series):
        whole = pd.api.types.is_integer_dtype(series) and not series.isna().any()
        return series.to_numpy(dtype=np.int64 if whole else np.float64)
    odd = [v for v in series if not isinstance(v, (str, int, float, np.generic)) and not pd.isna(v)]
    if odd and not pd.api.types.is_datetime64_any_dtype(series):
        raise TypeError(
            f"rows: column {name!r} must hold text or numbers, got {type(odd[0]).__name__} ({odd[0]!r})."
            " Convert it, or leave it out."
        )
    return _categorical(np.array(["" if pd.isna(v) else str(v) for v in series], dtype=str))


def _categorical(text: np.ndarray) -> pd.Categorical:
    import pandas as pd

    values, codes = np.unique(text, return_inverse=True)
    return pd.Categorical.from_codes(codes, categories=pd.Index(values.astype(object)))
