"""What the networks of the prior share: time, condition, and blocks."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class TimeEmbedding(nn.Module):
    """Two linear layers on the sinusoidal features of a time step.

    Parameters
    ----------
    n_features : int
        Number of sinusoidal features.
    n_outputs : int
        Width of the embedding.
    """

    def __init__(self, n_features: int, n_outputs: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(n_features, n_outputs)
        self.linear_2 = nn.Linear(n_outputs, n_outputs)

    def forward(self, features: Tensor) -> Tensor:
        """Embed features of shape (batch, n_features)."""
        return self.linear_2(nn.functional.silu(self.linear_1(features)))


def sinusoids(t: Tensor, n_features: int) -> Tensor:
    """Cosines and sines of a time step, at frequencies from 1 down to 1/10000.

    Parameters
    ----------
    t : Tensor of shape (batch,)
        Time steps.
    n_features : int
        An even number.

    Returns
    -------
    Tensor of shape (batch, n_features)
        Cosines first.
    """
    half = n_features // 2
    frequency = torch.exp(-math.log(10000) / half * torch.arange(half, device=t.device, dtype=torch.float32))
    phase = t.float()[:, None] * frequency
    return torch.cat([phase.cos(), phase.sin()], dim=1)


def kept(embedded: Tensor, keep: Tensor | None) -> Tensor:
    """The embedded condition, zero in the rows where `keep` is False."""
    return embedded if keep is None else embedded * keep[:, None]


def input_block(n_inputs: int, width: int) -> nn.Sequential:
    """Linear layer, layer normalisation, SiLU."""
    return nn.Sequential(nn.Linear(n_inputs, width), nn.LayerNorm(width), nn.SiLU())


def hidden_block(n_inputs: int, width: int, dropout: float) -> nn.Sequential:
    """The same, with dropout at the end."""
    return nn.Sequential(nn.Linear(n_inputs, width), nn.LayerNorm(width), nn.SiLU(), nn.Dropout(dropout))
