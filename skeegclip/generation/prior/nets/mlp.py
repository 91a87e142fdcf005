"""The residual MLP."""

from __future__ import annotations

from torch import Tensor, nn

from .layers import TimeEmbedding, hidden_block, input_block, kept, sinusoids


class PriorMLP(nn.Module):
    """Residual blocks of one width, each given the time step and the condition anew.

    The names of the weights are those of the published code's ``DiffusionPrior``.

    Parameters
    ----------
    n_dims : int
        Width of the embedding that is denoised.
    n_conditions : int
        Width of the condition.
    width : int, default=1024
        Width of the blocks.
    n_blocks : int, default=4
        Number of blocks.
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
        width: int = 1024,
        n_blocks: int = 4,
        n_time_features: int = 512,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.n_time_features = n_time_features
        self.time_embedding = TimeEmbedding(n_time_features, width)
        self.cond_embedding = nn.Linear(n_conditions, width)
        self.input_layer = input_block(n_dims, width)
        self.hidden_layers = nn.ModuleList(hidden_block(width, width, dropout) for _ in range(n_blocks))
        self.output_layer = nn.Linear(width, n_dims)

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
        added = self.time_embedding(sinusoids(t, self.n_time_features))
        if c is not None:
            added = added + kept(self.cond_embedding(c), keep)
        x = self.input_layer(x)
        for block in self.hidden_layers:
            x = x + added
            x = x + block(x)
        return self.output_layer(x)
