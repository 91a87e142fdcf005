"""braindecode's EEGNet and EEGConformer, whose first two convolutions the CPU computes in a faster order.

Both filter every channel in time and then every filter over the channels, with nothing but a normalisation between. What
stands between is as large as the epochs times the number of filters, and writing and reading it takes most of a training
step. All of it is linear but for the normalisation's statistics, so that the same function, with the same weights, can be
computed without.
"""

from __future__ import annotations

from typing import Any

import torch
from braindecode.models import EEGConformer, EEGNet
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from .layers import on_cpu
from .tsconv import batch_statistics


class QuickEEGNet(EEGNet):
    """EEGNet that filters over channels before it filters in time."""

    def forward(self, x: Tensor) -> Any:
        """Map epochs (batch, n_chans, n_times) to vectors (batch, n_outputs)."""
        time, norm, chans = self.conv_temporal, self.bnorm_temporal, self.conv_spatial
        if not (on_cpu(x) and all(map(_is_plain, (time, norm, chans)))):
            return super().forward(x)
        x = self.dimshuffle(self.ensuredims(x)).squeeze(1)
        kernel, spatial = time.weight.flatten(1), chans.weight.flatten(1)
        with torch.autocast("cpu", enabled=False):
            x = F.pad(x.to(kernel.dtype), (time.padding[1],) * 2)
            if norm.training:
                mean, var = batch_statistics(norm, x, kernel, 1)
            else:
                mean, var = norm.running_mean, norm.running_var
            scale = norm.weight * torch.rsqrt(var + norm.eps)
            n_each = len(spatial) // len(kernel)
            taps = (scale[:, None] * kernel).repeat_interleave(n_each, 0)
            bias = (norm.bias - scale * mean).repeat_interleave(n_each) * spatial.sum(1)
            x = F.conv1d(F.conv1d(x, spatial.unsqueeze(-1)), taps.unsqueeze(1), bias, groups=len(taps))
        x = x.unsqueeze(2)
        names = list(self._modules)
        for name in names[names.index("conv_spatial") + 1 :]:
            x = self._modules[name](x)
        return x


QuickEEGNet.__name__ = EEGNet.__name__  # what errors and reports call it; pickle goes by the qualified name


class TimeThenChannels(nn.Sequential):
    """A convolution in time, one over channels, and more behind them; the two are computed as one."""

    def forward(self, x: Tensor) -> Tensor:
        """Map epochs (batch, 1, n_chans, n_times)."""
        first = list(self)[:2]
        # A slice of it is of its class too, and may hold one of the two, or neither.
        both = len(first) == 2 and all(isinstance(part, nn.Conv2d) and _is_plain(part) for part in first)
        if not (on_cpu(x) and both):
            return super().forward(x)
        time, chans, *behind = self
        with torch.autocast("cpu", enabled=False):
            # (out, filter, channel) and (filter, sample) -> (out, channel, sample)
            weight = torch.einsum("ofc,fk->ock", chans.weight.squeeze(-1), time.weight.flatten(1))
            bias = chans.bias + chans.weight.sum((2, 3)) @ time.bias
        x = F.conv1d(x.squeeze(1), weight, bias).unsqueeze(2)
        for module in behind:
            x = module(x)
        return x


def _is_plain(module: Any) -> bool:
    """Whether nothing is done in a layer beside what its class does: nobody exchanged it, looks at it, or froze its statistics."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    if any(getattr(module, name) for name in hooks):
        return False
    if isinstance(module, _BatchNorm):
        return module.affine and module.track_running_stats and module.momentum is not None
    return type(module).forward is nn.Conv2d.forward


def quicken(net: nn.Module) -> None:
    """Let a network of braindecode compute its first convolutions in the faster order, where it is one of these two."""
    if type(net) is EEGNet:
        net.__class__ = QuickEEGNet
    elif type(net) is EEGConformer:
        net.patch_embedding.shallownet.__class__ = TimeThenChannels
