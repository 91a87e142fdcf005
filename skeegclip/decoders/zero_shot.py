"""ZeroShotClassifier: name what was seen."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from scipy.special import softmax
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from .._utils.ids import mapping_to_array
from .._utils.params import check_number
from ..embeddings import EmbeddingTable
from ..embeddings.table import check_table
from .composite import EmbeddingComposite, check_width
from .gallery.exact import Gallery

_DEFAULT_TEMPERATURE = 0.07


class ZeroShotClassifier(ClassifierMixin, EmbeddingComposite):
    """Classify epochs by the cosine between their embedding and that of each candidate class.

    The candidates are read when predicting, so a classifier trained on some categories names others:
    ``set_params(candidates=...)`` needs no refit. Without any embeddings at all, every class label gets a fixed
    random unit vector to be trained on, and this is an ordinary classifier.

    Parameters
    ----------
    encoder : EEGEncoder | regressor | FrozenEstimator | "passthrough"
        What embeds the epochs: cloned and fitted, unless it is frozen. Any regressor that predicts embeddings
        serves: a bare one gets the epochs flattened, a Pipeline gets them as they are; "passthrough" where X holds
        embeddings.
    targets : EmbeddingTable | None
        Vectors of the training stimuli; None takes the encoder's own, else class codes.
    candidates : EmbeddingTable | None
        Embeddings of the classes to choose from (texts or images). None takes the classes seen in fit.
    concepts : mapping | callable | None
        From stimulus id to class, where ``y`` holds stimuli but classes are concepts.
    temperature : float | None
        Temperature of `predict_proba`; None takes the encoder's, or 0.07 where it has none.
    class_weight : None | "balanced" | dict
        Weights of the classes (or of the stimuli, where there are no `concepts`) in the encoder's fit, which must
        take `sample_weight`. "balanced" gives every class the same weight, however many epochs it has.

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
        The candidates' ids, sorted.
    encoder_ : estimator | "passthrough"
        The fitted encoder.
    targets_ : EmbeddingTable
        The table trained on.
    seen_ : ndarray, shape (n_labels,)
        The distinct labels of ``y`` in fit.
    n_features_in_ : int
        Channels (or columns) seen in fit.

    See Also
    --------
    ImageRetriever : Find the picture instead of the name.

    References
    ----------
    .. [1] Li et al., "Visual Decoding and Reconstruction via EEG Embeddings with Guided Diffusion",
       NeurIPS 2024, section 3.2.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from skeegclip import EmbeddingTable, ZeroShotClassifier
    >>> rng = np.random.default_rng(0)
    >>> stimuli = EmbeddingTable([f"train_{i}" for i in range(40)], rng.normal(size=(40, 6)))
    >>> mixing = rng.normal(size=(6, 30))
    >>> X, y = (stimuli.vectors @ mixing).reshape(40, 3, 10), stimuli.ids
    >>> classifier = ZeroShotClassifier(Ridge(), targets=stimuli).fit(X, y)

    Classes never seen in training are named by their embeddings:

    >>> new = EmbeddingTable(["jellyfish", "teapot"], rng.normal(size=(2, 6)))
    >>> classifier.set_params(candidates=new).predict((new.vectors @ mixing).reshape(2, 3, 10)).tolist()
    ['jellyfish', 'teapot']
    """

    @classmethod
    def _made(cls, params: dict[str, Any], state: dict[str, Any]) -> Any:
        made = super()._made(params, state)
        if made.candidates is not None:
            check_table("candidates", made.candidates)
        return made

    def __init__(
        self, encoder, *, targets=None, candidates=None, concepts=None, temperature=None, class_weight=None
    ):
        self.encoder = encoder
        self.targets = targets
        self.candidates = candidates
        self.concepts = concepts
        self.temperature = temperature
        self.class_weight = class_weight

    def fit(
        self, X: Any, y: Any = None, subject: Any = None, sample_weight: Any = None
    ) -> ZeroShotClassifier:
        """Fit the encoder, unless it is frozen or "passthrough".

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times) | Epochs | EpochsView | BaseConcatDataset
            Epochs, handed to the encoder as they are.
        y : array-like of str, shape (n_epochs,) | None
            Stimulus ids, looked up in the targets; any class labels where there are no targets. None where
            nothing is to be learned from it.
        subject : array-like of str, shape (n_epochs,) | None
            Subject of each epoch, where X does not carry it.
        sample_weight : array-like, shape (n_epochs,) | None
            Weight of each epoch, handed to the fit of the encoder; class weights multiply it.

        Returns
        -------
        ZeroShotClassifier
            The fitted classifier.

        Raises
        ------
        ValueError, TypeError
            If X, y or a parameter is not usable.
        KeyError
            If ids are not in the targets.
        """
        check_number("temperature", self.temperature, low=0, open_low=True, none=True)
        if self.candidates is not None:
            check_table("candidates", self.candidates)
        self._fit_encoder(X, y, subject, sample_weight)
        return self

    def decision_function(self, X: Any, subject: Any = None) -> np.ndarray:
        """Cosine between each epoch and each class.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times)
            Epochs, in any form that fit takes.
        subject : array-like of str, shape (n_epochs,) | None
            Subject of each epoch, where X does not carry it.

        Returns
        -------
        ndarray, shape (n_epochs, n_classes) | (n_epochs,)
            Similarities in the order of `classes_`; for two classes the second minus the first, as is usual in
            scikit-learn.
        """
        similarity = self._similarity(X, subject)
        return similarity[:, 1] - similarity[:, 0] if similarity.shape[1] == 2 else similarity

    def predict(self, X: Any, subject: Any = None) -> np.ndarray:
        """Name the most similar class.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times) | Epochs | EpochsView | BaseConcatDataset
            Epochs as in fit.
        subject : array-like of str, shape (n_epochs,) | None
            Subject of each epoch, where X does not carry it.

        Returns
        -------
        ndarray, shape (n_epochs,)
            Entries of `classes_`.
        """
        z, gallery = self._search(X, subject)
        return gallery.ids[gallery.matrix(z).argmax(axis=1)]

    def predict_proba(self, X: Any, subject: Any = None) -> np.ndarray:
        """Softmax of the cosines over the temperature.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times)
            Epochs, in any form that fit takes.
        subject : array-like of str, shape (n_epochs,) | None
            Subject of each epoch, where X does not carry it.

        Returns
        -------
        ndarray, shape (n_epochs, n_classes)
            Rows sum to one. They are not calibrated.
        """
        similarity = self._similarity(X, subject)
        temperature = self.temperature
        if temperature is None:
            temperature = getattr(self.encoder_, "temperature_", _DEFAULT_TEMPERATURE)
        return softmax(similarity.astype(np.float64) / temperature, axis=1)

    def predict_top_k(self, X: Any, k: int = 5, subject: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Name the k most similar classes, best first.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times)
            Epochs, in any form that fit takes.
        k : int
            Between 1 and the number of classes.
        subject : array-like of str, shape (n_epochs,) | None
            Subject of each epoch, where X does not carry it.

        Returns
        -------
        classes : ndarray, shape (n_epochs, k)
            Entries of `classes_`.
        similarity : ndarray, shape (n_epochs, k)
            Their cosines.
        """
        z, gallery = self._search(X, subject)
        similarity = gallery.matrix(z)
        check_number("k", k, low=1, high=similarity.shape[1], integer=True)
        order = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
        return gallery.ids[order], np.take_along_axis(similarity, order, axis=1)

    def score(self, X: Any, y: Any, sample_weight: Any = None, subject: Any = None) -> float:
        """Accuracy.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times)
            Epochs, in any form that fit takes.
        y : array-like, shape (n_epochs,)
            Classes, or stimulus ids where `concepts` gives their class.
        sample_weight : array-like, shape (n_epochs,) | None
            Weight of each epoch.
        subject : array-like of str, shape (n_epochs,) | None
            Subject of each epoch, where X does not carry it.

        Returns
        -------
        float
            Share of epochs named rightly; chance is one over the number of classes.
        """
        truth = np.asarray(y)
        known = set(self.classes_.tolist())
        if self.concepts is not None and not all(label in known for label in truth.tolist()):
            truth = self._relabel(truth)
        missing = sorted({str(label) for label in truth.tolist() if label not in known})
        # Without candidates a few new labels are mere errors, as in any classifier; only new ones are a mistake.
        if missing and (self.candidates is not None or not known.intersection(truth.tolist())):
            raise ValueError(
                f"y holds {len(missing)} classes that are not among the {len(known)} candidates"
                f" (first: {missing[0]!r}): they could never be named. Add them to candidates, or pass concepts=."
            )
        return float(np.average(self.predict(X, subject=subject) == truth, weights=sample_weight))

    @property
    def classes_(self) -> np.ndarray:  # numpydoc ignore=GL08
        return self._classes()[0]

    def _table(self) -> EmbeddingTable:
        """Where the classes' vectors come from."""
        if self.candidates is not None:
            return self.candidates
        check_is_fitted(self, "encoder_")
        if self.targets_ is None or self.seen_ is None:
            raise ValueError(
                "candidates is None and no classes were seen in fit: there is nothing to choose from."
                " Pass candidates=EmbeddingTable(...)."
            )
        return self.targets_

    def _classes(self) -> tuple[np.ndarray, np.ndarray]:
        """Labels, sorted, and their vectors."""
        table, seen = self._table(), self.seen_ if self.candidates is None else None
        if seen is None:
            return _sorted(table)
        if table.meta.get("class_codes"):
            return seen, table.lookup([str(label) for label in seen.tolist()])
        table = table.subset(seen)
        return _sorted(table if self.concepts is None else table.mean_by(self.concepts))

    def _search(self, X: Any, subject: Any) -> tuple[np.ndarray, Gallery]:
        """Embeddings, and the classes to compare them with."""
        check_is_fitted(self, "encoder_")
        table = self._table()
        # A mapping of the user's own may change from call to call.
        concepts = object() if self.candidates is None and self.concepts is not None else None
        z, first = self.embed(X, subject=subject), self.project(table.vectors[:1])
        check_width(z, first, "candidates")
        return z, self._kept.gallery([table, concepts], first, self._make_gallery)

    def _make_gallery(self) -> Gallery:
        labels, vectors = self._classes()
        return Gallery(labels, [vectors], self.project)

    def _similarity(self, X: Any, subject: Any) -> np.ndarray:
        z, gallery = self._search(X, subject)
        return gallery.matrix(z)

    def _relabel(self, labels: np.ndarray) -> np.ndarray:
        return (
            labels
            if self.concepts is None
            else mapping_to_array(self.concepts, labels.tolist(), name="concepts")
        )

    def _weigh(self, labels: Any, sample_weight: Any, *, are_stimuli: bool) -> np.ndarray | None:
        if sample_weight is None and self.class_weight is None:
            return None
        if labels is None:
            raise ValueError(
                "sample_weight and class_weight need y, the labels of the epochs that they weigh."
            )
        weight = _check_sample_weight(sample_weight, labels, dtype=np.float64, ensure_non_negative=True)
        if self.class_weight is not None and self._is_passthrough() and not are_stimuli:
            warnings.warn(
                f'class_weight={self.class_weight!r} cannot act: with "passthrough" a class is the mean of its own rows.',
                UserWarning,
                stacklevel=6,
            )
        if self.class_weight is not None:
            classes = self._relabel(labels) if are_stimuli else labels
            by_class = compute_sample_weight(self.class_weight, classes)
            if not (np.isfinite(by_class) & (by_class >= 0)).all():
                raise ValueError(
                    f"class_weight holds a weight that is negative or not finite ({self.class_weight}). Pass weights of 0"
                    ' or more, or "balanced".'
                )
            weight = weight * by_class
        if not weight.any():
            raise ValueError("sample_weight: all epochs weigh zero. Give some a positive weight.")
        return weight

    def _has_candidates(self) -> bool:
        return self.candidates is not None


def _sorted(table: EmbeddingTable) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(table.ids)
    return table.ids[order], table.vectors[order]
