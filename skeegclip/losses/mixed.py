"""The loss encoders are trained on: CLIP loss and mean squared error."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from .clip import ClipLoss
from .scaled import ScaledMAELoss, ScaledMSELoss


class MixedLoss(nn.Module):
    r"""Weighted sum of CLIP loss and mean squared error.

    .. math:: \lambda \, [(1 - w) \, \mathrm{CLIP}(z, t) + w \, \mathrm{CLIP}(z, t_\mathrm{text})]
              + (1 - \lambda) \, \mathrm{MSE}(z, t) / \sigma^2

    Parameters
    ----------
    loss_weight : float, default=1.0
        :math:`\lambda`, weight of the CLIP loss, in [0, 1].
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
        loss_weight: float = 1.0,
        text_weight: float = 0.0,
        target_variance: float = 1.0,
        normalize: str = "both",
        temperature: float = 0.07,
        temperature_mode: str = "learnable",
        same_stimulus: str = "positive",
        projector: tuple[int, int] | None = None,
        error: str = "l2",
    ) -> None:
        super().__init__()
        for name, weight in (("loss_weight", loss_weight), ("text_weight", text_weight)):
            if not 0 <= weight <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {weight!r}.")
        if error not in ("l2", "l1"):
            raise ValueError(f"error must be 'l2' or 'l1', got {error!r}.")
        self.loss_weight, self.text_weight = loss_weight, text_weight
        self.clip = ClipLoss(
            normalize=normalize,
            temperature=temperature,
            temperature_mode=temperature_mode,
            same_stimulus=same_stimulus,
        )
        self.error = (ScaledMSELoss if error == "l2" else ScaledMAELoss)(target_variance)
        if projector is not None and loss_weight < 1:
            raise ValueError(
                f"projector needs loss_weight=1, got {loss_weight:g}: the squared error would be least for a map onto zero."
            )
        self.project = nn.Identity() if projector is None else nn.Linear(*projector, bias=False)

    def forward(self, z: Tensor, target: Tensor | Mapping[str, Tensor]) -> Tensor:
        """Compute the loss of a batch.

        Parameters
        ----------
        z : Tensor of shape (batch, d)
            Embeddings of the epochs.
        target : Tensor of shape (batch, d), or dict
            Embedding of what was shown, every row a stimulus of its own; or a dict of "target" (batch, d),
            "stimulus" (batch,) and "weight" (batch,), both optional, and "text" (batch, d), needed where
            `text_weight` is not zero.

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
        parts = {
            k: v if k in ("stimulus", "weight") or v is None else self.project(v) for k, v in parts.items()
        }
        if self.loss_weight == 0:
            return self.error(z, parts["target"], parts.get("weight"))
        loss = self._contrastive(z, parts)
        if self.loss_weight < 1:
            error = self.error(z, parts["target"], parts.get("weight"))
            loss = self.loss_weight * loss + (1 - self.loss_weight) * error
        return loss

    def _contrastive(self, z: Tensor, parts: Mapping[str, Tensor]) -> Tensor:
        weight, rows = self.text_weight, (parts.get("stimulus"), parts.get("weight"))
        if weight and parts.get("text") is None:
            raise ValueError(
                f"text_weight={weight:g} needs the texts' embeddings under the key 'text' of the target."
            )
        if weight == 1:
            return self.clip(z, parts["text"], *rows)
        loss = self.clip(z, parts["target"], *rows)
        return (1 - weight) * loss + weight * self.clip(z, parts["text"], *rows) if weight else loss
