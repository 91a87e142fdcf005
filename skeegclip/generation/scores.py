"""How good the pictures of a reconstructor are, and how good those of two baselines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils.pictures import read_picture, square
from ..embeddings import EmbeddingTable
from ..metrics import cosine_similarity, n_way_probability, reconstruction_scores
from .generators.nearest import NearestImageGenerator
from .generators.training import picture_of

if TYPE_CHECKING:
    import pandas as pd

_IDENTIFY_AT = 64  # pixels a side
_MEAN_AT = (
    256  # pixels a side of the mean training picture, which is blurry; fewer where the pictures have fewer
)


def identification(pictures: np.ndarray, names: np.ndarray, shown: Mapping[str, Any]) -> np.ndarray:
    """Two-way identification by pixels, for each row: the mean over its pictures.

    Parameters
    ----------
    pictures : ndarray of uint8, shape (n_rows, n_images, height, width, 3)
        Reconstructions.
    names : ndarray of str, shape (n_rows,)
        What each row shows.
    shown : mapping
        Picture of each name.

    Returns
    -------
    ndarray, shape (n_rows,)
        Exact probabilities.
    """
    if len(shown) < 2:
        raise ValueError(f"y must show at least 2 stimuli, to tell one from another, got {len(shown)}.")
    ids = list(shown)
    gallery = _pixels([shown[name] for name in ids])
    target = np.searchsorted(ids, names)
    n_images = pictures.shape[1]
    found = _pixels(pictures.reshape(-1, *pictures.shape[2:]))
    probability = n_way_probability(cosine_similarity(found, gallery), np.repeat(target, n_images), n_way=2)
    return probability.reshape(-1, n_images).mean(axis=1)


def _pixels(pictures: Any) -> np.ndarray:
    """Centred pixels, whose cosines are correlations."""
    flat = np.stack([square(read_picture(picture, "images"), _IDENTIFY_AT).ravel() for picture in pictures])
    return flat - flat.mean(axis=1, keepdims=True)


def score_table(
    reconstructor: Any,
    pictures: np.ndarray,
    Z: np.ndarray,
    names: np.ndarray,
    shown: Mapping[str, Any],
    metrics: Any,
    **kwargs: Any,
) -> pd.DataFrame:
    """Table of reconstruction_scores, with the two baselines from the training pictures of a fitted reconstructor."""
    if reconstructor.seen_ is None:
        raise ValueError(
            "The baselines are training pictures, but fit saw no y. Pass y to fit, even where every part is frozen."
        )
    seen = reconstructor.seen_.astype(str)
    nearest = NearestImageGenerator(reconstructor.images, targets=beside_embeddings(reconstructor))
    nearest.fit(np.zeros((len(seen), Z.shape[1])), seen)
    closest = [nearest.pictures_[i] for i in nearest.nearest(Z)]
    mean = mean_picture(reconstructor.images, seen)
    return reconstruction_scores(
        [shown[name] for name in names.tolist()],
        list(pictures),
        metrics,
        baselines={"mean training picture": [mean] * len(names), "nearest training picture": closest},
        stimulus=names,
        **kwargs,
    )


def beside_embeddings(reconstructor: Any) -> EmbeddingTable | None:
    """The targets of a reconstructor in the space of its encoder's embeddings, which may be the encoder's own."""
    table = reconstructor.targets_
    if table is None:
        return None
    vectors = table.vectors
    moved = reconstructor.project(vectors)
    return table if moved is vectors else EmbeddingTable(table.ids, moved)


def mean_picture(images: Mapping[str, Any], ids: np.ndarray) -> np.ndarray:
    """Mean of some pictures, as float32 in 0..1; they are read one by one."""
    pictures = (read_picture(picture_of(images, name), "images") for name in ids.tolist())
    first = next(pictures)
    size = min(_MEAN_AT, *first.shape[:2])
    total = square(first, size).astype(np.float64)
    for picture in pictures:
        total += square(picture, size)
    return (total / len(ids)).astype(np.float32)
