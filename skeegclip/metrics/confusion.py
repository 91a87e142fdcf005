"""Which categories are taken for which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils.missing import refuse_missing
from ._checks import check_similarity, check_target

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray


def category_confusion(
    similarity: ArrayLike,
    target: ArrayLike,
    categories: ArrayLike | Mapping[str, str],
    *,
    ids: ArrayLike | None = None,
    errors_only: bool = False,
) -> pd.DataFrame:
    """Count, for each superordinate category, of which category the item is that is found first.

    Parameters
    ----------
    similarity : array-like of shape (n_queries, n_gallery)
        Similarity of each query to each gallery item; larger is better. The scores of a classifier will do, where the
        gallery is its classes.
    target : array-like of int of shape (n_queries,)
        Gallery column of each query's true item.
    categories : array-like of str of shape (n_gallery,) | mapping of str to str
        Category of each gallery item, such as "animal" or "tool"; or a mapping from the item's id to it.
    ids : array-like of str of shape (n_gallery,), default=None
        Stimulus or concept of each gallery item, looked up in the mapping.
    errors_only : bool, default=False
        Leave each query's true item out of the gallery. Then all that remains are confusions, and a decoder that only
        ever finds the very item has shares like chance.

    Returns
    -------
    table : DataFrame
        One row for each pair of a category that was shown (`true`) and one of the gallery (`found`), the largest
        categories first: `share` of the queries of the first for which an item of the second comes first (the shares of
        one `true` sum to 1; ties count in parts), `chance` (the share of such items in the gallery), and `n_queries`.

    Raises
    ------
    ValueError
        If a shape does not fit, or nothing would remain in the gallery.
    KeyError
        If an id has no category.
    TypeError
        If `categories` is a mapping without `ids`.

    See Also
    --------
    skeegclip.plotting.plot_confusion : Draw it.

    Examples
    --------
    >>> from skeegclip.metrics import category_confusion
    >>> similarity = [[0.9, 0.1, 0.0], [0.8, 0.3, 0.1], [0.1, 0.2, 0.7]]
    >>> kinds = {"cat": "animal", "dog": "animal", "saw": "tool"}
    >>> category_confusion(similarity, [0, 1, 2], kinds, ids=["cat", "dog", "saw"])
         true   found  share    chance  n_queries
    0  animal  animal    1.0  0.666667          2
    1  animal    tool    0.0  0.333333          2
    2    tool  animal    0.0  0.666667          1
    3    tool    tool    1.0  0.333333          1
    """
    import pandas as pd

    scores = check_similarity(similarity)
    n_queries, n_gallery = scores.shape
    place = check_target(target, n_queries, n_gallery)
    kinds = _kinds(categories, ids, n_gallery)
    if errors_only:
        if n_gallery < 2:
            raise ValueError("similarity has one gallery item: without the true one nothing remains.")
        scores = scores.astype(np.float64)
        scores[np.arange(n_queries), place] = -np.inf
    if not np.isfinite(scores.max(axis=1)).all():
        raise ValueError("similarity holds NaN or inf. Look for them in the embeddings it was computed from.")
    names, code, sizes = np.unique(kinds, return_inverse=True, return_counts=True)
    member = np.eye(len(names))[code]
    best = scores == scores.max(axis=1, keepdims=True)
    found = (best / best.sum(axis=1, keepdims=True)) @ member
    own = np.eye(len(names)) if errors_only else np.zeros((len(names), len(names)))
    chance = (sizes - own) / (n_gallery - errors_only)
    largest = np.argsort(-sizes, kind="stable")
    rows = [
        {
            "true": names[i],
            "found": names[j],
            "share": found[code[place] == i, j].mean(),
            "chance": chance[i, j],
            "n_queries": int((code[place] == i).sum()),
        }
        for i in largest
        if (code[place] == i).any()
        for j in largest
    ]
    return pd.DataFrame(rows)


def _kinds(categories: Any, ids: Any, n_gallery: int) -> NDArray[Any]:
    if isinstance(categories, Mapping):
        if ids is None:
            raise TypeError(
                "categories is a mapping, so ids is needed: the ids of the gallery, looked up in it."
            )
        names = [str(name) for name in np.asarray(ids).ravel()]
        if unknown := [name for name in names if name not in categories]:
            raise KeyError(
                f"categories has no entry for {len(unknown)} ids (first: {unknown[0]!r}). Add them."
            )
        categories = [categories[name] for name in names]
    refuse_missing(np.asarray(categories, dtype=object), name="categories")
    kinds = np.asarray(categories).astype(str)
    if kinds.shape != (n_gallery,):
        what = "categories" if ids is None else "ids"
        raise ValueError(
            f"{what} must have shape ({n_gallery},), one for each gallery item, got {kinds.shape}."
        )
    return kinds
