"""Distance between the distributions of embeddings and of targets."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .clip import check_shapes

_FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)


class MMDLoss(nn.Module):
    r"""Squared maximum mean discrepancy of embeddings and targets, both at unit length.

    It asks that the embeddings of a batch lie where its targets lie, whichever belongs to which: it brings two spaces
    together, and cannot tell a picture from another. With :math:`k` the mean of five Gaussian kernels it is

    .. math:: \frac{1}{n^2} \sum_{ij} k(z_i, z_j) - 2 k(z_i, t_j) + k(t_i, t_j),

              k(a, b) = \frac{1}{5} \sum_{c} \exp\left(-\frac{\lVert a - b \rVert^2}{c \, \bar d}\right),
              \quad c \in \{\tfrac14, \tfrac12, 1, 2, 4\}

    where :math:`\bar d` is the mean squared distance of the targets of the batch: the bandwidths follow the targets, not
    what is learned. All sums include i = j, so that it is never negative, 0 for equal sets, and counts rows by weight.

    References
    ----------
    Gretton et al., "A Kernel Two-Sample Test", JMLR 13, 2012, equation 5; several bandwidths as in Long et al., "Learning
    Transferable Features with Deep Adaptation Networks", ICML 2015, arXiv:1502.02791.

    Examples
    --------
    >>> import torch
    >>> from skeegclip.losses import MMDLoss
    >>> targets = torch.eye(4)
    >>> abs(round(MMDLoss()(targets[[2, 0, 3, 1]], targets).item(), 6))  # in another order
    0.0
    >>> MMDLoss()(-targets, targets).item() > 0.1
    True
    """

    def __init__(self) -> None:
        super().__init__()

    def forward(self, z: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Compute the loss of a batch.

        Parameters
        ----------
        z : Tensor of shape (batch, d)
            Embeddings of the epochs.
        target : Tensor of shape (batch, d)
            Embedding of what was shown in each epoch.
        weight : Tensor of shape (batch,), optional
            Weights of the epochs, not negative; one of weight 2 counts as two equal ones. None: all weigh the same.

        Returns
        -------
        Tensor
            Scalar, float32.
        """
        check_shapes(z, target)
        with torch.autocast(z.device.type, enabled=False):
            n = len(z)
            both = F.normalize(torch.cat([z.float(), target.float()]), dim=-1)
            distance = (2 - 2 * both @ both.T).clamp_min(0)  # of unit vectors
            share = z.new_full((n,), 1 / n, dtype=torch.float32) if weight is None else weight / weight.sum()
            with torch.no_grad():
                mean = (share @ distance[n:, n:] @ share).clamp_min(1e-6)
            kernel = torch.stack([(-distance / (factor * mean)).exp() for factor in _FACTORS]).mean(0)
            signed = torch.cat([share, -share])
            return signed @ kernel @ signed
