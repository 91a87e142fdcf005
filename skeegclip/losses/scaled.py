"""Errors on a scale that does not depend on the targets'."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .clip import check_shapes


class _ScaledLoss(nn.Module):
    """Mean of an error of each number, divided by a scale."""

    _error: Callable[..., Tensor]
    _scale_of: Callable[[float], float]

    def __init__(self, variance: float = 1.0) -> None:
        super().__init__()
        if not 0 < variance < math.inf:
            raise ValueError(
                f"variance must be a positive, finite number, got {variance!r}; targets that are all equal have "
                "none, and leave nothing to learn."
            )
        self.scale = self._scale_of(float(variance))

    def forward(self, z: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Compute the loss of a batch.

        Parameters
        ----------
        z : Tensor of shape (batch, d)
            Predictions.
        target : Tensor of shape (batch, d)
            What they should be.
        weight : Tensor of shape (batch,), optional
            Weights of the epochs, not negative. None: all weigh the same.

        Returns
        -------
        Tensor
            Scalar, float32.
        """
        check_shapes(z, target)
        with torch.autocast(z.device.type, enabled=False):
            if weight is None:
                return self._error(z.float(), target.float()) / self.scale
            error = self._error(z.float(), target.float(), reduction="none").mean(1)
            return weight @ error / weight.sum() / self.scale


class ScaledMSELoss(_ScaledLoss):
    r"""Mean squared error divided by the variance of the targets.

    Predicting the targets' mean gives 1, whatever their scale, so that the loss weighs the same against a
    CLIP loss for unit vectors and for raw ones.

    Parameters
    ----------
    variance : float, default=1.0
        Mean over the dimensions of the variance of the training targets over the stimuli.

    Raises
    ------
    ValueError
        If `variance` is not a positive, finite number.

    Examples
    --------
    >>> import torch
    >>> from skeegclip.losses import ScaledMSELoss
    >>> target = torch.tensor([[0.0, 2.0], [4.0, 2.0]])
    >>> loss = ScaledMSELoss(target.var(0, correction=0).mean().item())
    >>> loss(target.mean(0).expand(2, 2), target).item()
    1.0
    """

    _error = staticmethod(F.mse_loss)
    _scale_of = staticmethod(float)


class ScaledMAELoss(_ScaledLoss):
    r"""Mean absolute error divided by the standard deviation of the targets.

    Less moved by outliers than the squared error. Predicting the median of normally distributed targets gives
    :math:`\sqrt{2/\pi} \approx 0.8`.

    Parameters
    ----------
    variance : float, default=1.0
        Mean over the dimensions of the variance of the training targets over the stimuli.

    Raises
    ------
    ValueError
        If `variance` is not a positive, finite number.

    Examples
    --------
    >>> import torch
    >>> from skeegclip.losses import ScaledMAELoss
    >>> ScaledMAELoss(variance=4.0)(torch.zeros(1, 2), torch.tensor([[1.0, -3.0]])).item()
    1.0
    """

    _error = staticmethod(F.l1_loss)
    _scale_of = staticmethod(math.sqrt)
