"""Transformer layer over tokens, each of them one channel."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .layers import Dropout, Linear, dropout, layer_norm


class SelfAttention(nn.Module):
    """Multi-head self-attention with one matrix for queries, keys and values.

    Parameters
    ----------
    d_model : int
        Width of a token. A head has `d_model // n_heads` dimensions; the rest of the division is not used.
    n_heads : int
        Number of heads, at most `d_model`.
    dropout : float
        Dropout of the attention weights.

    Examples
    --------
    >>> import torch
    >>> SelfAttention(10, n_heads=4, dropout=0.0)(torch.zeros(2, 5, 10)).shape
    torch.Size([2, 5, 10])
    """

    def __init__(self, d_model: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.n_heads, self.p = n_heads, dropout
        inner = d_model // n_heads * n_heads
        self.qkv = Linear(d_model, 3 * inner)
        self.out = Linear(inner, d_model)

    def forward(self, x: Tensor) -> Tensor:
        """Let the tokens (batch, n_tokens, d_model) look at each other."""
        qkv = self.qkv(x).unflatten(-1, (3, self.n_heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        p = self.p if self.training else 0.0
        if p > 0 and x.device.type == "cpu":
            # torch has no fused attention with dropout on the CPU, and draws its mask slowly there.
            weights = torch.softmax((q * q.shape[-1] ** -0.5) @ k.mT, dim=-1)
            heads = dropout(weights, p, training=True) @ v
        else:
            heads = F.scaled_dot_product_attention(q, k, v, dropout_p=p)
        return self.out(heads.transpose(1, 2).flatten(2))

    def weights(self, x: Tensor) -> Tensor:
        """How much each token looks at each other, (batch, n_heads, n_tokens, n_tokens); rows sum to one."""
        q, k, _ = self.qkv(x).unflatten(-1, (3, self.n_heads, -1)).permute(2, 0, 3, 1, 4)
        return torch.softmax((q * q.shape[-1] ** -0.5) @ k.mT, dim=-1)


class AcrossTokens(nn.Module):
    """Apply a network to the tokens' axis instead of the features'.

    Parameters
    ----------
    net : Module
        Maps the last axis, of length n_tokens, to the same length.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (batch, n_tokens, d_model) to tokens of the same shape."""
        return self.net(x.mT).mT


class EncoderLayer(nn.Module):
    """Post-norm transformer layer: attention, then a small network on each token.

    Parameters
    ----------
    d_model : int
        Width of a token.
    n_heads : int
        Number of attention heads.
    d_ff : int
        Width of the hidden layer of the feed-forward part.
    dropout : float
        Dropout of the attention weights and of every branch.
    feed_forward : {"temporal", "spatial", "none"}, default="temporal"
        What the small network mixes: each token's features, the tokens (feature by feature), or nothing.
    n_tokens : int, optional
        Number of tokens; "spatial" needs it.
    activation : callable, default=nn.GELU
        Makes the non-linearity of the feed-forward part.

    Examples
    --------
    >>> import torch
    >>> EncoderLayer(10, n_heads=2, d_ff=16, dropout=0.0)(torch.zeros(2, 5, 10)).shape
    torch.Size([2, 5, 10])
    """

    def __init__(
        self,
        d_model: int,
        n_heads: int,
        d_ff: int,
        dropout: float,
        feed_forward: str = "temporal",
        n_tokens: int | None = None,
        activation: Callable[[], nn.Module] = nn.GELU,
    ) -> None:
        super().__init__()
        self.attention = SelfAttention(d_model, n_heads, dropout)
        self.attention_norm = layer_norm(d_model)
        self.feed_forward: nn.Module | None = None
        if feed_forward != "none":
            width = d_model if feed_forward == "temporal" else n_tokens
            assert width is not None
            net = nn.Sequential(Linear(width, d_ff), activation(), Dropout(dropout), Linear(d_ff, width))
            self.feed_forward = net if feed_forward == "temporal" else AcrossTokens(net)
            self.feed_forward_norm = layer_norm(d_model)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (batch, n_tokens, d_model) to tokens of the same shape."""
        x = self.attention_norm(x + self.dropout(self.attention(x)))
        if self.feed_forward is None:
            return x
        return self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))
