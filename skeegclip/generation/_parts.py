"""How the reconstructor makes, supplies and calls its parts."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator

from .._utils.inputs import as_mne_list
from .._utils.mne_objects import joined
from .._utils.params import check_option
from .._utils.seeding import draw_seed

GENERATORS = ("sdxl-turbo", "sdxl-base", "linear", "nearest")


def make_generator(generator: Any) -> Any:
    """Return a generator to be fitted: by name, or a clone of the one given (itself, where it cannot be cloned)."""
    if isinstance(generator, str):
        from . import LinearGenerator, NearestImageGenerator, SDXLGenerator

        check_option("generator", generator, GENERATORS)
        if generator.startswith("sdxl"):
            return SDXLGenerator(generator)
        return LinearGenerator() if generator == "linear" else NearestImageGenerator()
    if not hasattr(generator, "generate"):
        raise TypeError(
            f"generator must be one of {', '.join(map(repr, GENERATORS))}, or an object with generate, got"
            f" {type(generator).__name__}."
        )
    return clone(generator) if hasattr(generator, "get_params") else generator


def check_part(name: str, part: Any, methods: tuple[str, ...]) -> None:
    """Refuse a part that has none of the methods it is called by."""
    if part is not None and (isinstance(part, str) or not any(hasattr(part, method) for method in methods)):
        raise TypeError(f"{name} must be None or an estimator with {' or '.join(methods)}, got {part!r:.80}.")


def frozen(part: Any) -> Any:
    """A part that is only used, whether it was frozen before or not; None and names are what they are."""
    return part if part is None or isinstance(part, (str, FrozenEstimator)) else FrozenEstimator(part)


def prepare(part: Any, random_state: Any, **supplies: Any) -> Any:
    """Clone a part and fill those of its parameters that are None: tables it looks ids up in, and its seed.

    Parameters
    ----------
    part : estimator
        A frozen one is returned as it is.
    random_state : None | int | RandomState | Generator
        None leaves the part's own as it is.
    **supplies : object
        Values by name of the parameter, for example targets and images.

    Returns
    -------
    estimator
        Not fitted, unless frozen.
    """
    if isinstance(part, FrozenEstimator):
        return part
    part = clone(part) if hasattr(part, "get_params") else part
    if not hasattr(part, "get_params"):
        return part
    if random_state is not None:
        supplies["random_state"] = draw_seed(random_state)
    empty = {
        name: supplies[name.rpartition("__")[2]]
        for name, value in part.get_params().items()
        if value is None and supplies.get(name.rpartition("__")[2]) is not None
    }
    return part.set_params(**empty) if empty else part


def fit_on_ids(part: Any, Z: Any, ids: np.ndarray, table: Any) -> Any:
    """Fit a part on stimulus ids, where it looks them up itself, else on their vectors (a regressor serves as prior)."""
    if part is None or isinstance(part, FrozenEstimator) or not hasattr(part, "fit"):
        return part
    names = {name.rpartition("__")[2] for name in part.get_params()}
    return part.fit(Z, ids if names & {"targets", "images", "captions"} else table.lookup(ids))


def refine(prior: Any, Z: np.ndarray, n_samples: int) -> np.ndarray:
    """Embeddings (n, n_samples, n_dims) for the generator: samples of the prior, or what it predicts for all."""
    if prior is None:
        return np.repeat(Z[:, None].astype(np.float32), n_samples, axis=1)
    if n_samples > 1 and hasattr(prior, "sample"):
        return np.asarray(prior.sample(Z, n_samples), dtype=np.float32)
    method = "transform" if hasattr(prior, "transform") else "predict"
    return np.repeat(np.asarray(getattr(prior, method)(Z), dtype=np.float32)[:, None], n_samples, axis=1)


def as_one(X: Any) -> Any:
    """X as something whose rows can be taken and averaged: what scikit-learn cut from Epochs is put together again."""
    if issparse(X):
        return X.toarray()
    if (
        getattr(X, "dtype", None) == np.dtype(object) and X.ndim == 2
    ):  # of numbers, or the encoder had refused it
        return X.astype(np.float64)
    parts = as_mne_list(X)
    return X if parts is None else joined(parts)
