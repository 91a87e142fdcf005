"""Transformed epochs in the type in which they came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils.inputs import DISPLAY_UNITS, Epoched, as_mne_list, is_view

if TYPE_CHECKING:
    from ._channels import ChannelMap


def like_input(X: Any, read: Epoched, function: ChannelMap, *, carried: bool) -> Any:
    """Apply `function` to the epochs read from X, and return them as X was.

    Parameters
    ----------
    X : object
        What transform was given.
    read : Epoched
        X as read.
    function : ChannelMap
        What to apply.
    carried : bool
        Whether the subject came from X: then it must not get lost.
    """
    if is_view(X):
        return read.X.map(function)
    made = function(read.X, np.arange(len(read.X)))
    if (epochs := as_mne_list(X)) is not None:
        ends = np.cumsum([len(part) for part in epochs])
        parts = [
            _like_epochs(part, data, read)
            for part, data in zip(epochs, np.split(made, ends[:-1]), strict=True)
        ]
        return parts if isinstance(X, (list, tuple)) else parts[0]
    if carried:
        from ..epochs import EpochsView

        return EpochsView.from_arrays(made, subject=read.subject)
    return made[:, :, 0] if made.shape[2] == 1 and np.asarray(X).ndim == 2 else made


def _like_epochs(epochs: Any, made: np.ndarray, read: Epoched) -> Any:
    """Epochs with new data in their data channels.

    MNE keeps data in SI units and reading converts them: so that the numbers read are those made, whatever their
    unit, they are written as if they were in microvolts (fT).
    """
    import mne
    from mne.defaults import DEFAULTS

    picks = [epochs.ch_names.index(name) for name in read.ch_names or ()]
    kinds = epochs.get_channel_types(picks)
    data = epochs.get_data(copy=True, verbose=False)
    units = [DEFAULTS["scalings"][kind] if kind in DISPLAY_UNITS else 1.0 for kind in kinds]
    data[:, picks] = made / np.array(units)[:, None]
    return mne.EpochsArray(
        data,
        epochs.info,
        events=epochs.events,
        event_id=epochs.event_id,
        tmin=epochs.tmin,
        metadata=epochs.metadata,
        selection=epochs.selection,
        drop_log=epochs.drop_log,
        proj=False,  # projections are not for data that are whitened already
        verbose=False,
    )
