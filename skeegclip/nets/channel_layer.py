"""A channel layer by position: epochs of any cap become those of one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

# Of the logarithm of a weight, which is 0 for a channel in the place of the virtual one: what is farther away counts as this
# far. Not of that below the largest of those that are there: an epoch would mean something else beside others.
_MOST = 60.0


class ChannelLayer(nn.Module):
    """Map the channels of any cap to virtual ones, by attention to where the channels are.

    A virtual channel is a weighted mean of the channels that an epoch has. The logarithm of a weight falls with the
    distance from the virtual channel, so that at first each is an interpolation from its neighbours; to that comes, for
    each virtual channel, a linear function of the Fourier features of the place, which is learned and starts at zero.
    Channels of other types (MEG beside EEG) have no weight: of them a virtual channel is zero.

    Parameters
    ----------
    places : array-like of shape (n_virtual, 4)
        Where the virtual channels are: a unit vector (right, front, up), and a number for the type. Real channels are
        there too, unless it is said otherwise at a call.
    gains : array-like of shape (n_types,), optional
        By what channels of each type are multiplied.
    n_harmonics : int, default=8
        Number of harmonics of the Fourier features in each of two directions.
    sharpness : float, default=50.0
        How fast weights fall at first: with minus the cosine of the angle times this.

    References
    ----------
    Défossez et al., "Decoding speech perception from non-invasive brain recordings", Nature Machine
    Intelligence 5, 2023, arXiv:2208.12266: spatial attention. Benchetrit et al., "Brain decoding: toward
    real-time reconstruction of visual perception", ICLR 2024, arXiv:2310.19812.

    Examples
    --------
    >>> import torch
    >>> layer = ChannelLayer([[0, 0, 1, 0], [0, 1, 0, 0]])
    >>> layer(torch.ones(3, 2, 10)).shape
    torch.Size([3, 2, 10])
    >>> layer(torch.ones(3, 5, 10), torch.tensor([[1.0, 0, 0, 0]] * 5)).shape
    torch.Size([3, 2, 10])
    """

    def __init__(
        self,
        places: Any,
        gains: Any = None,
        n_harmonics: int = 8,
        sharpness: float = 50.0,
    ) -> None:
        super().__init__()
        own = torch.tensor(np.asarray(places, dtype=np.float32))
        self.n_harmonics, self.sharpness = n_harmonics, sharpness
        self.register_buffer("places", own, persistent=False)
        factors = None if gains is None else torch.tensor(np.asarray(gains, dtype=np.float32))
        self.register_buffer("gains", factors, persistent=False)
        self.weight = nn.Parameter(torch.zeros(len(own), 2 * n_harmonics**2))

    def forward(self, x: Tensor, places: Tensor | None = None) -> Tensor:
        """Map epochs.

        Parameters
        ----------
        x : Tensor of shape (batch, n_chans, n_times)
            Epochs; NaN where one lacks a channel.
        places : Tensor of shape (n_chans, 4), optional
            Where these channels are.

        Returns
        -------
        Tensor of shape (batch, n_virtual, n_times)
            Epochs in the virtual channels.
        """
        places = self.places if places is None else places
        here = ~x[:, :, 0].isnan()
        x = torch.where(here[:, :, None], x, torch.zeros_like(x))
        if self.gains is not None:
            x = x * self.gains[places[:, 3].long()][:, None]
        weights = self._weights(places)
        total = here.to(weights.dtype) @ weights.T
        return (weights @ x) / total.clamp(min=torch.finfo(torch.float32).tiny)[:, :, None]

    def _weights(self, places: Tensor) -> Tensor:
        """Weights (n_virtual, n_chans), not yet divided by their sum over the channels that an epoch has."""
        # No matrix product, which half precision would round to steps that the exponential shows.
        nearness = (self.places[:, None, :3] * places[:, :3]).sum(dim=2) - 1
        # The same factor for all weights of a virtual channel, which their sum takes out again.
        own = (self.weight * fourier_features(self.places[:, :3], self.n_harmonics)).sum(dim=1, keepdim=True)
        learned = self.weight @ fourier_features(places[:, :3], self.n_harmonics).T - own.detach()
        same = self.places[:, None, 3] == places[:, 3]
        return (self.sharpness * nearness + learned).float().clamp(-_MOST, _MOST).exp() * same


def fourier_features(directions: Tensor, n_harmonics: int) -> Tensor:
    """Sines and cosines of where unit vectors (n, 3) lie on a map of the head, shape (n, 2 * n_harmonics ** 2).

    The map has the top of the head in its middle, and distances from there as on the head.
    """
    x, y, z = directions.unbind(1)
    angle = torch.acos(z.clamp(-1, 1))
    radius = (x * x + y * y).sqrt().clamp(min=1e-6)  # ONNX knows no hypot
    flat = torch.stack([x, y], 1) * (angle / radius)[:, None] / math.pi  # in [-1, 1]
    numbers = torch.arange(n_harmonics, device=directions.device, dtype=directions.dtype)
    phase = math.pi / 1.2 * flat[:, :, None] * numbers
    phase = (phase[:, 0, :, None] + phase[:, 1, None, :]).flatten(1)
    return torch.cat([phase.cos(), phase.sin()], 1)


class WithChannelLayer(nn.Module):
    """A network behind a channel layer.

    Parameters
    ----------
    layer : ChannelLayer
        The layer.
    net : Module
        Any network.
    """

    def __init__(self, layer: ChannelLayer, net: nn.Module) -> None:
        super().__init__()
        self.channel_layer, self.net = layer, net

    def forward(self, x: Tensor, subject: Tensor | None = None, places: Tensor | None = None) -> Tensor:
        """Embed epochs (batch, n_chans, n_times) of subjects (batch,), of one cap with `places` (batch, n_chans, 4)."""
        x = self.channel_layer(x, None if places is None else places[0])
        return self.net(x) if subject is None else self.net(x, subject=subject)
