"""Several vectors of each stimulus, mixed with learned weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Adam moves a parameter by about its learning rate a step, and weights of layers have to go from equal to one-sided
# within the few hundred steps that an encoder is trained: what is learned counts this many times.
_GAIN = 30.0


class LayerMixing(nn.Module):
    r"""Mixture of several vectors of each stimulus, such as those of some layers of one image model.

    Each vector is brought to unit length, after a linear map of its own where there is one, and weighted by

    .. math:: w_s = \mathrm{softmax}(g + b_s)

    with :math:`g` learned for everybody and :math:`b_s` for subject s. All start equal.

    Parameters
    ----------
    widths : tuple of int
        Length of each of the vectors, which come side by side.
    n_outputs : int, default=None
        Width that a learned linear map without bias brings each vector to. None: as they are, all of one width.
    n_subjects : int, default=0
        Number of subjects with weights of their own.

    Raises
    ------
    ValueError
        If there are fewer than two vectors, or they differ in width and `n_outputs` is None.

    References
    ----------
    "Subject-Aware Multi-Granularity Alignment for Zero-Shot EEG-to-Image Retrieval" (SAMGA), arXiv:2604.17782.

    Examples
    --------
    >>> import torch
    >>> from skeegclip.losses import LayerMixing
    >>> mixing = LayerMixing((4, 4, 4), n_subjects=2)
    >>> mixing(torch.randn(10, 12)).shape
    torch.Size([10, 4])
    """

    def __init__(self, widths: tuple[int, ...], n_outputs: int | None = None, n_subjects: int = 0) -> None:
        super().__init__()
        if len(widths) < 2:
            raise ValueError(f"widths must name two vectors or more to be mixed, got {widths!r}.")
        if n_outputs is None and len(set(widths)) > 1:
            raise ValueError(
                f"Vectors of widths {', '.join(map(str, widths))} cannot be mixed as they are. Give them one width with"
                " projector=512, say."
            )
        self.widths = tuple(widths)
        self.shared = nn.Parameter(torch.zeros(len(widths)))
        if n_subjects:
            self.own = nn.Parameter(torch.zeros(n_subjects, len(widths)))
        self.maps = nn.ModuleList(
            nn.Identity() if n_outputs is None else nn.Linear(width, n_outputs, bias=False)
            for width in self.widths
        )

    def weights(self, subject: Tensor | None = None) -> Tensor:
        """Compute the weights of the vectors.

        Parameters
        ----------
        subject : Tensor of shape (batch,), optional
            Integers, negative ones for nobody in particular. None: everybody's.

        Returns
        -------
        Tensor of shape (n_vectors,) or (batch, n_vectors)
            They sum to one.
        """
        if subject is None:
            return (_GAIN * self.shared).softmax(-1)
        if not hasattr(self, "own"):
            return self.weights().expand(len(subject), -1)
        # A last row of zeros is nobody's.
        own = F.pad(self.own, (0, 0, 0, 1))[torch.where(subject < 0, len(self.own), subject)]
        return (_GAIN * (self.shared + own)).softmax(-1)

    def layers(self, vectors: Tensor) -> Tensor:
        """Take vectors apart, map them, and bring them to unit length.

        Parameters
        ----------
        vectors : Tensor of shape (n, sum of widths)
            Of each stimulus, side by side.

        Returns
        -------
        Tensor of shape (n, n_vectors, d)
            Unit vectors.

        Raises
        ------
        ValueError
            If they are of another width.
        """
        if vectors.ndim != 2 or vectors.shape[1] != sum(self.widths):
            raise ValueError(
                f"vectors must have shape (n, {sum(self.widths)}), the widths of all targets side by side, got"
                f" {tuple(vectors.shape)}."
            )
        parts = vectors.float().split(self.widths, dim=1)
        return F.normalize(
            torch.stack([map_(part) for map_, part in zip(self.maps, parts, strict=True)], 1), dim=-1
        )

    def forward(self, vectors: Tensor, subject: Tensor | None = None) -> Tensor:
        """Mix vectors.

        Parameters
        ----------
        vectors : Tensor of shape (n, sum of widths)
            Of each stimulus, side by side.
        subject : Tensor of shape (n,), optional
            By whose weights; None: everybody's.

        Returns
        -------
        Tensor of shape (n, d)
            Mixtures; not of unit length.
        """
        weights = self.weights(subject)
        return torch.einsum("nl,nld->nd", weights.expand(len(vectors), -1), self.layers(vectors))

    def products(self, z: Tensor, vectors: Tensor, subject: Tensor, *, unit: bool) -> Tensor:
        """Multiply embeddings with mixtures, each embedding with the mixtures of its own subject.

        Compared with mixtures of other subjects, whose picture it is could be told from whose mixture it is.

        Parameters
        ----------
        z : Tensor of shape (batch, d)
            Embeddings.
        vectors : Tensor of shape (n, sum of widths)
            Of each stimulus, side by side.
        subject : Tensor of shape (batch,)
            Of the embeddings.
        unit : bool
            Whether mixtures are brought to unit length.

        Returns
        -------
        Tensor of shape (batch, n)
            The products.
        """
        weights, layers = self.weights(subject), self.layers(vectors)
        products = torch.einsum("bl,bnl->bn", weights, torch.einsum("bd,nld->bnl", z, layers))
        if not unit:
            return products
        square = torch.einsum("bl,nlm,bm->bn", weights, layers @ layers.mT, weights)
        return products / square.clamp_min(1e-12).sqrt()
