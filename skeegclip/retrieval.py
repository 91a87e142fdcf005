"""ImageRetriever: find the picture that was seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from sklearn.preprocessing import normalize
from sklearn.utils.validation import check_is_fitted

from ._composite import EmbeddingComposite, check_width
from ._utils.params import check_number, check_option
from ._utils.validation import unchanged_on_error
from ._utils.whitening import moments, power
from .embeddings import EmbeddingTable
from .embeddings._ids import as_ids, positions
from .embeddings.table import check_table
from .metrics import cosine_similarity, csls, inverted_softmax, ranks
from .metrics.ranking import n_way_probability

_BLOCK = 2**24  # similarities held at once (64 MB)
_HUBNESS = {"csls": csls, "inverted_softmax": inverted_softmax}
_Block = tuple[slice, np.ndarray]  # rows, and their similarity to the whole gallery


class ImageRetriever(EmbeddingComposite):
    """Search a gallery of images for the one that was seen.

    Parameters
    ----------
    encoder : EEGEncoder | regressor | FrozenEstimator | "passthrough"
        What embeds the epochs: cloned and fitted, unless it is frozen. Any regressor that predicts embeddings
        serves (one that takes matrices gets the epochs flattened); "passthrough" where X holds embeddings.
    targets : EmbeddingTable | None
        Vectors of the training stimuli; None takes the encoder's own, else codes of the labels in ``y``.
    gallery : EmbeddingTable | None
        The images searched, read when retrieving; None takes the targets.
    n_retrieved : int
        Images that :meth:`retrieve` gives by default; a smaller gallery is given whole.
    index : {"auto", "exact"}
        How to search; exact search compares with every image, in blocks of bounded memory.
    whiten : float
        Strength in [0, 1] of a whitening of the gallery by the mean and covariance of the *training* images, so that
        what all images have in common counts less; embeddings are then taken from the mean of the training epochs'.
        1 whitens wholly, which magnifies directions of little variance; 0 leaves all as it is.
    hubness : None | {"csls", "inverted_softmax"} | callable
        Correction of the similarities for images that are near to every epoch: :func:`~skeegclip.metrics.csls`,
        :func:`~skeegclip.metrics.inverted_softmax`, or a function from similarity matrix to similarity matrix, such as
        ``functools.partial(csls, k=5)``. *Transductive*: the result for an epoch depends on the others that are
        searched for with it. Needs the whole matrix in memory.

    Attributes
    ----------
    encoder_ : estimator | "passthrough"
        The fitted encoder.
    targets_ : EmbeddingTable | None
        The table trained on.
    seen_ : ndarray, shape (n_labels,) | None
        The distinct labels of ``y`` in fit.
    n_features_in_ : int
        Channels (or columns) seen in fit.

    See Also
    --------
    ZeroShotClassifier : Name the class instead of finding the picture.

    References
    ----------
    .. [1] Li et al., "Visual Decoding and Reconstruction via EEG Embeddings with Guided Diffusion",
       NeurIPS 2024, section 3.2.

    Examples
    --------
    >>> import numpy as np
    >>> from skeegclip import EmbeddingTable, ImageRetriever
    >>> rng = np.random.default_rng(0)
    >>> gallery = EmbeddingTable([f"image_{i}" for i in range(100)], rng.normal(size=(100, 16)))
    >>> Z = gallery.vectors[:3] + 0.1 * rng.normal(size=(3, 16))
    >>> retriever = ImageRetriever("passthrough", gallery=gallery).fit(Z)
    >>> ids, similarity = retriever.retrieve(Z, k=2)
    >>> ids[:, 0].tolist()
    ['image_0', 'image_1', 'image_2']
    >>> retriever.score(Z, ["image_0", "image_1", "image_99"])
    0.6666666666666666
    """

    def __init__(
        self,
        encoder,
        *,
        targets=None,
        gallery=None,
        n_retrieved=5,
        index="auto",
        whiten=0.0,
        hubness=None,
    ):
        self.encoder = encoder
        self.targets = targets
        self.gallery = gallery
        self.n_retrieved = n_retrieved
        self.index = index
        self.whiten = whiten
        self.hubness = hubness

    def fit(self, X: Any, y: Any = None, subject: Any = None) -> ImageRetriever:
        """Fit the encoder, unless it is frozen or "passthrough".

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times) | Epochs | EpochsView | BaseConcatDataset
            Epochs, handed to the encoder as they are.
        y : array-like of str, shape (n_epochs,) | None
            Stimulus ids, looked up in the targets; any labels where there are no targets. None where nothing is
            to be learned from it.
        subject : array-like of str, shape (n_epochs,) | None
            Subject of each epoch, where X does not carry it.

        Returns
        -------
        ImageRetriever
            The fitted retriever.

        Raises
        ------
        ValueError, TypeError
            If X, y or a parameter is not usable.
        KeyError
            If ids are not in the targets.
        """
        check_option("index", self.index, ["auto", "exact"])
        check_number("n_retrieved", self.n_retrieved, low=1, integer=True)
        if not callable(self.hubness):
            check_option("hubness", self.hubness, [None, *_HUBNESS])
        check_number("whiten", self.whiten, low=0, high=1)
        if self.gallery is not None:
            check_table("gallery", self.gallery)
        with unchanged_on_error(self):
            self._fit_encoder(X, y, subject)
            self.added_: list[EmbeddingTable] = []
            self._whitening = self._fit_whitening(X, subject) if self.whiten else None
        return self

    def add(self, table: EmbeddingTable) -> ImageRetriever:
        """Grow the gallery.

        Parameters
        ----------
        table : EmbeddingTable
            Further images, with new ids.

        Returns
        -------
        ImageRetriever
            This retriever; the parameter `gallery` stays as it is.

        Raises
        ------
        ValueError
            If an id is in the gallery already, or the vectors are of another width.
        """
        check_is_fitted(self, "encoder_")
        check_table("gallery", table)
        ids, vectors = self._gallery()
        check_width(table.vectors, vectors, "gallery vectors")
        known = set(ids.tolist()).intersection(table.ids.tolist())
        if known:
            raise ValueError(
                f"table holds {len(known)} ids that are in the gallery already (one: {min(known)!r})."
            )
        self.added_.append(table)
        return self

    def retrieve(self, X: Any, k: int | None = None, subject: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Find the k most similar images of each epoch, best first.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times) | Epochs | EpochsView | BaseConcatDataset
            Epochs as in fit.
        k : int | None
            How many; None takes `n_retrieved`, or the whole of a smaller gallery.
        subject : array-like of str, shape (n_epochs,) | None
            Subject of each epoch, where X does not carry it.

        Returns
        -------
        ids : ndarray of str, shape (n_epochs, k)
            Ids of the gallery.
        similarity : ndarray, shape (n_epochs, k)
            Their cosines, falling; equal ones in the order of the gallery.
        """
        z, ids, blocks = self._search(X, subject)
        if k is None:
            k = min(self.n_retrieved, len(ids))
        check_number("k", k, low=1, high=len(ids), integer=True)
        column, similarity = _nearest(blocks, len(z), k)
        return ids[column], similarity

    def similarity(self, X: Any, subject: Any = None) -> np.ndarray:
        """Compare each epoch with each image.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times)
            Epochs, in any form that fit takes.
        subject : array-like of str, shape (n_epochs,) | None
            Subject of each epoch, where X does not carry it.

        Returns
        -------
        ndarray, shape (n_epochs, n_gallery)
            Cosines, whitened and corrected as asked for; columns in the order of the gallery.
        """
        _, _, blocks = self._search(X, subject)
        return np.concatenate([similarity for _, similarity in blocks])

    def predict(self, X: Any, subject: Any = None) -> np.ndarray:
        """Give the id of the most similar image.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times)
            Epochs, in any form that fit takes.
        subject : array-like of str, shape (n_epochs,) | None
            Subject of each epoch, where X does not carry it.

        Returns
        -------
        ndarray, shape (n_epochs,)
            Ids of the gallery.
        """
        return self.retrieve(X, k=1, subject=subject)[0][:, 0]

    def rank(self, X: Any, y: Any, subject: Any = None) -> np.ndarray:
        """Rank of the image that was shown.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times)
            Epochs, in any form that fit takes.
        y : array-like of str, shape (n_epochs,)
            Ids of the images shown, in the gallery.
        subject : array-like of str, shape (n_epochs,) | None
            Subject of each epoch, where X does not carry it.

        Returns
        -------
        ndarray, shape (n_epochs,)
            1 = found first; ties share their mean rank.
        """
        return np.concatenate([ranks(s, t) for s, t in self._similarity_blocks(X, y, subject)])

    def score(self, X: Any, y: Any, sample_weight: Any = None, subject: Any = None) -> float:
        """Top-1 accuracy in the whole gallery.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times)
            Epochs, in any form that fit takes.
        y : array-like of str, shape (n_epochs,)
            Ids of the images shown, in the gallery.
        sample_weight : array-like, shape (n_epochs,) | None
            Weight of each epoch.
        subject : array-like of str, shape (n_epochs,) | None
            Subject of each epoch, where X does not carry it.

        Returns
        -------
        float
            Share of epochs whose image is found first; chance is one over the size of the gallery.
        """
        hits = [
            n_way_probability(s, t, s.shape[1], 1) if s.shape[1] > 1 else np.ones(len(t))
            for s, t in self._similarity_blocks(X, y, subject)
        ]
        return float(np.average(np.concatenate(hits), weights=sample_weight))

    def _similarity_blocks(self, X: Any, y: Any, subject: Any):
        """Similarities and true columns, a bounded block of epochs at a time."""
        z, ids, blocks = self._search(X, subject)
        wanted = np.asarray(y) if ids.dtype.kind not in "UT" else as_ids(y, name="y")
        if wanted.shape != (len(z),):
            raise ValueError(f"y must hold one id per epoch, shape ({len(z)},), got {wanted.shape}.")
        text = [str(label) for label in wanted.tolist()]
        position = {str(label): row for row, label in enumerate(ids.tolist())}
        target = positions(position, text, name="y", what="gallery")
        for rows, similarity in blocks:
            yield similarity, target[rows]

    def _search(self, X: Any, subject: Any) -> tuple[np.ndarray, np.ndarray, Iterable[_Block]]:
        """Embeddings, ids of the gallery, and their similarities in blocks of rows."""
        z = self.embed(X, subject=subject)
        ids, vectors = self._gallery()
        vectors = self.project(vectors)
        check_width(z, vectors, "gallery vectors")
        if self._whitening is not None:
            centre, mean, matrix = self._whitening
            z, vectors = normalize(z) - centre, (normalize(vectors) - mean) @ matrix
        if self.hubness is None:
            return z, ids, _cosines(z, vectors)
        correct = self.hubness if callable(self.hubness) else _HUBNESS[self.hubness]
        return z, ids, [(slice(0, len(z)), correct(cosine_similarity(z, vectors)))]

    def _fit_whitening(self, X: Any, subject: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean training embedding; mean and whitening matrix of the training images; all of unit vectors."""
        if self.targets_ is None or self.seen_ is None or self.targets_.meta.get("class_codes"):
            raise ValueError(
                f"whiten={self.whiten:g} needs the vectors of the training images: pass targets=EmbeddingTable(...), and"
                " their ids as y."
            )
        mean, covariance = moments(self.project(self.targets_.lookup(self.seen_)))
        centre = normalize(self.embed(X, subject=subject)).mean(axis=0)
        matrix = power(covariance, -self.whiten / 2)
        return centre, mean.astype(np.float32), matrix.astype(np.float32)

    @property
    def _corrects(self) -> bool:
        """Whether images are compared otherwise than by cosine."""
        return self.whiten > 0 or self.hubness is not None

    @property
    def _transductive(self) -> str | None:
        """What looks at the test epochs together, for reports."""
        if self.hubness is None:
            return None
        name = self.hubness if isinstance(self.hubness, str) else "hubness correction"
        return f"{name}: similarities are corrected by those of all test epochs"

    def _gallery(self) -> tuple[np.ndarray, np.ndarray]:
        """Ids (or labels) and vectors of all images searched."""
        check_is_fitted(self, "encoder_")
        table = self.gallery if self.gallery is not None else self.targets_
        if table is None:
            raise ValueError(
                "gallery is None and there are no targets: nothing to search. Pass gallery=EmbeddingTable(...)."
            )
        # Codes stand for the labels of y, which need not be text.
        ids = self.seen_ if table.meta.get("class_codes") and self.seen_ is not None else table.ids
        if not self.added_:
            return ids, table.vectors
        return (
            np.concatenate([ids, *(more.ids for more in self.added_)]),
            np.concatenate([table.vectors, *(more.vectors for more in self.added_)]),
        )

    def _has_candidates(self) -> bool:
        return self.gallery is not None


def _cosines(z: np.ndarray, vectors: np.ndarray) -> Iterator[_Block]:
    """Cosines with all vectors, for a bounded block of rows at a time; the gallery is normalised once."""
    dtype = np.result_type(z, vectors)
    z, vectors = (normalize(part.astype(dtype, copy=False)) for part in (z, vectors))
    step = max(1, _BLOCK // len(vectors))
    for start in range(0, len(z), step):
        rows = slice(start, start + step)
        yield rows, z[rows] @ vectors.T


def _nearest(blocks: Iterable[_Block], n_rows: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns and similarities of the k most similar images of each row, best first."""
    columns = np.empty((n_rows, k), dtype=np.intp)
    cosines = np.empty((n_rows, k), dtype=np.float32)
    for rows, similarity in blocks:
        if k < similarity.shape[1]:
            # Sorted columns, so that the stable sort below breaks ties by place in the gallery.
            part = np.sort(np.argpartition(-similarity, k - 1, axis=1)[:, :k], axis=1)
        else:
            part = np.broadcast_to(np.arange(k), similarity.shape)
        found = np.take_along_axis(similarity, part, axis=1)
        order = np.argsort(-found, axis=1, kind="stable")
        columns[rows] = np.take_along_axis(part, order, axis=1)
        cosines[rows] = np.take_along_axis(found, order, axis=1)
    return columns, cosines
