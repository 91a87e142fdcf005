"""Ranks of the true items in a gallery, and the accuracies that follow from them.

Every accuracy here is an exact expectation. Nothing is sampled: neither the distractors of an n-way test nor
the order of equally similar items.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from .._utils.params import check_option
from ._checks import check_n_way
from .counts import count_better_equal, hit_probability

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray


def ranks(
    similarity: ArrayLike, target: ArrayLike, *, ties: Literal["mid", "pessimistic"] = "mid"
) -> NDArray[np.float64]:
    """Rank of the true item among the gallery, for each query.

    Parameters
    ----------
    similarity : array-like of shape (n_queries, n_gallery)
        Similarity of each query to each gallery item; larger is better. Infinite ones are compared as numbers are:
        two of one sign are equal.
    target : array-like of int of shape (n_queries,)
        Gallery column of each query's true item.
    ties : {"mid", "pessimistic"}, default="mid"
        The rank of a true item that other items equal. "mid": the mean of the ranks that the equal items
        share, ``1 + n_better + n_equal / 2``, which is what random order gives on average; the default,
        because then the mean rank of an embedding that says nothing is ``(n_gallery + 1) / 2``, the chance
        value. "pessimistic": the last of the shared ranks, ``1 + n_better + n_equal``.

    Returns
    -------
    ranks : ndarray of shape (n_queries,), float64
        1 is best. With ``ties="mid"`` a rank may end in one half.

    Raises
    ------
    ValueError
        If a shape is wrong, `similarity` holds NaN, or `target` lies outside the gallery.

    See Also
    --------
    top_k_accuracy : Takes ties into account exactly, which thresholding mid-ranks does not.

    Examples
    --------
    >>> from skeegclip.metrics import ranks
    >>> ranks([[0.9, 0.1, 0.3], [0.2, 0.2, 0.7]], [0, 1])
    array([1. , 2.5])
    >>> ranks([[0.9, 0.1, 0.3], [0.2, 0.2, 0.7]], [0, 1], ties="pessimistic")
    array([1., 3.])
    """
    check_option("ties", ties, ["mid", "pessimistic"])
    better, equal, _ = count_better_equal(similarity, target)
    return 1.0 + better + (equal / 2 if ties == "mid" else equal)


def top_k_accuracy(similarity: ArrayLike, target: ArrayLike, k: int = 1) -> float:
    """Share of queries whose true item is among the k most similar gallery items.

    Parameters
    ----------
    similarity : array-like of shape (n_queries, n_gallery)
        Similarity of each query to each gallery item; larger is better.
    target : array-like of int of shape (n_queries,)
        Gallery column of each query's true item.
    k : int, default=1
        Number of items that count as a hit; less than the size of the gallery.

    Returns
    -------
    accuracy : float
        In [0, 1]. Where items tie with the true one, the expectation under random order of the tied items.

    Raises
    ------
    ValueError
        If a shape is wrong, `similarity` holds NaN, `target` lies outside the gallery, or ``k >= n_gallery``.

    Examples
    --------
    >>> from skeegclip.metrics import top_k_accuracy
    >>> top_k_accuracy([[0.9, 0.1, 0.3], [0.5, 0.2, 0.7]], [0, 0])
    0.5
    >>> top_k_accuracy([[0.0, 0.0, 0.0, 0.0]], [2], k=3)  # all equal: chance, 3 of 4
    0.75
    """
    better, equal, n_gallery = count_better_equal(similarity, target)
    return float(hit_probability(better, equal, n_gallery, n_gallery, k).mean())


def n_way_accuracy(similarity: ArrayLike, target: ArrayLike, n_way: int, k: int = 1) -> float:
    """Exact n-way accuracy: the mean of :func:`n_way_probability` over the queries.

    Parameters
    ----------
    similarity : array-like of shape (n_queries, n_gallery)
        Similarity of each query to each gallery item; larger is better.
    target : array-like of int of shape (n_queries,)
        Gallery column of each query's true item.
    n_way : int
        Number of items to choose from: the true one and ``n_way - 1`` distractors.
    k : int, default=1
        Number of items that count as a hit; less than `n_way`.

    Returns
    -------
    accuracy : float
        In [0, 1]. With ``n_way = n_gallery`` it is :func:`top_k_accuracy`.

    Raises
    ------
    ValueError
        If a shape is wrong, `similarity` holds NaN, `target` lies outside the gallery,
        ``n_way > n_gallery`` or ``k >= n_way``.

    Examples
    --------
    The true item is second of four, so it loses to one of three possible distractors:

    >>> from skeegclip.metrics import n_way_accuracy
    >>> round(n_way_accuracy([[0.5, 0.1, 0.3, 0.9]], [0], n_way=2), 4)
    0.6667
    """
    return float(n_way_probability(similarity, target, n_way, k).mean())


def n_way_probability(
    similarity: ArrayLike, target: ArrayLike, n_way: int, k: int = 1
) -> NDArray[np.float64]:
    r"""Probability, for each query, of a top-k hit among n items.

    The true item is mixed with ``n_way - 1`` distractors drawn from the rest of the gallery without
    replacement. Published code draws them once, at random; this is the exact expectation. With rank
    :math:`r` among :math:`N` gallery items,

    .. math:: P = \sum_{j=0}^{k-1} \binom{r-1}{j}\binom{N-r}{n-1-j} \Big/ \binom{N-1}{n-1},

    a hypergeometric distribution function, which is :math:`\binom{N-r}{n-1} / \binom{N-1}{n-1}` for
    :math:`k = 1`. Where items tie with the true one, :math:`P` is averaged over the ranks that they share:
    the exact expectation under random order of the tied items.

    Parameters
    ----------
    similarity : array-like of shape (n_queries, n_gallery)
        Similarity of each query to each gallery item; larger is better.
    target : array-like of int of shape (n_queries,)
        Gallery column of each query's true item.
    n_way : int
        Number of items to choose from, the true one included.
    k : int, default=1
        Number of items that count as a hit; less than `n_way`.

    Returns
    -------
    probability : ndarray of shape (n_queries,), float64
        In [0, 1].

    Raises
    ------
    ValueError
        If a shape is wrong, `similarity` holds NaN, `target` lies outside the gallery,
        ``n_way > n_gallery`` or ``k >= n_way``.

    References
    ----------
    The sampled n-way test that this replaces: D. Li et al., "Visual Decoding and Reconstruction via EEG
    Embeddings with Guided Diffusion", NeurIPS 2024, arXiv:2403.07721, Table 8.

    Examples
    --------
    >>> from skeegclip.metrics import n_way_probability
    >>> n_way_probability([[0.5, 0.1, 0.3, 0.9], [0.5, 0.5, 0.5, 0.5]], [3, 0], n_way=2)
    array([1. , 0.5])
    """
    better, equal, n_gallery = count_better_equal(similarity, target)
    return hit_probability(better, equal, n_gallery, n_way, k)


def chance_level(n_way: int, k: int = 1) -> float:
    """Top-k accuracy among n items of a decoder that knows nothing.

    Parameters
    ----------
    n_way : int
        Number of items to choose from.
    k : int, default=1
        Number of items that count as a hit; less than `n_way`.

    Returns
    -------
    chance : float
        ``k / n_way``.

    Raises
    ------
    ValueError
        If ``n_way < 2`` or ``k >= n_way``.

    Examples
    --------
    >>> from skeegclip.metrics import chance_level
    >>> chance_level(200, k=5)
    0.025
    """
    n_way, k = check_n_way(n_way, k)
    return k / n_way
