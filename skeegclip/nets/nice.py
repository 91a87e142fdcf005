"""NICE: temporal-spatial convolution and projection into CLIP space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from .layers import ProjectionHead
from .sizes import check_counts, resolve_sizes, shrink_kernels, warn_shrunk
from .tsconv import TSConv


class NICE(nn.Module):
    """Natural Image Contrast EEG network, without its attention variants.

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
    n_filters : int, default=40
        Number of temporal and of spatial filters.
    kernel_length, pool_length, pool_stride : int, default=25, 51, 5
        Temporal kernel, averaging window and its step, in samples. Epochs too short for them shorten
        kernel and window, with a warning.
    conv_dropout : float, default=0.5
        Dropout after the spatial convolution.
    head_dropout : float, default=0.5
        Dropout in the residual network at the end.

    Raises
    ------
    ValueError
        If a size is missing or a parameter is out of its range.

    References
    ----------
    Song et al., "Decoding Natural Images from EEG for Object Recognition", ICLR 2024, arXiv:2308.13234.

    Examples
    --------
    >>> import torch
    >>> from skeegclip.nets import NICE
    >>> NICE(n_outputs=1024, n_chans=63, n_times=250)(torch.zeros(2, 63, 250)).shape
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
        n_filters: int = 40,
        kernel_length: int = 25,
        pool_length: int = 51,
        pool_stride: int = 5,
        conv_dropout: float = 0.5,
        head_dropout: float = 0.5,
    ) -> None:
        super().__init__()
        n_outputs, n_chans, n_times = resolve_sizes(n_outputs, n_chans, n_times, chs_info)
        check_counts(n_filters=n_filters, pool_stride=pool_stride)
        check_counts(kernel_length=kernel_length, pool_length=pool_length)
        kernel, pool = shrink_kernels(n_times, kernel_length, pool_length)
        warn_shrunk(
            n_times,
            {"kernel_length": kernel_length, "pool_length": pool_length},
            {"kernel_length": kernel, "pool_length": pool},
        )
        self.tsconv = TSConv(n_chans, n_times, n_filters, kernel, pool, pool_stride, conv_dropout)
        self.head = ProjectionHead(self.tsconv.n_outputs, n_outputs, head_dropout)

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
        return self.head(self.tsconv(x))
