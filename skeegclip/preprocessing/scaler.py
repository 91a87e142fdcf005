"""EpochScaler: one offset and one factor for each channel."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._utils.epoched import Epoched
from .._utils.params import check_option
from ._channels import ChannelTransformer, blocks
from ._quantiles import channel_quantiles
from ._recordings import Groups

_NORMAL_IQR = 1.3489795003921634  # interquartile range of the normal distribution


class EpochScaler(ChannelTransformer):
    """Centre and scale each channel, over all epochs and times of the training data.

    Parameters
    ----------
    method : "standard" | "robust"
        "standard" uses mean and standard deviation, "robust" median and interquartile range (divided by 1.349, so that
        normal noise comes out with unit variance from both). Both are exact, and read a view in blocks.
    per_subject : bool
        Whether each subject, and each session where known, has an offset and a factor of its own.
    unknown : "error" | "pooled" | "transductive" | int
        With `per_subject`, what to do with a subject or session not seen in fit: refuse it; use the mean of the
        subject's other sessions, or else of everybody; or learn from the epochs to be transformed, or from the first so
        many of them of each subject and session. The last two look at test data, and reports should say so: see
        `transductive_`.

    Attributes
    ----------
    center_, scale_ : ndarray, shape (n_groups, n_chans)
        What is subtracted, and then divided by, in the order of `groups_`. Where a channel is constant the scale is 1.
    groups_ : Groups
        Subjects and sessions seen in fit (``groups_.keys``); a single one without `per_subject`.
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
    MVNN : Whiten the channels together.

    Examples
    --------
    >>> import numpy as np
    >>> from skeegclip import EpochsView
    >>> from skeegclip.preprocessing import EpochScaler
    >>> X = np.random.default_rng(0).normal(5, 20, size=(40, 3, 50))
    >>> view = EpochsView.from_arrays(X, subject=np.repeat(["ana", "ben"], 20))
    >>> scaled = EpochScaler("robust", per_subject=True).fit_transform(view)
    >>> scaled, float(np.std(scaled).round(2))
    (EpochsView(shape=(40, 3, 50), columns=['subject']), 1.0)
    """

    def __init__(self, method="standard", *, per_subject=False, unknown="error"):
        self.method = method
        self.per_subject = per_subject
        self.unknown = unknown

    def _check_params(self) -> None:
        check_option("method", self.method, ["standard", "robust"])
        super()._check_params()

    def _groups(self, read: Epoched, session: np.ndarray | None) -> np.ndarray:
        if self.per_subject:
            return super()._groups(read, session)
        self.groups_, codes = Groups.of(None, None, len(read.X))
        return codes

    def _shape(self) -> tuple[int, int]:
        return 2, self.n_chans_

    @property
    def center_(self) -> np.ndarray:  # numpydoc ignore=GL08
        return self._params[:, 0]

    @property
    def scale_(self) -> np.ndarray:  # numpydoc ignore=GL08
        return self._params[:, 1]

    def _learn(self, X: Any, codes: np.ndarray, n_groups: int, conditions: np.ndarray) -> np.ndarray:
        learn = _robust if self.method == "robust" else _standard
        params = np.stack([learn(X, np.flatnonzero(codes == group)) for group in range(n_groups)])
        params[:, 1][params[:, 1] == 0] = 1
        return params

    def _map(self, params: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return 1 / params[:, 1], params[:, 0]


def _standard(X: Any, rows: np.ndarray) -> np.ndarray:
    """Mean and standard deviation of each channel."""
    total = np.zeros((2, X.shape[1]))
    shift: Any = None  # near the mean, so that squares of large offsets do not swallow small variances
    for _, block in blocks(X, rows):
        data = block.astype(np.float64)
        shift = data[0].mean(axis=1)[:, None] if shift is None else shift
        data -= shift
        total += data.sum(axis=(0, 2)), np.square(data).sum(axis=(0, 2))
    mean, square = total / (len(rows) * X.shape[2])
    return np.stack([mean + shift[:, 0], np.sqrt(np.maximum(square - mean**2, 0))])


def _robust(X: Any, rows: np.ndarray) -> np.ndarray:
    """Median and interquartile range of each channel."""

    def read():
        return (block for _, block in blocks(X, rows))

    low, middle, high = channel_quantiles(read, X.shape[1], len(rows) * X.shape[2], [0.25, 0.5, 0.75])
    return np.stack([middle, (high - low) / _NORMAL_IQR])
