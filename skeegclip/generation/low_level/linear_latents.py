"""Latents by ridge regression: what LowLevelDecoder does by default."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.utils import gen_batches

from ..._utils.epoched import is_view
from ..._utils.params import check_number
from ..._utils.ridge import ridge_cv
from ..._utils.stated import Stated
from ..._utils.validation import check_epochs, check_finite, check_same_length
from .._sharing import Fitted, History, Portable, Selection, schema

_EPOCHS_AT_ONCE = 1024


@schema
class _Facts:
    n_chans_: int
    n_times_in_: int
    n_features_in_: int
    ch_names_: tuple[str, ...] | None
    history_: History
    selection_: Selection
    _stated: Stated | None


_FITTED = Fitted(
    _Facts,
    {
        "mean_": ("n_binned",),
        "scale_": ("n_binned",),
        "coefficients_": ("n_binned", "n_kept"),
        "components_": ("n_kept", "n_values"),
        "offset_": ("n_values",),
    },
)


class LinearLatents(Portable, BaseEstimator):
    """Ridge regression of the principal components of latents on epochs averaged in time bins.

    Parameters
    ----------
    n_bins : int
        Bins of an epoch.
    n_components : int
        Principal components of the latents.

    Attributes
    ----------
    mean_, scale_ : ndarray of float32, shape (n_chans * n_bins,)
        How the binned epochs are standardised.
    coefficients_ : ndarray of float32, shape (n_chans * n_bins, n_components)
        Of the regression.
    components_ : ndarray of float32, shape (n_components, n_values)
        The principal components.
    history_, selection_ : list of dict, dict
        Loss out of fold, and the penalty.
    """

    def __init__(self, n_bins: int = 25, n_components: int = 32) -> None:
        self.n_bins = n_bins
        self.n_components = n_components

    def fit(
        self, X: Any, latents: np.ndarray, stimulus: np.ndarray, *, subject: Any, seed: int
    ) -> LinearLatents:
        """Fit on epochs and standardised flat latents, one for each stimulus."""
        start = time.perf_counter()
        self._check_params()
        read = check_epochs(self, X, subject=subject, reset=True).X
        check_same_length(len(read), len(stimulus))
        if len(latents) < 2:
            raise ValueError(
                "n_samples=1 (distinct stimuli): there is nothing to tell apart. Pass 2 or more."
            )
        pca = PCA(min(self.n_components, *latents.shape), svd_solver="randomized", random_state=seed)
        scores = pca.fit_transform(latents)[stimulus]
        C = self._binned(read)
        self.mean_, scale = C.mean(axis=0), C.std(axis=0)
        self.scale_ = np.where(scale > 0, scale, 1).astype(np.float32)
        C = (C - self.mean_) / self.scale_
        offset = scores.mean(axis=0)
        ridge = ridge_cv(C, scores - offset, stimulus, seed)
        self.coefficients_ = ridge.coefficients.astype(np.float32)
        self.components_ = pca.components_.astype(np.float32)
        self.offset_ = (offset @ pca.components_ + pca.mean_).astype(np.float32)
        lost = np.mean(np.sum(ridge.residuals**2, axis=1)) / np.mean(np.sum(scores**2, axis=1))
        self.history_ = [
            {"epoch": 1, "valid_loss": float(lost), "dur": time.perf_counter() - start, "chosen": True}
        ]
        self.selection_ = {"rule": "cross-validation", "epoch": 1, "penalty": ridge.penalty}
        return self

    def transform(self, X: Any, subject: Any = None) -> np.ndarray:
        """Flat latents of epochs."""
        read = check_epochs(self, X, subject=subject, reset=False).X
        scores = ((self._binned(read) - self.mean_) / self.scale_) @ self.coefficients_
        return scores @ self.components_ + self.offset_

    def _binned(self, X: Any) -> np.ndarray:
        """Means in bins, flat; a view is read block by block."""
        _, n_chans, n_times = X.shape
        n_bins = min(self.n_bins, n_times)
        edges = np.linspace(0, n_times, n_bins + 1).round().astype(int)
        binned = np.empty((len(X), n_chans, n_bins), dtype=np.float32)
        for part in gen_batches(len(X), _EPOCHS_AT_ONCE):
            rows = range(part.start, part.stop)
            block = X.read(rows) if is_view(X) else X[part]
            if is_view(X):
                check_finite(block, ch_names=X.ch_names, rows=rows)
            binned[part] = np.add.reduceat(block, edges[:-1], axis=2) / np.diff(edges)
        return binned.reshape(len(X), -1)

    def _check_params(self) -> None:
        check_number("n_bins", self.n_bins, low=1, integer=True)
        check_number("n_components", self.n_components, low=1, integer=True)

    def _fitted(self) -> Fitted:
        return _FITTED

    def _restore(self, weights: dict[str, np.ndarray], device: str) -> None:
        super()._restore(weights, device)
        if self.scale_.min() <= 0 or self.mean_.size != self.n_chans_ * min(self.n_bins, self.n_times_in_):
            raise ValueError("the scales are not those of such epochs")
        if self.n_features_in_ != self.n_chans_ or (self.ch_names_ and len(self.ch_names_) != self.n_chans_):
            raise ValueError("the channels are not as many as it says")
