"""The weights of every pass of training, for what an oracle would have chosen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..decoders.encoder import EEGEncoder
from ..metrics.of_estimators import image_similarity
from .cells import Ranked, rank
from .decoder import targets_of
from .queries import Queries


def keep_passes(decoder: Any, folder: Path) -> None:
    from .._training.callbacks import KeepPasses

    for name, part in [("", decoder), *decoder.get_params().items()]:
        if isinstance(part, EEGEncoder):
            key = f"{name}__callbacks" if name else "callbacks"
            decoder.set_params(**{key: [*(part.callbacks or []), ("keep_passes", KeepPasses(folder))]})


def with_passes(decoder: Any, queries: Queries, encoders: list[EEGEncoder], ranked: Ranked) -> Ranked:
    """Rank the queries with the weights of every pass; the encoders of an ensemble go through them together."""
    import torch

    from .._training.callbacks import KeepPasses, get_weights, set_weights

    kept = [
        next((cb.passes() for _, cb in encoder.net_.callbacks if isinstance(cb, KeepPasses)), [])
        for encoder in encoders
    ]
    n_passes = min(len(files) for files in kept)
    chosen = [get_weights(encoder.net_) for encoder in encoders]
    counts = []
    for number in range(n_passes):
        for encoder, files in zip(encoders, kept, strict=True):
            set_weights(
                encoder.net_, torch.load(files[number], map_location=encoder.net_.device, weights_only=True)
            )
        similarity = image_similarity(decoder, queries.X, targets_of(decoder), ranked.gallery, queries.params)
        here = rank(similarity, ranked.gallery, queries.y, **queries.who)
        counts.append((here.better, here.equal))
    for encoder, weights in zip(encoders, chosen, strict=True):
        set_weights(encoder.net_, weights)
    if not counts:
        return ranked
    better, equal = (np.stack(part) for part in zip(*counts, strict=True))
    return replace(ranked, pass_better=better, pass_equal=equal)
