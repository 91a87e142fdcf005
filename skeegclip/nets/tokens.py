"""From channels to tokens: embedding and positions."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class NeighbourEmbedding(nn.Module):
    """Embed each channel together with the two beside it in the order of channels.

    A convolution of length 3 over the channels, whose features are the samples. The linear embedding is the one
    of length 1.

    Parameters
    ----------
    n_times : int
        Number of samples.
    width : int
        Width of a token.

    Examples
    --------
    >>> import torch
    >>> NeighbourEmbedding(250, 64)(torch.zeros(2, 63, 250)).shape
    torch.Size([2, 63, 64])
    """

    def __init__(self, n_times: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(n_times, width, kernel_size=3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map channels (batch, n_chans, n_times) to tokens (batch, n_chans, width)."""
        return self.conv(x.mT).mT


def positions(kind: str, n_tokens: int, width: int) -> Tensor:
    """Return what is added to the tokens: (n_tokens, width), or zeros, to be learned or to stay.

    Examples
    --------
    >>> positions("sinusoidal", 63, 250).shape
    torch.Size([63, 250])
    """
    table = torch.zeros(n_tokens, width)
    if (
        kind == "sinusoidal" and not table.is_meta
    ):  # where only shapes count, arithmetic would load torch's compiler
        # Sines in the even columns, cosines in the odd ones; the wavelengths grow from 2 pi to 10000 * 2 pi.
        angles = torch.arange(n_tokens)[:, None] * 10000.0 ** (-torch.arange(0, width, 2) / width)
        table[:, 0::2] = angles.sin()
        table[:, 1::2] = angles.cos()[:, : width // 2]
    return table
