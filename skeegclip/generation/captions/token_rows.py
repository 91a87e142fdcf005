"""Rows of embeddings, with the tokens that they should become."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ..._training.matrices import MatrixRows


class TokenRows(MatrixRows):
    """Rows to learn from, of which the tokens are read a batch at a time.

    Parameters
    ----------
    Z : ndarray of float32, shape (n, n_features)
        Standardised embeddings.
    stimulus : ndarray of int, shape (n,)
        Stimulus of each row.
    read : callable
        Tokens of some stimuli.
    rows : ndarray of int
        The rows of this set.
    device : str
        Where the batches go.
    """

    def __init__(
        self,
        Z: np.ndarray,
        stimulus: np.ndarray,
        read: Callable[[np.ndarray], Any],
        rows: np.ndarray,
        device: str,
    ) -> None:
        super().__init__(rows)
        self.z, self.stimulus, self.read, self.device = Z, stimulus, read, device

    def batch(self, rows: np.ndarray) -> tuple[dict[str, Any], torch.Tensor]:
        z = torch.from_numpy(self.z[rows]).to(self.device)
        goal = np.asarray(self.read(self.stimulus[rows]), dtype=np.float32)
        return {"z": z}, torch.from_numpy(goal).to(self.device)
