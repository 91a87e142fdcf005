"""How a reconstructor fits what comes after its encoder."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.frozen import FrozenEstimator

from .._utils.progress import is_watched
from ._cross_fit import out_of_fold_embeddings
from ._parts import as_one, fit_on_ids, make_generator, prepare, refine
from .generators.training import picture_of
from .scores import beside_embeddings


def fit_painters(reconstructor: Any, X: Any, y: Any, subject: Any) -> dict[str, Any]:
    """Fit prior, low-level decoder, captioner and generator, by name, of a reconstructor whose encoder is fitted."""
    labels = reconstructor._labels(y, reconstructor._given_table())
    ids = None if labels is None else labels.astype(str)
    targets, images, seed = reconstructor.targets_, reconstructor.images, reconstructor.random_state
    # A prior leads to the targets; without one, what follows it gets embeddings as the encoder makes them.
    own = targets if reconstructor.prior is not None else beside_embeddings(reconstructor)
    supplies = {"targets": own, "images": images}
    prior, low_level, captioner = (
        None if part is None else prepare(part, seed, **given)
        for part, given in (
            (reconstructor.prior, {**supplies, "targets": targets}),
            (reconstructor.low_level, supplies),
            (reconstructor.captioner, supplies),
        )
    )
    generator = prepare(make_generator(reconstructor.generator), seed, **supplies)
    learners = [part for part in (prior, captioner, generator) if _learns(part)]
    if ids is None:
        if learners or _learns(low_level):
            raise ValueError(
                f"This {type(reconstructor).__name__} estimator requires y to be passed, but the target y is None: its"
                " parts are to be fitted. Pass the stimulus ids, or freeze the parts."
            )
    elif learners:
        Z, names = reconstructor._training_embeddings(X, ids, subject)
        prior = fit_on_ids(prior, Z, names, targets)
        if _learns(captioner) or _learns(generator):
            Z = refine(prior, Z, 1)[:, 0]
        captioner = fit_on_ids(captioner, Z, names, targets)
        generator = fit_on_ids(generator, Z, names, targets)
    if ids is not None and low_level is not None and _learns(low_level):
        goal = ids if "images" in low_level.get_params() else _pictures(images, ids)
        low_level = reconstructor._call(low_level, "fit", "fit", X, goal, subject=subject, name="low_level")
    return {"prior": prior, "low_level": low_level, "captioner": captioner, "generator": generator}


def training_embeddings(
    reconstructor: Any, X: Any, ids: np.ndarray, subject: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings of the training epochs, by encoders that have not seen their stimuli, and those stimuli."""
    encoder, cross_fit, n_stimuli = reconstructor.encoder, reconstructor.cross_fit, len(np.unique(ids))
    if reconstructor._is_passthrough() or isinstance(encoder, FrozenEstimator):
        pass
    elif cross_fit is None:
        encoder = FrozenEstimator(reconstructor.encoder_)
    elif n_stimuli < 2 * cross_fit:
        raise ValueError(
            f"cross_fit={cross_fit} needs at least {2 * cross_fit} stimuli, two a fold, but y shows {n_stimuli}. Lower it,"
            " or pass None."
        )
    found = out_of_fold_embeddings(
        encoder,
        as_one(X),
        ids,
        subject=subject,
        targets=reconstructor.targets_,
        n_folds=cross_fit or 2,
        repetitions=reconstructor.repetitions,
        random_state=reconstructor.random_state,
        verbose=int(reconstructor.verbose and is_watched()),
        like=None if reconstructor._is_passthrough() else reconstructor.encoder_,
    )
    return found.Z, found.y


def _pictures(images: Any, ids: np.ndarray) -> list:
    if images is None:
        raise ValueError("images is None, but low_level learns from pictures. Pass images=ImageTable(...).")
    return [picture_of(images, name) for name in ids.tolist()]


def _learns(part: Any) -> bool:
    return part is not None and hasattr(part, "fit") and not isinstance(part, FrozenEstimator)
