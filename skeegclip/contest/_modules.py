"""What decoders do to epochs, as networks that torch can export."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Pick(nn.Module):
    """Channels by their places."""

    places: Tensor

    def __init__(self, places: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("places", torch.as_tensor(places, dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        """Keep them, in their order."""
        return x.index_select(1, self.places)


class MapChannels(nn.Module):
    """``weights @ (epoch - offsets)``; weights are a matrix or a factor for each channel."""

    weights: Tensor
    offsets: Tensor

    def __init__(self, weights: np.ndarray, offsets: np.ndarray | None) -> None:
        super().__init__()
        self.register_buffer("weights", torch.tensor(weights))
        none = np.zeros((1, 1), dtype=weights.dtype)
        self.register_buffer("offsets", torch.tensor(none if offsets is None else offsets))

    def forward(self, x: Tensor) -> Tensor:
        """Map epochs (batch, n_chans, n_times)."""
        x = x - self.offsets
        return x * self.weights[:, None] if self.weights.ndim == 1 else self.weights @ x


class OfOneCap(MapChannels):
    """What a channel layer by position is for the channels of one cap: a linear map."""

    def forward(self, x: Tensor, places: None = None) -> Tensor:
        """Map epochs (batch, n_chans, n_times)."""
        return super().forward(x)


class WhitenEach(nn.Module):
    """Whiten each epoch by its own covariance, as :class:`skeegclip.preprocessing.SubjectAligner` does."""

    weights: Tensor

    def __init__(self, shrinkage: float, center: bool, weights: np.ndarray) -> None:
        super().__init__()
        self.shrinkage, self.center = shrinkage, center
        self.register_buffer("weights", torch.tensor(weights, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        """Whiten epochs (batch, n_chans, n_times)."""
        data = x.double()
        if self.center:
            data = data - data.mean(dim=2, keepdim=True)
        covariance = data @ data.transpose(1, 2) / x.shape[2]
        diagonal = torch.diag_embed(covariance.diagonal(dim1=1, dim2=2))
        values, vectors = torch.linalg.eigh((1 - self.shrinkage) * covariance + self.shrinkage * diagonal)
        least = values.amax(dim=1, keepdim=True) * np.finfo(np.float32).eps ** 2 * x.shape[1]
        scale = torch.where(values <= least, 0.0, values.clamp_min(1e-300).rsqrt())
        return (self.weights @ ((vectors * scale[:, None]) @ (vectors.transpose(1, 2) @ data))).float()


class Affine(nn.Module):
    """``flat(x) @ matrix + offset``, in double precision, in another shape."""

    matrix: Tensor
    offset: Tensor

    def __init__(self, matrix: np.ndarray, offset: np.ndarray, shape: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("matrix", torch.tensor(matrix, dtype=torch.float64))
        self.register_buffer("offset", torch.tensor(offset, dtype=torch.float64))
        self.shape = tuple(shape)
        assert len(offset) == math.prod(self.shape)

    def forward(self, x: Tensor) -> Tensor:
        """Map rows of any shape."""
        out = x.double().flatten(1) @ self.matrix + self.offset
        return out.unflatten(1, self.shape) if len(self.shape) > 1 else out


class Network(nn.Module):
    """A trained network, whose people are all unknown."""

    def __init__(self, net: nn.Module, takes_subject: bool) -> None:
        super().__init__()
        self.net, self.takes_subject = net, takes_subject

    def forward(self, x: Tensor) -> Tensor:
        """Embed epochs (batch, n_chans, n_times)."""
        x = x.float()
        if not self.takes_subject:
            return self.net(x)
        return self.net(x, subject=torch.full((x.shape[0],), -1, dtype=torch.int64, device=x.device))


class MeanOfUnits(nn.Module):
    """The mean of what several give, each of unit length."""

    def __init__(self, members: list[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, x: Tensor) -> Tensor:
        """Embed epochs."""
        units = [F.normalize(member(x).double(), dim=1) for member in self.members]
        return torch.stack(units).mean(dim=0)


class Single(nn.Module):
    """To single precision, as networks give it."""

    def forward(self, x: Tensor) -> Tensor:
        """Round."""
        return x.float()
