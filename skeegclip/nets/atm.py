"""ATM-S: attention over channels, temporal-spatial convolution, projection into CLIP space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .layers import Dropout, Linear, ProjectionHead, layer_norm
from .sizes import check_counts, resolve_sizes, shrink_kernels, warn_shrunk
from .subject_token import SubjectToken
from .transformer import EncoderLayer
from .tsconv import TSConv

# Layer normalisation over a handful of values leaves little but their signs, over one nothing at all.
_MIN_WIDTH = 16


class ATM(nn.Module):
    """Adaptive Thinking Mapper with a temporal-spatial convolution (ATM-S).

    Each channel's time course becomes one token, a subject token joins them, and a transformer lets them
    look at each other. A convolution over time and one over channels then turn the channels' tokens into
    features, and a residual network maps these into CLIP space.

    The subject token leaves after attention, so that every channel is kept. The published code drops the
    last channel's token (O2) instead; `keep_subject_token=True` does as it did.

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
    n_subjects : int, default=0
        Number of known subjects.
    subject_dropout : float, default=0.1
        In training, the probability with which a row's own token gives way to the shared one.
    unknown_subject : {"shared", "mean"}, default="shared"
        Token of a subject given as -1: the shared one, or the mean of the known ones.
    positional_encoding : {"sinusoidal", "learnable", "none"}, default="sinusoidal"
        What is added to each channel's token to tell it from the others.
    depth : int, default=1
        Number of transformer layers.
    n_heads : int, default=4
        Number of attention heads, at most one for each dimension of a token.
    d_ff : int, default=256
        Width of the feed-forward part of a transformer layer.
    dropout : float, default=0.25
        Dropout in the transformer.
    n_filters : int, default=40
        Number of temporal and of spatial filters.
    kernel_length, pool_length, pool_stride : int, default=25, 51, 5
        Temporal kernel, averaging window and its step, in samples. Epochs too short for them shorten
        kernel and window, with a warning.
    conv_dropout : float, default=0.5
        Dropout after the spatial convolution.
    head_dropout : float, default=0.5
        Dropout in the residual network at the end.
    keep_subject_token : bool, default=False
        True drops the last channel's token rather than the subject token, as the published code does.

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
    >>> from skeegclip.nets import ATM
    >>> net = ATM(n_outputs=1024, n_chans=63, n_times=250, n_subjects=10).eval()
    >>> net(torch.zeros(2, 63, 250), subject=torch.tensor([3, -1])).shape
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
        n_subjects: int = 0,
        subject_dropout: float = 0.1,
        unknown_subject: str = "shared",
        positional_encoding: str = "sinusoidal",
        depth: int = 1,
        n_heads: int = 4,
        d_ff: int = 256,
        dropout: float = 0.25,
        n_filters: int = 40,
        kernel_length: int = 25,
        pool_length: int = 51,
        pool_stride: int = 5,
        conv_dropout: float = 0.5,
        head_dropout: float = 0.5,
        keep_subject_token: bool = False,
    ) -> None:
        super().__init__()
        n_outputs, n_chans, n_times = resolve_sizes(n_outputs, n_chans, n_times, chs_info)
        check_counts(depth=depth, n_heads=n_heads, d_ff=d_ff, n_filters=n_filters)
        check_counts(kernel_length=kernel_length, pool_length=pool_length, pool_stride=pool_stride)
        width = max(n_times, _MIN_WIDTH)
        kernel, pool = shrink_kernels(width, kernel_length, pool_length)
        warn_shrunk(
            n_times,
            {"kernel_length": kernel_length, "pool_length": pool_length, "width of a token": n_times},
            {"kernel_length": kernel, "pool_length": pool, "width of a token": width},
        )
        n_heads = min(n_heads, width)
        self.keep_subject_token = keep_subject_token
        self.embedding = Linear(n_times, width)
        positions = _positions(positional_encoding, n_chans, width)
        if positional_encoding == "learnable":
            self.positions = nn.Parameter(positions)
        else:
            self.register_buffer("positions", positions, persistent=False)
        self.subject = SubjectToken(n_subjects, width, subject_dropout, unknown_subject)
        self.dropout = Dropout(dropout)
        self.layers = nn.ModuleList(EncoderLayer(width, n_heads, d_ff, dropout) for _ in range(depth))
        self.norm = layer_norm(width)
        self.tsconv = TSConv(n_chans, width, n_filters, kernel, pool, pool_stride, conv_dropout)
        self.head = ProjectionHead(self.tsconv.n_outputs, n_outputs, head_dropout)

    def forward(self, x: Tensor, subject: Tensor | None = None) -> Tensor:
        """Embed epochs.

        Parameters
        ----------
        x : Tensor of shape (batch, n_chans, n_times)
            Epochs, float32.
        subject : Tensor of shape (batch,), optional
            Integers 0 to n_subjects - 1 for known subjects, -1 for an unknown one. None: all unknown.

        Returns
        -------
        Tensor of shape (batch, n_outputs)
            Embeddings, not normalised.
        """
        tokens = self.embedding(x) + self.positions
        tokens = torch.cat([self.subject(subject, len(x)).unsqueeze(1), tokens], dim=1)
        tokens = self.dropout(tokens)
        for layer in self.layers:
            tokens = layer(tokens)
        tokens = tokens[:, :-1] if self.keep_subject_token else tokens[:, 1:]
        return self.head(self.tsconv(self.norm(tokens)))


def _positions(kind: str, n_chans: int, width: int) -> Tensor:
    """Return what is added to the channels' tokens: (n_chans, width), or zeros to be learned."""
    table = torch.zeros(n_chans, width)
    if kind == "sinusoidal":
        # Sines in the even columns, cosines in the odd ones; the wavelengths grow from 2 pi to 10000 * 2 pi.
        angles = torch.arange(n_chans)[:, None] * 10000.0 ** (-torch.arange(0, width, 2) / width)
        table[:, 0::2] = angles.sin()
        table[:, 1::2] = angles.cos()[:, : width // 2]
    elif kind not in ("learnable", "none"):
        raise ValueError(f"positional_encoding must be 'sinusoidal', 'learnable' or 'none', got {kind!r}.")
    return table
