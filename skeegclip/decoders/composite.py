"""What ZeroShotClassifier and ImageRetriever share: an encoder, its targets, and embeddings out of it."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import numpy as np
from sklearn import config_context
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from sklearn.utils import assert_all_finite, check_consistent_length, get_tags
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from .._utils.cloning import clone_to_fit
from .._utils.estimators import find_table, holds_own, project, tells_routing, thaw
from .._utils.ids import as_ids, as_subject
from .._utils.inputs import read_epochs
from .._utils.missing import refuse_masked, refuse_missing
from .._utils.params import refuse_class
from .._utils.saving import Savable
from .._utils.seen import Seen
from .._utils.stated import Stated
from .._utils.validation import check_told, unchanged_on_error
from ..embeddings import EmbeddingTable, class_codes
from ..embeddings.table import check_table
from ._foreign import as_input, ask_for_weights, explain_step, takes_epochs, target_slots
from .gallery.exact import Kept


class EmbeddingComposite(Savable, BaseEstimator):
    """An estimator around an encoder. Subclasses have the parameters `encoder` and `targets`.

    Attributes
    ----------
    encoder_ : estimator | "passthrough"
        The fitted encoder.
    targets_ : EmbeddingTable | None
        The table trained on: own targets, the encoder's, or codes of the classes; None where the class means
        of "passthrough" embeddings serve.
    """

    __metadata_request__fit = {"subject": True}
    __metadata_request__predict = {"subject": True}
    __metadata_request__score = {"subject": True}
    _embeds_for: ClassVar[str] = "predict"  # the public method that embeds, for the routing of metadata

    # The fitted encoder is saved, once, and comes back in the place of the parameter too.
    _not_saved = (*Savable._not_saved, "encoder")
    _saved_state: ClassVar[dict[str, Any]] = {
        "encoder_": object,
        "targets_": object,
        "seen_": np.ndarray | None,
        "trained_on_": dict,
        "_stated": Stated | None,
        "n_features_in_": int,
        "feature_names_in_": np.ndarray,
        "n_chans_": int,
        "n_times_in_": int,
        "ch_names_": tuple | None,
    }

    _may_be_absent = (
        *("trained_on_", "_stated", "n_features_in_", "feature_names_in_"),
        *("n_chans_", "n_times_in_", "ch_names_"),
    )

    encoder: Any
    targets: Any

    # -- fitting ------------------------------------------------------------------------------------

    def _fit_encoder(self, X: Any, y: Any, subject: Any, sample_weight: Any = None) -> None:
        """Set `encoder_`, `targets_` and `seen_`, the labels of `y` that default candidates come from."""
        with unchanged_on_error(self):
            self._fit_parts(X, y, subject, sample_weight)

    def _fit_parts(self, X: Any, y: Any, subject: Any, sample_weight: Any = None) -> None:
        self._check_encoder()
        self._kept, self._stated = Kept(), None
        table = self._given_table()
        if isinstance(self.encoder, FrozenEstimator) and table is None and not self._has_candidates():
            raise ValueError(
                f"targets: the encoder of this {type(self).__name__} is frozen and has no targets of its own."
                " Pass targets=EmbeddingTable(...), the table it was trained on."
            )
        labels = self._labels(y, table)
        if subject is not None and labels is not None:
            as_subject(subject, len(labels))  # also where nobody asks for it
        weight = self._weigh(labels, sample_weight, are_stimuli=table is not None)
        self.seen_ = None if labels is None else np.unique(labels if weight is None else labels[weight > 0])
        learns = table is None if self._is_passthrough() else not isinstance(self.encoder, FrozenEstimator)
        if weight is not None and not learns:
            warnings.warn(
                "sample_weight and class_weight cannot act: the encoder is not fitted.",
                UserWarning,
                stacklevel=5,
            )
        if self._is_passthrough():
            self.encoder_: Any = "passthrough"
            X = self._check_embeddings(X, reset=True)
            if labels is not None:
                check_consistent_length(X, labels)
            self.targets_ = _class_means(X, labels, weight) if table is None and labels is not None else table
        elif isinstance(self.encoder, FrozenEstimator):
            self.encoder_, self.targets_ = self.encoder, table
            if not holds_own(self.encoder):
                self._hand_in(self.encoder, X, reset=True)
        elif labels is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but the target y is None."
            )
        else:
            targets = class_codes(np.unique(labels)) if table is None else table
            self.targets_ = targets
            self.encoder_ = self._fit_clone(X, labels.astype(str), targets, subject, weight)
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self.encoder_, name):
                setattr(self, name, getattr(self.encoder_, name))

    def _fit_clone(
        self, X: Any, ids: np.ndarray, targets: EmbeddingTable, subject: Any, weight: Any = None
    ) -> Any:
        """A clone of the encoder, fitted on the targets: on ids where it looks them up itself, else on vectors."""
        encoder = clone_to_fit(self.encoder)
        slots = target_slots(encoder)
        # By value: an ensemble makes its joined table anew each time.
        if slots and find_table(encoder) != targets:
            encoder.set_params(**dict.fromkeys(slots, targets))
        goal = ids if slots else targets.lookup(ids)
        if weight is not None:
            ask_for_weights(encoder)
        given = self._hand_in(encoder, X, reset=True)
        self._call(encoder, "fit", "fit", given, goal, subject=subject, sample_weight=weight)
        self.trained_on_ = getattr(encoder, "trained_on_", None) or {"fit": _seen(X, ids, targets)}
        return encoder

    def _weigh(self, labels: Any, sample_weight: Any, *, are_stimuli: bool) -> np.ndarray | None:
        """Weight of each row, or None where all weigh the same."""
        return None

    def _check_encoder(self) -> None:
        if isinstance(self.encoder, str) and not self._is_passthrough():
            raise ValueError(f'encoder must be an estimator or "passthrough", got {self.encoder!r}.')
        refuse_class("encoder", self.encoder)
        if not isinstance(self.encoder, str) and not hasattr(self.encoder, "predict"):
            raise TypeError(
                f"encoder must be an estimator with fit and predict, got {type(self.encoder).__name__}."
            )

    def _given_table(self) -> EmbeddingTable | None:
        """Own targets, else the encoder's."""
        if self.targets is not None:
            check_table("targets", self.targets)
            return self.targets
        return None if self._is_passthrough() else find_table(self.encoder)

    def _labels(self, y: Any, table: EmbeddingTable | None) -> np.ndarray | None:
        """y as ids of the table, or as class labels where there is none."""
        if y is None:
            return None
        refuse_missing(y, name="y")
        labels = column_or_1d(y, warn=True)
        if labels.dtype == object and all(type(label) is int for label in labels.tolist()):
            labels = labels.astype(np.int64)  # of a column that once held something else
        assert_all_finite(labels, input_name="y")
        if table is not None:
            return as_ids(labels, name="y")
        with warnings.catch_warnings():
            # Asks whether y might be numbers to regress, where most labels occur once. Text cannot be.
            if labels.dtype.kind not in "iuf":
                warnings.filterwarnings("ignore", "The number of unique classes is greater", UserWarning)
            check_classification_targets(labels)
        return self._relabel(labels)

    def _relabel(self, labels: np.ndarray) -> np.ndarray:
        return labels

    def _has_candidates(self) -> bool:
        return False

    # -- embedding ----------------------------------------------------------------------------------

    def embed(self, X: Any, subject: Any = None) -> np.ndarray:
        """Embed epochs with the fitted encoder.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times) | Epochs | EpochsView
            Epochs; for ``encoder="passthrough"`` the embeddings themselves, shape (n_epochs, n_dims).
        subject : array-like of str, shape (n_epochs,) | None
            Subject of each epoch, where X does not carry it.

        Returns
        -------
        ndarray of float, shape (n_epochs, n_dims)
            The encoder's ``predict``.
        """
        check_is_fitted(self, "encoder_")
        if self._is_passthrough():
            return self._check_embeddings(X, reset=False)
        given = self._hand_in(self.encoder, X, reset=False)
        z = np.asarray(self._call(self.encoder_, "predict", self._embeds_for, given, subject=subject))
        if subject is not None:
            as_subject(subject, len(z))
        if z.ndim != 2:
            z = z.reshape(len(z), -1)
        return z

    def project(self, vectors: Any) -> np.ndarray:
        """Bring vectors of stimuli into the space of the embeddings.

        Parameters
        ----------
        vectors : array-like, shape (n, n_dims)
            Vectors in the space of the targets.

        Returns
        -------
        ndarray, shape (n, n_outputs)
            As they are, unless the encoder has a space of its own (``EEGEncoder(projector=...)``).
        """
        check_is_fitted(self, "encoder_")
        return np.asarray(vectors) if self._is_passthrough() else project(self.encoder_, np.asarray(vectors))

    def _call(
        self,
        part: Any,
        method: str,
        caller: str,
        *args: Any,
        subject: Any,
        name: str = "encoder",
        sample_weight: Any = None,
    ) -> Any:
        """Call the encoder, or another part by its name, handing it the subject if it asks for it, and weights."""
        call = getattr(part, method)
        try:
            if subject is None and sample_weight is None:
                return call(*args)
            with config_context(enable_metadata_routing=True):
                given = (
                    {} if subject is None else process_routing(self, caller, subject=subject)[name][method]
                )
                weights = {} if sample_weight is None else {"sample_weight": sample_weight}
                return call(*args, **given, **weights)
        except ValueError as error:
            explain_step(error, part, args[0])
            raise

    def _is_passthrough(self) -> bool:
        return isinstance(self.encoder, str) and self.encoder == "passthrough"

    def _hand_in(self, encoder: Any, X: Any, *, reset: bool) -> Any:
        """X for the encoder; of one that does not check X itself, in fit (`reset`) or afterwards, it is checked here."""
        if holds_own(encoder) if reset else getattr(self, "_stated", None) is None:
            return as_input(encoder, X)
        read = read_epochs(X)
        given = as_input(encoder, X, read)
        # Steps of other libraries that take epochs take them in volts too, as MNE's own do.
        check_told(self, X, read, given, reset=reset, any_unit=reset and takes_epochs(encoder))
        return given

    def _flattens(self) -> bool:
        """Whether the encoder gets its epochs flat."""
        return not self._is_passthrough() and not takes_epochs(self.encoder)

    def _check_embeddings(self, X: Any, *, reset: bool) -> np.ndarray:
        if getattr(X, "ndim", 2) == 3:
            raise ValueError(
                f'encoder="passthrough" takes embeddings, shape (n_epochs, n_dims), got X of shape {tuple(X.shape)}.'
                " Embed the epochs first, or pass an encoder."
            )
        refuse_masked(X, name="Input X")
        return validate_data(self, X, dtype=[np.float32, np.float64], reset=reset)

    def _check_fitted(self) -> None:
        check_is_fitted(self, "encoder_")

    @classmethod
    def _made(cls, params: dict[str, Any], state: dict[str, Any]) -> Any:
        fitted = state["encoder_"]
        if not isinstance(fitted, str) and not hasattr(fitted, "predict"):
            raise TypeError(f"its encoder is a {type(fitted).__name__}")
        frozen = fitted if isinstance(fitted, (str, FrozenEstimator)) else FrozenEstimator(fitted)
        made: Any = super()._made({**params, "encoder": frozen}, state)
        made._check_encoder()
        for table in (made.targets, made.targets_):
            if table is not None:
                check_table("targets", table)
        made._kept = Kept()
        return made

    def __getstate__(self) -> dict:
        # What is kept for speed can be made again, and a copy has a gallery of its own to keep.
        state = super().__getstate__()
        return {**state, "_kept": Kept()} if "_kept" in state else state

    # -- scikit-learn -------------------------------------------------------------------------------

    def get_metadata_routing(self) -> MetadataRouter:
        """Return how metadata travels: the subject goes to the encoder.

        Returns
        -------
        MetadataRouter
            The routing of this estimator and its encoder.
        """
        router = MetadataRouter(owner=self).add_self_request(self)
        # A FrozenEstimator hands everything on, but asks for nothing.
        encoder = thaw(self.encoder)
        if isinstance(encoder, str) or not tells_routing(encoder):
            return router
        mapping = (
            MethodMapping()
            .add(caller="fit", callee="fit")
            .add(caller=self._embeds_for, callee="predict")
            .add(caller="score", callee="predict")
        )
        return router.add(encoder=encoder, method_mapping=mapping)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        if not isinstance(self.encoder, str):
            tags.input_tags.three_d_array = True
            if hasattr(self.encoder, "__sklearn_tags__"):
                tags.input_tags.sparse = get_tags(self.encoder).input_tags.sparse
        return tags


def _seen(X: Any, ids: np.ndarray, targets: Any) -> Seen:
    """Fingerprints of what is trained on; labels of classes are left out, for every set has them."""
    if getattr(targets, "meta", {}).get("class_codes"):
        return Seen.of(X)
    shown = np.unique(ids)
    return Seen.of(X, shown, targets.lookup(shown))


def _class_means(Z: np.ndarray, y: np.ndarray, weight: np.ndarray | None) -> EmbeddingTable:
    weight = np.ones(len(y)) if weight is None else weight
    classes = np.unique(y[weight > 0])
    means = [np.average(Z[y == label], axis=0, weights=weight[y == label]) for label in classes]
    return EmbeddingTable([str(label) for label in classes.tolist()], means, meta={"class_codes": True})


def check_width(z: np.ndarray, vectors: np.ndarray, name: str) -> None:
    """Refuse candidates of another width than the embeddings."""
    if z.shape[1] != vectors.shape[1]:
        raise ValueError(
            f"{name} have {vectors.shape[1]} dimensions, but the encoder gives {z.shape[1]}."
            f" Embed {name} with the model that made the encoder's targets."
        )
