"""Epochs smoothed at random."""

from __future__ import annotations

import warnings
from typing import Any

from torch import Tensor
from torch.nn import functional as F

with warnings.catch_warnings():  # of what only braindecode's authors can mend
    for _category in (DeprecationWarning, FutureWarning):
        warnings.simplefilter("ignore", _category)
    from braindecode.augmentation import Transform


def moving_average(X: Tensor, y: Any, n_samples: int) -> tuple[Tensor, Any]:
    """Replace each sample by the mean of those around it.

    Parameters
    ----------
    X : Tensor of shape (batch, n_chans, n_times)
        Epochs.
    y : object
        Their targets, handed through.
    n_samples : int
        How many samples the mean is of; beyond the ends the first and the last one are repeated.

    Returns
    -------
    X : Tensor of shape (batch, n_chans, n_times)
        Smooth epochs.
    y : object
        As given.
    """
    padded = F.pad(X, (n_samples // 2, n_samples - 1 - n_samples // 2), mode="replicate")
    return F.avg_pool1d(padded, n_samples, stride=1), y


class MovingAverage(Transform):
    """Smooth epochs by a moving average, each with some probability.

    Parameters
    ----------
    probability : float
        Of each epoch to be smoothed.
    n_samples : int
        Length of the average in samples.
    random_state : int | RandomState | None
        Seed. Where an :class:`~skeegclip.EEGEncoder` uses it in `augment`, its own seed counts.

    Raises
    ------
    ValueError
        If `n_samples` is not a positive int.

    References
    ----------
    Five samples with a probability of one half are among the augmentations of SUPA-EEG
    (https://github.com/RTae/SUPA-EEG).

    Examples
    --------
    >>> import torch
    >>> from skeegclip.augmentation import MovingAverage
    >>> smooth = MovingAverage(probability=1.0, n_samples=3)
    >>> smooth(torch.tensor([[[0.0, 0.0, 3.0, 0.0, 0.0]]]))
    tensor([[[0., 1., 1., 1., 0.]]])
    """

    operation = staticmethod(moving_average)

    def __init__(self, probability: float = 0.5, n_samples: int = 5, random_state: Any = None) -> None:
        super().__init__(probability=probability, random_state=random_state)
        if isinstance(n_samples, bool) or not isinstance(n_samples, int) or n_samples < 1:
            raise ValueError(f"n_samples must be a positive int, got {n_samples!r}.")
        self.n_samples = n_samples

    def get_augmentation_params(self, *batch: Any) -> dict[str, Any]:
        """Return the arguments of the operation.

        Parameters
        ----------
        *batch : tuple
            A batch; not looked at.

        Returns
        -------
        dict
            `n_samples`.
        """
        return {"n_samples": self.n_samples}
