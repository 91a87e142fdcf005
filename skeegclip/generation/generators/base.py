"""What all generators share: their protocol, the checks of what they are given, and a seed for every row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from sklearn.utils import check_array

from ..._utils.missing import refuse_masked
from ..._utils.pictures import as_list
from ..._utils.seeding import draw_seed


class ImageGenerator(Protocol):
    """What paints. A `fit(Z, y)` is called where there is one, on the embeddings and ids of the training epochs."""

    def generate(
        self, embeddings: Any, low_level: Any = None, captions: Any = None, random_state: Any = None
    ) -> np.ndarray:
        """Paint one uint8 picture (height, width, 3) for each row of `embeddings`.

        `low_level` (blurry pictures) and `captions` (texts) guide a generator that can use them; others ignore them.
        """


def check_embeddings(embeddings: Any, n_dims: int | None = None) -> np.ndarray:
    """Return embeddings as float32 (n, n_dims), or raise."""
    refuse_masked(embeddings, name="embeddings")
    Z = check_array(embeddings, dtype=np.float32, input_name="embeddings")
    if n_dims is not None and Z.shape[1] != n_dims:
        raise ValueError(
            f"embeddings have {Z.shape[1]} dimensions, but this generator takes {n_dims}."
            " Use targets of the model that it was made for."
        )
    return Z


def check_captions(captions: Any, n: int) -> list[str]:
    """Return one text per row; None gives empty ones."""
    if captions is None:
        return [""] * n
    if isinstance(captions, str) or not all(isinstance(text, str) for text in captions):
        raise TypeError(f"captions must be a list of strings, one per row, got {captions!r:.60}.")
    if len(captions) != n:
        raise ValueError(f"captions must hold one text per embedding ({n}), got {len(captions)}.")
    return [str(text) for text in captions]


def check_low_level(low_level: Any, n: int) -> Sequence[Any] | None:
    """Return one picture per row, unread, or None."""
    if low_level is None:
        return None
    pictures = as_list(low_level, "low_level")
    if len(pictures) != n:
        raise ValueError(f"low_level must hold one picture per embedding ({n}), got {len(pictures)}.")
    return pictures


def row_seeds(random_state: Any, n: int) -> list[int]:
    """Return a seed for each row: so its picture depends on the row, not on the batch that it is painted in.

    Parameters
    ----------
    random_state : None | int | RandomState | Generator | array-like of int, shape (n,)
        Where the seeds come from; an array holds the seeds themselves.
    n : int
        Number of rows.

    Returns
    -------
    list of int
        The first ones are the same for every `n`.
    """
    if isinstance(random_state, (list, tuple, np.ndarray)):
        seeds = np.asarray(random_state)
        if seeds.shape != (n,) or seeds.dtype.kind not in "iu":
            raise ValueError(
                f"random_state must be a seed, or an array of {n} ints, one for each row; got {seeds.dtype} of"
                f" shape {seeds.shape}."
            )
        return [int(seed) for seed in seeds.tolist()]
    return [int(seed) for seed in np.random.SeedSequence(draw_seed(random_state)).generate_state(n)]
