"""ImageRetriever: find the picture that was seen."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from sklearn.preprocessing import normalize
from sklearn.utils.validation import check_is_fitted

from .._utils.company import is_each_alone
from .._utils.ids import as_ids, positions
from .._utils.params import check_number, check_option, warn_idle
from .._utils.validation import unchanged_on_error
from .._utils.whitening import moments, power
from ..embeddings import EmbeddingTable
from ..embeddings.table import check_table
from ..metrics import csls, inverted_softmax, sinkhorn
from ..metrics.counts import count_better_equal, hit_probability
from .composite import EmbeddingComposite, check_width
from .gallery.approximate import IndexedGallery, import_faiss
from .gallery.exact import nearest
from .gallery.procrustes import turned

_HUBNESS = {"csls": csls, "inverted_softmax": inverted_softmax, "sinkhorn": sinkhorn}
_N_PROBES = 256


class ImageRetriever(EmbeddingComposite):
    """Search a gallery of images for the one that was seen.

    Parameters
    ----------
    encoder : EEGEncoder | regressor | FrozenEstimator | "passthrough"
        What embeds the epochs: cloned and fitted, unless it is frozen. Any regressor that predicts embeddings
        serves: a bare one gets the epochs flattened, a Pipeline gets them as they are; "passthrough" where X holds
        embeddings.
    targets : EmbeddingTable | None
        Vectors of the training stimuli; None takes the encoder's own, else codes of the labels in ``y``.
    gallery : EmbeddingTable | None
        The images searched, read when retrieving; None takes the targets.
    n_retrieved : int
        Images that :meth:`retrieve` gives by default; a smaller gallery is given whole.
    index : {"exact", "faiss"}
        How :meth:`retrieve` and :meth:`predict` search. "exact" compares with every image, in blocks of bounded
        memory. "faiss" looks only where the image probably is, in
        galleries of more than 20,000 images: many times faster, but it may miss some (:meth:`recall` tells how many).
        The similarities it gives are exact. :meth:`similarity`, :meth:`rank` and :meth:`score` always compare with all.
    n_probes : int
        With ``index="faiss"``, into how many of the gallery's cells (about four times the square root of its size) to
        look: more find more, and take longer.
    whiten : float
        Strength in [0, 1] of a whitening of the gallery by the mean and covariance of the *training* images, so that
        what all images have in common counts less; embeddings are then taken from the mean of the training epochs'.
        1 whitens wholly, which magnifies directions of little variance; 0 leaves all as it is.
    hubness : None | {"csls", "inverted_softmax", "sinkhorn"} | callable
        Correction of the similarities for images that are near to every epoch: :func:`~skeegclip.metrics.csls`,
        :func:`~skeegclip.metrics.inverted_softmax`, :func:`~skeegclip.metrics.sinkhorn`, or a function from similarity
        matrix to similarity matrix, such as ``functools.partial(csls, k=5)``. *Transductive*: the result for an epoch
        depends on the others that are searched for with it. Needs the whole matrix in memory.
    refine : int
        Rounds of unlabelled Procrustes before the search: embeddings are softly matched with images by
        :func:`~skeegclip.metrics.sinkhorn` and all turned together towards their matches, cautiously. *Transductive*,
        and in need of the whole matrix, as `hubness`; meant for some tens of epochs or more, of different images. One
        epoch alone is left as it is.

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

    _saved_state: ClassVar[dict[str, Any]] = {
        **EmbeddingComposite._saved_state,
        "added_": list,
        "_whitening": tuple | None,
    }

    def __init__(
        self,
        encoder,
        *,
        targets=None,
        gallery=None,
        n_retrieved=5,
        index="exact",
        n_probes=_N_PROBES,
        whiten=0.0,
        hubness=None,
        refine=0,
    ):
        self.encoder = encoder
        self.targets = targets
        self.gallery = gallery
        self.n_retrieved = n_retrieved
        self.index = index
        self.n_probes = n_probes
        self.whiten = whiten
        self.hubness = hubness
        self.refine = refine

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
        ImportError
            If ``index="faiss"`` and faiss is not installed.
        """
        check_number("n_retrieved", self.n_retrieved, low=1, integer=True)
        if not callable(self.hubness):
            check_option("hubness", self.hubness, [None, *_HUBNESS])
        check_number("whiten", self.whiten, low=0, high=1)
        check_number("refine", self.refine, low=0, integer=True)
        self._check_index()
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
        ids, tables = self._tables()
        check_width(table.vectors, tables[0].vectors, "gallery vectors")
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
        z, gallery = self._search(X, subject)
        k = self._how_many(k, gallery)
        columns, similarity = self._nearest(z, gallery, k)
        return gallery.ids[columns], similarity

    def recall(self, X: Any, k: int | None = None, subject: Any = None) -> float:
        """Measure how much of what exact search finds :meth:`retrieve` finds too.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times)
            Epochs, in any form that fit takes: like those to be decoded, for it depends on them. Some hundred will do,
            for each is compared with the whole gallery.
        k : int | None
            How many to retrieve; None takes `n_retrieved`.
        subject : array-like of str, shape (n_epochs,) | None
            Subject of each epoch, where X does not carry it.

        Returns
        -------
        float
            Share of the k most similar images that are among the k retrieved; 1 unless ``index="faiss"``.
        """
        z, gallery = self._search(X, subject)
        k = self._how_many(k, gallery)
        exact, _ = gallery.nearest(z, k)
        found, _ = self._nearest(z, gallery, k)
        return float(np.mean([np.isin(*rows).mean() for rows in zip(exact, found, strict=True)]))

    def _how_many(self, k: int | None, gallery: IndexedGallery) -> int:
        if k is None:
            return min(self.n_retrieved, len(gallery))
        return check_number("k", k, low=1, high=len(gallery), integer=True)

    def _nearest(self, z: np.ndarray, gallery: IndexedGallery, k: int) -> tuple[np.ndarray, np.ndarray]:
        self._check_index()
        if self._corrects_hubs():
            return nearest(self._corrected(z, gallery), k)
        if self.index == "faiss":
            return gallery.approximately_nearest(z, k, self.n_probes)
        return gallery.nearest(z, k)

    def _check_index(self) -> None:
        check_option("index", self.index, ["exact", "faiss"])
        check_number("n_probes", self.n_probes, low=1, integer=True)
        if self.index != "faiss" and self.n_probes != _N_PROBES and not hasattr(self, "encoder_"):
            warn_idle(
                "n_probes", self.n_probes, f"index is {self.index!r}, which looks everywhere", stacklevel=4
            )
        if self.index == "faiss":
            import_faiss()
            for name, off in (("hubness", None), ("refine", 0)):
                if (value := getattr(self, name)) != off:
                    raise ValueError(
                        f'index="faiss" looks at a part of the gallery, but {name}={value!r} needs all similarities.'
                        f' Use index="exact", or {name}={off}.'
                    )

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
        return self._corrected(*self._search(X, subject))

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
        better, equal, _ = self._counts(X, y, subject)
        return 1 + better + equal / 2

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
        better, equal, n_gallery = self._counts(X, y, subject)
        hits = hit_probability(better, equal, n_gallery, n_gallery, 1) if n_gallery > 1 else 1 - better
        return float(np.average(hits, weights=sample_weight))

    def _counts(self, X: Any, y: Any, subject: Any) -> tuple[np.ndarray, np.ndarray, int]:
        """How many images are more similar than the one shown, how many others equally so, and how many there are."""
        z, gallery = self._search(X, subject)
        ids = gallery.ids
        wanted = np.asarray(y) if ids.dtype.kind not in "UT" else as_ids(y, name="y")
        if wanted.shape != (len(z),):
            raise ValueError(f"y must hold one id per epoch, shape ({len(z)},), got {wanted.shape}.")
        text = [str(label) for label in wanted.tolist()]
        target = positions(gallery.places, text, name="y", what="gallery")
        if not self._corrects_hubs():
            return *gallery.counts(z, target), len(gallery)
        return count_better_equal(self._corrected(z, gallery), target)

    def _corrected(self, z: np.ndarray, gallery: IndexedGallery) -> np.ndarray:
        """Similarities with the whole gallery, corrected for hubs."""
        if not self._corrects_hubs():
            return gallery.matrix(z)
        correct = self.hubness if callable(self.hubness) else _HUBNESS[self.hubness]
        return correct(gallery.matrix(z))

    def _corrects_hubs(self) -> bool:
        return self.hubness is not None and not is_each_alone()

    def _search(self, X: Any, subject: Any) -> tuple[np.ndarray, IndexedGallery]:
        """Embeddings, and what to compare them with."""
        z = self.embed(X, subject=subject)
        ids, tables = self._tables()
        first = self._prepare(tables[0].vectors[:1])
        check_width(z, first, "gallery vectors")
        gallery = self._kept.gallery(
            tables, first, lambda: IndexedGallery(ids, [table.vectors for table in tables], self._prepare)
        )
        z = z if self._whitening is None else normalize(z) - self._whitening[0]
        if self.refine and not is_each_alone():
            z = turned(z, np.concatenate([vectors for _, vectors in gallery.units()]), self.refine)
        return z, gallery

    def _prepare(self, vectors: np.ndarray) -> np.ndarray:
        """Vectors of images as they are compared."""
        vectors = self.project(vectors)
        if self._whitening is None:
            return vectors
        _, mean, matrix = self._whitening
        return (normalize(vectors) - mean) @ matrix

    @classmethod
    def _made(cls, params: dict[str, Any], state: dict[str, Any]) -> Any:
        made = super()._made(params, state)
        tables = [made.gallery, *made.added_]
        for table in tables:
            if table is not None:
                check_table("gallery", table)
        if made._whitening is not None:
            centre, mean, matrix = made._whitening
            if not centre.shape == mean.shape == matrix.shape[:1] == matrix.shape[1:]:
                raise ValueError("its whitening is of several widths")
        return made

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
        return self.whiten > 0 or self.hubness is not None or self.refine > 0

    @property
    def _transductive(self) -> str | None:
        """What looks at the test epochs together, for reports."""
        said = []
        if self.hubness is not None:
            name = self.hubness if isinstance(self.hubness, str) else "hubness correction"
            said.append(f"{name}: similarities are corrected by those of all test epochs")
        if self.refine:
            said.append(
                f"refine={self.refine}: embeddings of all test epochs are turned together onto the gallery"
            )
        return "; ".join(said) or None

    def _tables(self) -> tuple[np.ndarray, list[EmbeddingTable]]:
        """Ids (or labels) of all images searched, and the tables of their vectors."""
        check_is_fitted(self, "encoder_")
        table = self.gallery if self.gallery is not None else self.targets_
        if table is None:
            raise ValueError(
                "gallery is None and there are no targets: nothing to search. Pass gallery=EmbeddingTable(...)."
            )
        # Codes stand for the labels of y, which need not be text.
        ids = self.seen_ if table.meta.get("class_codes") and self.seen_ is not None else table.ids
        tables = [table, *self.added_]
        return np.concatenate([ids, *(more.ids for more in self.added_)]) if self.added_ else ids, tables

    def _has_candidates(self) -> bool:
        return self.gallery is not None
