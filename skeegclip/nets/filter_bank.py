"""Windowed filter bank on the CPU: temporal filters, ELU and spatial filters, a few epochs at a time.

The plain order writes an activation of (n_epochs, n_windows, n_chans, n_filters) to memory several times;
for 256 epochs of 63 channels that is 93 MB a time, which costs more than the products themselves. Here each
chunk of it is made, used and forgotten while it is in the cache; the backward pass makes it again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Activations of one chunk, in values for each thread: 1 MB of float32 stays in the cache of its core.
_CHUNK = 2**18


def windows(x: Tensor, length: int, step: int) -> Tensor:
    """Cut signals (n_epochs, n_chans, n_times) into rows (n_epochs * n_windows * n_chans, length)."""
    return x.unfold(-1, length, step).transpose(1, 2).reshape(-1, length)


class _Chunks:
    """The filters' outputs a few epochs at a time, in memory that every chunk uses again.

    New memory for each chunk would be asked of the system, and cleared by it, hundreds of times a step.
    """

    def __init__(self, x: Tensor, temporal: Tensor, bias: Tensor, step: int) -> None:
        self.x, self.temporal, self.bias, self.step = x, temporal, bias, step
        n_epochs, n_chans, n_times = x.shape
        self.length, n_filters = temporal.shape
        self.n_windows = (n_times - self.length) // step + 1
        fitting = _CHUNK * torch.get_num_threads() // (self.n_windows * n_chans * n_filters)
        self.size = max(1, min(n_epochs, fitting))
        self.rows = x.new_empty(self.size, self.n_windows, n_chans, self.length)
        self.values = [x.new_empty(self.rows[..., 0].numel(), n_filters) for _ in range(3)]

    def __iter__(self) -> Iterator[tuple[slice, slice, Tensor, Tensor, Tensor, Tensor]]:
        """Epochs and output rows of each chunk; its windows, their ELU, the ELU's derivative, and spare memory."""
        for start in range(0, len(self.x), self.size):
            chunk = self.x[start : start + self.size]
            stop = start + len(chunk)
            rows = self.rows[: len(chunk)]
            rows.copy_(chunk.unfold(-1, self.length, self.step).transpose(1, 2))
            active, slope, spare = (values[: rows[..., 0].numel()] for values in self.values)
            torch.addmm(self.bias, rows.view(-1, self.length), self.temporal, out=active)
            # exp is several times faster than torch's expm1 (in its ELU) and as exact to 1e-7.
            torch.clamp(active, max=0, out=slope).exp_()
            torch.maximum(active, torch.sub(slope, 1, out=spare), out=active)
            out = slice(start * self.n_windows, stop * self.n_windows)
            yield slice(start, stop), out, rows, active, slope, spare


class FilterBank(torch.autograd.Function):
    """Temporal filters, ELU, spatial filters: see the module."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, temporal: Tensor, bias: Tensor, spatial: Tensor, step: int) -> Tensor:
        """Compute the filter bank chunk by chunk."""
        ctx.save_for_backward(x, temporal, bias, spatial)
        ctx.step = step
        chunks = _Chunks(x, temporal, bias, step)
        outputs = x.new_empty(len(x) * chunks.n_windows, spatial.shape[1])
        for _, out, _, active, _, _ in chunks:
            torch.mm(active.view(-1, len(spatial)), spatial, out=outputs[out])
        return outputs.view(len(x), chunks.n_windows, spatial.shape[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Make each chunk's activations again and add up the gradients."""
        x, temporal, bias, spatial = ctx.saved_tensors
        length, step = len(temporal), ctx.step
        grad = grad.reshape(-1, spatial.shape[1])
        grad_x = torch.zeros_like(x) if ctx.needs_input_grad[0] else None
        grad_temporal, grad_bias, grad_spatial = map(torch.zeros_like, (temporal, bias, spatial))
        for epochs, out, rows, active, slope, grad_active in _Chunks(x, temporal, bias, step):
            grad_spatial.addmm_(active.view(-1, len(spatial)).T, grad[out])
            torch.mm(grad[out], spatial.T, out=grad_active.view(-1, len(spatial)))
            grad_active.mul_(slope)
            grad_bias += grad_active.sum(0)
            grad_temporal.addmm_(rows.view(-1, length).T, grad_active)
            if grad_x is not None:
                torch.mm(grad_active, temporal.T, out=rows.view(-1, length))
                _add_windows(grad_x[epochs], rows.transpose(1, 2), step)
        return grad_x, grad_temporal, grad_bias, grad_spatial, None


def _add_windows(x: Tensor, values: Tensor, step: int) -> None:
    """Add values (n_epochs, n_chans, n_windows, length) where the windows of `x` lie, in place."""
    n_windows, length = values.shape[-2:]
    for start in range(0, length, step):  # pieces of at most `step` samples do not overlap
        width = min(step, length - start)
        piece = x[..., start : start + step * (n_windows - 1) + width].unfold(-1, width, step)
        piece += values[..., start : start + width]


class _WindowMoments(torch.autograd.Function):
    """Sum over all windows of all rows of the windows' second moments, in double precision.

    A few windows in a row overlap: one product of the samples under them holds the moments of each on its
    diagonal. More of them would compute moments of samples too far apart to be needed.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, length: int, step: int) -> Tensor:
        ctx.save_for_backward(rows)
        ctx.length, ctx.step = length, step
        rows = rows.double()
        total = rows.new_zeros(length, length)
        for span, places in _spans(rows.shape[1], length, step):
            moments = rows[:, span].T @ rows[:, span]
            for place in places:
                total += moments[place, place]
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (rows,) = ctx.saved_tensors
        grad = (grad + grad.T).to(rows.dtype)
        grad_rows = torch.zeros_like(rows)
        for span, places in _spans(rows.shape[1], ctx.length, ctx.step):
            width = span.stop - span.start
            weights = grad.new_zeros(width, width)
            for place in places:
                weights[place, place] += grad
            grad_rows[:, span].addmm_(rows[:, span], weights)
        return grad_rows, None, None


def _spans(n_times: int, length: int, step: int) -> Iterator[tuple[slice, list[slice]]]:
    """Groups of neighbouring windows: the samples under a group, and where in them each of its windows lies."""
    n_windows, size = (n_times - length) // step + 1, -(-3 * length // (2 * step))
    for first in range(0, n_windows, size):
        starts = [step * window for window in range(min(size, n_windows - first))]
        begin = first * step
        yield slice(begin, begin + starts[-1] + length), [slice(i, i + length) for i in starts]


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
    mean = rows.mean(0).double().unfold(0, length, step)
    second = _WindowMoments.apply(rows, length, step) / (len(rows) * len(mean))
    mean = mean.mean(0)
    return mean + centre, second - torch.outer(mean, mean)
