"""A decoder for people never seen, as the EEG-to-Image contest asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

    from ..embeddings import EmbeddingTable


def contest(targets: EmbeddingTable, **params: Any) -> Pipeline:
    """Align each epoch by itself, and invert an encoding model of all people's single epochs.

    Nothing of it needs to know whose an epoch is, and no epoch depends on another, so that
    :func:`~skeegclip.contest.export_submission` can write it for a contest that tells neither. It is closed-form: there is
    nothing random in it, and it needs a small part of the time of a network.

    Parameters
    ----------
    targets : EmbeddingTable
        Vectors of all pictures, in the space that the contest compares in.
    **params : object
        Of :class:`~skeegclip.InvertedEncoding`, such as ``n_components=20``.

    Returns
    -------
    Pipeline
        Two steps, not fitted; the last one is an :class:`~skeegclip.ImageRetriever`, whose ``embed`` gives predictions
        in the space of the targets.

    See Also
    --------
    skeegclip.recipes.linear : For averaged repetitions of people who were seen.

    Examples
    --------
    >>> from skeegclip import EmbeddingTable, recipes
    >>> [name for name, _ in recipes.contest(EmbeddingTable(["cat", "dog"], [[1, 0], [0, 1]])).steps]
    ['align', 'retriever']
    """
    from sklearn.pipeline import Pipeline

    from ..decoders.inverted_encoding import InvertedEncoding
    from ..decoders.retrieval import ImageRetriever
    from ..preprocessing import SubjectAligner

    encoder = InvertedEncoding(**{"space": "targets", **params})
    return Pipeline(
        [("align", SubjectAligner("epoch")), ("retriever", ImageRetriever(encoder, targets=targets))]
    )
