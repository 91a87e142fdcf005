"""InterpolateChannels: epochs of any cap as those of one, by spherical splines."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from .._utils.absent import absent
from .._utils.epoched import is_view
from .._utils.inputs import as_mne_list
from .._utils.mne_objects import build_epochs, to_si
from .._utils.saving import Savable
from .._utils.stated import Stated
from .._utils.validation import check_epochs
from ..epochs import EpochsView
from ..epochs.places import direction_of, info_at, places_of
from ..epochs.positions import CENTRE
from ..epochs.view import joined

_SAME = np.cos(np.deg2rad(5.0))  # how near a channel of the name wanted is kept as it is


class InterpolateChannels(Savable, TransformerMixin, BaseEstimator):
    """Bring epochs of any cap to the channels of one.

    Channels of that name (and place) are kept as they are, the others interpolated from all that the epoch has by
    spherical splines [1]_, as ``mne.Epochs.interpolate_bads`` does. Nothing is learned but which channels there are: epochs
    of any other cap may follow. What stands behind it sees one cap. Splines make no new information: 17 channels remain 17
    dimensions in 63.

    Parameters
    ----------
    channels : sequence of str
        The channels wanted, in this order: 10-05 sites, or channels that X has in fit.

    Attributes
    ----------
    places_ : ndarray, shape (n_wanted, 3)
        Unit vectors (right, front, up) from the centre of the head to the channels wanted.
    n_chans_, n_times_in_, n_features_in_ : int
        Shape of an epoch in fit, and ``n_chans_`` again under the name that scikit-learn reads.
    ch_names_ : tuple of str | None
        Names of its channels.

    See Also
    --------
    skeegclip.EEGEncoder : With ``montage="positions"`` learns how to weigh the channels of any cap.
    skeegclip.EpochsView.join : Epochs of several caps in one view.

    References
    ----------
    .. [1] Perrin et al., "Spherical splines for scalp potential and current density mapping",
       Electroencephalography and Clinical Neurophysiology 72, 1989.

    Examples
    --------
    >>> import mne, numpy as np
    >>> from skeegclip import EpochsView
    >>> from skeegclip.preprocessing import InterpolateChannels
    >>> info = mne.create_info(["Fz", "Cz", "Pz", "C3", "C4"], 100.0, "eeg")
    >>> view = EpochsView.from_arrays(np.ones((4, 5, 10)), info=info)
    >>> made = InterpolateChannels(["Pz", "CPz"]).fit_transform(view)
    >>> made.ch_names, np.asarray(made)[0, :, 0].round(3).tolist()
    (('Pz', 'CPz'), [1.0, 1.0])
    """

    _saved_state: ClassVar[dict[str, Any]] = {
        "places_": np.ndarray,
        "n_features_in_": int,
        "n_chans_": int,
        "n_times_in_": int,
        "ch_names_": tuple | None,
        "_stated": Stated,
    }

    @classmethod
    def _made(cls, params: dict[str, Any], state: dict[str, Any]) -> Any:
        made: Any = super()._made(params, state)
        if made.places_.shape != (len(made.channels), 3) or not np.isfinite(made.places_).all():
            raise ValueError("its places are not those of its channels")
        return made

    def __init__(self, channels):
        self.channels = channels

    def fit(self, X: Any, y: Any = None) -> InterpolateChannels:
        """Find the places of the channels wanted.

        Parameters
        ----------
        X : Epochs | list of Epochs | EpochsView
            Epochs that name their channels, all EEG.
        y : object
            Not used.

        Returns
        -------
        InterpolateChannels
            The fitted transformer.

        Raises
        ------
        ValueError
            If the place of a channel is not known, a channel is wanted twice, or X is not EEG.
        TypeError
            If `channels` are no names.
        """
        names = self.channels
        if isinstance(names, str) or not all(isinstance(name, str) for name in names) or not len(names):
            raise TypeError(f"channels must be a list of names, got {names!r:.60}.")
        if len(set(names)) < len(names):
            twice = next(name for name in names if list(names).count(name) > 1)
            raise ValueError(f"channels: {twice!r} is wanted twice. Name each channel once.")
        X = joined(X)
        check_epochs(self, X, reset=True, is_lazy=True, any_cap=True)
        own = dict(zip(self.ch_names_ or (), _places(X), strict=False))
        found = {name: own[name] if name in own else direction_of(name) for name in names}
        if unknown := [name for name, place in found.items() if place is None]:
            raise ValueError(
                f"channels: the places of {len(unknown)} of {len(names)} are not known ({', '.join(map(repr, unknown[:5]))})."
                " Name 10-05 sites, or channels that X has."
            )
        self.places_ = np.array(list(found.values()), dtype=np.float64)
        return self

    def transform(self, X: Any) -> Any:
        """Interpolate.

        Parameters
        ----------
        X : Epochs | list of Epochs | EpochsView
            Epochs of any cap, or of several.

        Returns
        -------
        Epochs | list of Epochs | EpochsView
            What X was, with the channels wanted; a view is interpolated as it is read, and a braindecode data set becomes
            a view.
        """
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(self, "places_")
        if (parts := as_mne_list(X)) is not None:
            made = [self._epochs(part) for part in parts]
            return made if isinstance(X, (list, tuple)) else made[0]
        X = joined(X)
        check_epochs(self, X, reset=False, is_lazy=True, any_cap=True)
        places, names = _places(X), list(self.channels)
        view = X if is_view(X) else EpochsView.from_epochs(X)
        function = Interpolation(view.ch_names, places, names, self.places_)
        assert view.sfreq is not None  # an info has told the places
        return view._mapped_to(function, info_at(names, self.places_, view.sfreq))

    def _epochs(self, epochs: Any) -> Any:
        from mne.io.constants import FIFF

        read = check_epochs(self, epochs, reset=False, any_cap=True)
        names = list(self.channels)
        function = Interpolation(read.ch_names, _places(epochs), names, self.places_)
        data = to_si(function(read.X, np.arange(len(read.X))), ["eeg"] * len(names))
        info = info_at(names, self.places_, epochs.info["sfreq"])
        if read.stated.referenced:
            with info._unlock():
                info["custom_ref_applied"] = FIFF.FIFFV_MNE_CUSTOM_REF_ON
        codes = {code: name for name, code in epochs.event_id.items()}
        conditions = np.array([codes[code] for code in epochs.events[:, 2]])
        return build_epochs(data, info, float(epochs.tmin), conditions, epochs.metadata)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = []
        return tags


class Interpolation:
    """Blocks of epochs, each with the channels of its cap, in the channels of one.

    Parameters
    ----------
    ch_names, places : sequence of str, ndarray of shape (n_chans, 3)
        The channels of a block, and where they are; NaN in a block where an epoch lacks one.
    wanted, wanted_places : list of str, ndarray of shape (n_wanted, 3)
        The channels wanted, and where they are.
    """

    def __init__(
        self, ch_names: Any, places: np.ndarray, wanted: list[str], wanted_places: np.ndarray
    ) -> None:
        self.ch_names, self.places = list(ch_names), places
        self.wanted, self.wanted_places = wanted, wanted_places
        self._matrices: dict[bytes, np.ndarray] = {}

    def __call__(self, X: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Interpolate a block."""
        caps, cap = np.unique(~absent(X), axis=0, return_inverse=True)
        out = np.empty((len(X), len(self.wanted), X.shape[2]), dtype=np.float32)
        for number, here in enumerate(caps):
            rows = np.flatnonzero(cap.ravel() == number)
            out[rows] = self.matrix(here) @ X[np.ix_(rows, np.flatnonzero(here))]
        return out

    def matrix(self, here: np.ndarray) -> np.ndarray:
        """Return what maps the channels that are `here`, bool of shape (n_chans,), to those wanted."""
        key = here.tobytes()
        if key not in self._matrices:
            names = [name for name, is_here in zip(self.ch_names, here, strict=True) if is_here]
            self._matrices[key] = spline_matrix(names, self.places[here], self.wanted, self.wanted_places)
        return self._matrices[key]


