"""PickChannels: a choice of channels as a step of a Pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from .._utils.inputs import is_view
from .._utils.validation import check_epochs


class PickChannels(TransformerMixin, BaseEstimator):
    """Keep some channels, by name or position.

    Epochs stay Epochs and a view stays a view, so that subjects and names reach the next step.

    Parameters
    ----------
    channels : sequence of str | sequence of int
        Channels to keep, in the order wanted. Names need an X that knows them (a view with `info`, or Epochs).

    Attributes
    ----------
    picks_ : ndarray of int, shape (n_kept,)
        Positions of the channels kept.
    n_chans_, n_times_in_, n_features_in_ : int
        Shape of an epoch, and ``n_chans_`` again under the name that scikit-learn reads.
    ch_names_ : tuple of str | None
        Names of all channels, where X had some.

    See Also
    --------
    skeegclip.EpochsView.pick : The same for a view.

    Examples
    --------
    >>> import mne, numpy as np
    >>> from skeegclip import EpochsView
    >>> from skeegclip.preprocessing import PickChannels
    >>> info = mne.create_info(["Fz", "Pz", "Oz"], 100.0, "eeg")
    >>> view = EpochsView.from_arrays(np.zeros((4, 3, 10)), info=info)
    >>> PickChannels(["Oz", "Pz"]).fit_transform(view).ch_names
    ('Oz', 'Pz')
    """

    def __init__(self, channels):
        self.channels = channels

    def fit(self, X: Any, y: Any = None) -> PickChannels:
        """Find the channels.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times) | Epochs | EpochsView
            Epochs.
        y : object
            Not used.

        Returns
        -------
        PickChannels
            The fitted transformer.

        Raises
        ------
        ValueError
            If no channel is asked for, or X does not have it or does not know its names.
        """
        read = check_epochs(self, X, reset=True)
        self.picks_ = _positions(self.channels, read.ch_names, self.n_chans_)
        return self

    def transform(self, X: Any) -> Any:
        """Keep the channels.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times) | Epochs | EpochsView
            Epochs with the channels of fit.

        Returns
        -------
        ndarray, shape (n_epochs, n_kept, n_times) | Epochs | EpochsView
            Of the type of X; lists of Epochs become arrays in microvolts.
        """
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(self, "picks_")
        read = check_epochs(self, X, reset=False)
        if is_view(X):
            return X.pick(self.picks_.tolist())
        if hasattr(X, "get_data") and hasattr(X, "pick"):
            names = [self.ch_names_[pick] for pick in self.picks_]
            return X.copy().pick(names, verbose=False).reorder_channels(names)
        kept = np.asarray(read.X)[:, self.picks_]
        return kept[:, :, 0] if np.ndim(X) == 2 else kept

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


def _positions(channels: Sequence, names: tuple[str, ...] | None, n_chans: int) -> np.ndarray:
    if isinstance(channels, str) or len(channels) == 0:
        raise ValueError(
            f"channels must be a list of names or positions, got {channels!r}. Pass ['Oz'] for one channel."
        )
    picks = []
    for channel in channels:
        if isinstance(channel, str):
            if names is None:
                raise ValueError(
                    f"channels: {channel!r} is a name, but X does not know its channels. Pass X as a view with info, or"
                    " Epochs; or give positions."
                )
            if channel not in names:
                raise ValueError(f"channels: {channel!r} is not among the channels of X ({', '.join(names)}).")
            picks.append(names.index(channel))
        elif not 0 <= channel < n_chans:
            raise ValueError(f"channels: position {channel} does not lie in 0 .. {n_chans - 1}.")
        else:
            picks.append(int(channel))
    return np.array(picks, dtype=np.intp)
