"""The loss encoders are trained on: CLIP loss, mean squared error, and discrepancy of distributions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from .clip import ClipLoss
from .mixing import LayerMixing
from .mmd import MMDLoss
from .scaled import ScaledMAELoss, ScaledMSELoss
from .schedule import values_of, weight_at


class MixedLoss(nn.Module):
    r"""Weighted sum of CLIP loss and mean squared error.

    .. math:: \lambda \, \{(1 - m) [(1 - w) \, \mathrm{CLIP}(z, t) + w \, \mathrm{CLIP}(z, t_\mathrm{text})]
              + m \, \mathrm{MMD}(z, t)\} + (1 - \lambda) \, \mathrm{MSE}(z, t) / \sigma^2

    In evaluation mode weights that change over the training are those of its end: so losses of all passes on data that
    are held out can be compared.

    Parameters
    ----------
    loss_weight : float | sequence of float, default=1.0
        :math:`\lambda`, weight of the CLIP loss, in [0, 1]. Two numbers or more are spread evenly over the training, whose
        attribute `share` (0 at its start, 1 at its end and before it begins) says how far it is.
    mmd_weight : float | sequence of float, default=0.0
        Weight m of the maximum mean discrepancy, see `MMDLoss`, within the CLIP loss's share; as `loss_weight`.
    text_weight : float, default=0.0
        Weight w of the texts' embeddings in the CLIP loss, in [0, 1].
    target_variance : float, default=1.0
        :math:`\sigma^2`, see `ScaledMSELoss`.
    normalize : {"both", "image", "eeg", "none"}, default="both"
        Which side is scaled to unit length, see `ClipLoss`.
    temperature : float, default=0.07
        Temperature at the start, one for images and texts.
    temperature_mode : {"learnable", "fixed", "raw"}, default="learnable"
        What becomes of the temperature, see `ClipLoss`.
    same_stimulus : {"positive", "mask", "negative"}, default="positive"
        What other rows of the same stimulus are to a row, see `ClipLoss`.
    projector : tuple of int, default=None
        Width of the targets, and the width d that a learned linear map without bias brings them (and the
        texts) to before they are compared with the embeddings. Needs ``loss_weight=1``: the squared error
        would be least for a map onto zero.
    layers : tuple of int, default=None
        Widths of several targets of each stimulus that lie side by side, see `LayerMixing`; then the projector is a
        map of each. Needs ``loss_weight=1`` too: the error would be least for the mixture that varies least.
    n_subjects : int, default=0
        Number of subjects with a mixture of their own.
    error : {"l2", "l1"}, default="l2"
        The second loss: mean squared error, or mean absolute error (`ScaledMAELoss`).

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    References
    ----------
    Li et al., "Visual Decoding and Reconstruction via EEG Embeddings with Guided Diffusion", NeurIPS 2024,
    arXiv:2403.07721. The projector: "NeuroBridge", arXiv:2511.06836.

    Examples
    --------
    >>> import torch
    >>> from skeegclip.losses import MixedLoss
    >>> z = torch.eye(4, requires_grad=True)
    >>> target = {"target": torch.eye(4), "stimulus": torch.tensor([0, 0, 1, 2])}
    >>> MixedLoss(loss_weight=0.9)(z, target).requires_grad
    True
    """

    def __init__(
        self,
        *,
        loss_weight: float | Sequence[float] = 1.0,
        mmd_weight: float | Sequence[float] = 0.0,
        text_weight: float = 0.0,
        target_variance: float = 1.0,
        normalize: str = "both",
        temperature: float = 0.07,
        temperature_mode: str = "learnable",
        same_stimulus: str = "positive",
        projector: tuple[int, int] | None = None,
        layers: tuple[int, ...] | None = None,
        n_subjects: int = 0,
        error: str = "l2",
    ) -> None:
        super().__init__()
        for name, weight in (
            ("loss_weight", loss_weight),
            ("mmd_weight", mmd_weight),
            ("text_weight", text_weight),
        ):
            if not all(0 <= value <= 1 for value in values_of(weight)):
                raise ValueError(f"{name} must be in [0, 1], got {weight!r}.")
        if error not in ("l2", "l1"):
            raise ValueError(f"error must be 'l2' or 'l1', got {error!r}.")
        self.loss_weight, self.mmd_weight, self.text_weight = loss_weight, mmd_weight, text_weight
        self.share = 1.0
        self.clip = ClipLoss(
            normalize=normalize,
            temperature=temperature,
            temperature_mode=temperature_mode,
            same_stimulus=same_stimulus,
        )
        self.error = (ScaledMSELoss if error == "l2" else ScaledMAELoss)(target_variance)
        self.mmd = MMDLoss()
        if set(values_of(loss_weight)) != {1} and (projector is not None or layers is not None):
            what, least = ("projector needs", "a map onto zero")
            if layers is not None:
                what, least = "several targets need", "the mixture that varies least"
            raise ValueError(
                f"{what} loss_weight=1, got {loss_weight!r}: the squared error would be least for {least}."
            )
        if layers is not None:
            self.project: nn.Module = LayerMixing(layers, projector and projector[1], n_subjects)
        else:
            self.project = nn.Identity() if projector is None else nn.Linear(*projector, bias=False)

    def forward(self, z: Tensor, target: Tensor | Mapping[str, Tensor]) -> Tensor:
        """Compute the loss of a batch.

        Parameters
        ----------
        z : Tensor of shape (batch, d)
            Embeddings of the epochs.
        target : Tensor of shape (batch, d), or dict
            Embedding of what was shown, every row a stimulus of its own; or a dict of "target" (batch, d),
            "stimulus" (batch,) and "weight" (batch,), both optional, "text" (batch, d), needed where `text_weight` is not
            zero, and "subject" (batch,), by whose weights several targets are mixed (see `LayerMixing`).

        Returns
        -------
        Tensor
            Scalar, float32.

        Raises
        ------
        ValueError
            If "target" or a needed "text" is missing, or shapes do not fit together.
        """
        parts = target if isinstance(target, Mapping) else {"target": target}
        if "target" not in parts:
            raise ValueError(f"A target given as a dict needs the key 'target'; got {sorted(parts)}.")
        share = self.share if self.training else 1.0
        clip_weight, mmd_weight = weight_at(self.loss_weight, share), weight_at(self.mmd_weight, share)
        weight, subject = parts.get("weight"), parts.get("subject")
        own = isinstance(self.project, LayerMixing) and subject is not None
        # Mixtures of each row's subject are compared below; here they are needed for their distribution only.
        if not own:
            target = self.project(parts["target"])
        elif mmd_weight > 0:
            target = self.project(parts["target"], subject)
        if clip_weight == 0:
            return self.error(z, target, weight)
        loss: Any = self._contrastive(z, target, parts) if mmd_weight < 1 else 0
        if mmd_weight > 0:
            loss = (1 - mmd_weight) * loss + mmd_weight * self.mmd(z, target, weight)
        if clip_weight < 1:
            loss = clip_weight * loss + (1 - clip_weight) * self.error(z, target, weight)
        return loss

    def _contrastive(self, z: Tensor, target: Tensor, parts: Mapping[str, Tensor]) -> Tensor:
        weight, text = self.text_weight, parts.get("text")
        rows = parts.get("stimulus"), parts.get("weight")
        if weight and text is None:
            raise ValueError(
                f"text_weight={weight:g} needs the texts' embeddings under the key 'text' of the target."
            )
        if weight == 1:
            return self.clip(z, self.project(text), *rows)
        if isinstance(self.project, LayerMixing) and parts.get("subject") is not None:
            unit = self.clip.normalize in ("image", "both")
            products = self.project.products(
                self.clip.unit(z, "eeg"), parts["target"], parts["subject"], unit=unit
            )
            return self.clip.of_products(products, *rows)
        loss = self.clip(z, target, *rows)
        return (1 - weight) * loss + weight * self.clip(z, self.project(text), *rows) if weight else loss
