"""The low-level network of the published code."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from ....nets.sizes import resolve_sizes


class LowLevelReference(nn.Module):
    """One linear layer over time, then transposed convolutions that double a single pixel up to the latent's size.

    With 63 channels, 250 samples and latents of 4 x 64 x 64 these are the published network's 143 million weights, under
    its names (without a temperature that its forward pass never reads).

    Parameters
    ----------
    n_outputs : int
        Number of values of a latent.
    n_chans : int, optional
        Number of channels; taken from `chs_info` where it is not given.
    n_times : int
        Number of samples of an epoch.
    sfreq : float, optional
        Not used.
    chs_info : sequence of dict, optional
        One entry a channel, as in MNE.
    latent_shape : tuple of int
        Channels, height and width of a latent; the published size is (4, 64, 64).
    width : int, default=128
        Features of a channel.
    n_maps : int, default=1024
        Maps after the first doubling; each further one halves them.

    References
    ----------
    Li et al., "Visual Decoding and Reconstruction via EEG Embeddings with Guided Diffusion", NeurIPS 2024,
    arXiv:2403.07721.
    """

    def __init__(
        self,
        n_outputs: int | None = None,
        n_chans: int | None = None,
        n_times: int | None = None,
        sfreq: float | None = None,
        chs_info: Sequence[Any] | None = None,
        *,
        latent_shape: tuple[int, int, int],
        width: int = 128,
        n_maps: int = 1024,
    ) -> None:
        super().__init__()
        _, n_chans, n_times = resolve_sizes(n_outputs, n_chans, n_times, chs_info)
        channels, height, rows = latent_shape
        n_doublings = int(math.log2(height))
        if height != rows or 2**n_doublings != height or n_doublings < 1:
            raise ValueError(
                'net="reference" makes square latents whose side is a power of two,'
                f' got latent_shape={tuple(latent_shape)}. Choose another image_size, or net="linear".'
            )
        if n_maps % 2 ** (n_doublings - 1) or n_maps < 2**n_doublings:
            raise ValueError(
                f"n_maps must be a multiple of {2 ** (n_doublings - 1)}, to be halved {n_doublings - 1} times, got {n_maps}."
            )
        maps = [n_chans * width] + [n_maps // 2**i for i in range(n_doublings)]
        layers: list[nn.Module] = []
        for before, after in pairwise(maps):
            layers += _normed(nn.ConvTranspose2d(before, after, 4, stride=2, padding=1))
        layers += _normed(nn.ConvTranspose2d(maps[-1], max(16, channels), 1))
        layers.append(nn.ConvTranspose2d(max(16, channels), channels, 1))
        self.subject_wise_linear = nn.ModuleList([nn.Linear(n_times, width)])
        self.upsampler = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Predict latents.

        Parameters
        ----------
        x : Tensor of shape (batch, n_chans, n_times)
            Epochs, float32.

        Returns
        -------
        Tensor of shape (batch, n_outputs)
            Latents, flat.
        """
        x = self.subject_wise_linear[0](x).flatten(1)
        return self.upsampler(x[:, :, None, None]).flatten(1)


def _normed(convolution: nn.ConvTranspose2d) -> list[nn.Module]:
    return [convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU()]
