"""What a network learns about each person: a token, or a linear map before or behind it."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .sizes import check_counts


class PerSubject(nn.Module):
    """Parameters of each known subject, and shared ones for everybody else.

    Parameters
    ----------
    shared : Tensor of shape (1, ...)
        First values of the shared parameters.
    known : Tensor of shape (n_subjects, ...)
        First values of each known subject's.
    dropout : float
        In training, the probability with which the shared parameters stand in for a row's own; otherwise they
        would never be trained.
    unknown : {"shared", "mean"}
        Parameters of an unknown subject: the shared ones, or the mean of the known ones (the shared ones where
        none is known).
    """

    def __init__(self, shared: Tensor, known: Tensor, dropout: float, unknown: str) -> None:
        super().__init__()
        if not 0 <= dropout <= 1:
            raise ValueError(f"subject_dropout must be in [0, 1], got {dropout!r}.")
        if unknown not in ("shared", "mean"):
            raise ValueError(f"unknown_subject must be 'shared' or 'mean', got {unknown!r}.")
        self.n_subjects, self.p, self.unknown = len(known), dropout, unknown
        self.shared = nn.Parameter(shared)
        if self.n_subjects:
            self.known = nn.Parameter(known)

    def of_unknown(self) -> Tensor:
        """Return the parameters (1, ...) of an unknown subject."""
        if self.n_subjects and self.unknown == "mean":
            return self.known.mean(0, keepdim=True)
        return self.shared

    def rows(self, subject: Tensor, batch_size: int) -> tuple[Tensor, Tensor]:
        """Return a table of parameters, and the row of it that each of the subjects (batch,) gets."""
        self._check(subject, batch_size)
        table = [self.of_unknown(), self.shared]
        if self.n_subjects:
            table.insert(0, self.known)
        index = torch.where(subject < 0, self.n_subjects, subject)
        if self.training and self.p > 0:
            dropped = (torch.rand(batch_size, device=subject.device) < self.p) & (subject >= 0)
            index = torch.where(dropped, self.n_subjects + 1, index)
        return torch.cat(table), index

    def _check(self, subject: Tensor, batch_size: int) -> None:
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


class SubjectToken(PerSubject):
    """One token for each known subject, and a shared one for everybody else.

    Parameters
    ----------
    n_subjects : int
        Number of known subjects; 0 leaves the shared token alone.
    d_model : int
        Width of a token.
    dropout : float
        In training, the probability with which a row's own token gives way to the shared one.
    unknown : {"shared", "mean"}
        Token of an unknown subject: the shared one, or the mean of the known ones.
    n_others : int, default=0
        How many tokens it will stand among. The more there are, the larger its first values, lest it drown in their
        mean.

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

    def __init__(
        self, n_subjects: int, d_model: int, dropout: float, unknown: str, n_others: int = 0
    ) -> None:
        check_counts(0, n_subjects=n_subjects, n_others=n_others)
        size = max(1.0, math.sqrt(n_others / 16))
        shared, known = (torch.normal(0.0, size, (n, d_model)) for n in (1, n_subjects))
        super().__init__(shared, known, dropout, unknown)

    def forward(self, subject: Tensor | None, batch_size: int) -> Tensor:
        """Return tokens (batch, d_model) for subjects (batch,), of which negative ones and None are unknown."""
        if subject is None:
            return self.of_unknown().expand(batch_size, -1)
        table, index = self.rows(subject, batch_size)
        return F.embedding(index, table)


