"""EEGImageReconstructor: from epochs to pictures."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from sklearn.utils import TransformerTags
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping
from sklearn.utils.validation import check_is_fitted

from .._utils.contents import Loading
from .._utils.estimators import thaw
from .._utils.folders import Content
from .._utils.ids import as_ids
from .._utils.params import check_number, check_option
from .._utils.validation import unchanged_on_error
from ..decoders.composite import EmbeddingComposite
from ..metrics.reconstruction import computable
from ._fitting import fit_painters, training_embeddings
from ._painting import Order, paint
from ._parts import check_part, frozen, make_generator, refine
from ._sharing import plain_param
from .generators.base import row_seeds
from .generators.training import check_images, picture_of
from .scores import identification, score_table

if TYPE_CHECKING:
    import pandas as pd

_PAINTERS = ("prior", "low_level", "captioner", "generator")


class EEGImageReconstructor(EmbeddingComposite):
    """Paint what was seen: an encoder, a prior, guides, and a generator, one after the other.

    The encoder embeds each epoch. The prior moves the embedding to where embeddings of pictures lie. The generator
    paints a picture from it, guided, where there are such parts, by a blurry picture decoded from the epoch (`low_level`)
    and by a caption. Every part but the encoder may be left out. Parts inside
    :class:`sklearn.frozen.FrozenEstimator` are used as they are; the others are cloned and fitted.

    The prior, the generator and the captioner learn from **out-of-fold** embeddings: the encoder's own embeddings of the
    epochs that it was trained on are far better than those of new epochs, and parts that learned from them would trust
    new ones too much. So the encoder is fitted `cross_fit` times more, each time without some of the *stimuli*. A frozen
    encoder cannot be refitted: where its training epochs come in again here, that trust is misplaced.

    Parameters
    ----------
    encoder : EEGEncoder | regressor | FrozenEstimator | "passthrough"
        What embeds the epochs: cloned and fitted, unless it is frozen. Any regressor that predicts embeddings
        serves (one that takes matrices gets the epochs flattened); "passthrough" where X holds embeddings.
    targets : EmbeddingTable | None
        Vectors of the training stimuli; None takes the encoder's own, else codes of the labels in ``y``.
    images : ImageTable | mapping | None
        Pictures by stimulus id, for parts that learn from pictures, for :meth:`score` and for :meth:`report`.
    prior : DiffusionPrior | estimator | None
        From embeddings of epochs to embeddings of pictures: any estimator with ``transform``, or a regressor.
    low_level : LowLevelDecoder | estimator | None
        From epochs to blurry pictures.
    captioner : EEGCaptioner | estimator | None
        From embeddings to texts.
    generator : "sdxl-turbo" | "sdxl-base" | "linear" | "nearest" | object
        What paints, by name or as an :class:`~skeegclip.generation.SDXLGenerator`, a
        :class:`~skeegclip.generation.LinearGenerator`, a :class:`~skeegclip.generation.NearestImageGenerator`,
        or any object whose ``generate(embeddings, low_level=None, captions=None, random_state=None)`` gives uint8
        pictures.
    cross_fit : int | None
        Number of folds for the out-of-fold embeddings; None takes the embeddings of the training epochs as they are.
    repetitions : {"average", "single", "both"}
        What the prior, the captioner and the generator learn from: embeddings of the average of a stimulus's epochs (per
        subject), of single epochs, or of both. Take what new epochs will be: an embedding of a single trial is to be
        trusted less than that of an average.
    n_images : int
        Pictures of each epoch: from as many samples of the prior, and other seeds.
    random_state : int | RandomState | Generator | None
        Seed of the pictures, and of those parts (but the encoder) that have none of their own.
    out_dir : path-like | None
        Folder in which :meth:`transform` writes the pictures as they come, ``00000.png`` on; called again on the same
        epochs it goes on where it stopped. Needs an int as `random_state`.
    verbose : int
        1 shows a bar while painting, where someone looks.

    Attributes
    ----------
    encoder_ : estimator | "passthrough"
        The fitted encoder.
    prior_, low_level_, captioner_ : estimator | None
        The fitted parts.
    generator_ : object
        The fitted generator.
    targets_ : EmbeddingTable | None
        The table trained on.
    seen_ : ndarray, shape (n_labels,) | None
        The distinct labels of ``y`` in fit.
    n_features_in_ : int
        Channels (or columns) seen in fit.

    See Also
    --------
    ImageRetriever : Find the picture instead of painting it.

    References
    ----------
    .. [1] Li et al., "Visual Decoding and Reconstruction via EEG Embeddings with Guided Diffusion", NeurIPS 2024,
       sections 2.3 and 3.3.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from skeegclip import EEGImageReconstructor
    >>> from skeegclip.datasets import make_things_like
    >>> data = make_things_like(n_train_concepts=40, n_test_concepts=10, snr=20, random_state=0)
    >>> train, test = data.split == "train", data.split == "test"
    >>> reconstructor = EEGImageReconstructor(
    ...     Ridge(1e4), targets=data.image_embeddings, images=data.images, generator="linear"
    ... )
    >>> reconstructor.fit(data.X[train], data.y[train]).transform(data.X[test][:3]).shape
    (3, 64, 64, 3)
    >>> reconstructor.score(data.X[test], data.y[test]) > 0.6  # two-way: chance is 0.5
    True
    """

    __metadata_request__transform = {"subject": True}
    _embeds_for = "transform"

    def __init__(
        self,
        encoder,
        *,
        targets=None,
        images=None,
        prior=None,
        low_level=None,
        captioner=None,
        generator="sdxl-turbo",
        cross_fit=5,
        repetitions="average",
        n_images=1,
        random_state=None,
        out_dir=None,
        verbose=1,
    ):
        self.encoder = encoder
        self.targets = targets
        self.images = images
        self.prior = prior
        self.low_level = low_level
        self.captioner = captioner
        self.generator = generator
        self.cross_fit = cross_fit
        self.repetitions = repetitions
        self.n_images = n_images
        self.random_state = random_state
        self.out_dir = out_dir
        self.verbose = verbose

    # -- fitting ------------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any = None, subject: Any = None) -> EEGImageReconstructor:
        """Fit all parts that are not frozen.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times) | Epochs | EpochsView | BaseConcatDataset
            Epochs, handed to the encoder as they are.
        y : array-like of str, shape (n_epochs,) | None
            Stimulus ids, looked up in the targets and the images; any class labels where there are no targets. None
            where nothing is to be learned from it.
        subject : array-like of str, shape (n_epochs,) | None
            Subject of each epoch, where X does not carry it.

        Returns
        -------
        EEGImageReconstructor
            The fitted reconstructor.

        Raises
        ------
        ValueError, TypeError
            If X, y or a parameter is not usable.
        KeyError
            If ids are not in the targets or the images.
        """
        self._check_params()
        with unchanged_on_error(self):
            self._fit_parts(X, y, subject)
            for name, part in fit_painters(self, X, y, subject).items():
                setattr(self, f"{name}_", part)
        return self

    def fit_transform(self, X: Any, y: Any = None, subject: Any = None) -> np.ndarray:
        """Fit all parts, then paint the same epochs.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times)
            Epochs, in any form that fit takes.
        y : array-like of str, shape (n_epochs,) | None
            As in fit.
        subject : array-like of str, shape (n_epochs,) | None
            Subject of each epoch, where X does not carry it.

        Returns
        -------
        ndarray of uint8, shape (n_epochs, height, width, 3)
            Pictures of the training epochs: far better than those of new ones.
        """
        return self.fit(X, y, subject=subject).transform(X, subject=subject)

    def _check_params(self) -> None:
        check_images(self.images)
        check_part("prior", self.prior, ("transform", "predict"))
        check_part("low_level", self.low_level, ("transform",))
        check_part("captioner", self.captioner, ("predict",))
        make_generator(self.generator)
        check_number("cross_fit", self.cross_fit, low=2, integer=True, none=True)
        check_option("repetitions", self.repetitions, ["average", "single", "both"])
        check_number("n_images", self.n_images, low=1, high=100_000, integer=True)
        if self.out_dir is not None and not isinstance(self.random_state, (int, np.integer)):
            raise ValueError(
                f"out_dir needs random_state to be an int, got {self.random_state!r}: with other seeds no rerun could"
                " go on with these pictures."
            )

    def _training_embeddings(self, X: Any, ids: np.ndarray, subject: Any) -> tuple[np.ndarray, np.ndarray]:
        return training_embeddings(self, X, ids, subject)

    # -- painting -----------------------------------------------------------------------------------

    def transform(self, X: Any, subject: Any = None) -> np.ndarray:
        """Paint pictures of what was seen.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times) | Epochs | EpochsView | BaseConcatDataset
            Epochs as in fit.
        subject : array-like of str, shape (n_epochs,) | None
            Subject of each epoch, where X does not carry it.

        Returns
        -------
        ndarray of uint8, shape (n_epochs, height, width, 3) | (n_epochs, n_images, height, width, 3)
            The pictures, in the order of the epochs; the second form where `n_images` is more than 1.

        Raises
        ------
        GenerationError
            If the generator fails; the message names the epochs, and what was painted before is kept.
        """
        pictures = self._paint(X, subject, self.out_dir)
        return pictures[:, 0] if self.n_images == 1 else pictures

    def _paint(self, X: Any, subject: Any, out_dir: Any) -> np.ndarray:
        check_is_fitted(self, "generator_")
        Z = self.embed(X, subject=subject)
        samples = refine(self.prior_, Z, self.n_images)
        low_level = captions = None
        if self.low_level_ is not None:
            low_level = self._call(
                self.low_level_, "transform", "transform", X, subject=subject, name="low_level"
            )
        if self.captioner_ is not None:
            # One text an epoch: from the mean of its samples.
            captions = list(self.captioner_.predict(samples.mean(axis=1)))
        seeds = row_seeds(self.random_state, samples.shape[0] * self.n_images)
        order = Order(samples, low_level, captions, np.reshape(seeds, samples.shape[:2]))
        return paint(self.generator_, order, out_dir=out_dir, verbose=self.verbose)

    # -- judging ------------------------------------------------------------------------------------

    def score(self, X: Any, y: Any, sample_weight: Any = None, subject: Any = None) -> float:
        """Two-way identification by pixels.

        The probability that a reconstruction correlates more with its own picture than with another one of those
        shown, over all others: exact, ties count one half. Pixels are compared at 64 x 64. The metrics in
        the features of networks, which need weights, are those of :meth:`report`.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times)
            Epochs, in any form that fit takes.
        y : array-like of str, shape (n_epochs,)
            Ids of at least two stimuli, whose pictures are in `images`.
        sample_weight : array-like, shape (n_epochs,) | None
            Weight of each epoch.
        subject : array-like of str, shape (n_epochs,) | None
            Subject of each epoch, where X does not carry it.

        Returns
        -------
        float
            In [0, 1]; chance is 0.5.
        """
        names, shown = self._shown(y)
        pictures = self._paint(X, subject, None)
        return float(np.average(identification(pictures, names, shown), weights=sample_weight))

    def report(
        self, X: Any, y: Any, metrics: Any = "all", *, weights: Any = None, subject: Any = None, **kwargs: Any
    ) -> pd.DataFrame:
        """Score the reconstructions beside two baselines that any decoder should beat.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times)
            Epochs, in any form that fit takes.
        y : array-like of str, shape (n_epochs,)
            Ids of the stimuli, whose pictures are in `images`.
        metrics : "all" | sequence of str
            As in :func:`skeegclip.metrics.reconstruction_scores`; "PixCorr" and "SSIM" need no weights, and "all" leaves out
            those whose weights are not to be had, with a warning.
        weights : path-like | None
            Folder of the networks' weights.
        subject : array-like of str, shape (n_epochs,) | None
            Subject of each epoch, where X does not carry it.
        **kwargs : dict
            Further arguments of :func:`skeegclip.metrics.reconstruction_scores`.

        Returns
        -------
        DataFrame
            Rows "generated", "mean training picture" and "nearest training picture" (nearest to the encoder's embedding
            of the epoch); columns as in :func:`skeegclip.metrics.reconstruction_scores`.
        """
        names, shown = self._shown(y)
        metrics = computable(metrics, weights)  # said before what takes long
        pictures = self._paint(X, subject, None)
        return score_table(
            self, pictures, self.embed(X, subject=subject), names, shown, metrics, weights=weights, **kwargs
        )

    def _shown(self, y: Any) -> tuple[np.ndarray, dict[str, Any]]:
        """Ids of the rows, and the picture of each distinct one."""
        check_is_fitted(self, "generator_")
        if self.images is None:
            raise ValueError("images is None: there is nothing to compare with. Pass images=ImageTable(...).")
        labels = np.asarray(y)
        codes = self.targets_ is not None and self.targets_.meta.get("class_codes")
        names = labels.astype(str) if codes else as_ids(labels, name="y")
        return names, {name: picture_of(self.images, name) for name in np.unique(names).tolist()}

    # -- saving -------------------------------------------------------------------------------------

    # The fitted parts are saved, and come back frozen in the places of the parameters too; pictures are not written.
    _not_saved = (*EmbeddingComposite._not_saved, *_PAINTERS, "images", "out_dir", "verbose")
    _saved_state: ClassVar[dict[str, Any]] = {
        **EmbeddingComposite._saved_state,
        **{f"{name}_": object for name in _PAINTERS},
    }
    _given_on_load = ("images",)

    def _check_fitted(self) -> None:
        check_is_fitted(self, "generator_")

    def _written_params(self) -> dict[str, Any]:
        return {name: plain_param(name, value) for name, value in super()._written_params().items()}

    @classmethod
    def _from_content(cls, content: Content, loading: Loading) -> Self:
        images = loading.given.get("images")
        check_images(images)
        given = {"generator__images": images, **loading.given}
        made = super()._from_content(content, replace(loading, given=given))
        made.images = images
        return made

    @classmethod
    def _made(cls, params: dict[str, Any], state: dict[str, Any]) -> Any:
        parts = {name: frozen(state[f"{name}_"]) for name in ("encoder", *_PAINTERS)}
        fitted = {f"{name}_": part for name, part in parts.items()}
        made = super()._made({**params, **parts}, {**state, **fitted})
        made._check_params()
        return made

    # -- scikit-learn -------------------------------------------------------------------------------

    def get_metadata_routing(self) -> MetadataRouter:
        """Return how metadata travels: the subject goes to the encoder and the low-level decoder.

        Returns
        -------
        MetadataRouter
            The routing of this estimator and those two.
        """
        router = super().get_metadata_routing()
        if self.low_level is not None:
            mapping = (
                MethodMapping()
                .add(caller="fit", callee="fit")
                .add(caller="transform", callee="transform")
                .add(caller="score", callee="transform")
            )
            router.add(low_level=thaw(self.low_level), method_mapping=mapping)
        return router

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags = TransformerTags(preserves_dtype=[])
        return tags
