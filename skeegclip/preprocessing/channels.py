"""PickChannels: a choice of channels as a step of a Pipeline."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from .._utils.channels import without_mask
from .._utils.epoched import is_view
from .._utils.inputs import as_mne_list
from .._utils.mne_objects import loaded_copy
from .._utils.saving import Savable
from .._utils.stated import Stated
from .._utils.validation import check_epochs
from ..epochs import EpochsView
from ..epochs.regions import find_channels


class PickChannels(Savable, TransformerMixin, BaseEstimator):
    """Keep some channels, by name, region or position.

    Epochs stay Epochs and a view stays a view, so that subjects and names reach the next step.

    Parameters
    ----------
    channels : str | sequence of str | sequence of int | sequence of bool
        Channels to keep, in the order wanted: names of channels or of regions (see :func:`skeegclip.epochs.regions`),
        positions, or a mask with a bool for each channel. Names need an X that knows them (a view with `info`, or Epochs).

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
    >>> PickChannels("frontal").fit_transform(view).ch_names
    ('Fz',)
    """

    _saved_state: ClassVar[dict[str, Any]] = {
        "picks_": np.ndarray,
        "n_features_in_": int,
        "n_chans_": int,
        "n_times_in_": int,
        "ch_names_": tuple | None,
        "_stated": Stated,
    }

    @classmethod
    def _made(cls, params: dict[str, Any], state: dict[str, Any]) -> Any:
        made: Any = super()._made(params, state)
        picks = made.picks_
        if picks.ndim != 1 or picks.dtype.kind != "i" or ((picks < 0) | (picks >= made.n_chans_)).any():
            raise ValueError("its picks are no channels")
        return made

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
            If no channel is asked for, or a position lies outside.
        KeyError
            If a name is no channel and no region, or X does not know its channels.
        """
        if not isinstance(self.channels, Iterable):
            raise TypeError(
                f"channels must be a name, or a list of names or positions, got {self.channels!r}."
            )
        read = check_epochs(self, X, reset=True)
        wanted = without_mask(self.channels, self.n_chans_)
        if any(isinstance(channel, str) for channel in wanted):
            wanted = find_channels(wanted, read.ch_names, getattr((as_mne_list(X) or [X])[0], "info", None))
        picks = np.array(list(dict.fromkeys(wanted)), dtype=np.intp)
        outside = picks[(picks < 0) | (picks >= self.n_chans_)]
        if len(outside):
            raise ValueError(f"channels: position {outside[0]} does not lie in 0 .. {self.n_chans_ - 1}.")
        self.picks_ = picks
        return self

    def transform(self, X: Any) -> Any:
        """Keep the channels.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times) | Epochs | EpochsView
            Epochs with the channels of fit.

        Returns
        -------
        ndarray, shape (n_epochs, n_kept, n_times) | Epochs | list of Epochs | EpochsView
            What X was; a braindecode data set that tells its subjects becomes a view, anything else an array.
        """
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(self, "picks_")
        read = check_epochs(self, X, reset=False, is_lazy=True)
        if is_view(X):
            return X.pick(self.picks_.tolist())
        if (parts := as_mne_list(X)) is not None:
            names = [self.ch_names_[pick] for pick in self.picks_]
            kept = [loaded_copy(part).pick(names, verbose=False).reorder_channels(names) for part in parts]
            return kept if isinstance(X, (list, tuple)) else kept[0]
        made = np.asarray(read.X)[:, self.picks_]
        return made if read.subject is None else EpochsView.from_arrays(made, subject=read.subject)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = []
        return tags
