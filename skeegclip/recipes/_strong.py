"""What later work found to help."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._utils.params import check_option

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

    from ..embeddings import EmbeddingTable


def strong(
    targets: EmbeddingTable,
    *,
    protocol: str = "within",
    projector: int | None = 512,
    n_seeds: int = 5,
    random_state: Any = None,
    **params: Any,
) -> Pipeline:
    """Put together what later work found to help, as far as it is honest.

    Channels are scaled; repetitions are averaged for training [1]_; pictures are compared through a learned linear projector [1]_ [2]_, with
    unit length on their side only [2]_; a loss that leaves out other epochs of the same picture; and the similarities
    of several seeds are averaged. Within a subject 17 occipito-parietal channels and the EEGProject network are
    used [1]_ [3]_, for new people all channels and NICE's convolution.

    Most of the gain comes from the targets: take vectors of an intermediate layer, or averaged over blurred or augmented
    views, rather than CLIP's final ones [1]_ [2]_ [3]_.

    Parameters
    ----------
    targets : EmbeddingTable
        Vectors of all pictures, training and test.
    protocol : {"within", "loso"}
        What the decoder is for: the person trained on, or new people.
    projector : int | None
        Width of the projector.
    n_seeds : int
        Members of the ensemble.
    random_state : int | RandomState | Generator | None
        Seed.
    **params : object
        Further parameters of the encoders, such as ``max_epochs=10``.

    Returns
    -------
    Pipeline
        Not fitted; the last step is an :class:`~skeegclip.ImageRetriever`.

    Raises
    ------
    ValueError
        If the protocol is neither.

    References
    ----------
    .. [1] "Shallow Alignment", arXiv:2601.21948.
    .. [2] "NeuroBridge", arXiv:2511.06836.
    .. [3] Wu et al., "Bridging the Vision-Brain Gap with an Uncertainty-Aware Blur Prior", CVPR 2025,
       arXiv:2503.04207.

    Examples
    --------
    >>> from skeegclip import EmbeddingTable, recipes
    >>> [name for name, _ in recipes.strong(EmbeddingTable(["cat", "dog"], [[1, 0], [0, 1]])).steps]
    ['channels', 'scale', 'retriever']
    """
    from sklearn.pipeline import Pipeline

    from ..decoders.averaging import AveragedTraining
    from ..decoders.encoder import EEGEncoder
    from ..decoders.ensemble import EnsembleEncoder
    from ..decoders.retrieval import ImageRetriever
    from ..preprocessing import EpochScaler, PickChannels

    check_option("protocol", protocol, ["within", "loso"])
    net = "eegproject" if protocol == "within" else "nice"
    settings = {
        "targets": targets,
        "projector": projector,
        "normalize": "image",
        "same_stimulus": "mask",
        "lr": 1e-4,
        "optimizer_params": {"weight_decay": 1e-4},
        "batch_size": 1024,
        "max_epochs": 50,
        "validation": 0.05,
    }
    encoder = EEGEncoder(**{"net": net, **settings, **params})
    ensemble = EnsembleEncoder([(net, encoder)], n_seeds=n_seeds, random_state=random_state)
    retriever = ("retriever", ImageRetriever(AveragedTraining(ensemble)))
    steps = [("scale", EpochScaler()), retriever]
    if protocol == "within":
        steps.insert(0, ("channels", PickChannels("occipito-parietal")))
    return Pipeline(steps)
