"""Networks trained as the ATM paper trained them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

    from ..embeddings import EmbeddingTable


def paper(
    net: Any,
    targets: EmbeddingTable,
    *,
    text_targets: EmbeddingTable | None = None,
    batch_size: int = 1024,
    max_epochs: int = 40,
    **params: Any,
) -> Pipeline:
    """Train a network as the ATM paper trained all that it compares [1]_.

    Single trials, Adam with a learning rate of 3e-4, 40 passes, the pass with the lowest loss on the last batch of the
    training set. The loss compares with unit image vectors only, learns its temperature without exponentiating it,
    and takes repetitions for different pictures, as the published code does.

    Parameters
    ----------
    net : str | type
        As in :class:`~skeegclip.EEGEncoder`.
    targets : EmbeddingTable
        Vectors of all pictures, training and test.
    text_targets : EmbeddingTable | None
        Vectors of texts by stimulus id: they enter the loss with a weight of 0.01.
    batch_size : int
        Epochs in a batch: 1024, or 16, with which the paper trains too.
    max_epochs : int
        Passes.
    **params : object
        Further parameters of the encoder, such as ``random_state=0`` or ``device="cpu"``.

    Returns
    -------
    Pipeline
        One step: an :class:`~skeegclip.ImageRetriever`, not fitted.

    See Also
    --------
    skeegclip.model_selection.published_figures : What the paper found.

    References
    ----------
    .. [1] Li et al., "Visual Decoding and Reconstruction via EEG Embeddings with Guided Diffusion", NeurIPS 2024,
       arXiv:2403.07721, section 3.1 and table 8.

    Examples
    --------
    >>> from skeegclip import EmbeddingTable, recipes
    >>> recipes.paper("mlp", EmbeddingTable(["cat", "dog"], [[1, 0], [0, 1]]))["retriever"].encoder.validation
    'last-batch'
    """
    from sklearn.pipeline import Pipeline

    from ..decoders.encoder import EEGEncoder
    from ..decoders.retrieval import ImageRetriever

    encoder = EEGEncoder(
        net,
        **{
            "targets": targets,
            "text_targets": text_targets,
            "text_weight": 0.0 if text_targets is None else 0.01,
            "normalize": "image",
            "temperature_mode": "raw",
            "same_stimulus": "negative",
            "optimizer": "adam",
            "lr": 3e-4,
            "batch_size": batch_size,
            "max_epochs": max_epochs,
            "validation": "last-batch",
            **params,
        },
    )
    return Pipeline([("retriever", ImageRetriever(encoder))])


def atm_paper(targets: EmbeddingTable, **params: Any) -> Pipeline:
    """Train ATM-S as in its paper [1]_.

    Parameters
    ----------
    targets : EmbeddingTable
        Vectors of all pictures, training and test.
    **params : object
        As in :func:`paper`: ``text_targets``, ``batch_size`` (1024 or 16), ``max_epochs``, and those of the encoder.

    Returns
    -------
    Pipeline
        One step: an :class:`~skeegclip.ImageRetriever`, not fitted.

    References
    ----------
    .. [1] Li et al., "Visual Decoding and Reconstruction via EEG Embeddings with Guided Diffusion", NeurIPS 2024,
       arXiv:2403.07721.

    Examples
    --------
    >>> from skeegclip import EmbeddingTable, recipes
    >>> recipes.atm_paper(EmbeddingTable(["cat", "dog"], [[1, 0], [0, 1]]), batch_size=16)
    Pipeline(steps=[('retriever', ImageRetriever(encoder=EEGEncoder(batch_size=16, ...validation='last-batch')))])
    """
    return paper("atm-s", targets, **params)


def nice(targets: EmbeddingTable, **params: Any) -> Pipeline:
    """Train NICE's network [1]_ as the ATM paper trained it for comparison.

    Parameters
    ----------
    targets : EmbeddingTable
        Vectors of all pictures, training and test.
    **params : object
        As in :func:`paper`.

    Returns
    -------
    Pipeline
        One step: an :class:`~skeegclip.ImageRetriever`, not fitted.

    References
    ----------
    .. [1] Song et al., "Decoding Natural Images from EEG for Object Recognition", ICLR 2024, arXiv:2308.13234.

    Examples
    --------
    >>> from skeegclip import EmbeddingTable, recipes
    >>> recipes.nice(EmbeddingTable(["cat", "dog"], [[1, 0], [0, 1]]))["retriever"].encoder.net
    'nice'
    """
    return paper("nice", targets, **params)
