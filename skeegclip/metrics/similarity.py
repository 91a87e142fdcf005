"""Similarities of queries to a gallery, plain and corrected for hubs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import log_softmax, logsumexp
from sklearn.metrics import pairwise
from sklearn.utils import assert_all_finite

from .._utils.missing import refuse_masked
from .._utils.params import check_number
from ._checks import check_similarity

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


_CONVERGED = 1e-7  # of a logarithm


def cosine_similarity(X: ArrayLike, Y: ArrayLike | None = None) -> NDArray[np.float32]:
    """Cosine of each row of one matrix with each row of another.

    How a product of matrices is summed depends on the processor, and on how many rows and columns it has. Summed in
    double precision and then rounded to single, a cosine is the same number whichever rows are in company, and equal
    rows tie, as ranks and accuracies take for granted.

    Parameters
    ----------
    X : array-like of shape (n_queries, n_dims)
        Vectors, embeddings of epochs for example; a row of zeros has cosine 0 with everything.
    Y : array-like of shape (n_gallery, n_dims), default=None
        Vectors to compare them with; None compares `X` with itself.

    Returns
    -------
    similarity : ndarray of shape (n_queries, n_gallery), float32
        Cosines, in [-1, 1].

    Raises
    ------
    ValueError
        If a matrix is not finite or not two-dimensional, or their widths differ.

    See Also
    --------
    sklearn.metrics.pairwise.cosine_similarity : What computes it, in the precision of its input.

    Examples
    --------
    >>> from skeegclip.metrics import cosine_similarity
    >>> cosine_similarity([[3.0, 4.0], [0.0, 2.0]], [[1.0, 0.0], [0.0, 1.0], [0.0, -5.0]])
    array([[ 0.6,  0.8, -0.8],
           [ 0. ,  1. , -1. ]], dtype=float32)
    """
    for matrix in (X, Y):
        refuse_masked(matrix, name="Input")
    X, Y = pairwise.check_pairwise_arrays(X, Y, dtype=np.float64)
    return pairwise.cosine_similarity(X, Y).astype(np.float32)


def csls(similarity: ArrayLike, k: int = 10) -> NDArray[np.floating]:
    r"""Cross-domain similarity local scaling: takes from each similarity what both sides have for everybody.

    In many dimensions a few gallery items, the hubs, are near to most queries. With :math:`r_i` the mean similarity of
    query i to its k nearest gallery items, and :math:`r_j` that of gallery item j to its k nearest queries,

    .. math:: \mathrm{CSLS}_{ij} = 2 s_{ij} - r_i - r_j.

    It is *transductive*: :math:`r_j` looks at all test queries together, so that a query alone is ranked otherwise
    than in company. :func:`~skeegclip.evaluate` flags it.

    Parameters
    ----------
    similarity : array-like of shape (n_queries, n_gallery)
        Cosines of each query with each gallery item.
    k : int, default=10
        Number of neighbours, on both sides; at most as many as there are.

    Returns
    -------
    corrected : ndarray of shape (n_queries, n_gallery)
        Corrected similarities, of the same type as `similarity` if that is floating.

    Raises
    ------
    ValueError, TypeError
        If `similarity` is not a matrix of finite numbers, or `k` not a positive int.

    References
    ----------
    A. Conneau et al., "Word Translation Without Parallel Data", ICLR 2018, arXiv:1710.04087, section 2.3.

    Examples
    --------
    The first gallery item is a hub: nearest to every query.

    >>> import numpy as np
    >>> from skeegclip.metrics import csls
    >>> similarity = np.array([[0.9, 0.1, 0.1], [0.8, 0.7, 0.1], [0.8, 0.1, 0.7]])
    >>> similarity.argmax(axis=1), csls(similarity, k=2).argmax(axis=1)
    (array([0, 0, 0]), array([0, 1, 2]))
    """
    similarity = _finite(similarity)
    check_number("k", k, low=1, integer=True)
    return 2 * similarity - _mean_of_best(similarity, k, axis=1) - _mean_of_best(similarity, k, axis=0)


def inverted_softmax(similarity: ArrayLike, temperature: float = 0.1) -> NDArray[np.floating]:
    r"""Log of a softmax over the *queries* instead of the gallery: an item near to every query counts little.

    .. math:: \log \frac{\exp(s_{ij} / T)}{\sum_{i'} \exp(s_{i'j} / T)}

    It is *transductive*, as :func:`csls` is.

    Parameters
    ----------
    similarity : array-like of shape (n_queries, n_gallery)
        Cosines of each query with each gallery item.
    temperature : float, default=0.1
        T, positive.

    Returns
    -------
    corrected : ndarray of shape (n_queries, n_gallery)
        Logarithms, at most zero.

    Raises
    ------
    ValueError, TypeError
        If `similarity` is not a matrix of finite numbers, or `temperature` not a positive number.

    References
    ----------
    S. L. Smith et al., "Offline bilingual word vectors, orthogonal transformations and the inverted softmax",
    ICLR 2017, arXiv:1702.03859, section 2.3.

    Examples
    --------
    >>> import numpy as np
    >>> from skeegclip.metrics import inverted_softmax
    >>> similarity = np.array([[0.9, 0.1, 0.1], [0.8, 0.7, 0.1], [0.8, 0.1, 0.7]])
    >>> inverted_softmax(similarity).argmax(axis=1)
    array([0, 1, 2])
    """
    similarity = _finite(similarity)
    check_number("temperature", temperature, low=0, open_low=True)
    scaled = similarity / temperature
    return scaled - logsumexp(scaled, axis=0, keepdims=True)


def sinkhorn(
    similarity: ArrayLike, temperature: float = 0.5, strength: float = 0.9, n_iter: int = 100
) -> NDArray[np.floating]:
    r"""Log of a soft assignment in which each query takes one item, and items are taken about equally often.

    The entropic optimal transport of queries to gallery items, by Sinkhorn's iteration on logarithms: with
    :math:`\tilde s = s / (T \sigma)`, n queries and m items,

    .. math:: \log P_{ij} = \tilde s_{ij} + f_i + g_j, \qquad f_i = -\log \sum_j e^{\tilde s_{ij} + g_j}, \qquad
       g_j = w \left(\log \frac nm - \log \sum_i e^{\tilde s_{ij} + f_i}\right).

    Rows sum to one. With w = 1 columns sum to n / m; with less they only tend to. That matters where some items were
    shown and others not, or few queries are asked: one query alone is ranked as without a correction, unless w is 1.
    :func:`inverted_softmax` is the first half of the first step.

    It is *transductive*, as :func:`csls` is. It supposes that the queries are of many items, but assigns none to
    one query for good, as a matching of one to one would.

    Parameters
    ----------
    similarity : array-like of shape (n_queries, n_gallery)
        Similarities of each query with each gallery item, on any scale.
    temperature : float, default=0.5
        T, positive, in units of :math:`\sigma`, the standard deviation of the similarities without the means of
        rows and columns. The lower, the harder the assignment.
    strength : float, default=0.9
        How strictly columns are kept to their share: w, in [0, 1].
    n_iter : int, default=100
        Steps at most; fewer where nothing changes any more.

    Returns
    -------
    corrected : ndarray of shape (n_queries, n_gallery)
        :math:`\log P`, at most zero; of the same type as `similarity` if that is floating.

    Raises
    ------
    ValueError, TypeError
        If `similarity` is not a matrix of finite numbers, or a parameter out of range.

    References
    ----------
    M. Cuturi, "Sinkhorn Distances: Lightspeed Computation of Optimal Transport", NeurIPS 2013, arXiv:1306.0895. L. Chizat
    et al., "Scaling algorithms for unbalanced optimal transport problems", Mathematics of Computation 87, 2018,
    arXiv:1607.05816, for w below 1.

    Examples
    --------
    >>> import numpy as np
    >>> from skeegclip.metrics import sinkhorn
    >>> similarity = np.array([[0.9, 0.1, 0.1], [0.8, 0.7, 0.1], [0.8, 0.1, 0.7]])
    >>> sinkhorn(similarity).argmax(axis=1)
    array([0, 1, 2])
    """
    similarity = _finite(similarity)
    check_number("temperature", temperature, low=0, open_low=True)
    check_number("strength", strength, low=0, high=1)
    check_number("n_iter", n_iter, low=1, integer=True)
    exact = similarity.astype(np.float64)
    scaled = exact / (temperature * _spread(exact))
    n_queries, n_gallery = scaled.shape
    taken = np.zeros(n_gallery)
    for _ in range(n_iter):
        free = log_softmax(scaled + taken, axis=1) - taken
        mass = (free - log_softmax(free, axis=0))[0]  # the same as logsumexp, in a tenth of the time
        step = strength * (np.log(n_queries / n_gallery) - mass) - taken
        taken += step
        if np.abs(step).max() < _CONVERGED:
            break
    plan = log_softmax(scaled + taken, axis=1)
    return plan.astype(np.result_type(similarity, np.float32) if similarity.dtype.kind == "f" else np.float64)


def _spread(similarity: NDArray[np.float64]) -> float:
    """Standard deviation without the means of rows and columns; 1 where there is none."""
    rest = similarity - similarity.mean(axis=0)
    rest -= rest.mean(axis=1, keepdims=True)
    n_free = max(1, (rest.shape[0] - 1) * (rest.shape[1] - 1))
    spread = float(np.sqrt(np.square(rest).sum() / n_free))
    return spread if spread > 1e-12 * np.abs(similarity).max() else 1.0


def _finite(similarity: ArrayLike) -> NDArray:
    """Check a matrix of which one bad number would spoil all others of its row and column."""
    similarity = check_similarity(similarity)
    assert_all_finite(similarity, input_name="similarity")
    return similarity


def _mean_of_best(similarity: NDArray, k: int, axis: int) -> NDArray:
    k = min(k, similarity.shape[axis])
    best = np.partition(similarity, -k, axis=axis)
    return best.take(range(-k, 0), axis=axis).mean(axis=axis, keepdims=True)
