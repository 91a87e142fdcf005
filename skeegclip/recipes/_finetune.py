"""Networks that were trained before, fine-tuned as the field does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

    from ..embeddings import EmbeddingTable


def finetune(
    net: Any, targets: EmbeddingTable, *, pretrained: Any = None, train: str = "all", **params: Any
) -> Pipeline:
    """Fine-tune a pretrained network as LaBraM [1]_ and those after it were.

    Single trials; AdamW at 5e-4 with a weight decay of 0.05; the learning rate rises over the first tenth of the steps and
    falls as a cosine, and each block learns at .65 times the rate of the one behind it, so that what is general changes
    least; 50 passes. The pass is chosen by pictures held out of training.

    Parameters
    ----------
    net : str | type
        As in :class:`~skeegclip.EEGEncoder`.
    targets : EmbeddingTable
        Vectors of all pictures, training and test.
    pretrained : path-like | str | Mapping | Module | callable | None
        The weights, as in :class:`~skeegclip.EEGEncoder`; None trains from nothing in the same way, to compare.
    train : {"all", "head", "lora", "probe"}
        What is trained.
    **params : object
        Further parameters of the encoder, such as ``random_state=0``, or in place of those above.

    Returns
    -------
    Pipeline
        One step: an :class:`~skeegclip.ImageRetriever`, not fitted.

    Notes
    -----
    The paper's weight decay leaves vectors out and its networks have stochastic depth; here decay acts on all that is
    trained, and depth is what `net` makes of it.

    References
    ----------
    .. [1] Jiang, Zhao and Lu, "Large Brain Model for Learning Generic Representations with Tremendous EEG Data in BCI",
       ICLR 2024, arXiv:2405.18765, appendix: hyperparameters for downstream fine-tuning.

    Examples
    --------
    >>> from skeegclip import EmbeddingTable, recipes
    >>> table = EmbeddingTable(["cat", "dog"], [[1, 0], [0, 1]])
    >>> recipes.finetune("Labram", table, pretrained="braindecode/labram-pretrained")["retriever"].encoder.layer_decay
    0.65
    """
    from sklearn.pipeline import Pipeline

    from ..decoders.encoder import EEGEncoder
    from ..decoders.retrieval import ImageRetriever

    settings: dict[str, Any] = {
        "optimizer": "adamw",
        "lr": 5e-4,
        "optimizer_params": {"weight_decay": 0.05},
        "lr_scheduler": "warmup-cosine",
        "max_epochs": 50,
        "validation": 0.05,
    }
    if train in ("all", "lora"):  # else no layer before the head is trained
        settings["layer_decay"] = 0.65
    own = {"targets": targets, "pretrained": pretrained, "train": train}
    return Pipeline([("retriever", ImageRetriever(EEGEncoder(net, **own, **{**settings, **params})))])
