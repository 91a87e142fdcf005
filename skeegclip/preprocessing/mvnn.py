"""MVNN: multivariate noise normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._utils.params import check_option
from ._channels import ChannelTransformer, blocks
from ._map import inverse_root


class MVNN(ChannelTransformer):
    r"""Whiten the channels: multivariate noise normalisation [1]_.

    In each condition (the epochs of one stimulus) the covariance of the channels is estimated, shrunk as Ledoit and
    Wolf do [2]_, and averaged over conditions to :math:`\Sigma`; epochs are then multiplied by
    :math:`\Sigma^{-1/2}`. Everything is learned from training epochs, separately for each subject and session, as in
    the recipe of THINGS-EEG2 [3]_ (whose first version averaged the covariances of training and test data).

    Parameters
    ----------
    mode : "epoch" | "time"
        "epoch" takes the covariance over the times of each epoch, and averages it over the epochs of a condition;
        "time" takes it over the epochs of a condition at each time, and averages it over times. "time" needs
        conditions that repeat, and a condition shown once tells it nothing. With one time to an epoch it is always
        "time".
    unknown : "error" | "pooled" | "transductive" | int
        What to do with a subject or session not seen in fit: refuse it; use the mean covariance of the subject's
        other sessions, or else of everybody; or estimate the covariance on the epochs to be transformed, without
        their stimuli, or on the first so many of them of each subject and session. The last two look at test data, and
        reports should say so: see `transductive_`.
    verbose : int
        1 shows a progress bar in fit.

    Attributes
    ----------
    covariances_ : ndarray, shape (n_groups, n_chans, n_chans)
        Mean covariance of each subject and session, in the order of `groups_`.
    whiteners_ : ndarray, shape (n_groups, n_chans, n_chans)
        Their inverse square roots.
    groups_ : Groups
        Subjects and sessions seen in fit (``groups_.keys``).
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
    EpochScaler : Scale each channel by itself.

    Notes
    -----
    As in the published recipe channels are standardised before the covariance is shrunk, and scaled back afterwards:
    the target of the shrinkage is then the channels' own variances instead of their mean.

    Whiten before averaging repetitions: the mean of epochs of several sessions belongs to none of them.

    References
    ----------
    .. [1] Guggenmos, Sterzer and Cichy, "Multivariate pattern analysis for MEG: A comparison of dissimilarity
       measures", NeuroImage 173, 2018.
    .. [2] Ledoit and Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", Journal of
       Multivariate Analysis 88, 2004.
    .. [3] Gifford et al., "A large and rich EEG dataset for modeling human visual object recognition", NeuroImage
       264, 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from skeegclip.preprocessing import MVNN
    >>> rng = np.random.default_rng(0)
    >>> X = 10 * np.array([[1.0, 0.0], [2.0, 1.0]]) @ rng.normal(size=(40, 2, 100))
    >>> Z = MVNN().fit_transform(X, np.repeat(["cat", "dog"], 20))
    >>> np.cov(Z.transpose(1, 0, 2).reshape(2, -1)).round(1) + 0.0
    array([[1., 0.],
           [0., 1.]])
    """

    def __init__(self, mode="epoch", *, unknown="error", verbose=0):
        self.mode = mode
        self.unknown = unknown
        self.verbose = verbose

    def _check_params(self) -> None:
        check_option("mode", self.mode, ["epoch", "time"])
        super()._check_params()

    def _shape(self) -> tuple[int, int]:
        return self.n_chans_, self.n_chans_

    @property
    def covariances_(self) -> np.ndarray:  # numpydoc ignore=GL08
        return self._params

    @property
    def whiteners_(self) -> np.ndarray:  # numpydoc ignore=GL08
        return self._map(self._params)[0]

    def _learn(self, X: Any, codes: np.ndarray, n_groups: int, conditions: np.ndarray) -> np.ndarray:
        from sklearn import config_context

        from .._utils.progress import tqdm

        total = np.zeros((n_groups, X.shape[1], X.shape[1]))
        cells, cell, counts = np.unique(
            np.stack([codes, conditions]), axis=1, return_inverse=True, return_counts=True
        )
        cell = cell.reshape(-1)
        # X was checked; scikit-learn's checks of each epoch would cost more than its estimate.
        unchecked = config_context(assume_finite=True, skip_parameter_validation=True)
        with unchecked, tqdm(total=len(X), disable=not self.verbose, desc="MVNN", unit="epoch") as bar:
            if self.mode == "epoch" and X.shape[2] > 1:
                n_conditions = np.bincount(cells[0], minlength=n_groups)
                weight = 1 / (counts[cell] * n_conditions[codes])
                for rows, block in blocks(X, np.arange(len(X))):
                    for row, epoch in zip(rows, block, strict=True):
                        total[codes[row]] += weight[row] * _ledoit_wolf(epoch.T)
                        bar.update()
                return total
            n_conditions = np.bincount(cells[0, counts > 1], minlength=n_groups)
            if (n_conditions == 0).any():
                raise ValueError(
                    "mode='time' compares the epochs of a condition, but in"
                    f" {int((n_conditions == 0).sum())} of {n_groups} recordings every condition has one sample only."
                    " Pass mode='epoch', or as y what repeats."
                )
            order = np.argsort(cell, kind="stable")
            for members in np.split(order, np.cumsum(counts)[:-1]):
                if len(members) > 1:
                    data = np.concatenate([block for _, block in blocks(X, members)])
                    each = [_ledoit_wolf(data[:, :, time]) for time in range(X.shape[2])]
                    group = codes[members[0]]
                    total[group] += np.mean(each, axis=0) / n_conditions[group]
                bar.update(len(members))
        return total

    def _map(self, params: np.ndarray) -> tuple[np.ndarray, None]:
        return inverse_root(params), None


def _ledoit_wolf(samples: np.ndarray) -> np.ndarray:
    """Covariance of samples (n_samples, n_chans), shrunk towards the channels' own variances."""
    from sklearn.covariance import ledoit_wolf_shrinkage

    samples = samples.astype(np.float64)
    samples -= samples.mean(axis=0)
    scale = samples.std(axis=0)
    samples /= np.where(scale > 0, scale, 1)
    shrinkage = ledoit_wolf_shrinkage(samples, assume_centered=True)
    covariance = (1 - shrinkage) * (samples.T @ samples) / len(samples)
    covariance.flat[:: len(scale) + 1] += shrinkage * np.mean(scale > 0)  # the mean variance
    return scale[:, None] * covariance * scale
