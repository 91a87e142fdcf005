"""MNE Epochs with other numbers in them: nothing that a constructor or a reader does by itself happens to the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .channels import display_factors
from .inputs import read_epochs

if TYPE_CHECKING:
    import mne


def with_data(epochs: Any, data: np.ndarray, rows: Any = None, picks: Any = slice(None)) -> Any:
    """Return copies of some epochs with other data in all or some channels.

    A constructor would apply projectors and the baseline, and refuse conditions without epochs and rows taken twice; a
    copy keeps all that as it is, with times, selection, metadata and annotations.

    Parameters
    ----------
    epochs : BaseEpochs
        What is copied, and left as it is.
    data : ndarray, shape (n_rows, n_picks, n_times)
        New data in SI units.
    rows : sequence of int | None
        Epochs that the data take the place of, any of them several times. None is all.
    picks : sequence of int | slice
        Channels that the data take the place of.
    """
    made = loaded_copy(epochs) if rows is None else loaded_copy(epochs[list(rows)])
    made.get_data(copy=False, verbose=False)[:, picks] = data
    made.filename = None  # the file holds other data
    return made


def loaded_copy(epochs: Any) -> Any:
    """Return a copy whose data are in memory, as MNE wants them before channels are picked, say."""
    import mne

    copy = epochs.copy()
    with mne.utils.use_log_level("ERROR"):
        return copy.load_data()


def joined(parts: list) -> Any:
    """Return a list of Epochs as one, with their data channels; a single one as it is.

    Events with one name are one condition, whatever their numbers in each part.
    """
    import mne
    import pandas as pd

    if len(parts) == 1:
        return parts[0]
    read, first = read_epochs(parts), parts[0]
    picks = [first.ch_names.index(name) for name in read.ch_names or ()]
    info = mne.pick_info(first.info, picks, verbose=False)
    names = [{code: name for name, code in part.event_id.items()} for part in parts]
    conditions = [own[code] for own, part in zip(names, parts, strict=True) for code in part.events[:, 2]]
    tables = [part.metadata for part in parts]
    known = all(table is not None for table in tables)
    return build_epochs(
        to_si(read.X, info.get_channel_types()),
        info,
        float(first.times[0]),
        conditions,
        pd.concat(tables, ignore_index=True) if known else None,
    )


def build_epochs(
    data: np.ndarray, info: mne.Info, tmin: float, conditions: Any, metadata: Any = None
) -> mne.EpochsArray:
    """Make Epochs of an array and change nothing.

    Parameters
    ----------
    data : ndarray, shape (n_epochs, n_chans, n_times)
        In SI units.
    info : Info
        Channels. What it says of projectors and filters is kept as a statement.
    tmin : float
        Time of the first sample in seconds; need not be a multiple of the sampling interval.
    conditions : sequence of str, shape (n_epochs,)
        Names of the events.
    metadata : DataFrame | None
        One row an epoch.
    """
    import mne

    names, codes = np.unique(np.asarray(conditions, dtype=str), return_inverse=True)
    events = np.column_stack([np.arange(len(data)), np.zeros(len(data), dtype=int), codes + 1])
    event_id = {name: code for code, name in enumerate(names.tolist(), start=1)}
    made = mne.EpochsArray(
        data, info, events, tmin, event_id, proj=False, baseline=None, metadata=metadata, verbose=False
    )
    if not np.isclose(made.tmin, tmin, rtol=0, atol=1e-6 / info["sfreq"]):
        made.shift_time(tmin, relative=False)  # the constructor rounds to whole samples
    return made


def to_si(data: np.ndarray, kinds: list[str]) -> np.ndarray:
    """Bring numbers from the units in which epochs are read (microvolts, fT) to MNE's, as float64."""
    return data / display_factors(kinds)
