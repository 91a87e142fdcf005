"""Marks in a recording (annotations, codes of a trigger channel), and the rows of a table that they stand for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ._breaks import from_start

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 12  # marks that a message names


def check_marks(marks: Any, events: Any) -> list[Any] | None:
    """Return the marks that show pictures; None where a table tells onsets."""
    if isinstance(events, Mapping):
        if marks is not None:
            raise ValueError("marks must be None where events is a mapping: its keys are the marks.")
        chosen = list(events)
    elif marks is None:
        return None
    else:
        chosen = [marks] if isinstance(marks, (str, int, np.integer)) else list(marks)
    if not chosen:
        raise ValueError("marks must name at least one mark, got none.")
    texts = [isinstance(mark, str) for mark in chosen]
    numbers = [isinstance(mark, (int, np.integer)) and not isinstance(mark, bool) for mark in chosen]
    if not all(texts) and not all(numbers):
        raise TypeError(
            "marks must be texts of annotations, or whole numbers of a trigger channel, and not both; got"
            f" {chosen[:3]!r}."
        )
    return chosen


def with_onsets(table: Any, raw: Any, marks: list[Any], stimulus: str, name: str) -> pd.DataFrame:
    """Return the events of a recording with their onsets, from its marks.

    Parameters
    ----------
    table : DataFrame | mapping
        Rows in the order of the marks, or the picture of each mark.
    raw : Raw
        The recording.
    marks : list of str or of int
        Marks that show pictures.
    stimulus : str
        Column of the pictures.
    name : str
        Of the recording, for messages.
    """
    import pandas as pd

    found = _find(raw, marks, name)
    if isinstance(table, Mapping):
        return pd.DataFrame(
            {
                "onset": found["onset"].map(repr),
                "mark": found["mark"].map(str),
                stimulus: [str(table[mark]) for mark in found["mark"]],
            }
        )
    if "onset" in table:
        raise ValueError(
            f"marks: the events of {name} have a column onset already. Pass marks=None, or drop it."
        )
    if len(table) != len(found):
        raise ValueError(
            f"marks: {name} has {len(found)} marks {', '.join(map(repr, marks[:3]))}{', ...' if len(marks) > 3 else ''},"
            f" but {len(table)} rows of events. The n-th mark stands for the n-th row; look for a mark that was missed,"
            " or for a row that was not shown, and mend the table."
        )
    return table.assign(onset=found["onset"].map(repr).to_numpy())


def _find(raw: Any, marks: list[Any], name: str) -> pd.DataFrame:
    """Return the marks wanted, in time: columns onset (seconds from the first sample) and mark."""
    import pandas as pd

    found: list[Any]
    if isinstance(marks[0], str):
        own = from_start(raw)
        onset, found, what = own.onset, [str(text) for text in own.description], "annotations"
    else:
        onset, found = _codes(raw, marks, name)
        what = "codes"
    there = Counter(found)
    if absent := [mark for mark in marks if mark not in there]:
        some = ", ".join(f"{mark!r} ({n})" for mark, n in there.most_common(_SHOWN))
        if len(absent) == len(marks):
            raise ValueError(
                f"marks: {name} has none of {absent[:3]!r} among its {what}: {some or 'there are none'}."
            )
    keep = np.flatnonzero(np.isin(np.array(found, dtype=object), np.array(marks, dtype=object)))
    table = pd.DataFrame(
        {"onset": np.asarray(onset, dtype=float)[keep], "mark": [found[row] for row in keep]}
    )
    return table.sort_values("onset", kind="stable", ignore_index=True)


def _codes(raw: Any, marks: list[int], name: str) -> tuple[np.ndarray, list[int]]:
    """Return onsets and codes of the trigger channel."""
    import mne

    if "stim" not in raw:
        texts = sorted({str(text) for text in raw.annotations.description})
        raise ValueError(
            f"marks: {name} has no trigger channel for codes like {marks[0]}; its annotations are"
            f" {', '.join(map(repr, texts[:_SHOWN])) or 'none'}. Name those as text."
        )
    find = {"shortest_event": 1, "verbose": "ERROR"}
    events = mne.find_events(raw, **find)
    # A code that comes straight after a larger one may be shown, or be bits that fell one after another.
    every = mne.find_events(raw, consecutive=True, **find)
    if (n := np.isin(every[:, 2], marks).sum()) != np.isin(events[:, 2], marks).sum():
        raise ValueError(
            f"marks: in the trigger channel of {name}, {n - np.isin(events[:, 2], marks).sum()} of {n} codes follow a larger"
            " one without a zero between: whether they were meant cannot be told. Pass a table with onsets."
        )
    return (events[:, 0] - raw.first_samp) / raw.info["sfreq"], events[:, 2].tolist()
