"""MLP: the projector that the ATM paper compares with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from .layers import Dropout, layer_norm
from .sizes import resolve_sizes


class _Mix(nn.Sequential):
    """Layer normalisation, linear layer, GELU and dropout along the last axis."""

    def __init__(self, n_inputs: int, n_outputs: int, dropout: float) -> None:
        super().__init__(layer_norm(n_inputs), nn.Linear(n_inputs, n_outputs), nn.GELU(), Dropout(dropout))


class MLP(nn.Module):
    """Multi-layer perceptron that mixes time and channels in turn.

    Every block maps the time axis and then the channel axis through layer normalisation, a linear layer,
    GELU and dropout; the last block leaves one channel, whose time axis is the embedding. As published, the
    embedding comes out of a GELU and has unit length.

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
    n_hidden_times : int, default=1024
        Length of the hidden time axis.
    n_hidden_chans : int, default=64
        Length of the hidden channel axis.
    n_hidden_blocks : int, default=2
        Number of blocks between the first and the last.
    dropout : float, default=0.25
        Dropout after every GELU.
    unit_norm : bool, default=True
        Scale each embedding to unit length. False lets the mean squared error reach targets of any length.

    Raises
    ------
    ValueError
        If a size is missing.

    References
    ----------
    Li et al., "Visual Decoding and Reconstruction via EEG Embeddings with Guided Diffusion", NeurIPS 2024,
    arXiv:2403.07721, Table 8.

    Examples
    --------
    >>> import torch
    >>> from skeegclip.nets import MLP
    >>> MLP(n_outputs=1024, n_chans=63, n_times=250)(torch.randn(2, 63, 250)).shape
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
        n_hidden_times: int = 1024,
        n_hidden_chans: int = 64,
        n_hidden_blocks: int = 2,
        dropout: float = 0.25,
        unit_norm: bool = True,
    ) -> None:
        super().__init__()
        n_outputs, n_chans, n_times = resolve_sizes(n_outputs, n_chans, n_times, chs_info)
        self.unit_norm = unit_norm
        times = [n_times, *[n_hidden_times] * (n_hidden_blocks + 1), n_outputs]
        chans = [n_chans, *[n_hidden_chans] * (n_hidden_blocks + 1), 1]
        self.time_mixers = nn.ModuleList(_Mix(a, b, dropout) for a, b in zip(times, times[1:], strict=False))
        self.chan_mixers = nn.ModuleList(_Mix(a, b, dropout) for a, b in zip(chans, chans[1:], strict=False))

    def forward(self, x: Tensor) -> Tensor:
        """Embed epochs.

        Parameters
        ----------
        x : Tensor of shape (batch, n_chans, n_times)
            Epochs, float32.

        Returns
        -------
        Tensor of shape (batch, n_outputs)
            Embeddings, of unit length unless `unit_norm=False`.
        """
        for mix_time, mix_chans in zip(self.time_mixers, self.chan_mixers, strict=True):
            x = mix_chans(mix_time(x).mT).mT
        x = x.squeeze(1)
        return F.normalize(x, dim=-1) if self.unit_norm else x
