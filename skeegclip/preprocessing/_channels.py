"""What MVNN, EpochScaler and SubjectAligner share: a map of the channels for each subject and session."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import check_is_fitted

from .._utils.company import is_each_alone
from .._utils.epoched import Epoched, is_view
from .._utils.missing import refuse_missing
from .._utils.params import check_number, check_option
from .._utils.saving import Savable
from .._utils.stated import Stated
from .._utils.validation import check_epochs, check_finite, unchanged_on_error
from ._map import ChannelMap
from ._outputs import like_input
from ._recordings import Groups, read_column, read_session

_BLOCK_BYTES = 1 << 25


class ChannelTransformer(
    Savable, OneToOneFeatureMixin, TransformerMixin, BaseEstimator, auto_wrap_output_keys=None
):  # type: ignore[call-arg]
    """A transformer that learns one map of the channels for each subject and session.

    Subclasses have a parameter `unknown` and two methods: ``_learn`` gives the parameters of each group, and ``_map``
    the weights and offsets that follow from parameters, or from the mean of several groups' parameters.
    """

    __metadata_request__fit = {"subject": True, "session": True}
    __metadata_request__transform = {"subject": True, "session": True}

    _saved_state: ClassVar[dict[str, Any]] = {
        "_params": np.ndarray,
        "groups_": Groups,
        "transductive_": bool,
        "n_features_in_": int,
        "n_chans_": int,
        "n_times_in_": int,
        "ch_names_": tuple | None,
        "_stated": Stated,
    }

    unknown: str | int
    _params: np.ndarray
    groups_: Groups

    def _check_params(self) -> None:
        if isinstance(self.unknown, (str, type(None))):
            check_option("unknown", self.unknown, ["error", "pooled", "transductive"])
        else:
            check_number("unknown", self.unknown, low=1, integer=True)

    def _learn(self, X: Any, codes: np.ndarray, n_groups: int, conditions: np.ndarray) -> np.ndarray:
        """Return the parameters of each group, shape (n_groups, ...)."""
        raise NotImplementedError

    def _map(self, params: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Return weights and offsets of parameters (n_groups, ...)."""
        raise NotImplementedError

    def _check_fitted(self) -> None:
        check_is_fitted(self, "_params")

    @classmethod
    def _made(cls, params: dict[str, Any], state: dict[str, Any]) -> Any:
        made: Any = super()._made(params, state)
        made._check_params()
        shape = (len(made.groups_.keys), *made._shape())
        if made._params.shape != shape or made._params.dtype != np.float64:
            raise ValueError(f"its numbers are of shape {made._params.shape} instead of {shape}")
        return made

    def _shape(self) -> tuple[int, int]:
        """Of the parameters of one group."""
        raise NotImplementedError

    def _groups(self, read: Epoched, session: np.ndarray | None) -> np.ndarray:
        """Set ``groups_``; return the code of each row."""
        self.groups_, codes = Groups.of(read.subject, session, len(read.X))
        return codes

    def fit(self, X: Any, y: Any = None, subject: Any = None, session: Any = None) -> Any:
        """Learn from training epochs.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times) | Epochs | EpochsView | BaseConcatDataset
            Training epochs in microvolts (MEG: fT).
        y : array-like, shape (n_epochs,) | array-like, shape (n_epochs, n_dims) | None
            Condition of each epoch: its stimulus id, or the embedding of its stimulus. None takes the stimuli that X
            carries; without any all epochs are one condition.
        subject : array-like of str, shape (n_epochs,) | None
            Subject of each epoch, where X does not carry it.
        session : array-like of str, shape (n_epochs,) | None
            Session of each epoch; None takes the column ``session`` of a view or of Epochs' metadata.

        Returns
        -------
        estimator
            The fitted transformer. After an error it is as it was before.

        Raises
        ------
        ValueError, TypeError
            If X, y or a parameter is not usable.
        """
        with unchanged_on_error(self):
            self._check_params()
            read = check_epochs(self, X, subject=subject, reset=True)
            codes = self._groups(read, read_session(X, session, len(read.X)))
            self._params = self._learn(read.X, codes, len(self.groups_.keys), _conditions(X, y, len(read.X)))
            self.transductive_ = self._looks_at_test()
        return self

    def _looks_at_test(self) -> bool:
        # Where nobody was told apart in fit, nobody is unknown.
        return self.unknown not in ("error", "pooled") and bool(self.groups_.names)

    @property
    def _transductive(self) -> str | None:
        """What a report has to say of it."""
        if not getattr(self, "transductive_", False):
            return None
        which = "" if isinstance(self.unknown, str) else f"the first {self.unknown} of "
        return f"{type(self).__name__}: people not seen in training are learned from {which}their own test epochs"

    def calibrate(self, X: Any, subject: Any = None, session: Any = None) -> Any:
        """Learn somebody new, or a new session, from some epochs without labels; all that was learned before stays.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times) | Epochs | EpochsView | BaseConcatDataset
            Epochs that are not to be tested on, such as the first minutes of a recording.
        subject, session : array-like of str, shape (n_epochs,) | None
            As in fit.

        Returns
        -------
        estimator
            The same transformer, to which they are known from now on.

        Raises
        ------
        NotFittedError
            If not fitted.
        ValueError
            If X does not fit, somebody is known already, or nobody was told apart in fit.
        """
        check_is_fitted(self, "_params")
        read = check_epochs(self, X, subject=subject, reset=False)
        if not self.groups_.names:
            raise ValueError(
                f"{type(self).__name__} was fitted without telling subjects apart, so that nobody is new to it. Fit it"
                " with subject=, or with X that carries one."
            )
        codes, new = self.groups_.codes(read.subject, read_session(X, session, len(read.X)), len(read.X))
        if (known := codes[codes < len(self.groups_.keys)]).size:
            raise ValueError(
                f"X holds {self.groups_.describe(self.groups_.keys[known[0]])}, known already, and what was learned of"
                " somebody is left as it is. Give a new recording a name of its own."
            )
        self._params = np.concatenate([self._params, self._learn_rows(read.X, np.arange(len(codes)), codes)])
        self.groups_ = Groups(self.groups_.names, self.groups_.keys + new.keys)
        return self

    def fit_transform(self, X: Any, y: Any = None, subject: Any = None, session: Any = None) -> Any:
        """Learn from training epochs, then transform them.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times) | Epochs | EpochsView | BaseConcatDataset
            Training epochs.
        y : array-like, shape (n_epochs,) | array-like, shape (n_epochs, n_dims) | None
            As in fit.
        subject, session : array-like of str, shape (n_epochs,) | None
            As in fit.

        Returns
        -------
        ndarray of float32 | Epochs | EpochsView
            As transform.
        """
        return self.fit(X, y, subject=subject, session=session).transform(X, subject=subject, session=session)

    def transform(self, X: Any, subject: Any = None, session: Any = None) -> Any:
        """Transform epochs.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times) | Epochs | EpochsView | BaseConcatDataset
            Epochs with the channels of fit.
        subject, session : array-like of str, shape (n_epochs,) | None
            As in fit. What to do with those not seen in fit is said by `unknown`.

        Returns
        -------
        ndarray of float32 | Epochs | EpochsView
            What X was: Epochs stay Epochs with their metadata, lists of Epochs lists, a view stays a view whose epochs
            are transformed as they are read; a braindecode data set that tells its subjects becomes a view, anything
            else an array.

        Raises
        ------
        NotFittedError
            If not fitted.
        ValueError
            If X does not fit, or holds a subject or session not seen in fit and ``unknown="error"``.
        """
        check_is_fitted(self, "_params")
        read = check_epochs(self, X, subject=subject, reset=False, is_lazy=True)
        codes, new = self.groups_.codes(read.subject, read_session(X, session, len(read.X)), len(read.X))
        function = self._function(self._params_for(read.X, codes, new), codes)
        return like_input(X, read, function, carried=subject is None and read.subject is not None)

    def _function(self, params: np.ndarray, codes: np.ndarray) -> Any:
        """Return what is applied to blocks of epochs."""
        return ChannelMap(*self._map(params), codes)

    def _function_for_strangers(self) -> Any:
        """Return what is applied to epochs of people never seen, one and all; None where that is refused or looks at them."""
        params, names = self._params, self.groups_.names
        if self._looks_at_test() or names and self.unknown != "pooled":
            return None
        if names:
            nobody = Groups(names, (("",) * len(names),))
            params = self._params_for(None, np.zeros(1, dtype=np.intp), nobody)
        return self._function(params, np.array([len(params) - 1]))

    def _params_for(self, X: Any, codes: np.ndarray, new: Groups) -> np.ndarray:
        """Return the parameters of all groups, those not seen in fit at the end."""
        if not new.keys:
            return self._params
        n_known, n_new = len(self.groups_.keys), len(new.keys)
        ChannelTransformer._check_params(self)
        if self.unknown == "error":
            raise ValueError(
                f"X holds {new.describe(new.keys[0])}, not seen in fit ({n_new} such, {int((codes >= n_known).sum())}"
                f' of {len(codes)} epochs). Pass unknown="pooled" to use the mean of those seen in fit, or'
                ' unknown="transductive" to learn from these epochs themselves.'
            )
        if self.unknown == "pooled" or is_each_alone():
            others = [self._params[self.groups_.relatives(key)].mean(axis=0) for key in new.keys]
            return np.concatenate([self._params, others])
        rows = np.flatnonzero(codes >= n_known)
        if not isinstance(self.unknown, str):
            rows = np.sort(
                np.concatenate([np.flatnonzero(codes == code)[: self.unknown] for code in set(codes[rows])])
            )
        return np.concatenate([self._params, self._learn_rows(X, rows, codes)])

    def _learn_rows(self, X: Any, rows: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Return the parameters of the groups of some rows."""
        used, own = np.unique(codes[rows], return_inverse=True)
        # No stimuli here: what was shown is what is to be found out.
        return self._learn(X[rows], own, len(used), np.zeros(len(rows), dtype=np.intp))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = []
        return tags


def _conditions(X: Any, y: Any, n_rows: int) -> np.ndarray:
    """Return a code for the condition of each row."""
    if y is None:
        y = read_column(X, "stimulus")
    if y is None:
        return np.zeros(n_rows, dtype=np.intp)
    refuse_missing(y, name="y")
    y = np.asarray(y)
    check_consistent_length(np.empty(n_rows), y)
    if y.ndim > 1:
        return np.unique(y, axis=0, return_inverse=True)[1].reshape(-1)
    return np.unique(y.astype(str) if y.dtype == object else y, return_inverse=True)[1]


def blocks(X: Any, rows: np.ndarray):
    """Read some rows a few at a time: pairs of their positions in `rows` and their data."""
    step = max(1, _BLOCK_BYTES // (4 * X.shape[1] * X.shape[2]))
    for start in range(0, len(rows), step):
        places = np.arange(start, min(start + step, len(rows)))
        block = X.read(rows[places]) if is_view(X) else X[rows[places]]
        if is_view(X):
            check_finite(block)
        yield places, block
