"""Layers that several networks share."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """Set values to zero with probability `p` and scale the others up, as torch's own dropout does.

    On the CPU torch draws one random number a value, which takes longer than the matrix products around it.
    Here one 64-bit draw of torch's default generator decides over four values, so that `p` is kept to
    within 1/131072; the scale belongs to the probability that is in fact used.

    Parameters
    ----------
    x : Tensor
        Values of any shape.
    p : float
        Probability of dropping a value, in [0, 1].
    training : bool
        False returns `x` itself.

    Returns
    -------
    Tensor
        Same shape and dtype as `x`.

    Examples
    --------
    >>> import torch
    >>> x = torch.ones(1000)
    >>> sorted(set(dropout(x, 0.5, training=True).tolist()))
    [0.0, 2.0]
    >>> dropout(x, 0.5, training=False) is x
    True
    """
    if not training or p == 0:
        return x
    n_dropped = round(p * 2**16)
    if x.device.type != "cpu" or torch.compiler.is_compiling() or n_dropped == 2**16:
        return F.dropout(x, p)
    draws = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    kept = draws.view(torch.int16)[: x.numel()] >= n_dropped - 2**15
    return x * kept.view(x.shape).to(x.dtype).mul_(2**16 / (2**16 - n_dropped))


class Dropout(nn.Dropout):
    """`torch.nn.Dropout` with random numbers that cost little on the CPU; see `dropout`."""

    def forward(self, input: Tensor) -> Tensor:
        """Drop values in training mode."""
        return dropout(input, self.p, self.training)


def layer_norm(n_features: int) -> nn.Module:
    """Layer normalisation; the identity for a single feature, which normalising would turn into a constant."""
    return nn.LayerNorm(n_features) if n_features > 1 else nn.Identity()


class ProjectionHead(nn.Module):
    """Linear layer, residual GELU block and layer normalisation: the usual way into CLIP space.

    Parameters
    ----------
    n_inputs : int
        Number of features that come in.
    n_outputs : int
        Dimension of the embedding.
    dropout : float
        Dropout at the end of the residual block.

    Examples
    --------
    >>> import torch
    >>> ProjectionHead(12, 8, dropout=0.5)(torch.zeros(3, 12)).shape
    torch.Size([3, 8])
    """

    def __init__(self, n_inputs: int, n_outputs: int, dropout: float) -> None:
        super().__init__()
        self.inputs = nn.Linear(n_inputs, n_outputs)
        self.residual = nn.Sequential(nn.GELU(), nn.Linear(n_outputs, n_outputs), Dropout(dropout))
        self.norm = layer_norm(n_outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map features (batch, n_inputs) to embeddings (batch, n_outputs)."""
        x = self.inputs(x)
        return self.norm(x + self.residual(x))
