"""Scorers for scikit-learn's model selection whose gallery is the stimuli of the test set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils.estimators import embed, find_table, inner_most, project
from .._utils.inputs import as_subject, carried_subject
from .._utils.params import check_number, check_option
from ..metrics.of_estimators import averaged_embeddings, image_similarity
from ._checks import check_n_way
from .ranking import n_way_probability
from .similarity import cosine_similarity

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_BLOCK = 2**24  # similarities held at once


@dataclass(frozen=True, eq=False)
class RetrievalScorer:
    """Callable ``scorer(estimator, X, y)``; made by :func:`make_retrieval_scorer`.

    Parameters
    ----------
    targets : EmbeddingTable or None
        Where ids are looked up; None means the estimator's own table.
    k : int
        Number of items that count as a hit.
    n_way : int or None
        Number of items to choose from; None means the whole gallery.
    average : {"embeddings"} or None
        What is averaged over the epochs of one person and stimulus; None means nothing.
    """

    targets: Any = None
    k: int = 1
    n_way: int | None = None
    average: str | None = None

    def __call__(self, estimator: Any, X: Any, y: ArrayLike, *, subject: ArrayLike | None = None) -> float:
        """Return the accuracy of a fitted estimator on test data.

        Parameters
        ----------
        estimator : estimator
            Fitted estimator whose `embed`, `predict` or `transform` gives embeddings.
        X : array-like of shape (n_epochs, n_chans, n_times)
            Test epochs, in any form that the estimator takes.
        y : array-like of str of shape (n_epochs,), or of float of shape (n_epochs, n_dims)
            Stimulus ids, or the true embeddings.
        subject : array-like of shape (n_epochs,), default=None
            Subject of each epoch, handed to every step that takes it. None takes the one that X carries for averages;
            where neither tells, all epochs count as one person's.

        Returns
        -------
        accuracy : float
            In [0, 1].
        """
        gallery, target, names = self._gallery(estimator, y)
        n_gallery = len(gallery)
        n_way = n_gallery if self.n_way is None else self.n_way
        if n_gallery < n_way or n_gallery <= self.k:
            raise ValueError(
                f"y names a gallery of {n_gallery} different stimuli, too few for a top-{self.k} score"
                f"{'' if self.n_way is None else f' among {n_way}'}. Put more stimuli into each test set."
            )
        params = {} if subject is None else {"subject": subject}
        if names is not None and getattr(inner_most(estimator), "_corrects", False):
            if self.average is not None:
                raise ValueError(
                    f"average={self.average!r} compares by cosine, but {type(inner_most(estimator)).__name__} corrects its"
                    " similarities. Score one without whiten, hubness and refine."
                )
            similarity = image_similarity(estimator, X, self._table(estimator), names, params)
            return float(n_way_probability(similarity, target, n_way, self.k).mean())
        queries = embed(estimator, X, params)
        gallery = project(estimator, gallery)
        if queries.shape != (len(target), gallery.shape[1]):
            raise ValueError(
                f"estimator gave embeddings of shape {queries.shape} where the targets ask for "
                f"{(len(target), gallery.shape[1])}. Score with the table that the estimator was trained on."
            )
        if self.average is not None:
            people = carried_subject(X) if subject is None else as_subject(subject, len(target))
            queries, target, _ = averaged_embeddings(queries, target, people)
        step = max(1, _BLOCK // n_gallery)
        hits = 0.0
        for start in range(0, len(queries), step):
            rows = slice(start, start + step)
            similarity = cosine_similarity(queries[rows], gallery)
            hits += n_way_probability(similarity, target[rows], n_way, self.k).sum()
        return float(hits / len(queries))

    def _gallery(
        self, estimator: Any, y: ArrayLike
    ) -> tuple[NDArray[Any], NDArray[np.intp], NDArray[Any] | None]:
        """Return the vectors of the different stimuli of `y`, each row's place among them, and their ids if known."""
        y = np.asarray(y)
        if y.ndim == 2:
            if y.dtype.kind != "f" or not np.isfinite(y).all():
                raise ValueError(f"y of shape {y.shape} must hold finite embeddings, got dtype {y.dtype}.")
            gallery, target = np.unique(y, axis=0, return_inverse=True)
            return gallery, target.reshape(-1), None
        if y.ndim != 1 or not (y.dtype.kind in "UT" or all(isinstance(name, str) for name in y)):
            raise TypeError(
                "y must hold stimulus ids as strings, or be an embedding matrix (n_epochs, n_dims), got "
                f"dtype {y.dtype} and shape {y.shape}. Integers are refused: re-encoded labels would fetch "
                "the wrong vectors in silence."
            )
        names, target = np.unique(y.astype(str), return_inverse=True)
        return np.asarray(self._table(estimator).lookup(names)), target, names

    def _table(self, estimator: Any) -> Any:
        table = find_table(estimator) if self.targets is None else self.targets
        if table is None:
            raise ValueError(
                "targets is missing: the estimator has no table of its own to look the ids of y up in. "
                "Use make_retrieval_scorer(targets=table), or give the embedding matrix as y."
            )
        return table

    def get_metadata_routing(self) -> Any:
        """Return the request for `subject`, so that it reaches the scorer where routing is enabled.

        Returns
        -------
        routing : MetadataRequest
            Asks for `subject` in ``score``.
        """
        from sklearn.utils.metadata_routing import MetadataRequest

        request = MetadataRequest(owner=self)
        request.score.add_request(param="subject", alias=True)
        return request

    def __sklearn_clone__(self) -> RetrievalScorer:
        # Immutable: cloning a search must not copy a table of many megabytes.
        return self


