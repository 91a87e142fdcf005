"""Windowed filter bank on the CPU: temporal filters, ELU and spatial filters, a few epochs at a time.

The plain order writes an activation of (n_epochs, n_windows, n_chans, n_filters) to memory several times;
for 256 epochs of 63 channels that is 93 MB a time, which costs more than the products themselves. Here each
chunk of it is made, used and forgotten while it is in the cache; the backward pass makes it again.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Activations of one chunk, in values: 1 MB of float32 stays in the second-level cache.
_CHUNK = 2**18


def windows(x: Tensor, length: int, step: int) -> Tensor:
    """Cut signals (n_epochs, n_chans, n_times) into rows (n_epochs * n_windows * n_chans, length)."""
    return x.unfold(-1, length, step).transpose(1, 2).reshape(-1, length)


def _elu(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return ELU and its derivative; exp is several times faster than torch's expm1 and as exact to 1e-7."""
    slope = x.clamp(max=0).exp_()
    return torch.maximum(x, slope - 1), slope


class FilterBank(torch.autograd.Function):
    """Temporal filters, ELU, spatial filters: see `filter_bank`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, temporal: Tensor, bias: Tensor, spatial: Tensor, step: int) -> Tensor:
        """Compute the filter bank chunk by chunk."""
        ctx.save_for_backward(x, temporal, bias, spatial)
        ctx.step = step
        outputs = []
        for chunk in x.split(_chunk_size(x, temporal, step)):
            rows = windows(chunk, len(temporal), step)
            active, _ = _elu(torch.addmm(bias, rows, temporal))
            outputs.append(active.view(-1, len(spatial)) @ spatial)
        return torch.cat(outputs).view(len(x), -1, spatial.shape[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Make each chunk's activations again and add up the gradients."""
        x, temporal, bias, spatial = ctx.saved_tensors
        length, step = len(temporal), ctx.step
        grad_x = torch.zeros_like(x) if ctx.needs_input_grad[0] else None
        grad_temporal, grad_bias, grad_spatial = map(torch.zeros_like, (temporal, bias, spatial))
        size = _chunk_size(x, temporal, step)
        for i, (chunk, grad_chunk) in enumerate(zip(x.split(size), grad.split(size), strict=True)):
            rows = windows(chunk, length, step)
            active, slope = _elu(torch.addmm(bias, rows, temporal))
            grad_chunk = grad_chunk.reshape(-1, spatial.shape[1])
            grad_spatial.addmm_(active.view(-1, len(spatial)).T, grad_chunk)
            grad_active = (grad_chunk @ spatial.T).view_as(slope).mul_(slope)
            grad_bias += grad_active.sum(0)
            grad_temporal.addmm_(rows.T, grad_active)
            if grad_x is not None:
                grad_rows = (grad_active @ temporal.T).view(len(chunk), -1, x.shape[1], length)
                _add_windows(grad_x[i * size : i * size + len(chunk)], grad_rows.transpose(1, 2), step)
        return grad_x, grad_temporal, grad_bias, grad_spatial, None


def _chunk_size(x: Tensor, temporal: Tensor, step: int) -> int:
    n_windows = (x.shape[-1] - len(temporal)) // step + 1
    return max(1, _CHUNK // (n_windows * x.shape[1] * temporal.shape[1]))


def _add_windows(x: Tensor, values: Tensor, step: int) -> None:
    """Add values (n_epochs, n_chans, n_windows, length) where the windows of `x` lie, in place."""
    n_windows, length = values.shape[-2:]
    for start in range(0, length, step):  # pieces of at most `step` samples do not overlap
        width = min(step, length - start)
        piece = x[..., start : start + step * (n_windows - 1) + width].unfold(-1, width, step)
        piece += values[..., start : start + width]


class _SecondMoments(torch.autograd.Function):
    """Matrix of second moments of the rows, summed in double precision."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.save_for_backward(rows)
        rows = rows.double()
        return rows.T @ rows

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (rows,) = ctx.saved_tensors
        return rows @ (grad + grad.T).to(rows.dtype)


def window_moments(x: Tensor, length: int, step: int) -> tuple[Tensor, Tensor]:
    """Mean and covariance (biased, float64) of all windows of all signals.

    They give the batch statistics of any filter w applied to the windows, mean `w @ mean` and variance
    `w @ covariance @ w`, without applying it. Double precision, because neighbouring samples of a smooth
    signal are nearly equal: a filter may keep a thousandth of the variance.

    Parameters
    ----------
    x : Tensor of shape (n_epochs, n_chans, n_times)
        The signals.
    length, step : int
        Length of a window, and from one window to the next, in samples.

    Returns
    -------
    mean : Tensor of shape (length,)
    covariance : Tensor of shape (length, length)

    Examples
    --------
    >>> import torch
    >>> x = torch.randn(3, 2, 20)
    >>> mean, covariance = window_moments(x, 4, 3)
    >>> rows = windows(x, 4, 3).double()
    >>> bool(torch.allclose(covariance, torch.cov(rows.T, correction=0), atol=1e-6))
    True
    """
    # A constant taken off beforehand changes no covariance and keeps a large offset out of the sums.
    centre = x.detach().mean()
    rows = (x - centre).flatten(0, 1)
    starts = range(0, x.shape[-1] - length + 1, step)
    moments = _SecondMoments.apply(rows) / len(rows)
    mean = rows.mean(0).double().unfold(0, length, step).mean(0)
    covariance = torch.stack([moments[i : i + length, i : i + length] for i in starts]).mean(0)
    return mean + centre, covariance - torch.outer(mean, mean)
