"""Attention over time, the first part of the published ATM-E and MetaEEG."""

from __future__ import annotations

from torch import Tensor, nn

from .tokens import positions
from .transformer import EncoderLayer


class TimeAttention(nn.Module):
    """A transformer layer whose tokens are the samples, each of them as wide as there are channels.

    Parameters
    ----------
    n_chans, n_times : int
        What goes in, and comes out.
    d_ff : int
        Width of the feed-forward part.
    dropout : float, default=0.1
        Dropout of the attention weights and of both branches.

    Examples
    --------
    >>> import torch
    >>> TimeAttention(n_chans=63, n_times=250, d_ff=2048)(torch.zeros(2, 63, 250)).shape
    torch.Size([2, 63, 250])
    """

    def __init__(self, n_chans: int, n_times: int, d_ff: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.register_buffer("positions", positions("sinusoidal", n_times, n_chans), persistent=False)
        self.layer = EncoderLayer(n_chans, n_heads=1, d_ff=d_ff, dropout=dropout, activation=nn.ReLU)
        # The first weights that torch gives its own transformer layer, which the published networks have.
        attention = self.layer.attention
        nn.init.xavier_uniform_(attention.qkv.weight)
        for linear in (attention.qkv, attention.out):
            nn.init.zeros_(linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Let the samples of epochs (batch, n_chans, n_times) look at each other."""
        return self.layer(x.mT + self.positions).mT
