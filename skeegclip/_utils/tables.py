"""The tables of rows that views, Epochs and windows carry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .epoched import is_view
from .inputs import as_mne_list
from .missing import is_missing
from .windows import recordings_of, unwrapped

if TYPE_CHECKING:
    import pandas as pd


def rows_of(X: Any) -> pd.DataFrame | None:
    """Return the table of the rows that X carries, or is; None where there is none."""
    import pandas as pd

    if is_view(X):
        return X.rows
    if isinstance(X, pd.DataFrame):
        return X
    if (epochs := as_mne_list(X)) is not None:
        return epochs_table(epochs)
    return None if unwrapped(X)[0] is None else windows_table(X)


def epochs_table(parts: list) -> pd.DataFrame:
    """Return the metadata of Epochs; the names of their events are the stimuli where it tells none.

    Where there is metadata, and all events have one name, the events are no stimuli.
    """
    import pandas as pd

    frames, events = [], []
    for epochs in parts:
        names = {code: name for name, code in epochs.event_id.items()}
        events += [names.get(code, str(code)) for code in epochs.events[:, 2].tolist()]
        known = epochs.metadata
        frames.append(pd.DataFrame(index=range(len(epochs.events))) if known is None else known)
    table = pd.concat(frames, ignore_index=True)
    if len(table.columns) and len(set(events)) < 2:
        return table
    if "stimulus" not in table:
        return table.assign(stimulus=events)
    shown = table["stimulus"].tolist()
    if any(map(is_missing, shown)):
        filled = [event if is_missing(own) else own for own, event in zip(shown, events, strict=True)]
        table = table.assign(stimulus=pd.Series(filled, dtype=object))
    return table


def windows_table(X: Any) -> pd.DataFrame | None:
    """Return the metadata of braindecode's windows with the descriptions of their recordings; None without any."""
    import pandas as pd

    dataset, rows = unwrapped(X)
    frames = []
    for recording in recordings_of(dataset):
        known = getattr(recording, "metadata", None)
        frame = (
            pd.DataFrame(index=range(len(recording)))
            if known is None
            else known.reset_index(drop=True).copy()
        )
        for name, value in ({} if recording.description is None else dict(recording.description)).items():
            frame[name] = [value] * len(frame)
        frames.append(frame)
    table = pd.concat(frames, ignore_index=True)
    table = table if rows is None else table.iloc[np.asarray(rows)].reset_index(drop=True)
    return table if len(table.columns) else None
