"""Layers that several networks share."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


def dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """Set values to zero with probability `p` and scale the others up, as torch's own dropout does.

    On the CPU torch draws one random number a value, which takes longer than the matrix products around it.
    Here one 64-bit draw of torch's default generator decides over eight values where `p` is a multiple of
    1/256, else over four, and `p` is kept to within 1/131072; the scale belongs to the probability that is
    in fact used.

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
    bits, dtype = (8, torch.int8) if (p * 2**8).is_integer() else (16, torch.int16)
    n_dropped = round(p * 2**bits)  # of the 2**bits values that one draw may take
    if x.device.type != "cpu" or torch.compiler.is_compiling() or n_dropped == 2**bits:
        return F.dropout(x, p)
    draws = torch.empty(x.numel() * bits // 64 + 1, dtype=torch.int64).random_(-(2**63), None)
    # What is above the last value that drops, cut to 0 or 1: comparing would take longer than all of this.
    kept = draws.view(dtype)[: x.numel()].view(x.shape).float()
    kept = kept.sub_(n_dropped - 2 ** (bits - 1) - 1).clamp_(0, 1).mul_(2**bits / (2**bits - n_dropped))
    return x * kept.to(x.dtype)


class Dropout(nn.Dropout):
    """`torch.nn.Dropout` with random numbers that cost little on the CPU; see `dropout`."""

    def forward(self, input: Tensor) -> Tensor:
        """Drop values in training mode."""
        return dropout(input, self.p, self.training)


class Linear(nn.Linear):
    """`torch.nn.Linear` whose training on the CPU does not slow down for odd widths.

    The CPU's matrix products take up to 1.7 times as long where the width of the result is no multiple of
    eight (250, the number of samples of a THINGS-EEG2 epoch, is none).
    """

    def forward(self, input: Tensor) -> Tensor:
        """Map the last axis from in_features to out_features."""
        plain = (
            input.device.type != "cpu" or torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu")
        )
        if plain or not torch.is_grad_enabled():
            return F.linear(input, self.weight, self.bias)
        return _AlignedLinear.apply(input, self.weight, self.bias)


class _AlignedLinear(torch.autograd.Function):
    """Linear layer; results and gradients are computed in widths that are multiples of eight, then cut."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        missing = -len(weight) % 8
        return F.linear(x, F.pad(weight, (0, 0, 0, missing)), F.pad(bias, (0, missing)))[..., : len(weight)]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        n_inputs, grad_x = weight.shape[1], None
        if ctx.needs_input_grad[0]:
            grad_x = (grad @ F.pad(weight, (0, -n_inputs % 8)))[..., :n_inputs]
        grad = grad.reshape(-1, len(weight))
        return grad_x, grad.T @ x.reshape(-1, n_inputs), grad.new_ones(len(grad)) @ grad


def on_cpu(x: Tensor) -> bool:
    """Whether a tensor is worked on by the CPU, operation by operation: there another order of them is faster."""
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


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
