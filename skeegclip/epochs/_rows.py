"""The table of rows: ids as text, numbers as numbers, and both through a CSV file unchanged."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils.ids import as_subject, id_text, text_or_empty

if TYPE_CHECKING:
    import pandas as pd

# Ids even where they look like numbers: "00012" and "null" stay what they are.
_TEXT = ("subject", "stimulus", "concept", "session", "run", "split")
_COMPLETE = ("subject", "stimulus")  # an epoch without these cannot be used
_DTYPES: dict[str, Any] = {"bool": bool, "int": np.int64}


def as_frame(rows: Any, n_rows: int) -> pd.DataFrame:
    """Read a table: text becomes categoricals of str (small in memory and in pickles), the rest numbers.

    Parameters
    ----------
    rows : DataFrame | mapping of columns
        One line per epoch.
    n_rows : int
        Number of epochs.

    Returns
    -------
    DataFrame, length n_rows
        A new table with a plain index.
    """
    import pandas as pd

    if not isinstance(rows, (pd.DataFrame, Mapping)):
        raise TypeError(f"rows must be a DataFrame or a mapping of columns, got {type(rows).__name__}.")
    names = list(rows)
    for name in names:
        if not isinstance(name, str) or not name or names.count(name) > 1:
            raise ValueError(f"rows: column names must be text, each used once, got {name!r}. Rename it.")
        if len(rows[name]) != n_rows:
            raise ValueError(f"rows must have one line per epoch ({n_rows}), got {len(rows[name])}.")
    return pd.DataFrame({name: _column(name, rows[name]) for name in names}, index=pd.RangeIndex(n_rows))


def kinds(frame: pd.DataFrame) -> dict[str, str]:
    """Return "text", "bool", "int" or "float" for each column of :func:`as_frame`."""
    names = {"O": "text", "b": "bool", "i": "int", "f": "float"}
    return {name: names[frame[name].dtype.kind] for name in frame}


def as_text(column: pd.Series) -> np.ndarray:
    """Return a text column as an array of str."""
    return column.cat.categories.to_numpy(dtype=str)[column.cat.codes.to_numpy()]


def plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the table as people expect it, with text instead of categoricals."""
    return frame.assign(
        **{name: frame[name].astype(str) for name, kind in kinds(frame).items() if kind == "text"}
    )


def matches(column: pd.Series, wanted: Any) -> np.ndarray:
    """Return where a column has one of the values wanted (or the one); ids may be given as numbers."""
    single = isinstance(wanted, str) or not hasattr(wanted, "__iter__")
    values = [wanted] if single else list(wanted)
    if column.dtype.kind == "O":
        values = [id_text(value) for value in values]
    return column.isin(values).to_numpy()


def conform(frame: pd.DataFrame, expected: Mapping[str, str]) -> pd.DataFrame:
    """Return the table with the columns, in the order and of the kinds that a store has."""
    if set(frame) != set(expected):
        missing, unknown = sorted(set(expected) - set(frame)), sorted(set(frame) - set(expected))
        raise ValueError(
            f"rows must have the columns of the store ({list(expected)}); missing are {missing}, unknown {unknown}."
        )
    for name, kind in kinds(frame).items():
        if kind != expected[name] and (kind, expected[name]) != ("int", "float"):
            raise TypeError(
                f"rows: column {name!r} holds {kind}, but the store's holds {expected[name]}. Convert it."
            )
    return frame[list(expected)]


def to_csv(frame: pd.DataFrame, *, header: bool) -> bytes:
    """Write a table of :func:`as_frame`."""
    # Quoted even where it need not be, because the writer leaves a lone carriage return unquoted.
    quoting = csv.QUOTE_NONNUMERIC
    return frame.to_csv(index=False, header=header, lineterminator="\n", quoting=quoting).encode()


def from_csv(content: bytes, expected: Mapping[str, str]) -> pd.DataFrame:
    """Read what :func:`to_csv` wrote; `expected` gives the kind of each column.

    Raises ValueError if there are other columns, or the last line is cut.
    """
    import pandas as pd

    if not content.endswith(b"\n"):
        raise ValueError("the last line is cut")

    # Text is not read as "category": pandas would make numbers of categories that look like numbers. Nor are floats read
    # as numbers: older versions of pandas lose their last digit.
    dtypes = {name: _DTYPES.get(kind, str) for name, kind in expected.items()}
    frame = pd.read_csv(
        io.BytesIO(content), dtype=dtypes, na_filter=False, skip_blank_lines=False, index_col=False
    )
    if list(frame) != list(expected):
        raise ValueError(f"the columns are {list(frame)}, not {list(expected)}")
    for name, kind in expected.items():
        if kind == "text":
            frame[name] = frame[name].astype("category")
        elif kind == "float":
            frame[name] = frame[name].replace("", "nan").to_numpy(dtype=object).astype(np.float64)
    return frame


def _column(name: str, values: Any) -> Any:
    import pandas as pd
    from pandas.api import types

    series = pd.Series(values).reset_index(drop=True).infer_objects()
    if name in _COMPLETE:
        return _categorical(as_subject(series.to_numpy(dtype=object), len(series), name=name))
    missing = series.isna()
    if name not in _TEXT and types.is_bool_dtype(series) and not missing.any():
        return series.to_numpy(dtype=bool)
    if name not in _TEXT and types.is_numeric_dtype(series) and not types.is_complex_dtype(series):
        whole = types.is_integer_dtype(series) and not missing.any()
        return series.to_numpy(dtype=np.int64 if whole else np.float64)
    if isinstance(series.dtype, pd.CategoricalDtype) or not types.is_datetime64_any_dtype(series):
        odd = [v for v in series[~missing] if not isinstance(v, (str, bytes, int, float, np.generic))]
        if odd:
            raise TypeError(
                f"rows: column {name!r} must hold text or numbers, got {odd[0]!r} of type {type(odd[0]).__name__}."
                " Convert it, or leave it out."
            )
    return _categorical(text_or_empty(series))


def _categorical(text: np.ndarray) -> pd.Categorical:
    import pandas as pd

    values, codes = np.unique(text, return_inverse=True)
    return pd.Categorical.from_codes(codes, categories=pd.Index(values.astype(object)))
