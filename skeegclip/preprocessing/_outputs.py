"""Transformed epochs in the type in which they came."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._utils.epoched import Epoched, is_view
from .._utils.inputs import as_mne_list
from .._utils.mne_objects import to_si, with_data


def like_input(X: Any, read: Epoched, function: Callable, *, carried: bool) -> Any:
    """Apply `function` to the epochs read from X, and return them as X was.

    Parameters
    ----------
    X : object
        What transform was given.
    read : Epoched
        X as read.
    function : callable
        What to apply to blocks of epochs, as :meth:`skeegclip.EpochsView.map` has it.
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
    picks = [epochs.ch_names.index(name) for name in read.ch_names or ()]
    return with_data(epochs, to_si(made, epochs.get_channel_types(picks)), picks=picks)
