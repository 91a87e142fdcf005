"""Temporal-spatial convolution, the shared body of NICE and ATM, in its fast order."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from .filter_bank import FilterBank, window_moments, windows
from .layers import Dropout, on_cpu
from .over_ranks import BatchNormOverRanks


class TSConv(nn.Module):
    """Temporal convolution, average pooling, spatial convolution and a 1x1 projection.

    The function is that of Conv2d (1, kernel) - AvgPool2d - BatchNorm - ELU - Conv2d (n_chans, 1) -
    BatchNorm - ELU - Dropout - Conv2d (1, 1), and the parameters have their shapes. It is computed in
    another order: pooling and temporal convolution commute, so the signal is averaged first, at every
    sample, and convolved only at every `pool_stride`-th; the spatial convolution is one matrix product.

    Parameters
    ----------
    n_chans : int
        Number of channels.
    n_times : int
        Number of samples, at least `kernel_length + pool_length - 1`.
    n_filters : int
        Number of temporal and of spatial filters.
    kernel_length, pool_length, pool_stride : int
        Temporal kernel, averaging window and step between windows, in samples.
    dropout : float
        Dropout before the 1x1 projection.
    as_signal : bool
        Return (batch, n_filters, n_windows), to be used as a signal again, rather than flat features.

    References
    ----------
    Song et al., "Decoding Natural Images from EEG for Object Recognition", arXiv:2308.13234.

    Examples
    --------
    >>> import torch
    >>> TSConv(n_chans=63, n_times=250)(torch.zeros(2, 63, 250)).shape
    torch.Size([2, 1440])
    """

    def __init__(
        self,
        n_chans: int,
        n_times: int,
        n_filters: int = 40,
        kernel_length: int = 25,
        pool_length: int = 51,
        pool_stride: int = 5,
        dropout: float = 0.5,
        as_signal: bool = False,
    ) -> None:
        super().__init__()
        self.as_signal = as_signal
        self.pool_length, self.pool_stride = pool_length, pool_stride
        self.temporal = nn.Conv2d(1, n_filters, (1, kernel_length))
        self.temporal_norm = nn.BatchNorm1d(n_filters)
        self.spatial = nn.Conv2d(n_filters, n_filters, (n_chans, 1))
        self.spatial_norm = nn.BatchNorm1d(n_filters)
        self.dropout = Dropout(dropout)
        self.projection = nn.Conv2d(n_filters, n_filters, (1, 1))
        self.n_outputs = n_filters * ((n_times - kernel_length - pool_length + 1) // pool_stride + 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map signals (batch, n_chans, n_times) to features (batch, n_windows * n_filters), or to signals."""
        n_filters = self.spatial.out_channels
        # (filter out, filter in, channel) -> rows (channel, filter in) of one matrix.
        spatial = self.spatial.weight.squeeze(-1).permute(2, 1, 0).reshape(-1, n_filters)
        x = self._filter_on_cpu(x, spatial) if on_cpu(x) else self._filter(x, spatial)
        x = self.spatial_norm((x + self.spatial.bias).flatten(0, 1)).view_as(x)
        x = self.dropout(F.elu(x))
        x = F.linear(x, self.projection.weight.flatten(1), self.projection.bias)
        return x.mT if self.as_signal else x.flatten(1)

    def _filter(self, x: Tensor, spatial: Tensor) -> Tensor:
        kernel = self.temporal.weight.flatten(1)
        # Neighbouring samples of the average are nearly equal: their differences need full precision.
        with torch.autocast(x.device.type, enabled=False):
            x = F.avg_pool1d(x.to(kernel.dtype), self.pool_length, 1)
            rows = F.linear(windows(x, kernel.shape[1], self.pool_stride), kernel, self.temporal.bias)
            rows = F.elu(self.temporal_norm(rows), inplace=True)
        return rows.view(x.shape[0], -1, len(spatial)) @ spatial

    def _filter_on_cpu(self, x: Tensor, spatial: Tensor) -> Tensor:
        """Fold the normalisation into the temporal filters, so that no activation is written to memory."""
        norm, kernel = self.temporal_norm, self.temporal.weight.flatten(1)
        with torch.autocast("cpu", enabled=False):
            x = _MovingAverage.apply(x.to(kernel.dtype), self.pool_length)
            if norm.training:
                mean, var = batch_statistics(norm, x, kernel, self.pool_stride, self.temporal.bias)
            else:
                mean, var = norm.running_mean, norm.running_var
            scale = norm.weight * torch.rsqrt(var + norm.eps)
            bias = norm.bias + scale * (self.temporal.bias - mean)
            filters = (scale[:, None] * kernel).T.contiguous()
            return FilterBank.apply(x, filters, bias, spatial, self.pool_stride)


def batch_statistics(
    norm: Any, x: Tensor, kernel: Tensor, step: int, bias: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Mean and variance over the batch of what temporal filters give, without applying them.

    Parameters
    ----------
    norm : BatchNorm1d, BatchNorm2d or BatchNormOverRanks
        The normalisation of the filters' outputs, whose running statistics are brought up to date.
    x : Tensor of shape (batch, n_chans, n_times)
        What is filtered.
    kernel : Tensor of shape (n_filters, length)
        The filters.
    step : int
        From one window to the next, in samples.
    bias : Tensor of shape (n_filters,), optional
        What is added to each filter's output.

    Returns
    -------
    mean, var : Tensor of shape (n_filters,)
        Of each filter; the variance is that of all values, not an estimate from them.
    """
    length = kernel.shape[1]
    n_values = len(x) * x.shape[1] * ((x.shape[-1] - length) // step + 1)
    if n_values == 1:
        raise ValueError("Batch normalisation cannot train on one epoch of one channel and one window.")
    moments = window_moments(x, length, step)
    filters = kernel.double()
    mean = (filters @ moments[0]).to(x.dtype)
    if bias is not None:
        mean = mean + bias
    var = ((filters @ moments[1]) * filters).sum(1).clamp(min=0).to(x.dtype)
    if isinstance(norm, BatchNormOverRanks):
        mean, var, n_values = norm.pool(mean, var, n_values)
    with torch.no_grad():
        norm.num_batches_tracked += 1
        norm.running_mean.lerp_(mean, norm.momentum)
        norm.running_var.lerp_(var * (n_values / (n_values - 1)), norm.momentum)
    return mean, var


class _MovingAverage(torch.autograd.Function):
    """`F.avg_pool1d` with a step of one, which takes many times as long on the CPU."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, length: int) -> Tensor:
        ctx.length = length
        return _moving_sums(x, length).div_(length)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        missing = ctx.length - 1
        return _moving_sums(F.pad(grad, (missing, missing)), ctx.length).div_(ctx.length), None


def _moving_sums(x: Tensor, length: int) -> Tensor:
    """Sums of `length` neighbouring samples of all epochs, a few of them at a time, in the cache."""
    size = max(1, 2**18 // (x.shape[1] * x.shape[2]))
    return torch.cat([_moving_sum(part, length) for part in x.split(size)])


def _moving_sum(x: Tensor, length: int) -> Tensor:
    """Sums of `length` neighbouring samples, put together of sums of 1, 2, 4, 8, ..."""
    n_sums, done, power = x.shape[-1] - length + 1, 0, 1
    total = x.new_zeros(*x.shape[:-1], n_sums)
    while done < length:
        if length & power:
            total += x[..., done : done + n_sums]
            done += power
        if done < length:
            x = x[..., :-power] + x[..., power:]
            power *= 2
    return total
