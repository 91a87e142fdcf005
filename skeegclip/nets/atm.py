"""ATM: attention over channels, temporal-spatial convolution, projection into CLIP space."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .._utils.params import check_option
from .convolution import fitting_lengths, make_convolution
from .layers import Dropout, Linear, ProjectionHead, layer_norm, on_cpu
from .linear_path import LinearPath
from .per_subject import SubjectToken
from .sizes import check_counts, resolve_sizes, warn_shrunk
from .tokens import NeighbourEmbedding, positions
from .transformer import EncoderLayer

# Layer normalisation over a handful of values leaves little but their signs, over one nothing at all.
_MIN_WIDTH = 16

# Queries, keys and values of the epochs that go through the transformer together on the CPU, in values: 16 MB of
# float32. Blocks of more than 32 MB are given back to the system each time and cleared by it when asked for again,
# which costs a batch of 1024 epochs a fifth of its time.
_PART = 2**22

# A step moves a weight by the learning rate at most: so many times that, the network comes in within hundreds of steps.
_GATE = 10.0


class ATM(nn.Module):
    """Adaptive Thinking Mapper, with a temporal-spatial convolution (ATM-S) or EEGNet's ("atm-eegnet").

    Each channel's time course becomes one token, a subject token joins them, and a transformer lets them
    look at each other. A convolution over time and one over channels then turn the channels' tokens into
    features, and a residual network maps these into CLIP space. The parts can be left out, moved or exchanged,
    as in the ablations of the paper.

    The subject token leaves after attention, so that every channel is kept. (The published code drops the
    last channel's token, O2, instead: `skeegclip.load_reference_checkpoint` does as it did.)

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
    attention : bool, default=True
        False leaves out all between the epoch and the convolution: embedding, positions, subject token and
        transformer. What remains is NICE, or, with `conv_position="none"`, a projection of the flat epoch.
    token_embedding : {"linear", "conv1d"}, default="linear"
        How a channel becomes a token: by a linear map of its samples, or of its own and those of the two channels
        beside it in the order of channels.
    positional_encoding : {"sinusoidal", "learnable", "none"}, default="sinusoidal"
        What is added to each channel's token to tell it from the others.
    width : int, optional
        Width of a token. None: as many as there are samples, at least 16.
    depth : int, default=1
        Number of transformer layers.
    n_heads : int, default=4
        Number of attention heads, at most one for each dimension of a token.
    feed_forward : {"temporal", "spatial", "none"}, default="temporal"
        What the feed-forward part of a transformer layer mixes: the features of each token, the tokens, or nothing.
    d_ff : int, default=256
        Width of the feed-forward part of a transformer layer.
    dropout : float, default=0.25
        Dropout in the transformer.
    aggregation : {"keep", "mean", "flatten"}, default="keep"
        What leaves attention: the tokens as channels of a signal, their mean, or all of them in a row. The last two
        go straight into the projection: no convolution can stand after them.
    conv : {"shallow", "eegnet"} or callable, default="shallow"
        The convolution: the one of ATM-S and NICE, that of EEGNet (braindecode's), or a module class of
        your own, called with `n_chans` and `n_times`, that maps (batch, n_chans, n_times) to (batch, ...).
    conv_position : {"after", "before", "both", "none"}, default="after"
        Where it stands. Before attention, its filters' time courses become the tokens. Of two, the second has
        lengths that fit what the first leaves.
    n_filters : int, default=40
        Number of temporal and of spatial filters of the "shallow" convolution.
    kernel_length, pool_length, pool_stride : int, default=25, 51, 5
        Its temporal kernel, averaging window and step, in samples. Epochs too short for them shorten kernel and
        window, with a warning.
    conv_dropout : float, default=0.5
        Its dropout, after the spatial filters.
    head_dropout : float, default=0.5
        Dropout in the residual network at the end.
    linear : bool, default=False
        Whether a linear map of the epoch stands beside all this ("ridge+atm-s"): :class:`skeegclip.EEGEncoder` sets it by
        ridge regression, and what the network adds is multiplied by a number that is learned, from 0 on.

    Raises
    ------
    ValueError
        If a size is missing or a parameter is out of its range.

    References
    ----------
    Li et al., "Visual Decoding and Reconstruction via EEG Embeddings with Guided Diffusion", NeurIPS 2024,
    arXiv:2403.07721; ablations in Tables 3 and 4.

    Examples
    --------
    >>> import torch
    >>> from skeegclip.nets import ATM
    >>> net = ATM(n_outputs=1024, n_chans=63, n_times=250, n_subjects=10).eval()
    >>> net(torch.zeros(2, 63, 250), subject=torch.tensor([3, -1])).shape
    torch.Size([2, 1024])
    """

    last_layers = ("head", "gate")
    _channels = slice(1, None)  # of the tokens that leave attention: all but the subject's

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
        attention: bool = True,
        token_embedding: str = "linear",
        positional_encoding: str = "sinusoidal",
        width: int | None = None,
        depth: int = 1,
        n_heads: int = 4,
        feed_forward: str = "temporal",
        d_ff: int = 256,
        dropout: float = 0.25,
        aggregation: str = "keep",
        conv: str | Callable[..., nn.Module] = "shallow",
        conv_position: str = "after",
        n_filters: int = 40,
        kernel_length: int = 25,
        pool_length: int = 51,
        pool_stride: int = 5,
        conv_dropout: float = 0.5,
        head_dropout: float = 0.5,
        linear: bool = False,
    ) -> None:
        super().__init__()
        n_outputs, n_chans, n_times = resolve_sizes(n_outputs, n_chans, n_times, chs_info)
        check_option("token_embedding", token_embedding, ["linear", "conv1d"])
        check_option("positional_encoding", positional_encoding, ["sinusoidal", "learnable", "none"])
        check_option("feed_forward", feed_forward, ["temporal", "spatial", "none"])
        check_option("aggregation", aggregation, ["keep", "mean", "flatten"])
        check_option("conv_position", conv_position, ["after", "before", "both", "none"])
        if aggregation != "keep" and conv_position in ("after", "both"):
            raise ValueError(
                f"aggregation={aggregation!r} leaves one vector, which a convolution cannot take, but conv_position is"
                f" {conv_position!r}. Set conv_position='none' or 'before', or aggregation='keep'."
            )
        if not callable(conv):
            check_option("conv", conv, ["shallow", "eegnet"])
        check_counts(
            depth=depth, n_heads=n_heads, d_ff=d_ff, n_filters=n_filters, width=1 if width is None else width
        )
        check_counts(kernel_length=kernel_length, pool_length=pool_length, pool_stride=pool_stride)
        lengths = {"kernel_length": kernel_length, "pool_length": pool_length}
        sizes: dict[str, Any] = {
            "n_filters": n_filters,
            "pool_stride": pool_stride,
            "dropout": conv_dropout,
            **lengths,
        }
        self.aggregation, self.has_attention = aggregation, attention

        shape: tuple[int, ...] = (n_chans, n_times)
        seen = None  # how many samples the first convolution gets
        self.tsconv_before = self.tsconv = None
        if conv_position in ("before", "both"):
            seen = n_times
            self.tsconv_before, shape = make_convolution(conv, *shape, as_signal=True, **sizes)
        if attention:
            n_tokens, n_samples = shape
            d_model = width or max(n_samples, _MIN_WIDTH)
            embedding = Linear if token_embedding == "linear" else NeighbourEmbedding
            self.embedding = embedding(n_samples, d_model)
            table = positions(positional_encoding, n_tokens, d_model)
            if positional_encoding == "learnable":
                self.positions = nn.Parameter(table)
            else:
                self.register_buffer("positions", table, persistent=False)
            self.subject = SubjectToken(n_subjects, d_model, subject_dropout, unknown_subject, n_tokens)
            self.dropout = Dropout(dropout)
            self.layers = nn.ModuleList(
                EncoderLayer(d_model, min(n_heads, d_model), d_ff, dropout, feed_forward, n_tokens + 1)
                for _ in range(depth)
            )
            self.norm = layer_norm(d_model)
            shape = (n_tokens, d_model)
        if aggregation == "mean":
            shape = shape[1:]
        if conv_position in ("after", "both"):
            seen = seen or shape[1]
            self.tsconv, shape = make_convolution(conv, *shape, as_signal=False, **sizes)
        self.head = ProjectionHead(math.prod(shape), n_outputs, head_dropout)
        self.linear = LinearPath(n_outputs, n_chans, n_times) if linear else None
        if linear:
            self.gate = nn.Parameter(torch.full((), 1 / _GATE))
        wanted, used = fitting_lengths(conv, seen, **lengths)
        if linear:
            return  # not a published network: it fits itself to any epochs
        if width is not None and attention and self.tsconv_before is None:
            warn_shrunk(width, wanted, used, "Tokens of width")
        else:
            if attention and self.tsconv_before is None:
                wanted, used = {**wanted, "width of a token": n_times}, {**used, "width of a token": d_model}
            warn_shrunk(n_times, wanted, used)

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
        z = self._embed(x, subject)
        if self.linear is None:
            return z
        # Layer normalisation has left vectors of the length sqrt(n_outputs); the path's are of length one.
        return self.linear(x) + _GATE * self.gate / math.sqrt(z.shape[1]) * z

    def _embed(self, x: Tensor, subject: Tensor | None) -> Tensor:
        if self.tsconv_before is not None:
            x = self.tsconv_before(x)
        if self.has_attention:
            x = self._attend_by_part(x, subject) if on_cpu(x) else self._attend(x, subject)
        if self.aggregation == "mean":
            x = x.mean(1)
        if self.tsconv is not None:
            x = self.tsconv(x)
        return self.head(x.flatten(1))

    def _attend_by_part(self, x: Tensor, subject: Tensor | None) -> Tensor:
        n_values = len(x) * 3 * (x.shape[1] + 1) * self.positions.shape[1]
        n_parts = max(1, min(len(x), -(-n_values // _PART)))
        if n_parts == 1:
            return self._attend(x, subject)
        size = -(-len(x) // n_parts)
        size += -size % 4  # products of fours sum alike: see `skeegclip._training.net`
        xs = x.split(size)
        subjects = [None] * len(xs) if subject is None else subject.split(size)
        parts = zip(xs, subjects, strict=True)
        return torch.cat([self._attend(part, of_part) for part, of_part in parts])

    def _attend(self, x: Tensor, subject: Tensor | None) -> Tensor:
        tokens = self.embedding(x) + self.positions
        tokens = torch.cat([self.subject(subject, x.shape[0]).unsqueeze(1), tokens], dim=1)
        tokens = self.dropout(tokens)
        for layer in self.layers:
            tokens = layer(tokens)
        return self.norm(tokens[:, self._channels])
