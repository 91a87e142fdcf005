"""MetaEEG: the network that the code of ATM compares with as "B.D."."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from .layers import Dropout, Linear, layer_norm
from .sizes import check_counts, resolve_sizes
from .time_attention import TimeAttention


class _Convolutions(nn.Module):
    """Three convolutions over time, each followed by GELU and layer normalisation over time; a residual path."""

    def __init__(self, n_chans: int, n_times: int) -> None:
        super().__init__()
        # There are as many filters as samples: the published code takes one number for both.
        self.conv1 = nn.Conv1d(n_chans, n_times, 3, padding=1)
        self.conv2 = nn.Conv1d(n_times, n_times, 3, padding=1)
        self.conv3 = nn.Conv1d(n_times, n_times, 3, padding=1)
        self.norm1, self.norm2, self.norm3 = (layer_norm(n_times) for _ in range(3))
        self.residual_conv = nn.Conv1d(n_chans, n_times, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, n_chans, n_times) to (batch, n_times, n_times)."""
        residual = self.residual_conv(x)
        x = self.norm1(F.gelu(self.conv1(x)))
        x = self.norm2(F.gelu(self.conv2(x)))
        return self.norm3(F.gelu(self.conv3(x))) + residual


class MetaEEG(nn.Module):
    """Attention over time, convolutions with as many filters as samples, and a head for the CLIP loss.

    The paper calls it "B.D.", after the picture decoder of Benchetrit et al. (arXiv:2310.19812), whose own network is
    another: see "simpleconv" in :func:`skeegclip.nets.list_nets`. As published, the linear layer over time that the
    code has for each subject is one for all, and a second head, for the mean squared error, is left out: an encoder
    has one embedding.

    Parameters
    ----------
    n_outputs : int
        Dimension of the embedding.
    n_chans : int, optional
        Number of channels; taken from `chs_info` where it is not given.
    n_times : int
        Number of samples of an epoch.
    sfreq : float, optional
        Sampling frequency in Hz. Not used.
    chs_info : sequence of dict, optional
        One entry a channel, as in MNE.
    d_ff : int, default=2048
        Width of the feed-forward part of the attention layer.
    head_dropout : float, default=0.25
        Dropout at the end.

    Raises
    ------
    ValueError
        If a size is missing or a parameter is out of its range.

    References
    ----------
    Li et al., "Visual Decoding and Reconstruction via EEG Embeddings with Guided Diffusion", NeurIPS 2024,
    arXiv:2403.07721, Table 8.

    Examples
    --------
    >>> import torch
    >>> from skeegclip.nets import MetaEEG
    >>> MetaEEG(n_outputs=1024, n_chans=63, n_times=250)(torch.zeros(2, 63, 250)).shape
    torch.Size([2, 1024])
    """

    def __init__(
        self,
        n_outputs: int | None = None,
        n_chans: int | None = None,
        n_times: int | None = None,
        sfreq: float | None = None,
        chs_info: Sequence[Any] | None = None,
        *,
        d_ff: int = 2048,
        head_dropout: float = 0.25,
    ) -> None:
        super().__init__()
        n_outputs, n_chans, n_times = resolve_sizes(n_outputs, n_chans, n_times, chs_info)
        check_counts(d_ff=d_ff)
        self.attention = TimeAttention(n_chans, n_times, d_ff)
        self.mix_times = Linear(n_times, n_times)
        self.convs = _Convolutions(n_chans, n_times)
        self.projection = Linear(n_times, n_outputs)
        self.aggregation = nn.Linear(n_times, 1)
        norm = layer_norm(n_outputs)
        self.head = nn.Sequential(norm, nn.Linear(n_outputs, n_outputs), nn.GELU(), Dropout(head_dropout))

    def forward(self, x: Tensor) -> Tensor:
        """Embed epochs.

        Parameters
        ----------
        x : Tensor of shape (batch, n_chans, n_times)
            Epochs, float32.

        Returns
        -------
        Tensor of shape (batch, n_outputs)
            Embeddings, not normalised.
        """
        x = self.convs(self.mix_times(self.attention(x)))
        # Samples become dimensions of the embedding, and the filters are summed up.
        return self.head(self.aggregation(self.projection(x).mT).squeeze(-1))