def make_retrieval_scorer(
    targets: Any = None, *, k: int = 1, n_way: int | None = None, average: str | None = None
) -> RetrievalScorer:
    """Make a scorer for `cross_validate`, `GridSearchCV` and the like.

    The gallery is the set of different stimuli in the test set's `y`, as in zero-shot retrieval: the score
    is the share of epochs whose stimulus is among the `k` most similar ones by cosine.

    Embeddings come from the estimator's ``embed(X)`` where it has one, else ``predict(X)``, else
    ``transform(X)``; a `Pipeline` is followed to its last step.

    Parameters
    ----------
    targets : EmbeddingTable, default=None
        Where the ids in `y` are looked up: any object with ``lookup(ids) -> (n, n_dims)``. None takes the
        estimator's own table, the parameter `targets` of the estimator or of one inside it.
    k : int, default=1
        Number of items that count as a hit.
    n_way : int, default=None
        Number of items to choose from, as in :func:`n_way_accuracy`. None means the whole gallery. A fixed
        `n_way` keeps scores comparable between test sets with different numbers of stimuli.
    average : {"embeddings"}, default=None
        None scores every epoch, those of all people pooled. "embeddings" first averages the embeddings, as they are, of
        the epochs of each person and stimulus, and scores the averages. With ``k=5`` these are the two scores of the
        EEG-to-Image contest (:doc:`/user_guide/contest`); an average of the epochs themselves is another thing
        (:func:`~skeegclip.preprocessing.average_repetitions`).

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y) -> float``; picklable. Where scikit-learn's metadata routing is enabled it
        also takes `subject`.

    Raises
    ------
    ValueError
        If `k` or `n_way` is out of range, or `average` is neither.
    TypeError
        If `targets` has no method `lookup`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.model_selection import cross_val_score
    >>> from skeegclip.metrics import make_retrieval_scorer
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat(rng.standard_normal((20, 8)), 3, axis=0)
    >>> X = y @ rng.standard_normal((8, 30)) + 0.1 * rng.standard_normal((60, 30))
    >>> cross_val_score(Ridge(), X, y, cv=3, scoring=make_retrieval_scorer(n_way=4)) > 0.9
    array([ True,  True,  True])
    """
    if targets is not None and not hasattr(targets, "lookup"):
        raise TypeError(
            f"targets must be an EmbeddingTable or have lookup(ids), got {type(targets).__name__}."
        )
    check_option("average", average, [None, "embeddings"])
    if n_way is None:
        k = check_number("k", k, low=1, integer=True)
    else:
        n_way, k = check_n_way(n_way, k)
    return RetrievalScorer(targets, k, n_way, average)


retrieval_top1 = make_retrieval_scorer(k=1)
retrieval_top5 = make_retrieval_scorer(k=5)
