"""The decoders of the demo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .config import Config

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

LINEAR = "Linear"
RIDGE = "Ridge"


def make_decoders(config: Config, table: Any, *, seed: int, verbose: int) -> dict[str, Pipeline]:
    """Return unfitted pipelines by name, the one that figures show first; each ends in an ImageRetriever."""
    import torch  # noqa: F401 (else the first training would be charged with loading it)
    from mne.decoding import Scaler
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline

    from ... import recipes
    from ...decoders.averaging import AveragedTraining
    from ...decoders.encoder import EEGEncoder
    from ...decoders.retrieval import ImageRetriever

    encoders: dict[str, Any] = {
        name: EEGEncoder(**params, targets=table, random_state=seed, verbose=verbose)
        for name, params in config.encoders.items()
    }
    # Without cv, RidgeCV leaves out one row at a time: the mean of all repetitions of one training picture. The scoring is
    # the default one; where it is not named, asking what metadata it wants costs seconds in all.
    ridge = RidgeCV(alphas=config.alphas, scoring="neg_mean_squared_error")
    encoders[RIDGE] = AveragedTraining(ridge, targets=table)
    scaled = {
        name: make_pipeline(Scaler(scalings="mean"), ImageRetriever(encoder, targets=table))
        for name, encoder in encoders.items()
    }
    return {LINEAR: recipes.linear(table), **scaled}


def before(decoder: Pipeline, X: Any) -> Any:
    """Epochs as the last step of a fitted pipeline gets them."""
    return decoder[:-1].transform(X) if len(decoder) > 1 else X
