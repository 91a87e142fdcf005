"""The pictures that the demo paints from the responses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .decoders import before

if TYPE_CHECKING:
    import pandas as pd

    from .trials import Trials

METRICS = ("PixCorr",)  # of those without weights the one that is quick
_N_COMPONENTS = 64
# Where, and when, low-level features of a picture are in the response.
_EARLY = (0.05, 0.25)
_POSTERIOR = ("P", "O")


@dataclass(frozen=True)
class Painted:
    """Reconstructions of the test pictures, in their order.

    Parameters
    ----------
    pictures : ndarray of uint8, shape (n_test, height, width, 3)
        Painted from the embeddings.
    low_level : ndarray of uint8, shape (n_test, height, width, 3)
        Painted from the early response at the back of the head, without embeddings.
    nearest : ndarray of uint8, shape (n_test, height, width, 3)
        Nearest training pictures.
    table : DataFrame
        Of the reconstructor's report.
    identified : float
        Two-way identification by pixels.
    """

    pictures: np.ndarray
    low_level: np.ndarray
    nearest: np.ndarray
    table: pd.DataFrame
    identified: float


def paint_test(decoder: Any, data: Any, train: Trials, test: Trials, *, seed: int) -> Painted:
    """Reconstruct the test pictures with the encoder of a fitted pipeline.

    Parameters
    ----------
    decoder : Pipeline
        Its last step is a fitted ImageRetriever.
    data : Bunch
        From ``make_things_like``.
    train, test : Trials
        Averaged epochs.
    seed : int
        Seed of the intervals.

    Returns
    -------
    Painted
        The pictures, and how good they are.
    """
    from sklearn.frozen import FrozenEstimator

    from ...embeddings import EmbeddingTable
    from ...generation import EEGImageReconstructor, LinearGenerator, NearestImageGenerator

    retriever, table = decoder[-1], data.image_embeddings
    reconstructor = EEGImageReconstructor(
        FrozenEstimator(retriever.encoder_),
        targets=table,
        images=data.images,
        generator=LinearGenerator(n_components=_N_COMPONENTS),
        verbose=0,
    )
    X_train, X_test = (before(decoder, part.X) for part in (train, test))
    reconstructor.fit(X_train, train.y)
    early = LinearGenerator(data.images, n_components=_N_COMPONENTS)
    early.fit(_early(X_train, data), train.y)
    beside = EmbeddingTable(table.ids, retriever.project(table.vectors))
    nearest = NearestImageGenerator(data.images, targets=beside).fit(beside.lookup(train.y), train.y)
    return Painted(
        pictures=reconstructor.transform(X_test),
        low_level=early.generate(_early(X_test, data)),
        nearest=nearest.generate(reconstructor.embed(X_test)),
        table=reconstructor.report(X_test, test.y, METRICS, random_state=seed, verbose=0),
        identified=reconstructor.score(X_test, test.y),
    )


def _early(X: np.ndarray, data: Any) -> np.ndarray:
    """Early samples of the posterior sensors, flat."""
    sensors = [name.startswith(_POSTERIOR) for name in data.info["ch_names"]]
    samples = (data.times >= _EARLY[0]) & (data.times < _EARLY[1])
    return X[:, sensors][:, :, samples].reshape(len(X), -1)
