"""The pictures that a generator learns from: looked up by stimulus id, or given row by row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.utils import check_consistent_length

from ..._utils.ids import as_ids
from ..._utils.pictures import as_list


def check_images(images: Any) -> None:
    """Refuse what does not map ids to pictures."""
    if images is not None and not isinstance(images, Mapping):
        raise TypeError(
            f"images must be an ImageTable, another mapping from stimulus id to picture, or None, got"
            f" {type(images).__name__}."
        )


def training_pictures(Z: np.ndarray, y: Any, images: Any) -> tuple[list, np.ndarray, list]:
    """Return the ids of the distinct pictures, which of them each row shows, and the pictures, unread if files.

    Parameters
    ----------
    Z : ndarray, shape (n, n_dims)
        Embeddings, for their number.
    y : array-like of str, shape (n,) | sequence of n pictures
        Ids where there are `images`, else the pictures, each taken for another.
    images : mapping | None
        From id to picture.

    Returns
    -------
    ids : list of str
        Sorted; numbers where there are no ids.
    code : ndarray of int, shape (n,)
        Place of each row's picture.
    pictures : list
        As the mapping gives them.
    """
    check_images(images)
    if images is None:
        pictures = list(as_list(y, "y"))
        if pictures and np.ndim(pictures[0]) < 2 and not hasattr(pictures[0], "convert"):
            raise ValueError(
                "y holds ids, but there are no images to look them up in. Pass images=ImageTable(...)."
            )
        check_consistent_length(Z, pictures)
        return [str(i) for i in range(len(pictures))], np.arange(len(pictures)), pictures
    names = as_ids(y, name="y")
    check_consistent_length(Z, names)
    ids, code = np.unique(names, return_inverse=True)
    return ids.tolist(), code, [picture_of(images, name) for name in ids.tolist()]


def picture_of(images: Mapping, name: str) -> Any:
    """Return the picture of one id; the KeyError says what is missing."""
    if name not in images:
        raise KeyError(
            f"images has no picture of stimulus {name!r}. Add it, or leave out the rows that show it."
        )
    return images[name]
