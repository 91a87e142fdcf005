"""GIT, the captioning model of transformers: tokens of pictures, and captions of tokens."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..._utils.pictures import read_picture, to_uint8

if TYPE_CHECKING:
    import torch


class Git(NamedTuple):
    """A captioning model and what prepares its pictures and reads its words."""

    model: Any
    processor: Any

    @property
    def token_shape(self) -> tuple[int, int]:
        """Number and width of the tokens of a picture."""
        vision = self.model.config.vision_config
        return (vision.image_size // vision.patch_size) ** 2 + 1, vision.hidden_size


def load_git(name: str | os.PathLike, device: str) -> Git:
    """A model by name on the Hugging Face hub, or of a folder in transformers' format."""
    from transformers import GitForCausalLM, GitProcessor

    found = str(name)
    try:
        # Code that comes with the weights is neither run nor asked about, and pickles are not opened.
        model: Any = GitForCausalLM.from_pretrained(found, trust_remote_code=False, use_safetensors=True)
        processor: Any = GitProcessor.from_pretrained(found, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise OSError(
            f"model={found!r} could not be loaded: neither a folder in transformers' format with a GIT model nor one that"
            f" can be downloaded ({str(error).splitlines()[0]})."
        ) from error
    model.git.image_encoder = _or_tokens(model.git.image_encoder)
    return Git(model.to(device).eval().requires_grad_(False), processor)


def _or_tokens(image_encoder: Any) -> torch.nn.Module:
    """The image encoder, except that what is no picture but tokens (batch, 1, n_tokens, width) goes through it."""
    from torch import nn
    from transformers.modeling_outputs import BaseModelOutput

    class ImageOrTokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.image_encoder = image_encoder

        def forward(self, pixel_values: torch.Tensor, **kwargs: Any) -> Any:
            if pixel_values.shape[1] == 1:
                return BaseModelOutput(last_hidden_state=pixel_values[:, 0])
            return self.image_encoder(pixel_values, **kwargs)

    return ImageOrTokens()


def tokens_of(git: Git, pictures: Sequence[Any], batch_size: int) -> Iterator[np.ndarray]:
    """Tokens of pictures (arrays, PIL images or paths), a batch at a time, (k, n_tokens, width)."""
    import torch

    for start in range(0, len(pictures), batch_size):
        rows = range(start, min(start + batch_size, len(pictures)))
        batch = [to_uint8(read_picture(pictures[row], f"picture {row}")) for row in rows]
        pixels = git.processor(images=batch, return_tensors="pt").pixel_values
        with torch.inference_mode():
            encoded = git.model.git.image_encoder(pixels.to(git.model.device))
        yield encoded.last_hidden_state.float().cpu().numpy()


def captions_of(git: Git, tokens: torch.Tensor, max_new_tokens: int, precision: str) -> list[str]:
    """Captions of one batch of tokens: the likeliest word each time."""
    import torch

    device = git.model.device
    with (
        torch.inference_mode(),
        torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"),
    ):
        words = git.model.generate(
            pixel_values=tokens.to(device)[:, None],
            max_new_tokens=max_new_tokens,
            do_sample=False,
            num_beams=1,
        )
    texts = git.processor.batch_decode(words, skip_special_tokens=True)
    return [text.strip() for text in texts]


def as_name(model: Any) -> str:
    """The name or folder of a model, as text."""
    if not isinstance(model, (str, os.PathLike)):
        raise TypeError(f"model must be a name or a folder, got {type(model).__name__}.")
    return str(Path(model)) if isinstance(model, os.PathLike) else model
