"""The U-Net of linear layers of the paper."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from .layers import TimeEmbedding, hidden_block, input_block, kept, sinusoids


class PriorUNet(nn.Module):
    """A U-Net without convolutions: linear layers that narrow and widen again, with additive skips.

    Time step and condition are embedded anew, and added, at every level. The names of the weights are those of the
    published code's ``DiffusionPriorUNet``.

    Parameters
    ----------
    n_dims : int
        Width of the embedding that is denoised.
    n_conditions : int
        Width of the condition.
    widths : sequence of int, default=(1024, 512, 256, 128, 64)
        Widths of the levels.
    n_time_features : int, default=512
        Sinusoidal features of the time step.
    dropout : float, default=0.1
        Dropout in every block.

    References
    ----------
    Li et al., "Visual Decoding and Reconstruction via EEG Embeddings with Guided Diffusion", NeurIPS 2024,
    arXiv:2403.07721.
    """

    def __init__(
        self,
        n_dims: int,
        n_conditions: int,
        *,
        widths: Sequence[int] = (1024, 512, 256, 128, 64),
        n_time_features: int = 512,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        down, up = list(pairwise(widths)), list(pairwise(reversed(widths)))
        self.n_time_features = n_time_features
        self.input_layer = input_block(n_dims, widths[0])
        for side, levels in (("encode", down), ("decode", up)):
            time = [TimeEmbedding(n_time_features, width) for width, _ in levels]
            condition = [nn.Linear(n_conditions, width) for width, _ in levels]
            blocks = [hidden_block(width, following, dropout) for width, following in levels]
            setattr(self, f"{side}_time_embedding", nn.ModuleList(time))
            setattr(self, f"{side}_cond_embedding", nn.ModuleList(condition))
            setattr(self, f"{side}_layers", nn.ModuleList(blocks))
        self.output_layer = nn.Linear(widths[0], n_dims)

    def forward(self, x: Tensor, t: Tensor, c: Tensor | None = None, keep: Tensor | None = None) -> Tensor:
        """Predict what the prior is trained on (the noise, by default).

        Parameters
        ----------
        x : Tensor of shape (batch, n_dims)
            Noisy embeddings.
        t : Tensor of shape (batch,) or (1,)
            Time steps.
        c : Tensor of shape (batch, n_conditions), optional
            Conditions; None is unconditional.
        keep : Tensor of bool of shape (batch,), optional
            Rows whose condition counts; the others are unconditional.

        Returns
        -------
        Tensor of shape (batch, n_dims)
            Prediction.
        """
        time = sinusoids(t, self.n_time_features)

        def level(x, embed_time, embed_condition, block):
            x = x + embed_time(time)
            return block(x if c is None else x + kept(embed_condition(c), keep))

        x = self.input_layer(x)
        skips = []
        for parts in zip(
            self.encode_time_embedding, self.encode_cond_embedding, self.encode_layers, strict=True
        ):
            skips.append(x)
            x = level(x, *parts)
        for parts in zip(
            self.decode_time_embedding, self.decode_cond_embedding, self.decode_layers, strict=True
        ):
            x = level(x, *parts) + skips.pop()
        return self.output_layer(x)
