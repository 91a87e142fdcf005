"""The data as the decoders get them, and the decoders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...preprocessing import average_repetitions
from .config import Config

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

RIDGE = "Ridge"


@dataclass(frozen=True)
class Trials:
    """Epochs, the stimulus of each, and its concept."""

    X: np.ndarray
    y: np.ndarray
    concept: np.ndarray


def make_trials(data: Any) -> tuple[Trials, Trials, Trials]:
    """Return the single training trials, the averaged ones, and the averaged test trials."""
    train = data.split == "train"
    single = Trials(data.X[train], data.y[train], data.concept[train])
    return single, _averaged(data, train), _averaged(data, ~train)


def _averaged(data: Any, rows: np.ndarray) -> Trials:
    X, y, _ = average_repetitions(data.X[rows], data.y[rows])
    concept = dict(zip(data.y[rows].tolist(), data.concept[rows].tolist(), strict=True))
    return Trials(X, y, np.array([concept[stimulus] for stimulus in y.tolist()]))


def make_decoders(
    config: Config, data: Any, gallery_ids: np.ndarray, *, seed: int, verbose: int
) -> dict[str, Pipeline]:
    """Return unfitted pipelines by name; each ends in an ImageRetriever that searches the test pictures."""
    import torch  # noqa: F401 (else the first training would be charged with loading it)
    from mne.decoding import Scaler
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline

    from ...decoders.encoder import EEGEncoder
    from ...decoders.retrieval import ImageRetriever

    encoders: dict[str, Any] = {
        name: EEGEncoder(**params, random_state=seed, verbose=verbose)
        for name, params in config.encoders.items()
    }
    # Without cv, RidgeCV leaves out one row at a time: the mean of all repetitions of one training picture.
    encoders[RIDGE] = RidgeCV(alphas=config.alphas)
    table = data.image_embeddings
    gallery = table.subset(gallery_ids)
    return {
        name: make_pipeline(
            Scaler(scalings="mean"), ImageRetriever(_with(encoder, table), targets=table, gallery=gallery)
        )
        for name, encoder in encoders.items()
    }


def _with(encoder: Any, table: Any) -> Any:
    return encoder.set_params(targets=table) if "targets" in encoder.get_params() else encoder
