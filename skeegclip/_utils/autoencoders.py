"""Autoencoders of diffusers: which classes are ones, and the scale that diffusion pipelines work on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def autoencoder_class(config: Any) -> Any:
    """The class that a config names: one of diffusers' autoencoders, never code that comes with the weights.

    diffusers' own AutoModel hands what it does not know on to transformers, which asks on the terminal whether to run
    the code in a folder.
    """
    import diffusers

    name = str(dict(config).get("_class_name"))
    cls = getattr(diffusers, name, None) if "Autoencoder" in name else None
    if not (isinstance(cls, type) and issubclass(cls, diffusers.ModelMixin) and hasattr(cls, "decode")):
        raise ValueError(f"its config names the class {name!r:.60}, which is no autoencoder of diffusers")
    return cls


def latents_of(vae: Any, pixels: torch.Tensor) -> torch.Tensor:
    """Latents of pictures in -1..1: the mean of their distribution, shifted and scaled as the config says."""
    coded = vae.encode(pixels)
    z = coded.latent_dist.mode() if hasattr(coded, "latent_dist") else coded.latents
    mean, scale = latent_scale(vae, z)
    return (z - mean) * scale


def latent_scale(vae: Any, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What is subtracted from a raw latent, and what it is multiplied by."""
    config = dict(vae.config)
    factor = config.get("scaling_factor") or 1.0
    mean, std = config.get("latents_mean"), config.get("latents_std")
    if mean is not None and std is not None:
        each = [z.new_tensor(value).reshape(1, -1, 1, 1) for value in (mean, std)]
        return each[0], factor / each[1]
    return z.new_tensor(config.get("shift_factor") or 0.0), z.new_tensor(factor)
