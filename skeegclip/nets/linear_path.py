"""A linear map of the whole epoch, beside a network: what ridge regression would say, before anything is learned."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_BINS, _MOST_FEATURES = 25, 4096


class LinearPath(nn.Module):
    """Means over time bins, mapped linearly.

    The map is set once, from epochs and their targets in closed form, and not learned with the network.

    Parameters
    ----------
    n_outputs : int
        Dimension of the embedding.
    n_chans : int
        Number of channels.
    n_times : int
        Number of samples of an epoch: cut into 25 bins, fewer for more than 163 channels or fewer samples.

    Examples
    --------
    >>> import torch
    >>> path = LinearPath(n_outputs=8, n_chans=4, n_times=100)
    >>> path.features(torch.zeros(3, 4, 100)).shape, path(torch.zeros(3, 4, 100)).shape
    (torch.Size([3, 100]), torch.Size([3, 8]))
    """

    def __init__(self, n_outputs: int, n_chans: int, n_times: int) -> None:
        super().__init__()
        self.n_bins = max(1, min(_BINS, n_times, _MOST_FEATURES // n_chans))
        self.register_buffer("weight", torch.zeros(n_outputs, n_chans * self.n_bins))
        self.register_buffer("bias", torch.zeros(n_outputs))

    def features(self, x: Tensor) -> Tensor:
        """Means of bins as even as the samples allow, (batch, n_chans * n_bins)."""
        width = x.shape[2] / self.n_bins
        ends = [round(width * k) for k in range(self.n_bins + 1)]
        means = [x[:, :, start:stop].mean(2) for start, stop in zip(ends[:-1], ends[1:], strict=True)]
        return torch.stack(means, 2).flatten(1)

    def set_map(self, weight: Tensor, bias: Tensor) -> None:
        """Write the map."""
        self.weight.copy_(weight)
        self.bias.copy_(bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map epochs (batch, n_chans, n_times) to embeddings (batch, n_outputs)."""
        return nn.functional.linear(self.features(x), self.weight, self.bias)
