"""The linear decoder in closed form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

    from ..embeddings import EmbeddingTable


def linear(targets: EmbeddingTable, **params: Any) -> Pipeline:
    """Invert an encoding model of averaged repetitions: seconds, no network, nothing to tune.

    Parameters
    ----------
    targets : EmbeddingTable
        Vectors of all pictures, training and test.
    **params : object
        Of :class:`~skeegclip.InvertedEncoding`, such as ``n_components=20``.

    Returns
    -------
    Pipeline
        One step: an :class:`~skeegclip.ImageRetriever`, not fitted.

    See Also
    --------
    skeegclip.InvertedEncoding : The model.

    Examples
    --------
    >>> from skeegclip import EmbeddingTable, recipes
    >>> recipes.linear(EmbeddingTable(["cat", "dog"], [[1, 0], [0, 1]]))["retriever"].encoder
    AveragedTraining(encoder=InvertedEncoding(), ...)
    """
    from sklearn.pipeline import Pipeline

    from ..decoders.averaging import AveragedTraining
    from ..decoders.inverted_encoding import InvertedEncoding
    from ..decoders.retrieval import ImageRetriever

    encoder = AveragedTraining(InvertedEncoding(**params), targets=targets)
    return Pipeline([("retriever", ImageRetriever(encoder))])
