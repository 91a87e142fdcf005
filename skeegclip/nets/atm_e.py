"""ATM-E as its code published it: attention over time, EEGNet, projection into CLIP space."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from .convolution import EEGNetConv
from .layers import Linear, ProjectionHead
from .published import eegnet
from .sizes import check_counts, resolve_sizes, warn_shrunk
from .time_attention import TimeAttention


class ATME(nn.Module):
    """Adaptive Thinking Mapper with EEGNet's convolution (ATM-E), as published.

    Samples look at each other, a linear layer mixes the samples of every channel, EEGNet turns them into features,
    and a residual network maps these into CLIP space. There is no subject token. (The paper describes ATM-E with
    attention over *channels*, as ATM-S has it: that is ``ATM(conv="eegnet")``, "atm-eegnet" by name.)

    Parameters
    ----------
    n_outputs : int
        Dimension of the embedding.
    n_chans : int, optional
        Number of channels; taken from `chs_info` where it is not given.
    n_times : int
        Number of samples of an epoch.
    sfreq : float, optional
        Sampling frequency in Hz. Not used: lengths are in samples, as published (for 250 Hz).
    chs_info : sequence of dict, optional
        One entry a channel, as in MNE.
    d_ff : int, default=2048
        Width of the feed-forward part of the attention layer.
    n_features : int, default=1440
        Number of features that EEGNet gives.
    head_dropout : float, default=0.5
        Dropout in the residual network at the end.

    Raises
    ------
    ValueError
        If a size is missing or a parameter is out of its range.

    References
    ----------
    Li et al., "Visual Decoding and Reconstruction via EEG Embeddings with Guided Diffusion", NeurIPS 2024,
    arXiv:2403.07721.

    Examples
    --------
    >>> import torch
    >>> from skeegclip.nets import ATME
    >>> ATME(n_outputs=1024, n_chans=63, n_times=250)(torch.zeros(2, 63, 250)).shape
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
        n_features: int = 1440,
        head_dropout: float = 0.5,
    ) -> None:
        super().__init__()
        n_outputs, n_chans, n_times = resolve_sizes(n_outputs, n_chans, n_times, chs_info)
        check_counts(d_ff=d_ff, n_features=n_features)
        self.attention = TimeAttention(n_chans, n_times, d_ff)
        self.mix_times = Linear(n_times, n_times)
        self.eegnet = EEGNetConv(n_chans, n_times, n_features)
        self.head = ProjectionHead(n_features, n_outputs, head_dropout)
        warn_shrunk(n_times, eegnet(sys.maxsize), eegnet(n_times))

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
        return self.head(self.eegnet(self.mix_times(self.attention(x))))
