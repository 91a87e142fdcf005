"""EEGProject: one residual block on the flattened epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from .layers import ProjectionHead
from .sizes import resolve_sizes


class EEGProject(nn.Module):
    """Linear layer on the flattened epoch, residual GELU block, layer normalisation.

    Small and strong where repetitions were averaged.

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
    dropout : float, default=0.3
        Dropout at the end of the residual block.

    Raises
    ------
    ValueError
        If a size is missing.

    References
    ----------
    Wu et al., "Bridging the Vision-Brain Gap with an Uncertainty-Aware Blur Prior", CVPR 2025,
    arXiv:2503.04207.

    Examples
    --------
    >>> import torch
    >>> from skeegclip.nets import EEGProject
    >>> EEGProject(n_outputs=1024, n_chans=17, n_times=100)(torch.zeros(2, 17, 100)).shape
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
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        n_outputs, n_chans, n_times = resolve_sizes(n_outputs, n_chans, n_times, chs_info)
        self.head = ProjectionHead(n_chans * n_times, n_outputs, dropout)

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
        return self.head(x.flatten(1))
