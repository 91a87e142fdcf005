"""Mean absolute error on a scale that does not depend on the targets'."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .clip import check_shapes


class ScaledMAELoss(nn.Module):
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

    def __init__(self, variance: float = 1.0) -> None:
        super().__init__()
        if not 0 < variance < math.inf:
            raise ValueError(
                f"variance must be a positive, finite number, got {variance!r}; targets that are all equal have "
                "none, and leave nothing to learn."
            )
        self.scale = math.sqrt(variance)

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
                return F.l1_loss(z.float(), target.float()) / self.scale
            error = F.l1_loss(z.float(), target.float(), reduction="none").mean(1)
            return weight @ error / weight.sum() / self.scale
