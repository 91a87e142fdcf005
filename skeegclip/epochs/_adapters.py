"""From what people hold to blocks of epochs that fit in memory, and back to MNE."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils.absent import refuse_mixed
from .._utils.channels import data_picks, describe, left_out, typed_picks
from .._utils.epoched import is_view
from .._utils.foreign import refuse_foreign
from .._utils.inputs import as_mne_list, read_epochs
from .._utils.mne_objects import build_epochs, to_si
from .._utils.stated import Stated, check_alike
from .._utils.tables import epochs_table, windows_table
from .._utils.windows import info_of, recordings_of, unwrapped

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
    stated : Stated
        Channels, rate, start and reference, as far as they are known.
    left_out : tuple of str
        Channels that are not read.
    is_converted : bool
        Whether the numbers were brought from MNE's SI units to display units.
    """

    blocks: Iterable[np.ndarray]
    n_epochs: int | None = None
    rows: Any = None
    info: mne.Info | None = None
    stated: Stated = field(default_factory=Stated)
    left_out: tuple[str, ...] = ()
    is_converted: bool = False


def as_blocks(X: Any) -> Blocks:
    """Read epochs in any form that a store takes."""
    if is_view(X):
        parts = _parts(len(X), 4 * X.shape[1] * X.shape[2])
        return Blocks(
            (X.read(range(*part.indices(len(X)))) for part in parts), len(X), X.rows, X.info, X._told
        )
    if (epochs := as_mne_list(X)) is not None:
        return _from_mne(epochs)
    if unwrapped(X)[0] is not None:
        return _from_braindecode(X)
    refuse_foreign(X)
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


def carried_info(X: Any) -> mne.Info | None:
    """Return a copy of the info of the channels that are read of X, which is no array; None where X has none."""
    import mne

    if is_view(X):
        return X.info
    if (epochs := as_mne_list(X)) is not None:
        info = epochs[0].info
        return mne.pick_info(info, data_picks(info), verbose=False)
    info = info_of(recordings_of(unwrapped(X)[0])[0])
    return None if info is None else mne.pick_info(info, typed_picks(info), verbose=False)


def _parts(n_epochs: int, epoch_bytes: int) -> Iterator[slice]:
    step = max(1, _BLOCK_BYTES // max(1, epoch_bytes))
    for start in range(0, n_epochs, step):
        yield slice(start, min(start + step, n_epochs))


def _from_mne(parts: list) -> Blocks:
    first = parts[0]
    picks = data_picks(first.info)
    stated = describe(first.info, picks, tmin=float(first.tmin), is_recorded=True)
    for epochs in parts[1:]:
        of_part = describe(epochs.info, data_picks(epochs.info), tmin=float(epochs.tmin), is_recorded=True)
        check_alike(of_part, stated, "the first Epochs of the list have")

    def blocks() -> Iterator[np.ndarray]:
        for epochs in parts:
            for part in _parts(len(epochs), 8 * len(epochs.ch_names) * len(epochs.times)):
                yield read_epochs(epochs[part]).X

    rows = epochs_table(parts)
    out = left_out(first.info, picks)
    return Blocks(blocks(), len(rows), rows, carried_info(parts), stated, out, is_converted=True)


def _from_braindecode(X: Any) -> Blocks:
    from torch.utils.data import Subset

    first = read_epochs(Subset(X, [0])) if len(X) else read_epochs(X)
    info = None if first.ch_names is None else carried_info(X)

    def blocks() -> Iterator[np.ndarray]:
        for part in _parts(len(X), first.X.nbytes):
            yield read_epochs(Subset(X, range(*part.indices(len(X))))).X

    return Blocks(blocks(), len(X), windows_table(X), info, first.stated, first.left_out, is_converted=True)


def to_epochs(view: Any) -> mne.EpochsArray:
    """Return a view as MNE Epochs, in SI units."""
    info = view.info
    if info is None:
        raise ValueError(
            "to_mne: this view has no channels. Make it with EpochsView.from_arrays(X, info=...)."
        )
    conditions = view.stimulus if view.stimulus is not None else np.full(len(view), "epoch")
    refuse_mixed(view._told, "mne.Epochs")
    rows = view.rows
    return build_epochs(
        to_si(np.asarray(view, dtype=np.float64), info.get_channel_types()),
        info,
        view.tmin,
        conditions,
        rows if len(rows.columns) else None,
    )
