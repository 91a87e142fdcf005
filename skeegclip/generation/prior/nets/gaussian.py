"""The prior in closed form: everything jointly Gaussian."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PriorGaussian(nn.Module):
    r"""The exact denoiser of a joint Gaussian of embeddings and conditions.

    Given a condition c, the embedding is :math:`\mathcal{N}(B^T c, R)`; without one, :math:`\mathcal{N}(0, S)`. Of a
    noisy :math:`x_t = \sqrt{\bar\alpha_t} x + \sqrt{1 - \bar\alpha_t}\, \epsilon` the conditional mean is then linear in
    :math:`x_t` and c. Nothing is trained; `set_model` fills the buffers.

    Parameters
    ----------
    n_dims : int
        Width of the embedding that is denoised.
    n_conditions : int
        Width of the condition.
    n_train_steps : int
        Steps of the noise schedule.
    """

    coefficients: Tensor
    alphas_cumprod: Tensor

    def __init__(self, n_dims: int, n_conditions: int, n_train_steps: int) -> None:
        super().__init__()
        self.register_buffer("coefficients", torch.zeros(n_conditions, n_dims))
        self.register_buffer("alphas_cumprod", torch.zeros(n_train_steps))
        for name in ("conditional", "marginal"):
            self.register_buffer(f"{name}_variances", torch.ones(n_dims))
            self.register_buffer(f"{name}_axes", torch.eye(n_dims))

    def set_model(
        self, coefficients: Tensor, conditional: Tensor, marginal: Tensor, alphas_cumprod: Tensor
    ) -> None:
        """Take over the regression, both covariances, and the noise schedule."""
        self.coefficients.copy_(coefficients)
        self.alphas_cumprod.copy_(alphas_cumprod)
        for name, covariance in (("conditional", conditional), ("marginal", marginal)):
            variances, axes = torch.linalg.eigh(covariance)
            getattr(self, f"{name}_variances").copy_(variances.clamp(min=0))
            getattr(self, f"{name}_axes").copy_(axes)

    def forward(self, x: Tensor, t: Tensor, c: Tensor | None = None) -> Tensor:
        """Give the mean of the clean embedding.

        Parameters
        ----------
        x : Tensor of shape (batch, n_dims)
            Noisy embeddings.
        t : Tensor of int of shape (batch,) or (1,)
            Time steps.
        c : Tensor of shape (batch, n_conditions), optional
            Conditions; None is unconditional.

        Returns
        -------
        Tensor of shape (batch, n_dims)
            Clean embeddings.
        """
        return self.denoise(x, self.alphas_cumprod[t.long()][:, None], None if c is None else self.mean_of(c))

    def mean_of(self, c: Tensor) -> Tensor:
        """Give the conditional mean, in single precision whatever precision the networks have."""
        with torch.autocast(c.device.type, enabled=False):
            return c.float() @ self.coefficients

    def denoise(self, x: Tensor, kept: Tensor, mean: Tensor | None) -> Tensor:
        r"""Give the mean of the clean embedding, from the conditional mean (None is unconditional) and :math:`\bar\alpha`."""
        with torch.autocast(x.device.type, enabled=False):
            if mean is None:
                return _shrunk(x, kept, self.marginal_variances, self.marginal_axes)
            noisy = x - kept.sqrt() * mean
            return mean + _shrunk(noisy, kept, self.conditional_variances, self.conditional_axes)


def _shrunk(x: Tensor, kept: Tensor, variances: Tensor, axes: Tensor) -> Tensor:
    """Conditional mean of a centred Gaussian, given its noisy value: shrinkage along the axes of its covariance."""
    return (x @ axes) * (kept.sqrt() * variances / (kept * variances + 1 - kept)) @ axes.T