def spline_matrix(
    ch_names: list[str], places: np.ndarray, wanted: list[str], wanted_places: np.ndarray
) -> np.ndarray:
    """Return the matrix (n_wanted, n_chans), float32, that keeps channels of a name and place wanted and interpolates others.

    MNE interpolates one impulse a channel.
    """
    import mne

    if not len(ch_names):
        raise ValueError(
            "X: an epoch has none of its view's channels. Pick channels that every cap has some of."
        )
    own = {name: row for row, name in enumerate(ch_names)}
    matrix = np.zeros((len(wanted), len(ch_names)))
    missing = []
    for row, (name, place) in enumerate(zip(wanted, wanted_places, strict=True)):
        if name in own and place @ places[own[name]] > _SAME:
            matrix[row, own[name]] = 1
        else:
            missing.append(row)
    if missing:
        # Names of their own: a channel wanted may have the name of one that is elsewhere.
        names = [f"{k}" for k in range(len(ch_names) + len(missing))]
        info = info_at(names, np.concatenate([places, wanted_places[missing]]), 1.0)
        impulses = np.vstack([np.eye(len(ch_names)), np.zeros((len(missing), len(ch_names)))])
        evoked = mne.EvokedArray(impulses, info, verbose=False)
        evoked.info["bads"] = names[len(ch_names) :]
        evoked.interpolate_bads(origin=CENTRE, method={"eeg": "spline"}, verbose=False)
        matrix[missing] = evoked.data[len(ch_names) :]
    return matrix.astype(np.float32)


def _places(X: Any) -> np.ndarray:
    """Where the channels of X are, all of them EEG."""
    places = places_of(X)
    if (places[:, 3] != 0).any():
        raise ValueError(
            "X has channels that are no EEG, and splines on the scalp are for EEG alone. Pick the EEG first:"
            " epochs.pick('eeg')."
        )
    return places[:, :3].astype(np.float64)
