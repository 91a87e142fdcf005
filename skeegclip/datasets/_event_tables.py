"""Tables of events: which picture came up when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils.params import check_dict

if TYPE_CHECKING:
    import pandas as pd

_MISSING = ("", "n/a", "N/A", "na", "NA", "nan", "NaN")


@dataclass(frozen=True)
class Reading:
    """Which events are taken, and what of them.

    Attributes
    ----------
    stimulus : str
        Column that names the picture.
    query : str | None
        Condition on columns, as of ``DataFrame.query``.
    columns : dict of str
        Further columns of the rows: name -> column of the events.
    """

    stimulus: str
    query: str | None
    columns: dict[str, str]


def check_reading(stimulus: Any, query: Any, columns: Any) -> Reading:
    """Check the parameters of these names."""
    for name, value, none in (("stimulus", stimulus, False), ("query", query, True)):
        if not isinstance(value, str) and not (none and value is None):
            raise TypeError(f"{name} must be text{' or None' if none else ''}, got {type(value).__name__}.")
    if isinstance(columns, str):
        columns = [columns]
    named = (
        check_dict("columns", columns)
        if columns is None or isinstance(columns, Mapping)
        else {name: name for name in columns}
    )
    taken = {"stimulus", "subject", "session", "run", "task", "onset", "repetition", "bads"} & set(named)
    if taken:
        raise ValueError(
            f"columns: {sorted(taken)} are made by the loader. Use other names: {{'my_run': 'run'}}."
        )
    return Reading(stimulus, query, named)


@dataclass(frozen=True)
class Shown:
    """The pictures of one recording.

    Attributes
    ----------
    events : DataFrame
        Columns onset (seconds from the first sample), written (what the events call the picture) and those asked for.
    n_events : int
        Rows of the table.
    n_no_picture : int
        Rows left out because they name no picture or no onset.
    n_not_chosen : int
        Rows left out by the query.
    """

    events: pd.DataFrame
    n_events: int
    n_no_picture: int
    n_not_chosen: int


def read_table(source: Any, name: str) -> pd.DataFrame:
    """Read a table as text: a DataFrame, or a file of comma- or tab-separated values."""
    import pandas as pd

    if isinstance(source, pd.DataFrame):
        table = source.reset_index(drop=True)
        return table.astype(object).where(table.notna(), "").map(_as_text)
    path = Path(source)
    if not path.is_file():
        raise FileNotFoundError(f"{name}: there is no file {str(path)!r}.")
    separator = "\t" if path.suffix.lower() == ".tsv" else ","
    try:
        # utf-8-sig: spreadsheets begin files with a mark.
        return pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (ValueError, UnicodeDecodeError) as error:
        raise ValueError(f"{name}: {str(path)!r} is not a table ({error}).") from error


def shown(table: pd.DataFrame, reading: Reading, source: str) -> Shown:
    """Choose the events that show a picture.

    Parameters
    ----------
    table : DataFrame of str
        Columns onset, that of the pictures, and any others.
    reading : Reading
        What is taken.
    source : str
        Where the table comes from, for messages.
    """
    import pandas as pd

    needed = ["onset", reading.stimulus, *reading.columns.values()]
    if absent := [column for column in needed if column not in table]:
        raise ValueError(f"{source} lacks the columns {absent}; it has {list(table)}.")
    n_events = len(table)
    if reading.query is not None:
        table = table.iloc[np.flatnonzero(_chosen(table, reading.query, source))]
    n_chosen = len(table)
    onset = pd.to_numeric(table["onset"], errors="coerce").astype(
        float
    )  # whole seconds too, or later rows do not fit
    table = table[~table[reading.stimulus].str.strip().isin(_MISSING) & np.isfinite(onset)]
    events = pd.DataFrame(
        {"onset": onset[table.index], "written": table[reading.stimulus].str.strip()}
        | {name: _plain(table[column]) for name, column in reading.columns.items()}
    )
    events = events.sort_values("onset", kind="stable", ignore_index=True)
    twice = events["onset"].duplicated()
    if twice.any():
        onset = events["onset"][twice].iloc[0]
        both = events["written"][events["onset"] == onset].tolist()
        raise ValueError(
            f"{source} shows {' and '.join(map(repr, both))} at one time, {onset:g} s: an epoch has one picture. Choose"
            " with query=, such as query=\"trial_type == 'picture'\"."
        )
    return Shown(events, n_events, n_chosen - len(events), n_events - n_chosen)


def nothing_shown(reading: Reading) -> Shown:
    """Return what a recording without pictures shows."""
    import pandas as pd

    return Shown(
        pd.DataFrame({"onset": [], "written": [], **{name: [] for name in reading.columns}}), 0, 0, 0
    )


def _chosen(table: pd.DataFrame, query: str, source: str) -> np.ndarray:
    """Where a condition holds; columns of numbers are numbers in it."""
    import pandas as pd

    typed = pd.DataFrame({name: _typed(table[name]) for name in table})
    try:
        chosen = typed.eval(query, engine="python")
    except Exception as error:  # pandas passes on whatever Python's parser says
        raise ValueError(
            f"query: {query!r} cannot be asked of {source} ({error}); it has the columns {list(table)}."
        ) from error
    chosen = np.asarray(chosen)
    if chosen.shape != (len(table),) or chosen.dtype.kind != "b":
        raise ValueError(
            f"query: {query!r} must be true or false for each event, such as \"trial_type == 'go'\"."
        )
    return chosen


def _typed(column: pd.Series) -> pd.Series:
    import pandas as pd

    missing = column.str.strip().isin(_MISSING)
    numbers = pd.to_numeric(column.where(~missing), errors="coerce")
    return numbers if (numbers.notna() | missing).all() and not missing.all() else column.where(~missing, "")


def _plain(column: pd.Series) -> pd.Series:
    return column.str.strip().where(~column.str.strip().isin(_MISSING), "")


def _as_text(value: Any) -> str:
    from .._utils.ids import id_text

    return id_text(value)
