"""Pictures to the latents of an autoencoder of diffusers, and back."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._utils.autoencoders import autoencoder_class, latent_scale, latents_of
from ..._utils.pictures import read_picture, square

if TYPE_CHECKING:
    import torch


def load_vae(vae: Any, device: str) -> torch.nn.Module:
    """An autoencoder by name, folder or as it is, for use on `device`.

    Parameters
    ----------
    vae : str | path-like | Module
        Name on the Hugging Face hub or a folder in diffusers' format, of an autoencoder or of a pipeline that has one;
        or an autoencoder.
    device : str
        Torch device.

    Returns
    -------
    Module
        In evaluation mode, float32: autoencoders overflow in half precision.
    """
    import torch

    if isinstance(vae, (str, os.PathLike)):
        vae = _from_pretrained(vae)
    if not (hasattr(vae, "encode") and hasattr(vae, "decode") and hasattr(vae, "config")):
        raise TypeError(
            "vae must be a name, a folder, or an autoencoder of diffusers (with encode, decode and config), got"
            f" {type(vae).__name__}."
        )
    if any(p.dtype != torch.float32 for p in vae.parameters()):
        vae = vae.to(torch.float32)
    return vae.to(device).eval()


def _from_pretrained(name: str | os.PathLike) -> torch.nn.Module:
    import torch
    from diffusers import AutoencoderKL

    folder = Path(name)
    if (folder / "vae" / "config.json").is_file():  # a whole pipeline
        folder = folder / "vae"
    found = str(folder) if folder.is_dir() else str(name)
    try:
        cls = autoencoder_class(AutoencoderKL.load_config(found))
        return cls.from_pretrained(found, torch_dtype=torch.float32, use_safetensors=True)
    except (OSError, ValueError) as error:
        raise OSError(
            f"vae={str(name)!r} could not be loaded: neither a folder in diffusers' format nor a model that can be"
            f" downloaded ({str(error).splitlines()[0]})."
        ) from error


def encode(vae: Any, pictures: Sequence[Any], *, size: int, batch_size: int) -> Iterator[np.ndarray]:
    """Latents of pictures, a batch at a time, on the scale that diffusion pipelines work on.

    Parameters
    ----------
    vae : Module
        The autoencoder.
    pictures : sequence
        Arrays, PIL images or paths; read a batch at a time.
    size : int
        The centre square of each picture is resized to this width and height.
    batch_size : int
        Pictures at once.

    Yields
    ------
    ndarray of float32, shape (k, n_channels, height, width)
        Mean of the latent's distribution, shifted and scaled as the autoencoder's config says.
    """
    import torch

    device = next(vae.parameters()).device
    for start in range(0, len(pictures), batch_size):
        rows = range(start, min(start + batch_size, len(pictures)))
        batch = np.stack([square(read_picture(pictures[row], f"picture {row}"), size) for row in rows])
        with torch.inference_mode():
            yield (
                latents_of(vae, torch.from_numpy(batch).to(device).permute(0, 3, 1, 2) * 2 - 1).cpu().numpy()
            )


def decode(vae: Any, latents: np.ndarray, *, batch_size: int) -> Iterator[np.ndarray]:
    """Pictures of latents, a batch at a time; undoes the scaling of `encode`.

    Parameters
    ----------
    vae : Module
        The autoencoder.
    latents : ndarray of float32, shape (n, n_channels, height, width)
        Latents.
    batch_size : int
        Pictures at once.

    Yields
    ------
    ndarray of uint8, shape (k, height, width, 3)
        Pictures.
    """
    import torch

    device = next(vae.parameters()).device
    for start in range(0, len(latents), batch_size):
        z = torch.from_numpy(latents[start : start + batch_size]).to(device)
        with torch.inference_mode():
            mean, scale = latent_scale(vae, z)
            x = vae.decode(z / scale + mean).sample
            x = ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
        yield x.permute(0, 2, 3, 1).cpu().numpy()
