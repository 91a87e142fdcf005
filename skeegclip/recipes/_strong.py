"""What later work found to help."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._parts import BUDGET, averaged

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
    from ..decoders.encoder import EEGEncoder
    from ..decoders.ensemble import EnsembleEncoder
    from ..preprocessing import EpochScaler

    net = "eegproject" if protocol == "within" else "nice"
    own = {"net": net, "targets": targets, "projector": projector, "normalize": "image"}
    encoder = EEGEncoder(**{**own, **BUDGET, **params})
    ensemble = EnsembleEncoder([(net, encoder)], n_seeds=n_seeds, random_state=random_state)
    return averaged(protocol, ensemble, ("scale", EpochScaler()))
