"""A learned token that tells the network whose brain it sees."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .sizes import check_counts


class SubjectToken(nn.Module):
    """One token for each known subject, and a shared one for everybody else.

    Parameters
    ----------
    n_subjects : int
        Number of known subjects; 0 leaves the shared token alone.
    d_model : int
        Width of a token.
    dropout : float
        In training, the probability with which a row's own token gives way to the shared one, which would
        otherwise never be trained.
    unknown : {"shared", "mean"}
        Token of an unknown subject: the shared one, or the mean of the known ones (the shared one where
        none is known).

    References
    ----------
    Li et al., "Visual Decoding and Reconstruction via EEG Embeddings with Guided Diffusion",
    arXiv:2403.07721.

    Examples
    --------
    >>> import torch
    >>> token = SubjectToken(n_subjects=2, d_model=4, dropout=0.0, unknown="mean")
    >>> out = token(torch.tensor([0, 1, -1]), 3)
    >>> bool(torch.allclose(out[2], out[:2].mean(0)))
    True
    """

    def __init__(self, n_subjects: int, d_model: int, dropout: float, unknown: str) -> None:
        super().__init__()
        check_counts(0, n_subjects=n_subjects)
        if not 0 <= dropout <= 1:
            raise ValueError(f"subject_dropout must be in [0, 1], got {dropout!r}.")
        if unknown not in ("shared", "mean"):
            raise ValueError(f"unknown_subject must be 'shared' or 'mean', got {unknown!r}.")
        self.n_subjects, self.p, self.unknown = n_subjects, dropout, unknown
        self.shared = nn.Parameter(torch.randn(1, d_model))
        if n_subjects:
            self.known = nn.Parameter(torch.randn(n_subjects, d_model))

    def forward(self, subject: Tensor | None, batch_size: int) -> Tensor:
        """Return tokens (batch, d_model) for subjects (batch,), of which negative ones and None are unknown."""
        self._check(subject, batch_size)
        if not self.n_subjects:
            return self.shared.expand(batch_size, -1)
        # Rows of the table: the known subjects, then "unknown", then "shared".
        unknown = self.known.mean(0, keepdim=True) if self.unknown == "mean" else self.shared
        table = torch.cat([self.known, unknown, self.shared])
        if subject is None:
            return unknown.expand(batch_size, -1)
        index = torch.where(subject < 0, self.n_subjects, subject)
        if self.training and self.p > 0:
            dropped = (torch.rand(batch_size, device=subject.device) < self.p) & (subject >= 0)
            index = torch.where(dropped, self.n_subjects + 1, index)
        return F.embedding(index, table)

    def _check(self, subject: Tensor | None, batch_size: int) -> None:
        if subject is None:
            return
        if subject.shape != (batch_size,) or subject.is_floating_point():
            raise ValueError(
                f"subject must be integers of shape ({batch_size},), one an epoch; got shape "
                f"{tuple(subject.shape)}, {subject.dtype}."
            )
        # Only where it does not make the processor wait for a device.
        if subject.device.type == "cpu" and not torch.compiler.is_compiling() and batch_size:
            largest = int(subject.max())
            if largest >= self.n_subjects:
                raise ValueError(
                    f"subject holds {largest}, but the network knows n_subjects={self.n_subjects}: 0 to "
                    f"{self.n_subjects - 1}. Give -1 for an unknown subject, or build the network with more."
                )
