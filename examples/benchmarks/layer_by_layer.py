"""The published ATM-S, NICE, EEGProject and MLP written layer by layer, in the order of the papers.

The benchmarks measure against these networks, and the tests prove that `skeegclip.nets` computes the same
function.
"""

from __future__ import annotations

import math

import torch
from torch import nn


class PlainTSConv(nn.Module):
    """Temporal convolution, pooling, spatial convolution and 1x1 projection, one layer after the other."""

    def __init__(self, n_chans, n_filters=40, kernel=25, pool=51, stride=5, dropout=0.5):
        super().__init__()
        self.temporal = nn.Conv2d(1, n_filters, (1, kernel))
        self.pool = nn.AvgPool2d((1, pool), (1, stride))
        self.temporal_norm = nn.BatchNorm2d(n_filters)
        self.spatial = nn.Conv2d(n_filters, n_filters, (n_chans, 1))
        self.spatial_norm = nn.BatchNorm2d(n_filters)
        self.elu = nn.ELU()
        self.dropout = nn.Dropout(dropout)
        self.projection = nn.Conv2d(n_filters, n_filters, (1, 1))

    def forward(self, x):
        x = self.pool(self.temporal(x.unsqueeze(1)))
        x = self.elu(self.temporal_norm(x))
        x = self.elu(self.spatial_norm(self.spatial(x)))
        x = self.projection(self.dropout(x))
        return x.squeeze(2).transpose(1, 2).flatten(1)


class PlainHead(nn.Module):
    """Linear layer, residual GELU block, layer normalisation."""

    def __init__(self, n_inputs, n_outputs, dropout=0.5):
        super().__init__()
        self.inputs = nn.Linear(n_inputs, n_outputs)
        self.residual = nn.Sequential(nn.GELU(), nn.Linear(n_outputs, n_outputs), nn.Dropout(dropout))
        self.norm = nn.LayerNorm(n_outputs)

    def forward(self, x):
        x = self.inputs(x)
        return self.norm(x + self.residual(x))


class PlainAttention(nn.Module):
    """Attention with one matrix each for queries, keys and values, and an explicit softmax."""

    def __init__(self, d_model, n_heads, dropout):
        super().__init__()
        self.n_heads = n_heads
        inner = d_model // n_heads * n_heads
        self.query, self.key, self.value = (nn.Linear(d_model, inner) for _ in range(3))
        self.out = nn.Linear(inner, d_model)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        batch, n_tokens, _ = x.shape
        q, k, v = (f(x).view(batch, n_tokens, self.n_heads, -1) for f in (self.query, self.key, self.value))
        scores = torch.einsum("blhe,bshe->bhls", q, k) / q.shape[-1] ** 0.5
        weights = self.dropout(torch.softmax(scores, -1))
        return self.out(torch.einsum("bhls,bshd->blhd", weights, v).reshape(batch, n_tokens, -1))


class PlainEncoderLayer(nn.Module):
    """Post-norm transformer layer whose feed-forward part is two convolutions of kernel 1."""

    def __init__(self, d_model, n_heads, d_ff, dropout):
        super().__init__()
        self.attention = PlainAttention(d_model, n_heads, dropout)
        self.attention_norm = nn.LayerNorm(d_model)
        self.feed_forward = nn.Sequential(
            nn.Conv1d(d_model, d_ff, 1), nn.GELU(), nn.Dropout(dropout), nn.Conv1d(d_ff, d_model, 1)
        )
        self.feed_forward_norm = nn.LayerNorm(d_model)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        x = self.attention_norm(x + self.dropout(self.attention(x)))
        y = self.dropout(self.feed_forward(x.transpose(1, 2)).transpose(1, 2))
        return self.feed_forward_norm(x + y)


class PlainNICE(nn.Module):
    """NICE without its self-attention variants."""

    def __init__(self, n_outputs=1024, n_chans=63, n_times=250, dropout=0.5):
        super().__init__()
        self.tsconv = PlainTSConv(n_chans, dropout=dropout)
        self.head = PlainHead(40 * ((n_times - 75) // 5 + 1), n_outputs, dropout)

    def forward(self, x):
        return self.head(self.tsconv(x))


class PlainEEGProject(nn.Module):
    """The projection head on the flattened epoch."""

    def __init__(self, n_outputs=1024, n_chans=63, n_times=250, dropout=0.3):
        super().__init__()
        self.head = PlainHead(n_chans * n_times, n_outputs, dropout)

    def forward(self, x):
        return self.head(x.flatten(1))


class PlainMLP(nn.Module):
    """Four blocks that mix times, then channels, and bring the result to unit length."""

    def __init__(self, n_outputs=1024, n_chans=63, n_times=250, dropout=0.25):
        super().__init__()

        def mix(n_inputs, n_results):
            layers = nn.LayerNorm(n_inputs), nn.Linear(n_inputs, n_results), nn.GELU(), nn.Dropout(dropout)
            return nn.Sequential(*layers)

        times, chans = [n_times, 1024, 1024, 1024, n_outputs], [n_chans, 64, 64, 64, 1]
        self.time_mixers = nn.ModuleList(map(mix, times, times[1:]))
        self.chan_mixers = nn.ModuleList(map(mix, chans, chans[1:]))

    def forward(self, x):
        for mix_time, mix_chans in zip(self.time_mixers, self.chan_mixers, strict=True):
            x = mix_chans(mix_time(x).transpose(1, 2)).transpose(1, 2)
        return nn.functional.normalize(x.squeeze(1), dim=-1)


class PlainATM(nn.Module):
    """ATM-S with the shared subject token for every epoch; every channel's token is kept."""

    def __init__(self, n_outputs=1024, n_chans=63, n_times=250, dropout=0.25, conv_dropout=0.5):
        super().__init__()
        position = torch.arange(n_chans)[:, None]
        rate = torch.exp(-torch.arange(0, n_times, 2) * math.log(10000) / n_times)
        table = torch.zeros(n_chans, n_times)
        table[:, 0::2] = torch.sin(position * rate)
        table[:, 1::2] = torch.cos(position * rate)[:, : n_times // 2]
        self.register_buffer("positions", table, persistent=False)
        self.embedding = nn.Linear(n_times, n_times)
        self.subject = nn.ParameterDict({"shared": torch.randn(1, n_times)})
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList([PlainEncoderLayer(n_times, 4, 256, dropout)])
        self.norm = nn.LayerNorm(n_times)
        self.tsconv = PlainTSConv(n_chans, dropout=conv_dropout)
        self.head = PlainHead(40 * ((n_times - 75) // 5 + 1), n_outputs, conv_dropout)

    def forward(self, x):
        tokens = self.embedding(x) + self.positions
        tokens = torch.cat([self.subject["shared"].expand(len(x), 1, -1), tokens], 1)
        tokens = self.norm(self.layers[0](self.dropout(tokens)))
        return self.head(self.tsconv(tokens[:, 1:]))


def plain_state(state):
    """Rewrite weights of a network of `skeegclip.nets` (or their gradients) for its twin in this file."""
    plain = {}
    for name, value in state.items():
        if ".qkv." in name:
            parts = zip(("query", "key", "value"), value.chunk(3), strict=True)
            plain.update({name.replace("qkv", part): rows for part, rows in parts})
        elif "feed_forward." in name and value.ndim == 2:
            plain[name] = value.unsqueeze(-1)  # a convolution of kernel 1
        else:
            plain[name] = value
    return plain
