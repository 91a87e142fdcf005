"""A network on top of the Gaussian: it learns what the Gaussian does not know."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .gaussian import PriorGaussian


class PriorCorrected(nn.Module):
    """The exact denoiser of a joint Gaussian, plus a network's correction.

    A network alone has to learn from some thousand rows what a matrix product gives exactly: where a condition puts the
    embedding, and how far draws stray in each direction. What it has not learned shows in the spread of the samples. On
    top of the Gaussian it learns only what departs from it, and says nothing before it has learned something.

    Parameters
    ----------
    gaussian : PriorGaussian
        Gives the clean embedding; not trained here.
    network : Module
        Gives the correction, of what is predicted; its last layer starts at zero.
    prediction : {"velocity", "sample", "epsilon"}
        What is predicted.
    """

    def __init__(self, gaussian: PriorGaussian, network: nn.Module, prediction: str) -> None:
        super().__init__()
        self.gaussian = gaussian
        self.network = network
        self.prediction = prediction

    def forward(self, x: Tensor, t: Tensor, c: Tensor | None = None) -> Tensor:
        """Predict the velocity, the clean embedding or the noise.

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
            Prediction.
        """
        kept = self.gaussian.alphas_cumprod[t.long()][:, None]
        base = as_prediction(self.gaussian(x, t, c), x, kept, self.prediction)
        return base + self.network(x, t, c).float()


def as_prediction(clean: Tensor, noisy: Tensor, kept: Tensor, prediction: str) -> Tensor:
    r"""What a network that knows the clean embedding predicts.

    Parameters
    ----------
    clean, noisy : Tensor of shape (batch, n_dims)
        The embedding, and :math:`\sqrt{\bar\alpha_t} x + \sqrt{1 - \bar\alpha_t}\, \epsilon`.
    kept : Tensor of shape (batch, 1)
        :math:`\bar\alpha_t`.
    prediction : {"velocity", "sample", "epsilon"}
        The embedding, the noise, or :math:`\sqrt{\bar\alpha_t}\, \epsilon - \sqrt{1 - \bar\alpha_t}\, x`.

    Returns
    -------
    Tensor of shape (batch, n_dims)
        Prediction.
    """
    if prediction == "sample":
        return clean
    signal, spread = kept.sqrt(), (1 - kept).sqrt()
    return ((noisy - signal * clean) if prediction == "epsilon" else (signal * noisy - clean)) / spread


def as_clean(predicted: Tensor, noisy: Tensor, kept: Tensor, prediction: str) -> Tensor:
    """The clean embedding, from what a network predicts: undoes `as_prediction`."""
    if prediction == "sample":
        return predicted
    signal, spread = kept.sqrt(), (1 - kept).sqrt()
    if prediction == "epsilon":
        return (noisy - spread * predicted) / signal
    return signal * noisy - spread * predicted


def start_at_zero(network: nn.Module) -> None:
    """Zero the last layer of a prior's network."""
    with torch.no_grad():
        for parameter in network.output_layer.parameters():
            parameter.zero_()
