"""EEG-ITNet as the ATM paper compared with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn.utils import parametrize

from ._braindecode import braindecode_models
from .build import build_net
from .sizes import resolve_sizes


class EEGITNet(nn.Module):
    """EEG-ITNet of the braindecode that the paper used (0.8), with raw outputs.

    braindecode has since followed the authors of EEG-ITNet in three things: the layer that reduces the dimensions
    keeps their number, where the version used then doubled it, and the norms of the spatial filters and of the last
    layer are limited. braindecode's network of today is "EEGITNet".

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
    drop_prob : float, default=0.4
        Dropout.
    pool_kernel : int, default=4
        Averaging window after the inception block, in samples.
    tcn_kernel_size : int, default=4
        Kernel of the causal convolutions and the averaging window after them, in samples of what is left then.

    Raises
    ------
    ValueError
        If a size is missing, or the epochs are too short.

    References
    ----------
    Salami et al., "EEG-ITNet: An Explainable Inception Temporal Convolutional Network for Motor Imagery
    Classification", arXiv:2204.06947.

    Examples
    --------
    >>> import torch
    >>> EEGITNet(n_outputs=1024, n_chans=63, n_times=250)(torch.zeros(2, 63, 250)).shape
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
        drop_prob: float = 0.4,
        pool_kernel: int = 4,
        tcn_kernel_size: int = 4,
    ) -> None:
        super().__init__()
        n_outputs, n_chans, n_times = resolve_sizes(n_outputs, n_chans, n_times, chs_info)
        sizes = {"n_chans": n_chans, "n_times": n_times, "n_outputs": n_outputs, "sfreq": sfreq}
        lengths = {
            "pool_kernel": pool_kernel,
            "tcn_kernel_size": tcn_kernel_size,
            "tcn_padding": tcn_kernel_size - 1,
        }
        net: Any = build_net(braindecode_models().EEGITNet, {**sizes, **lengths, "drop_prob": drop_prob})
        for layer in net.modules():
            if parametrize.is_parametrized(layer):
                parametrize.remove_parametrizations(layer, "weight")
        n_filters = net.dim_reduction[0].in_channels
        net.dim_reduction = nn.Sequential(
            nn.Conv2d(n_filters, 2 * n_filters, (1, 1)),
            nn.BatchNorm2d(2 * n_filters),
            nn.ELU(),
            nn.AvgPool2d((1, tcn_kernel_size)),
            nn.Dropout(drop_prob),
        )
        net.final_layer = nn.Linear(2 * n_filters * (n_times // pool_kernel // tcn_kernel_size), n_outputs)
        self.net = net

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
        return self.net(x)
