"""Rows of conditions and embeddings, under noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..._training.matrices import MatrixRows
from .nets.corrected import as_prediction

_VALID_DRAWS = 1024  # rows of validation, repeated with other noise where there are fewer


class Noised(MatrixRows):
    """Rows to train on: every batch gets fresh noise, and the network is asked what the Gaussian leaves open.

    Parameters
    ----------
    prior : DiffusionPrior
        Whose parameters count.
    gaussian : PriorGaussian | None
        What the network corrects.
    C, X : ndarray of float32
        Standardised conditions and embeddings of all rows.
    means : ndarray of float32 | None
        What the Gaussian says of each row that it has not seen.
    kept : Tensor, shape (n_train_steps,)
        Share of the embedding's variance that is left at each step.
    rows : ndarray of int
        The rows to train on.
    device : str
        Where all is kept.
    """

    def __init__(
        self,
        prior: Any,
        gaussian: Any,
        C: np.ndarray,
        X: np.ndarray,
        means: np.ndarray | None,
        kept: torch.Tensor,
        rows: np.ndarray,
        device: str,
    ) -> None:
        super().__init__(rows)
        self.c, self.x, self.kept = (
            torch.from_numpy(C).to(device),
            torch.from_numpy(X).to(device),
            kept.to(device),
        )
        self.gaussian, self.means = gaussian, None if means is None else torch.from_numpy(means).to(device)
        self.prediction = prior.prediction_
        self.dropout, self.drops_batches = prior.condition_dropout, prior.reference_quirks

    def batch(self, rows: np.ndarray) -> tuple[dict[str, Any], torch.Tensor]:
        device = self.x.device
        index = torch.from_numpy(rows).to(device)
        t = torch.randint(len(self.kept), (len(index),), device=device)
        noise = torch.randn(len(index), self.x.shape[1], device=device)
        keep = torch.rand(1 if self.drops_batches else len(index), device=device) >= self.dropout
        return self.task(index, noise, t, keep)

    @torch.no_grad()
    def task(
        self, index: torch.Tensor, noise: torch.Tensor, t: torch.Tensor, keep: torch.Tensor | None
    ) -> tuple[dict[str, Any], torch.Tensor]:
        """Inputs of the network, and what it should say."""
        x, kept = self.x[index], self.kept[t][:, None]
        noisy = kept.sqrt() * x + (1 - kept).sqrt() * noise
        goal = as_prediction(x, noisy, kept, self.prediction)
        if self.gaussian is not None and self.means is not None:
            clean = self.gaussian.denoise(noisy, kept, self.means[index])
            if keep is not None:
                clean = torch.where(keep[:, None], clean, self.gaussian.denoise(noisy, kept, None))
            goal = goal - as_prediction(clean, noisy, kept, self.prediction)
        return {"x": noisy, "t": t, "c": self.c[index], "keep": keep}, goal


class NoisedOnce(MatrixRows):
    """Rows held out, always with the same noise at evenly spread time steps, and with their conditions."""

    def __init__(self, noised: Noised, rows: np.ndarray) -> None:
        repeated = np.tile(rows, -(-_VALID_DRAWS // len(rows)))
        super().__init__(np.arange(len(repeated)))
        device, self.noised = noised.x.device, noised
        self.index = torch.from_numpy(repeated).to(device)
        t = torch.linspace(0, len(noised.kept) - 1, len(repeated), device=device).long()
        self.t = t[torch.randperm(len(t), device=device)]
        self.noise = torch.randn(len(repeated), noised.x.shape[1], device=device)

    def batch(self, rows: np.ndarray) -> tuple[dict[str, Any], torch.Tensor]:
        part = slice(int(rows[0]), int(rows[-1]) + 1)
        return self.noised.task(self.index[part], self.noise[part], self.t[part], None)
