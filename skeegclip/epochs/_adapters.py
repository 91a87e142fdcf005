"""From what people hold to blocks of epochs that fit in memory, and back to MNE."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils.inputs import as_mne_list, data_picks, is_view, read_epochs
from .._utils.mne_objects import build_epochs, to_si
from .._utils.windows import is_dataset

if TYPE_CHECKING:
    import mne

_BLOCK_BYTES = 2**26


@dataclass
class Blocks:
    """Epochs a block at a time, and what they say of themselves.

    Attributes
    ----------
    blocks : iterable of ndarray, shape (k, n_chans, n_times)
        Epochs in microvolts (MEG: fT).
    n_epochs : int | None
        How many there are, where that is known beforehand.
    rows : DataFrame | None
        Their table.
    info : mne.Info | None
        Their channels.
    tmin : float | None
        Time of the first sample in seconds.
    """

    blocks: Iterable[np.ndarray]
    n_epochs: int | None = None
    rows: Any = None
    info: mne.Info | None = None
    tmin: float | None = None


def as_blocks(X: Any) -> Blocks:
    """Read epochs in any form that a store takes."""
    if is_view(X):
        parts = _parts(len(X), 4 * X.shape[1] * X.shape[2])
        return Blocks(
            (X.read(range(*part.indices(len(X)))) for part in parts), len(X), X.rows, X.info, X.tmin
        )
    if (epochs := as_mne_list(X)) is not None:
        return _from_mne(epochs)
    if is_dataset(X):
        return _from_braindecode(X)
    if hasattr(X, "__array__") or (isinstance(X, (list, tuple)) and len(X) and np.ndim(X[0]) < 3):
        array = np.asarray(read_epochs(X).X)
        if array.ndim != 3:
            raise ValueError(
                f"X must have shape (n_epochs, n_chans, n_times), got {array.dtype} {array.shape}."
                " Merge repetitions and epochs into one axis first."
            )
        return Blocks((array[part] for part in _parts(len(array), array[:1].nbytes)), len(array))
    if isinstance(X, Iterable) and not isinstance(X, (str, bytes, dict)):
        return Blocks(np.asarray(read_epochs(block).X) for block in X)
    raise TypeError(
        "X must be an array, mne.Epochs, an EpochsView, a braindecode dataset or an iterable of arrays,"
        f" got {type(X).__name__}."
    )


def _parts(n_epochs: int, epoch_bytes: int) -> Iterator[slice]:
    step = max(1, _BLOCK_BYTES // max(1, epoch_bytes))
    for start in range(0, n_epochs, step):
        yield slice(start, min(start + step, n_epochs))


def _from_mne(parts: list) -> Blocks:
    import mne
    import pandas as pd

    first = parts[0]
    info = mne.pick_info(first.info, data_picks(first.info))

    def blocks() -> Iterator[np.ndarray]:
        for epochs in parts:
            same_times = len(epochs.times) == len(first.times) and np.allclose(epochs.times, first.times)
            if epochs.ch_names != first.ch_names or not same_times:
                raise ValueError(
                    "X: the Epochs of the list differ in channels or times. Equalise them with"
                    " mne.channels.equalize_channels(), and crop them."
                )
            for part in _parts(len(epochs), 8 * len(epochs.ch_names) * len(epochs.times)):
                yield read_epochs(epochs[part]).X

    rows = pd.concat([_mne_rows(epochs) for epochs in parts])
    return Blocks(blocks(), len(rows), rows, info, float(first.tmin))


def _mne_rows(epochs: Any) -> Any:
    """The metadata; without any the names of the events are the stimuli."""
    import pandas as pd

    if epochs.metadata is not None:
        return epochs.metadata
    names = {code: name for name, code in epochs.event_id.items()}
    return pd.DataFrame({"stimulus": [names[code] for code in epochs.events[:, 2]]})


def _from_braindecode(X: Any) -> Blocks:
    part = X.datasets[0]
    info = getattr(getattr(part, "windows", None) or getattr(part, "raw", None), "info", None)
    # Without descriptions braindecode's get_metadata fails.
    described = all(one.description is not None for one in X.datasets)
    blocks = (
        np.stack([np.asarray(X[i][0]) for i in range(*part.indices(len(X)))])
        for part in _parts(len(X), np.asarray(X[0][0]).nbytes)
    )
    return Blocks(blocks, len(X), X.get_metadata() if described else None, info)


def to_epochs(view: Any) -> mne.EpochsArray:
    """Return a view as MNE Epochs, in SI units."""
    info = view.info
    if info is None:
        raise ValueError(
            "to_mne: this view has no channels. Make it with EpochsView.from_arrays(X, info=...)."
        )
    conditions = view.stimulus if view.stimulus is not None else np.full(len(view), "epoch")
    rows = view.rows
    return build_epochs(
        to_si(np.asarray(view, dtype=np.float64), info.get_channel_types()),
        info,
        view.tmin,
        conditions,
        rows if len(rows.columns) else None,
    )