class SubjectLinear(PerSubject):
    """One linear map over channels for each known subject, and a shared one for everybody else.

    The map of a subject is the identity plus what is learned, which starts at zero: ``x + W_s x``.

    Parameters
    ----------
    n_subjects : int
        Number of known subjects; 0 leaves the shared map alone.
    n_chans : int
        Number of channels.
    dropout : float, default=0.1
        In training, the probability with which a row's own map gives way to the shared one.
    unknown : {"shared", "mean"}, default="shared"
        Map of an unknown subject: the shared one, or the mean of the known ones.

    References
    ----------
    Défossez et al., "Decoding speech perception from non-invasive brain recordings", Nature Machine
    Intelligence 5, 2023, arXiv:2208.12266: the subject layer.

    Examples
    --------
    >>> import torch
    >>> layer = SubjectLinear(n_subjects=2, n_chans=4)
    >>> layer(torch.ones(3, 4, 10), torch.tensor([0, 1, -1])).shape
    torch.Size([3, 4, 10])
    """

    def __init__(self, n_subjects: int, n_chans: int, dropout: float = 0.1, unknown: str = "shared") -> None:
        check_counts(0, n_subjects=n_subjects)
        shape = (n_chans, n_chans)
        super().__init__(torch.zeros(1, *shape), torch.zeros(n_subjects, *shape), dropout, unknown)

    def forward(self, x: Tensor, subject: Tensor | None = None) -> Tensor:
        """Map epochs.

        Parameters
        ----------
        x : Tensor of shape (batch, n_chans, n_times)
            Epochs.
        subject : Tensor of shape (batch,), optional
            Integers 0 to n_subjects - 1 for known subjects, -1 for an unknown one. None: all unknown.

        Returns
        -------
        Tensor of shape (batch, n_chans, n_times)
            Epochs in the channels that the network behind sees.
        """
        if subject is None:
            return x + self.of_unknown() @ x
        table, index = self.rows(subject, x.shape[0])
        return torch.baddbmm(x, table.index_select(0, index), x)


class SubjectLatent(PerSubject):
    """One linear map of a network's outputs for each known subject, and a shared one for everybody else.

    The map of a subject is the identity plus what is learned, which starts at zero: ``z + W_s z + b_s``.

    Parameters
    ----------
    n_subjects : int
        Number of known subjects; 0 leaves the shared map alone.
    n_latents : int
        Length of what is mapped.
    dropout : float, default=0.1
        In training, the probability with which a row's own map gives way to the shared one.
    unknown : {"shared", "mean"}, default="shared"
        Map of an unknown subject: the shared one, or the mean of the known ones.

    References
    ----------
    Kneeland et al., "ENIGMA: EEG-to-Image in 15 Minutes Using Less Than 1% of the Parameters", arXiv:2602.10361: the
    alignment of the latent space.

    Examples
    --------
    >>> import torch
    >>> layer = SubjectLatent(n_subjects=2, n_latents=8)
    >>> layer(torch.ones(3, 8), torch.tensor([0, 1, -1])).shape
    torch.Size([3, 8])
    """

    def __init__(
        self, n_subjects: int, n_latents: int, dropout: float = 0.1, unknown: str = "shared"
    ) -> None:
        check_counts(0, n_subjects=n_subjects)
        shape = (n_latents, n_latents + 1)  # the last column is what is added
        super().__init__(torch.zeros(1, *shape), torch.zeros(n_subjects, *shape), dropout, unknown)

    def forward(self, z: Tensor, subject: Tensor | None = None) -> Tensor:
        """Map outputs (batch, n_latents) of subjects (batch,), of which negative ones and None are unknown."""
        inputs = F.pad(z, (0, 1), value=1.0)
        if subject is None:
            return z + inputs @ self.of_unknown()[0].mT
        table, index = self.rows(subject, z.shape[0])
        # All maps of all rows: there are fewer maps than rows, and a map is far larger than a row.
        mapped = torch.einsum("bi,soi->sbo", inputs, table)
        return z + mapped.gather(0, index[None, :, None].expand(1, -1, z.shape[1]))[0]


class WithSubjectLinear(nn.Module):
    """A network behind a linear layer of each subject.

    Parameters
    ----------
    layer : SubjectLinear
        The layer.
    net : Module
        Any network; it is not told the subject.
    """

    def __init__(self, layer: SubjectLinear, net: nn.Module) -> None:
        super().__init__()
        self.subject, self.net = layer, net

    def forward(self, x: Tensor, subject: Tensor | None = None) -> Tensor:
        """Embed epochs (batch, n_chans, n_times) of subjects (batch,)."""
        return self.net(self.subject(x, subject))


class WithSubjectLatent(nn.Module):
    """A network, a linear map of each subject behind it, and a head.

    Parameters
    ----------
    net : Module
        Any network; it is not told the subject.
    layer : SubjectLatent
        The map.
    head : Module
        From what is mapped to embeddings.
    """

    def __init__(self, net: nn.Module, layer: SubjectLatent, head: nn.Module) -> None:
        super().__init__()
        self.subject, self.net, self.head = layer, net, head

    def forward(self, x: Tensor, subject: Tensor | None = None) -> Tensor:
        """Embed epochs (batch, n_chans, n_times) of subjects (batch,)."""
        return self.head(self.subject(self.net(x), subject))
