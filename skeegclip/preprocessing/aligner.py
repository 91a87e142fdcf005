"""SubjectAligner: what is particular to a person's recording is taken away before decoding."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from .._utils.company import is_each_alone
from .._utils.epoched import Epoched
from .._utils.params import check_number, check_option
from .._utils.whitening import power
from ._channels import ChannelTransformer, blocks
from ._map import OwnMap, inverse_root, shrunk
from ._recordings import Groups


class SubjectAligner(ChannelTransformer):
    r"""Align people by the mean and covariance of their own epochs, without labels.

    From each epoch of a person the mean of that person's epochs, :math:`M_s`, is taken away, and what remains is
    whitened by its covariance over epochs and times, :math:`C_s`, shrunk towards the channels' own variances, so that
    their units do not matter:

    .. math:: R^{1/2} \, [(1 - a) \, C_s + a \operatorname{diag}(C_s)]^{-1/2} (X - M_s).

    What :math:`M_s` takes away is the response that all pictures have in common, which differs more between people
    than the pictures' own responses do. Without `center` and with ``shrinkage=0`` this is Euclidean alignment [1]_.

    Parameters
    ----------
    by : "subject" | "epoch"
        "subject" (and session, where known) aligns by all of a person's epochs. "epoch" whitens each epoch by its own
        covariance, and uses nothing else of the person, not even the name: it needs no calibration, and the result of
        an epoch depends on no other.
    center : bool
        Whether the mean epoch is subtracted; with ``by="epoch"``, each channel's mean over the epoch.
    shrinkage : float
        :math:`a`, in [0, 1]. With 0 directions without variance, as after an average reference, become zero.
    reference : "identity" | "mean"
        :math:`R`: white channels in arbitrary units, or the mean covariance of the people in fit, which keeps microvolts
        and what channels look like.
    known : "fit" | "self"
        Whether people seen in fit are aligned by what was learned there, or by the epochs given to transform, as
        suits a later recording that has no session of its own. The latter looks at test data.
    unknown : "error" | "pooled" | "transductive" | int
        What to do with a subject or session not seen in fit: refuse it; use the means of the subject's other sessions,
        or else of everybody; learn from the epochs to be transformed; or only from the first so many of them, in
        the order of rows, for each subject and session. The last two look at test data, and reports should say so:
        see `transductive_`. Epochs that are not to be tested on are learned by :meth:`calibrate`.

    Attributes
    ----------
    means_ : ndarray, shape (n_groups, n_chans, n_times)
        Mean epoch of each subject and session, in the order of `groups_`; zero without `center`.
    covariances_ : ndarray, shape (n_groups, n_chans, n_chans)
        Their covariances, not shrunk; without `center`, second moments.
    reference_ : ndarray, shape (n_chans, n_chans)
        :math:`R`.
    groups_ : Groups
        Subjects and sessions seen (``groups_.keys``); a single one with ``by="epoch"``.
    transductive_ : bool
        Whether transform may learn from the epochs given to it.
    n_chans_, n_times_in_ : int
        Shape of an epoch.
    n_features_in_ : int
        The same as ``n_chans_``, the name that scikit-learn reads.
    ch_names_ : tuple of str | None
        Channel names, where X had some.

    See Also
    --------
    MVNN : Whiten by the noise within conditions.
    EpochScaler : Scale each channel by itself.
    skeegclip.SubjectWhitening : The same idea for embeddings.

    Notes
    -----
    Everybody is whitened to the same covariance but in directions of their own: people whose channels mix the same
    sources differently agree afterwards up to a rotation, which is the smaller the more alike the mixing is.

    The mean epoch of people who were shown different things holds the difference of the things too. Give everybody the
    same, or much, or pass ``center=False``.

    References
    ----------
    .. [1] He and Wu, "Transfer learning for brain-computer interfaces: a Euclidean space data alignment approach",
       IEEE Transactions on Biomedical Engineering 67, 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from skeegclip.preprocessing import SubjectAligner
    >>> rng = np.random.default_rng(0)
    >>> sources, subject = rng.normal(size=(60, 2, 50)), np.repeat(["ana", "ben", "eve"], 20)
    >>> X = np.where((subject == "ana")[:, None, None], 10, 3) * sources + 5
    >>> aligner = SubjectAligner(unknown="transductive").fit(X[:40], subject=subject[:40])
    >>> Z = aligner.transform(X, subject=subject)
    >>> [Z[subject == name].std().round(1).item() for name in ("ana", "ben", "eve")]
    [1.0, 1.0, 1.0]

    Online, from a first stretch without labels, and then one epoch at a time:

    >>> aligner = SubjectAligner().fit(X[:40], subject=subject[:40]).calibrate(X[40:50], subject="eve")
    >>> aligner.transform(X[50:51], subject="eve").shape
    (1, 2, 50)
    """

    _saved_state: ClassVar[dict[str, Any]] = {**ChannelTransformer._saved_state, "reference_": np.ndarray}

    def __init__(
        self,
        by="subject",
        *,
        center=True,
        shrinkage=0.1,
        reference="identity",
        known="fit",
        unknown="error",
    ):
        self.by = by
        self.center = center
        self.shrinkage = shrinkage
        self.reference = reference
        self.known = known
        self.unknown = unknown

    def _check_params(self) -> None:
        check_option("by", self.by, ["subject", "epoch"])
        check_option("center", self.center, [True, False])
        check_number("shrinkage", self.shrinkage, low=0, high=1)
        check_option("reference", self.reference, ["identity", "mean"])
        check_option("known", self.known, ["fit", "self"])
        super()._check_params()

    @classmethod
    def _made(cls, params: dict[str, Any], state: dict[str, Any]) -> Any:
        made: Any = super()._made(params, state)
        if made.reference_.shape != (made.n_chans_, made.n_chans_) or made.reference_.dtype != np.float64:
            raise ValueError("its reference is no covariance of its channels")
        return made

    def fit(
        self, X: Any, y: Any = None, subject: Any = None, session: Any = None
    ) -> Any:  # numpydoc ignore=GL08
        super().fit(X, y, subject=subject, session=session)
        means = self.reference == "mean"
        self.reference_ = self.covariances_.mean(axis=0) if means else np.eye(self.n_chans_)
        return self

    def _groups(self, read: Epoched, session: np.ndarray | None) -> np.ndarray:
        if self.by == "subject":
            return super()._groups(read, session)
        self.groups_, codes = Groups.of(None, None, len(read.X))
        return codes

    def _shape(self) -> tuple[int, int]:
        return self.n_chans_, self.n_times_in_ + self.n_chans_  # the mean epoch, and beside it the covariance

    @property
    def means_(self) -> np.ndarray:  # numpydoc ignore=GL08
        return self._params[:, :, : self.n_times_in_]

    @property
    def covariances_(self) -> np.ndarray:  # numpydoc ignore=GL08
        return self._params[:, :, self.n_times_in_ :]

    def _looks_at_test(self) -> bool:
        return self.by == "subject" and (self.known == "self" or super()._looks_at_test())

    @property
    def _transductive(self) -> str | None:
        if getattr(self, "transductive_", False) and self.known == "self":
            return "SubjectAligner: everybody is aligned by their own test epochs"
        return super()._transductive

    def _learn(self, X: Any, codes: np.ndarray, n_groups: int, conditions: np.ndarray) -> np.ndarray:
        n_chans, n_times = X.shape[1:]
        counts = np.bincount(codes, minlength=n_groups)
        takes_mean = self.center and self.by == "subject"
        if takes_mean and (single := int((counts == 1).sum())):
            raise ValueError(
                f"center=True takes away the mean epoch of a person, but {single} of {n_groups} recordings have one sample"
                " (epoch) only, of which nothing would be left. Pass more epochs of each, or center=False."
            )
        if self.by == "epoch" and n_times == 1:
            raise ValueError(
                "by='epoch' takes a covariance over times, but X has one time. Pass by='subject'."
            )
        shift = np.zeros((n_groups, n_chans, n_times))
        if takes_mean:  # near the mean, so that squares of large offsets do not swallow small variances
            firsts = np.unique(codes, return_index=True)[1]
            for places, block in blocks(X, firsts):
                shift[places] = block
        total, square = np.zeros_like(shift), np.zeros((n_groups, n_chans, n_chans))
        for rows, block in blocks(X, np.arange(len(X))):
            for code in np.unique(codes[rows]):
                data = block[codes[rows] == code].astype(np.float64) - shift[code]
                if self.center and self.by == "epoch":
                    data -= data.mean(axis=2, keepdims=True)
                total[code] += data.sum(axis=0)
                flat = data.transpose(1, 0, 2).reshape(n_chans, -1)
                square[code] += flat @ flat.T
        n = counts[:, None, None]
        if not takes_mean:
            return np.concatenate([np.zeros_like(shift), square / (n * n_times)], axis=2)
        mean = total / n
        square -= n * (mean @ mean.transpose(0, 2, 1))
        return np.concatenate([shift + mean, square / ((n - 1) * n_times)], axis=2)

    def _params_for(self, X: Any, codes: np.ndarray, new: Groups) -> np.ndarray:
        params = super()._params_for(X, codes, new)
        if self.known == "self" and self.by == "subject" and not is_each_alone():
            rows = np.flatnonzero(codes < len(self.groups_.keys))
            params = params.copy()
            params[np.unique(codes[rows])] = self._learn_rows(X, rows, codes)
        return params

    def _map(self, params: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        means, covariances = np.split(params, [self.n_times_in_], axis=2)
        weights = power(self.reference_, 0.5) @ inverse_root(shrunk(covariances, self.shrinkage))
        return weights, means if self.center else None

    def _function(self, params: np.ndarray, codes: np.ndarray) -> Any:
        if self.by == "subject":
            return super()._function(params, codes)
        return OwnMap(self.shrinkage, self.center, power(self.reference_, 0.5))
