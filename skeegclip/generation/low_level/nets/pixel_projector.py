"""From one embedding to the tokens of a vision transformer."""

from __future__ import annotations

from torch import Tensor, nn


class PixelProjector(nn.Module):
    """Spread an embedding over the tokens, then mix its dimensions.

    The published network, of 1,052,676 weights at its sizes (1024 to 257 x 1024).

    Parameters
    ----------
    n_dims : int
        Width of an embedding.
    n_tokens : int
        Number of tokens of a picture.
    width : int
        Width of a token.

    References
    ----------
    Li et al., "Visual Decoding and Reconstruction via EEG Embeddings with Guided Diffusion", NeurIPS 2024,
    arXiv:2403.07721.
    """

    def __init__(self, n_dims: int, n_tokens: int, width: int) -> None:
        super().__init__()
        self.spread = nn.Sequential(nn.Linear(1, n_tokens), nn.LayerNorm(n_tokens))
        self.mix = nn.Sequential(nn.Linear(n_dims, width), nn.LayerNorm(width))

    def forward(self, z: Tensor) -> Tensor:
        """Make tokens.

        Parameters
        ----------
        z : Tensor of shape (batch, n_dims)
            Embeddings.

        Returns
        -------
        Tensor of shape (batch, n_tokens, width)
            Tokens.
        """
        return self.mix(self.spread(z[:, :, None]).mT)
