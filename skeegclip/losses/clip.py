"""Contrastive loss between EEG embeddings and target embeddings."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_NORMALIZE = ("none", "eeg", "image", "both")
_TEMPERATURE_MODES = ("learnable", "fixed", "raw")
_SAME_STIMULUS = ("positive", "mask", "negative")


class ClipLoss(nn.Module):
    r"""Symmetric InfoNCE loss, as in CLIP.

    With similarities :math:`s_{ij} = \alpha \, z_i \cdot t_j` of embedding i to target j, it is the mean of
    two cross-entropies, over the rows of s (EEG to target) and over its columns (target to EEG).

    Parameters
    ----------
    normalize : {"both", "image", "eeg", "none"}, default="both"
        Which side is scaled to unit length beforehand; "image" is the target's side.
    temperature : float, default=0.07
        Temperature at the start: :math:`\alpha = 1 / \mathrm{temperature}`.
    temperature_mode : {"learnable", "fixed", "raw"}, default="learnable"
        "learnable": :math:`\alpha = \exp(\mathtt{log\_scale})`, at most 100, learned. "fixed": constant.
        "raw": as in the published code of ATM, :math:`\alpha = \ln(1 / \mathrm{temperature})` itself is
        learned and never exponentiated.
    same_stimulus : {"positive", "mask", "negative"}, default="positive"
        What other rows of the same stimulus are to a row. "positive": as good as its own target, the
        cross-entropy is against the uniform distribution over all of them. "mask": left out of the
        denominator. "negative": wrong answers, as in plain InfoNCE.

    Raises
    ------
    ValueError
        If a parameter is not one of the above.

    References
    ----------
    Radford et al., "Learning Transferable Visual Models From Natural Language Supervision",
    arXiv:2103.00020; Khosla et al., "Supervised Contrastive Learning", arXiv:2004.11362, equation 2.

    Examples
    --------
    >>> import torch
    >>> from skeegclip.losses import ClipLoss
    >>> loss = ClipLoss(temperature_mode="fixed", temperature=0.1)
    >>> round(loss(torch.eye(3), torch.eye(3)).item(), 6)
    9.1e-05
    """

    def __init__(
        self,
        *,
        normalize: str = "both",
        temperature: float = 0.07,
        temperature_mode: str = "learnable",
        same_stimulus: str = "positive",
    ) -> None:
        super().__init__()
        _check_option("normalize", normalize, _NORMALIZE)
        _check_option("temperature_mode", temperature_mode, _TEMPERATURE_MODES)
        _check_option("same_stimulus", same_stimulus, _SAME_STIMULUS)
        if not 0 < temperature < math.inf:
            raise ValueError(f"temperature must be a positive number, got {temperature!r}.")
        self.normalize, self.temperature = normalize, temperature
        self.temperature_mode, self.same_stimulus = temperature_mode, same_stimulus
        if temperature_mode == "fixed":
            self.register_buffer("_scale", torch.tensor(1 / temperature), persistent=False)
        else:
            self.log_scale = nn.Parameter(torch.tensor(math.log(1 / temperature)))

    @property
    def scale(self) -> Tensor:
        """The factor on the similarities, as the loss uses it."""
        if self.temperature_mode == "fixed":
            return self._scale
        if self.temperature_mode == "raw":
            return self.log_scale
        return self.log_scale.clamp(max=math.log(100)).exp()

    def forward(
        self, z: Tensor, target: Tensor, stimulus: Tensor | None = None, weight: Tensor | None = None
    ) -> Tensor:
        """Compute the loss of a batch.

        Parameters
        ----------
        z : Tensor of shape (batch, d)
            Embeddings of the epochs.
        target : Tensor of shape (batch, d)
            Embedding of what was shown in each epoch.
        stimulus : Tensor of shape (batch,), optional
            Integers that are equal where the same stimulus was shown. None: all differ.
        weight : Tensor of shape (batch,), optional
            Weights of the epochs, not negative. An epoch of weight 2 counts as two equal ones, in its own right and
            among those that the others are compared with; one of weight 0 as none. None: all weigh the same.

        Returns
        -------
        Tensor
            Scalar, float32.
        """
        check_shapes(z, target, stimulus)
        with torch.autocast(z.device.type, enabled=False):
            z, target = self.unit(z, "eeg"), self.unit(target, "image")
            return self.of_products(z @ target.T, stimulus, weight)

    def unit(self, vectors: Tensor, side: str) -> Tensor:
        """Bring vectors of one side to unit length, where that side is.

        Parameters
        ----------
        vectors : Tensor of shape (n, d)
            Embeddings or targets.
        side : {"eeg", "image"}
            Which of them.

        Returns
        -------
        Tensor of shape (n, d)
            As they are compared, float32.
        """
        vectors = vectors.float()
        return F.normalize(vectors, dim=-1) if self.normalize in (side, "both") else vectors

    def of_products(
        self, products: Tensor, stimulus: Tensor | None = None, weight: Tensor | None = None
    ) -> Tensor:
        """Compute the loss of a batch from its products.

        Parameters
        ----------
        products : Tensor of shape (batch, batch)
            Of embeddings (rows) and targets (columns), each as :meth:`unit` gives them.
        stimulus, weight : Tensor of shape (batch,), optional
            As in :meth:`forward`.

        Returns
        -------
        Tensor
            Scalar.
        """
        similarity = self.scale * products
        if weight is not None:
            return self._weighted(similarity, stimulus, weight)
        answer = torch.arange(len(similarity), device=similarity.device)
        if stimulus is not None and self.same_stimulus != "negative":
            same = stimulus[:, None] == stimulus
            if self.same_stimulus == "mask":
                similarity = similarity.masked_fill(same.fill_diagonal_(False), -math.inf)
            else:  # "same" is symmetric, so that one distribution serves both directions
                answer = same.float() / same.sum(1, keepdim=True)
        return (F.cross_entropy(similarity, answer) + F.cross_entropy(similarity.T, answer)) / 2

    def _weighted(self, similarity: Tensor, stimulus: Tensor | None, weight: Tensor) -> Tensor:
        """The loss of a batch in which row i stands for weight[i] rows."""
        itself = torch.eye(len(weight), dtype=torch.bool, device=weight.device)
        count, answer = weight.log().expand_as(similarity), itself.float()
        if stimulus is not None and self.same_stimulus != "negative":
            same = stimulus[:, None] == stimulus
            if self.same_stimulus == "mask":  # also the copies of a row, but for the one that it is
                count = count.masked_fill(same, -math.inf).masked_fill(itself, 0)
            else:
                answer = same * weight
                answer = answer / answer.sum(1, keepdim=True).clamp_min(torch.finfo(answer.dtype).tiny)
        loss = sum(
            weight @ ((s + count).logsumexp(1) - (answer * s).sum(1)) for s in (similarity, similarity.T)
        )
        return loss / weight.sum() / 2


def check_shapes(z: Tensor, target: Tensor, stimulus: Tensor | None = None) -> None:
    """Raise a ValueError that names both shapes where embeddings, targets and stimuli do not fit together."""
    if z.ndim != 2 or z.shape != target.shape:
        raise ValueError(
            f"Embeddings and targets must both be (batch, d); got {tuple(z.shape)} and {tuple(target.shape)}. "
            "Is the network's n_outputs the dimension of the targets?"
        )
    if stimulus is not None and stimulus.shape != z.shape[:1]:
        raise ValueError(f"stimulus must have shape ({len(z)},), one an epoch; got {tuple(stimulus.shape)}.")


def _check_option(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}; got {value!r}.")
