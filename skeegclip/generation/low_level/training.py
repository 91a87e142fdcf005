"""How a LowLevelDecoder learns and paints."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np

from ..._training.targets import equal_rows
from ..._utils.device import resolve_device
from ..._utils.ids import as_ids
from ..._utils.pictures import as_list
from ..._utils.progress import tqdm
from ..._utils.seeding import draw_seed
from ...decoders.encoder import EEGEncoder
from ...embeddings import EmbeddingTable
from ..generators.training import check_images, picture_of
from .linear_latents import LinearLatents
from .vae import decode, encode, load_vae


class LatentEncoder(EEGEncoder):
    """An encoder whose embeddings are latents, trained on the mean squared error."""

    _usual_patience: int | None = 10
    _error: str = "l2"


class AbsoluteLatentEncoder(LatentEncoder):
    """The same, trained on the mean absolute error. A class of its own, so that a clone keeps it."""

    _error = "l1"


ENCODERS = {"l2": LatentEncoder, "l1": AbsoluteLatentEncoder}


def fit_low_level(decoder: Any, X: Any, y: Any, subject: Any) -> None:
    """Fit `decoder` and set its fitted attributes."""
    seed = draw_seed(decoder.random_state)
    group, latents = read_latents(decoder, y)
    decoder.latent_shape_ = tuple(int(n) for n in latents.shape[1:])
    # Scaled in place: the latents of all THINGS pictures take a gigabyte.
    decoder.latent_mean_ = latents.mean(axis=0)
    latents -= decoder.latent_mean_
    scale = latents.std(axis=(0, 2, 3), keepdims=True)[0]
    decoder.latent_scale_ = np.where(scale > 0, scale, 1).astype(np.float32)
    latents /= decoder.latent_scale_
    flat = latents.reshape(len(latents), -1)
    if decoder.net == "linear":
        linear = _linear(decoder.net_params)
        decoder.encoder_ = linear.fit(X, flat, group, subject=subject, seed=seed)
        return
    table = EmbeddingTable([str(i) for i in range(len(flat))], flat)
    encoder = ENCODERS[decoder.loss](
        network(decoder.net),
        net_params={**(decoder.net_params or {}), "latent_shape": decoder.latent_shape_},
        targets=table,
        loss_weight=0.0,
        optimizer_params={"weight_decay": decoder.weight_decay},
        lr=decoder.lr,
        lr_scheduler="cosine",
        batch_size=decoder.batch_size,
        max_epochs=decoder.max_epochs,
        validation=decoder.validation,
        patience=decoder.patience,
        precision=decoder.precision,
        device=decoder.device,
        verbose=decoder.verbose,
        random_state=seed,
    )
    encoder.fit(X, table.ids[group], subject=subject)
    decoder.encoder_ = encoder.set_params(targets=None)


def network(net: Any) -> type:
    """The network class of a name."""
    from .nets.low_level_reference import LowLevelReference

    return LowLevelReference if net == "reference" else net


def _linear(params: dict | None) -> LinearLatents:
    accepted = ["n_bins", "n_components"]
    unknown = sorted(set(params or {}) - set(accepted))
    if unknown:
        raise ValueError(
            f'net_params: net="linear" has no parameter {unknown[0]!r}; it takes {", ".join(accepted)}.'
        )
    return LinearLatents(**(params or {}))


def read_latents(decoder: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Stimulus of each row, and one latent per stimulus, of ids, pictures or latents."""
    check_images(decoder.images)
    array = y if isinstance(y, np.ndarray) else None
    if array is not None and array.dtype.kind == "f":
        return _given_latents(array)
    if array is not None and array.ndim == 4:
        pictures: Any = array
    else:
        pictures = as_list(y, "y")
        if all(isinstance(item, str) for item in pictures) and decoder.images is not None:
            ids, group = np.unique(as_ids(pictures, name="y"), return_inverse=True)
            shown = [picture_of(decoder.images, name) for name in ids.tolist()]
            return group, _encoded(decoder, shown)
        if isinstance(pictures[0], str) and not Path(pictures[0]).is_file():
            raise ValueError(
                "images is None, but y holds stimulus ids: there is nothing to look them up in. Pass"
                " images=ImageTable(...), or y as pictures or latents."
            )
    seen: dict[Any, int] = {}
    group = np.array([seen.setdefault(_key(picture), len(seen)) for picture in pictures])
    first = np.unique(group, return_index=True)[1]
    return group, _encoded(decoder, [pictures[row] for row in first])


def _key(picture: Any) -> Any:
    """What tells two pictures apart."""
    if isinstance(picture, (str, os.PathLike)):
        return os.fspath(picture)
    array = np.ascontiguousarray(picture)
    return array.shape, array.dtype.str, hashlib.blake2b(array.data, digest_size=16).digest()


def _given_latents(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if array.ndim != 4 or 0 in array.shape:
        raise ValueError(
            "y: latents must be floats of shape (n_epochs, n_channels, height, width), got shape"
            f" {array.shape}. Pictures must be uint8."
        )
    if array.shape[3] == 3:
        raise ValueError(
            f"y: floats are read as latents, but the shape {array.shape} is that of pictures. Pictures must be uint8."
        )
    if not np.isfinite(array).all():
        raise ValueError("y: latents hold NaN or inf. Encode these pictures again.")
    first, group = equal_rows(array.reshape(len(array), -1))
    return group, array[first].astype(np.float32)


def _encoded(decoder: Any, pictures: Any) -> np.ndarray:
    step = decoder.vae_batch_size
    parts = encode(vae_of(decoder), pictures, size=decoder.image_size, batch_size=step)
    return np.concatenate(list(_shown(parts, -(-len(pictures) // step), "encoding", decoder.verbose)))


def paint(decoder: Any, latents: np.ndarray) -> np.ndarray:
    """Pictures of latents."""
    parts = decode(vae_of(decoder), latents, batch_size=decoder.vae_batch_size)
    n_parts = -(-len(latents) // decoder.vae_batch_size)
    return np.concatenate(list(_shown(parts, n_parts, "painting", decoder.verbose)))


def _shown(parts: Any, total: int, what: str, verbose: Any) -> Any:
    return tqdm(parts, total=total, desc=what, unit="batch") if verbose else parts


def vae_of(decoder: Any) -> Any:
    """The autoencoder of `decoder`, loaded once."""
    key, loaded = getattr(decoder, "_loaded_vae", (None, None))
    if loaded is None or key is not decoder.vae:
        loaded = load_vae(decoder.vae, resolve_device(decoder.device))
        decoder._loaded_vae = (decoder.vae, loaded)
    return loaded
