"""Networks exactly as the code of ATM published them, for its checkpoints. Not for training: see `registry`."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from .atm import ATM
from .convolution import EEGNetConv
from .layers import ProjectionHead
from .registry import get_net
from .tokens import positions


class ReferenceATMS(ATM):
    """ATM-S whose subject token stays for the convolution, in the place of the last channel's token."""

    _channels = slice(None, -1)


class _TimeAttention(nn.Module):
    """A transformer layer whose tokens are the samples, each of them as wide as there are channels."""

    def __init__(self, n_chans: int, n_times: int) -> None:
        super().__init__()
        self.register_buffer("positions", positions("sinusoidal", n_times, n_chans), persistent=False)
        self.layer = nn.TransformerEncoderLayer(n_chans, nhead=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, n_chans, n_times) to the same shape."""
        tokens = x.permute(2, 0, 1) + self.positions.unsqueeze(1)
        return self.layer(tokens).permute(1, 2, 0)


class ReferenceATME(nn.Module):
    """ATM-E: attention over time, one linear layer over time, EEGNet, projection into CLIP space."""

    def __init__(self, n_outputs: int, n_chans: int, n_times: int, n_features: int = 1440) -> None:
        super().__init__()
        self.attention = _TimeAttention(n_chans, n_times)
        self.mix_times = nn.Linear(n_times, n_times)
        self.eegnet = EEGNetConv(n_chans, n_times, n_features)
        self.head = ProjectionHead(n_features, n_outputs, dropout=0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Embed epochs (batch, n_chans, n_times)."""
        return self.head(self.eegnet(self.mix_times(self.attention(x))))


class _Convolutions(nn.Module):
    """Three convolutions over time, each followed by GELU and layer normalisation over time; a residual path."""

    def __init__(self, n_chans: int, n_times: int) -> None:
        super().__init__()
        # There are as many filters as samples: the published code takes one number for both.
        self.conv1 = nn.Conv1d(n_chans, n_times, 3, padding=1)
        self.conv2 = nn.Conv1d(n_times, n_times, 3, padding=1)
        self.conv3 = nn.Conv1d(n_times, n_times, 3, padding=1)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(n_times) for _ in range(3))
        self.residual_conv = nn.Conv1d(n_chans, n_times, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, n_chans, n_times) to (batch, n_times, n_times)."""
        residual = self.residual_conv(x)
        x = self.norm1(F.gelu(self.conv1(x)))
        x = self.norm2(F.gelu(self.conv2(x)))
        return self.norm3(F.gelu(self.conv3(x))) + residual


class ReferenceMetaEEG(nn.Module):
    """The paper's "B.D.": attention over time, convolutions, and a head for the CLIP loss.

    The published network has a linear layer over time for each subject, but its scripts always use the first;
    and a second head, for the mean squared error, which retrieval never reads.
    """

    def __init__(self, n_outputs: int, n_chans: int, n_times: int) -> None:
        super().__init__()
        self.attention = _TimeAttention(n_chans, n_times)
        self.mix_times = nn.Linear(n_times, n_times)
        self.convs = _Convolutions(n_chans, n_times)
        self.projection = nn.Linear(n_times, n_outputs)
        self.aggregation = nn.Linear(n_times, 1)
        self.head = nn.Sequential(nn.LayerNorm(n_outputs), nn.Linear(n_outputs, n_outputs), nn.GELU())

    def forward(self, x: Tensor) -> Tensor:
        """Embed epochs (batch, n_chans, n_times)."""
        x = self.convs(self.mix_times(self.attention(x)))
        # Samples become dimensions of the embedding, and the filters are summed up.
        return self.head(self.aggregation(self.projection(x).mT).squeeze(-1))


REFERENCE: dict[str, type[nn.Module]] = {
    "reference/ATMS": ReferenceATMS,
    "reference/ATM_E": ReferenceATME,
    "reference/MetaEEG": ReferenceMetaEEG,
}


def find_net(name: str) -> type[nn.Module]:
    """The class of a network by the name that a saved encoder gives it."""
    return REFERENCE[name] if name in REFERENCE else get_net(name)[0]


def name_of(cls: type[nn.Module], given: Any) -> str | None:
    """The name by which `find_net` finds a class, where it has one; `given` is tried first.

    A saved encoder names its network, never a class to import: one of your own has no name.
    """
    of_braindecode = [cls.__name__] if cls.__module__.startswith("braindecode.") else []
    for name in (given, *REFERENCE, *of_braindecode):
        try:
            if isinstance(name, str) and find_net(name) is cls:
                return name
        except ValueError:
            continue
    return None
