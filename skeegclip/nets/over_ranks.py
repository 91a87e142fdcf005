"""Batch normalisation whose batch is spread over several processes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm


class BatchNormOverRanks(_BatchNorm):
    """Batch normalisation by the mean and variance of the rows of all processes.

    What :class:`torch.nn.SyncBatchNorm` does on GPUs, on any device. It takes the place of a batch normalisation, whose
    parameters and running statistics it shares.

    Parameters
    ----------
    norm : nn.BatchNorm1d, nn.BatchNorm2d, ...
        The one it stands for.
    """

    def __init__(self, norm: _BatchNorm) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum, affine=False, track_running_stats=False)
        self.affine, self.track_running_stats = norm.affine, norm.track_running_stats
        self.weight, self.bias = norm.weight, norm.bias
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            self.register_buffer(name, getattr(norm, name))
        self.train(norm.training)

    def _check_input_dim(self, x: Tensor) -> None:
        """Anything goes that the one it stands for would take."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise channels (axis 1) of a share of a batch."""
        if not self.training and self.running_mean is not None:
            return super().forward(x)
        axes = [axis for axis in range(x.ndim) if axis != 1]
        var, mean = torch.var_mean(x.float(), axes, correction=0)
        n_values = x.numel() // x.shape[1]
        mean, var, n_values = self.pool(mean, var, n_values)
        if self.training and self.running_mean is not None:
            self._remember(mean.detach(), var.detach() * (n_values / (n_values - 1)))
        scale = torch.rsqrt(var + self.eps)
        shape = [1, -1] + [1] * (x.ndim - 2)
        x = (x - mean.view(shape)) * scale.view(shape)
        return x if self.weight is None else x * self.weight.view(shape) + self.bias.view(shape)

    def pool(self, mean: Tensor, var: Tensor, n_values: int) -> tuple[Tensor, Tensor, Tensor]:
        """Mean, variance and number of values of all processes, from those of this one."""
        own = torch.cat([mean.new_full((1,), n_values), mean, var])
        rank, size = distributed.get_rank(), distributed.get_world_size()
        table = _Sum.apply(F.pad(own[None], (0, 0, rank, size - rank - 1)))  # a row for each process
        n, means, variances = table[:, 0], table[:, 1 : 1 + len(mean)], table[:, 1 + len(mean) :]
        share = (n / n.sum())[:, None]
        mean = (share * means).sum(0)
        return mean, (share * (variances + (means - mean) ** 2)).sum(0), n.sum()

    def _remember(self, mean: Tensor, var: Tensor) -> None:
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        share = 1 / self.num_batches_tracked if self.momentum is None else self.momentum
        with torch.no_grad():
            for running, value in ((self.running_mean, mean), (self.running_var, var)):
                assert running is not None
                running.lerp_(value.to(running.dtype), share)


class _Sum(torch.autograd.Function):
    """Sum over processes, of values and of gradients: each value moves the loss of every process's rows."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        x = x.clone()
        distributed.all_reduce(x)
        return x

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return _Sum.forward(ctx, gradient)


@contextlib.contextmanager
def batch_norm_over_ranks(module: nn.Module) -> Iterator[None]:
    """A block in which all batch normalisation inside `module` takes the rows of all processes for one batch."""
    plain = {name: part for name, part in module.named_modules() if name and isinstance(part, _BatchNorm)}
    for name, part in plain.items():
        module.set_submodule(name, BatchNormOverRanks(part))
    try:
        yield
    finally:
        for name, part in plain.items():
            module.set_submodule(name, part.train(module.training))
