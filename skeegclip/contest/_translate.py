"""From fitted estimators to networks that do the same to epochs of people who were never seen."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from .._utils.estimators import fitted_parts, holds_own, is_pipeline, steps, unwrap
from ..decoders.composite import EmbeddingComposite
from ..decoders.encoder import EEGEncoder
from ..decoders.ensemble import EnsembleEncoder
from ..decoders.inverted_encoding import InvertedEncoding
from ..decoders.retrieval import ImageRetriever
from ..preprocessing import MVNN, EpochScaler, PickChannels, SubjectAligner
from ._modules import Affine, MapChannels, MeanOfUnits, Network, OfOneCap, Pick, Single, WhitenEach

_ROWS, _MOST_BYTES = 256, 2**30
_LINEAR = 1e-6  # of the largest value
Shape = tuple[int, ...]


def translate(decoder: Any, shape: Shape, places: np.ndarray | None = None) -> nn.Module:
    """A network from epochs (batch, *shape) to predictions in the space of the targets.

    Parameters
    ----------
    decoder : estimator
        Fitted.
    shape : tuple of int
        Channels and samples.
    places : ndarray, shape (n_chans, 4) | None
        Where the channels are, for encoders of any cap; None are those of fit.

    Raises
    ------
    ValueError
        If a part has no place in it; the message names the part and says what to do.
    """
    for part in fitted_parts(decoder):
        if said := getattr(part, "_transductive", None):
            raise refusal(
                part, f"it looks at all test epochs together ({said})", "Leave it out, or learn in fit alone"
            )
    return nn.Sequential(*_predictor(decoder, shape, places), Single())


def refusal(part: Any, why: str, remedy: str) -> ValueError:
    """What to say of a part that cannot be exported."""
    return ValueError(f"{type(part).__name__} cannot be exported: {why}. {remedy}.")


# -- what predicts ----------------------------------------------------------------------------------


def _predictor(estimator: Any, shape: Shape, places: np.ndarray | None) -> list[nn.Module]:
    estimator = unwrap(estimator)
    if not holds_own(estimator):
        return [_probed(estimator.predict, shape, estimator)]
    if is_pipeline(estimator):
        return _pipeline(estimator, shape)
    if isinstance(estimator, EmbeddingComposite):
        return _composite(estimator, shape, places)
    if isinstance(estimator, EnsembleEncoder):
        if estimator.joined_:
            raise refusal(
                estimator,
                "its members embed into spaces of their own",
                "Give all one table and no projector (InvertedEncoding: space='targets')",
            )
        members = [nn.Sequential(*_predictor(one, shape, places)) for one in estimator.members_]
        return [MeanOfUnits(members)]
    if isinstance(estimator, EEGEncoder):
        return _encoder(estimator, places)
    if isinstance(estimator, InvertedEncoding):
        return _inverted(estimator)
    raise refusal(
        estimator,
        "it is no encoder, retriever, ensemble or linear regressor",
        "Export the encoder inside it",
    )


def _pipeline(pipeline: Any, shape: Shape) -> list[nn.Module]:
    acting, made = steps(pipeline), []
    for step in acting[:-1]:
        module, shape = _step(step, shape)
        made += module
    return made + _predictor(acting[-1], shape, None)  # what comes from a step has the channels of fit


def _composite(estimator: EmbeddingComposite, shape: Shape, places: np.ndarray | None) -> list[nn.Module]:
    if isinstance(estimator.encoder_, str):
        raise refusal(estimator, "it decodes embeddings, not epochs", "Give it the encoder that makes them")
    if isinstance(estimator, ImageRetriever):
        for name, off in (("whiten", 0), ("hubness", None), ("refine", 0)):
            if (value := getattr(estimator, name)) != off:
                raise refusal(
                    estimator,
                    f"{name}={value!r} changes how pictures are compared, which the contest does by cosine",
                    f"Pass {name}={off}",
                )
    made: list[nn.Module] = [nn.Flatten()] if estimator._flattens() else []
    return made + _predictor(estimator.encoder_, (math.prod(shape),) if made else shape, places)


def _encoder(encoder: EEGEncoder, places: np.ndarray | None) -> list[nn.Module]:
    from .._training.sharing import rebuild_net, weights_of

    if encoder.fitted_.spec.criterion_params.get("layers"):
        raise refusal(encoder, "several tables of targets are mixed in it", "Train it on one")
    # On the CPU and in single precision, wherever and however it was trained.
    net = rebuild_net(encoder.fitted_.spec, weights_of(encoder.net_), device="cpu", precision="float32")
    if encoder.montage is not None:
        layer = net.module_.channel_layer
        at = layer.places if places is None else torch.from_numpy(places)
        net.module_.channel_layer = OfOneCap(layer(torch.eye(len(at))[None], at)[0].detach().numpy(), None)
    made: list[nn.Module] = [Network(net.module_, net.takes_subject_)]
    if encoder.projector is not None:
        made.append(_back(net.criterion_.project.weight.detach().numpy()))
    return made


def _inverted(estimator: InvertedEncoding) -> list[nn.Module]:
    k, filters = estimator.n_components_, estimator.filters_.astype(np.float64)
    centred = MapChannels(np.ones(estimator.n_chans_, dtype=np.float32), estimator.mean_)
    read = Affine(filters.reshape(k, -1).T, -estimator.offset_, (k,))
    return [centred, read, _back(estimator.target_filters_)]


def _back(projection: np.ndarray) -> Affine:
    """From a space that targets are mapped to, back to theirs: products with targets are those with their images."""
    return Affine(projection, np.zeros(projection.shape[1]), projection.shape[1:])


# -- what comes before it ---------------------------------------------------------------------------


def _step(step: Any, shape: Shape) -> tuple[list[nn.Module], Shape]:
    step = unwrap(step)
    if is_pipeline(step):
        made = []
        for inner in steps(step):
            modules, shape = _step(inner, shape)
            made += modules
        return made, shape
    if isinstance(step, PickChannels):
        return [Pick(step.picks_)], (len(step.picks_), *shape[1:])
    if isinstance(step, (EpochScaler, MVNN, SubjectAligner)):
        return [_channel_map(step)], shape
    if holds_own(step):
        raise refusal(step, "it is no step that is known here", "Leave it out of the Pipeline")
    made = _probed(step.transform, shape, step)
    return [made], made.shape


def _channel_map(step: EpochScaler | MVNN | SubjectAligner) -> nn.Module:
    function = step._function_for_strangers()
    if function is None:
        raise refusal(
            step,
            "it knows the people of fit only, and the contest does not say whose an epoch is",
            "Fit it with unknown='pooled', without subjects, or by each epoch where it can",
        )
    if hasattr(function, "shrinkage"):  # of each epoch by itself
        return WhitenEach(function.shrinkage, function.center, function.weights)
    return MapChannels(function.weights[0], None if function.offsets is None else function.offsets[0])


def _probed(function: Callable[[np.ndarray], Any], shape: Shape, part: Any) -> Affine:
    """What a linear part of another library does, told by what it does to unit vectors."""
    width = math.prod(shape)

    def of(x: np.ndarray) -> np.ndarray:
        return np.asarray(function(x.reshape(len(x), *shape)), dtype=np.float64)

    zero = of(np.zeros((1, width)))[0]
    if 8 * width * zero.size > _MOST_BYTES:
        raise refusal(
            part,
            f"its matrix of {width} times {zero.size} numbers takes more than a gigabyte",
            "Pick fewer channels or times before it",
        )
    matrix = np.empty((width, zero.size))
    for start in range(0, width, _ROWS):
        rows = slice(start, min(start + _ROWS, width))
        units = np.zeros((rows.stop - start, width))
        units[np.arange(len(units)), np.arange(start, rows.stop)] = 1
        matrix[rows] = (of(units) - zero).reshape(len(units), -1)
    rng = np.random.default_rng(0)
    trial = rng.standard_normal((4, width)) * np.array([[0.1], [1], [10], [100]])
    found, expected = of(trial).reshape(4, -1), trial @ matrix + zero.ravel()
    if not np.abs(found - expected).max() <= _LINEAR * max(np.abs(found).max(), 1e-300):
        raise refusal(
            part,
            "what it does is not linear, and of other libraries only what is linear can be told",
            "Do it before the epochs are given to fit, or put a linear step in its place",
        )
    return Affine(matrix, zero.ravel(), zero.shape)
