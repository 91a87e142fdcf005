"""OnlineDecoder: decide while the repetitions of a trial come in."""

from __future__ import annotations

import copy
import sys
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from .._utils.company import up_to_rounding
from .._utils.estimators import fitted_parts, inner_most, last_step, unwrap
from .._utils.groups import group_rows
from .._utils.html import html_card
from .._utils.inputs import as_subject, carried_subject
from .._utils.params import check_number, warn_idle
from .._utils.saving import Savable
from ..embeddings.table import check_table
from .retrieval import ImageRetriever
from .zero_shot import ZeroShotClassifier

if TYPE_CHECKING:
    import pandas as pd

# For those who look for an estimator's methods.
_INSTEAD = {
    "fit": ": it decides with an estimator that is fitted. Fit that one, then call calibrate(X, y) with stimuli held out.",
    "predict": ": it decides trial by trial. Call update(epochs) as repetitions come, or replay(X, y) for recorded ones.",
    "score": ": call replay(X, y), and look at hit in the rows with stop.",
}
_LOG_TEMPERATURE = (np.log(1e-4), np.log(1e2))


@dataclass(frozen=True)
class OnlineResult:
    """What an :class:`~skeegclip.OnlineDecoder` believes after some repetitions.

    Parameters
    ----------
    candidates : ndarray, shape (n_candidates,)
        The most probable candidates, best first.
    posterior : ndarray of float64, shape (n_candidates,)
        Their probabilities, among all candidates.
    n_repetitions : int
        Repetitions of this trial seen so far.
    sure : bool
        Whether the best candidate's probability has reached the threshold.
    stop : bool
        Whether to stop: sure, or out of repetitions.

    Examples
    --------
    >>> import numpy as np
    >>> from skeegclip import OnlineResult
    >>> result = OnlineResult(np.array(["teapot", "cat"]), np.array([0.97, 0.02]), 3, sure=True, stop=True)
    >>> result.best
    'teapot'
    """

    candidates: np.ndarray
    posterior: np.ndarray
    n_repetitions: int
    sure: bool
    stop: bool

    @property
    def best(self) -> Any:
        """The most probable candidate."""
        return self.candidates.tolist()[0]

    def _repr_html_(self) -> str:
        believed = zip(self.candidates.tolist()[:5], self.posterior.tolist(), strict=False)
        facts = {"repetitions": self.n_repetitions, "sure": self.sure, "stop": self.stop}
        return html_card("OnlineResult", facts | {str(name): f"{p:.3f}" for name, p in believed})


class OnlineDecoder(Savable, BaseEstimator):
    """Decode one trial as its repetitions come, and say when it is sure.

    It stands behind a decoder that is fitted: it has parameters as scikit-learn's estimators have, but no ``fit``,
    ``predict`` or ``score``. :meth:`calibrate` learns how far to trust a repetition, :meth:`update` decides.

    Parameters
    ----------
    estimator : ZeroShotClassifier | ImageRetriever | Pipeline | FrozenEstimator
        A fitted decoder, or a fitted Pipeline that ends in one. It is used, never changed.
    threshold : float
        Probability in (0, 1] of the best candidate at which the decoder is sure.
    max_repetitions : int | None
        Repetitions after which to stop, sure or not. None goes on until sure.
    temperature : float | None
        Temperature of one repetition's cosines, :math:`T` below. None waits for :meth:`calibrate`.
    correlation : float
        Share in [0, 1] of a repetition's error that all repetitions of a trial have in common, :math:`\\rho` below;
        used where `temperature` is given.
    n_candidates : int
        Candidates that a result names; fewer where there are fewer.

    Attributes
    ----------
    temperature_, correlation_ : float
        As calibrated.

    See Also
    --------
    skeegclip.inspection.repetition_curve : Accuracy against a number of repetitions fixed beforehand.

    Notes
    -----
    Let :math:`\\bar{s}_c` be the mean over n repetitions of the similarity of their embeddings to candidate c, as the
    estimator compares them. With every candidate as probable beforehand,

    .. math:: p(c) \\propto \\exp(\\bar{s}_c / T_n), \\quad T_n = T \\, (\\rho + (1 - \\rho) / n).

    With :math:`\\rho = 0` it is the product of the repetitions' posteriors, as for independent draws from von
    Mises-Fisher distributions around the candidates. But the repetitions of a stimulus share what the encoder gets
    wrong of it, so that the product grows far too sure. An error whose share :math:`\\rho` is common to all repetitions
    has in its mean the variance of one repetition times :math:`\\rho + (1 - \\rho) / n`, which takes the place of 1/n.

    An epoch that comes alone is embedded alone. ``EEGEncoder.transform`` gives it copies as company, so that its embedding
    is the same in every batch, which takes two to three times as long; here similarities may differ by a few millionths
    between repetitions that come singly and together.

    Looking after every repetition does no harm to a Bayesian posterior that holds: it is conditional on all the data
    seen. It is only as good as its calibration: with data of another day or person, calibrate anew.

    Examples
    --------
    >>> import numpy as np
    >>> from skeegclip import EmbeddingTable, ImageRetriever, OnlineDecoder
    >>> rng = np.random.default_rng(0)
    >>> gallery = EmbeddingTable([f"image_{i:03d}" for i in range(100)], rng.normal(size=(100, 20)))
    >>> y = np.repeat(gallery.ids, 6)
    >>> Z = gallery.lookup(y) + 3 * rng.normal(size=(600, 20))
    >>> online = OnlineDecoder(ImageRetriever("passthrough", gallery=gallery).fit(Z), max_repetitions=50)

    Stimuli held out of training tell how far to trust a repetition:

    >>> online = online.calibrate(Z, y)
    >>> for n in range(50):
    ...     result = online.update(gallery.vectors[7:8] + 3 * rng.normal(size=(1, 20)))
    ...     if result.stop:
    ...         break
    >>> result.best, result.sure, 1 < result.n_repetitions < 50
    ('image_007', True, True)
    >>> online = online.reset()
    """

    # With the evidence of the current trial.
    _saved_state: ClassVar[dict[str, Any]] = {
        "temperature_": float,
        "correlation_": float,
        "_sum": np.ndarray | None,
        "_ids": np.ndarray | None,
        "_n": int,
    }
    _may_be_absent = tuple(_saved_state)

    def __init__(
        self,
        estimator,
        *,
        threshold=0.95,
        max_repetitions=None,
        temperature=None,
        correlation=0.0,
        n_candidates=5,
    ):
        self.estimator = estimator
        self.threshold = threshold
        self.max_repetitions = max_repetitions
        self.temperature = temperature
        self.correlation = correlation
        self.n_candidates = n_candidates

    def _check_fitted(self) -> None:
        self._check(calibrated=False)
        _decoder(self.estimator)

    def __getattr__(self, name: str) -> Any:
        hint = _INSTEAD.get(name, "")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{hint}")

    def reset(self) -> OnlineDecoder:
        """Forget the evidence: the next repetition begins a new trial.

        Returns
        -------
        OnlineDecoder
            This decoder.
        """
        self._sum: Any = None
        self._ids: Any = None
        self._n = 0
        return self

    def update(self, epochs: Any, subject: Any = None) -> OnlineResult:
        """Take in one or several repetitions of the current trial.

        Parameters
        ----------
        epochs : array-like, shape (n_epochs, n_chans, n_times) or (n_chans, n_times) | Epochs | EpochsView
            Repetitions, in any form that the estimator takes, or one epoch.
        subject : array-like of str, shape (n_epochs,) | None
            Subject of each repetition, where the epochs do not carry it.

        Returns
        -------
        OnlineResult
            The best candidates after all repetitions since :meth:`reset`.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted, or the decoder neither calibrated nor given a temperature.
        ValueError, TypeError
            If the epochs or a parameter is not usable, or the candidates were changed in the middle of a trial.
        """
        temperature, correlation = self._check()
        if not hasattr(self, "_n"):
            self.reset()
        similarity, ids = _similarity(self.estimator, _at_least_one(epochs, self.estimator), subject)
        if self._ids is not None and not np.array_equal(ids, self._ids):
            raise ValueError(
                "estimator: its candidates changed in the middle of a trial. Call reset() after changing them."
            )
        total = similarity.sum(axis=0) + (0 if self._sum is None else self._sum)
        self._ids, self._sum, self._n = ids, total, self._n + len(similarity)
        posterior = softmax(total / self._n / _cooled(temperature, correlation, self._n))
        order = np.argsort(-posterior, kind="stable")[: self.n_candidates]
        sure = bool(posterior[order[0]] >= self.threshold)
        stop = sure or (self.max_repetitions is not None and self._n >= self.max_repetitions)
        return OnlineResult(ids[order], posterior[order], self._n, sure, stop)

    def calibrate(self, X: Any, y: Any, subject: Any = None, *, candidates: Any = None) -> OnlineDecoder:
        """Fit temperature and correlation to single trials of stimuli that the estimator was not trained on.

        They maximise the mean log-posterior of what was shown, over the stimuli and over their first 1, 2, ...
        repetitions. Test stimuli do not belong here: hold some of the training stimuli out of the estimator's fit.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times) | Epochs | EpochsView
            Single repetitions, in the order in which they came.
        y : array-like, shape (n_epochs,)
            What was shown: ids of candidates, or stimulus ids where the classifier's `concepts` gives their class.
        subject : array-like of str, shape (n_epochs,) | None
            Subject of each epoch, where X does not carry it. Repetitions are those of one subject.
        candidates : EmbeddingTable | None
            What to choose from while calibrating, such as the pictures held out. None takes the estimator's own.

        Returns
        -------
        OnlineDecoder
            This decoder, reset.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        KeyError
            If `y` holds ids that are not among the candidates.
        ValueError, TypeError
            If X or a parameter is not usable, or no stimulus was repeated.
        """
        self._check(calibrated=False)
        if self.temperature is not None:
            warnings.warn(
                f"calibrate cannot act: temperature={self.temperature:g} is used. Pass temperature=None.",
                UserWarning,
                stacklevel=2,
            )
        elif self.correlation != 0:
            warn_idle("correlation", self.correlation, "calibrate finds one", stacklevel=3)
        similarity, ids = _similarity(self.estimator, X, subject, candidates)
        trials, truth = _trials(self.estimator, X, y, subject, ids)
        if max(map(len, trials)) < 2:
            raise ValueError("y: no stimulus was repeated. Calibrate on single trials, not on averages.")
        means = np.concatenate([_running_mean(similarity[rows]) for rows in trials])
        n = np.concatenate([np.arange(1, len(rows) + 1) for rows in trials])
        target = np.concatenate([np.full(len(rows), truth[rows[0]]) for rows in trials])

        def loss(parameters: np.ndarray) -> float:
            cooled = _cooled(np.exp(parameters[0]), parameters[1], n)
            return -float(log_softmax(means / cooled[:, None], axis=1)[np.arange(len(n)), target].mean())

        start = np.array([np.log(similarity.std() + 1e-3), 0.2])
        found = minimize(loss, start, method="L-BFGS-B", bounds=[_LOG_TEMPERATURE, (0.0, 1.0)])
        self.temperature_, self.correlation_ = float(np.exp(found.x[0])), float(found.x[1])
        return self.reset()

    def replay(self, X: Any, y: Any, subject: Any = None) -> pd.DataFrame:
        """Decode recorded trials as if their repetitions came one by one; the current trial is left alone.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times) | Epochs | EpochsView
            Single repetitions, in the order in which they came.
        y : array-like, shape (n_epochs,)
            What was shown, as in :meth:`calibrate`: it parts the trials and judges the answers.
        subject : array-like of str, shape (n_epochs,) | None
            Subject of each epoch, where X does not carry it.

        Returns
        -------
        DataFrame
            One row a trial and number of repetitions: ``trial``, ``n_repetitions``, ``best``, ``posterior`` (of the
            best), ``hit``, ``sure`` and ``stop``. The row of a trial's decision is its first with ``stop``.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted, or the decoder neither calibrated nor given a temperature.
        KeyError
            If `y` holds ids that are not among the candidates.
        ValueError, TypeError
            If X or a parameter is not usable.
        """
        import pandas as pd

        temperature, correlation = self._check()
        similarity, ids = _similarity(self.estimator, X, subject)
        trials, truth = _trials(self.estimator, X, y, subject, ids)
        tables = []
        for trial, rows in enumerate(trials):
            n = np.arange(1, len(rows) + 1)
            cooled = _cooled(temperature, correlation, n)
            posterior = softmax(_running_mean(similarity[rows]) / cooled[:, None], axis=1)
            best, height = posterior.argmax(axis=1), posterior.max(axis=1)
            table = pd.DataFrame({"trial": trial, "n_repetitions": n, "best": ids[best], "posterior": height})
            tables.append(table.assign(hit=best == truth[rows], sure=height >= self.threshold))
        joined = pd.concat(tables, ignore_index=True)
        limit = np.inf if self.max_repetitions is None else self.max_repetitions
        return joined.assign(stop=joined["sure"] | (joined["n_repetitions"] >= limit))

    def _check(self, *, calibrated: bool = True) -> tuple[float, float]:
        """Check the parameters; return temperature and correlation, where they are needed."""
        check_number("threshold", self.threshold, low=0, high=1, open_low=True)
        check_number("max_repetitions", self.max_repetitions, low=1, integer=True, none=True)
        check_number(
            "temperature", self.temperature, low=0, high=sys.float_info.max, open_low=True, none=True
        )
        check_number("correlation", self.correlation, low=0, high=1)
        check_number("n_candidates", self.n_candidates, low=1, integer=True)
        if self.temperature is not None:
            return self.temperature, self.correlation
        if hasattr(self, "temperature_"):
            return self.temperature_, self.correlation_
        if calibrated:
            raise NotFittedError(
                "This OnlineDecoder is not calibrated: its posterior would mean nothing. Call calibrate() with stimuli"
                " held out of training, or pass temperature=."
            )
        return np.nan, np.nan


def _cooled(temperature: Any, correlation: Any, n: Any) -> Any:
    """Temperature of the mean of n repetitions."""
    return temperature * (correlation + (1 - correlation) / n)


def _running_mean(similarity: np.ndarray) -> np.ndarray:
    return similarity.cumsum(axis=0) / np.arange(1, len(similarity) + 1)[:, None]


def _decoder(estimator: Any) -> Any:
    """The ZeroShotClassifier or ImageRetriever inside."""
    decoder = inner_most(estimator)
    if not isinstance(decoder, (ZeroShotClassifier, ImageRetriever)):
        raise TypeError(
            "estimator must be a fitted ZeroShotClassifier or ImageRetriever, or a Pipeline that ends in one, got"
            f" {type(decoder).__name__}."
        )
    check_is_fitted(decoder, "encoder_")
    for part in fitted_parts(estimator):
        if (said := getattr(part, "_transductive", None)) is not None:
            raise ValueError(
                f"estimator: a stream has no test epochs to be looked at together ({said}). Use hubness=None, refine=0, no"
                " SubjectWhitening, and preprocessing that is told of new people by calibrate or unknown='pooled'."
            )
    return decoder


def _similarity(
    estimator: Any, X: Any, subject: Any, candidates: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """Similarity (n_epochs, n_candidates) of single epochs, in double precision, and the candidates' ids."""
    decoder = _decoder(estimator)
    if candidates is not None:
        decoder = _among(decoder, candidates)
    _, X = last_step(estimator, X, {} if subject is None else {"subject": subject})
    with up_to_rounding():
        z, gallery = decoder._search(X, subject)
    return gallery.matrix(z).astype(np.float64), gallery.ids


def _at_least_one(epochs: Any, estimator: Any) -> Any:
    """Epochs; one epoch, which has the shape that the estimator was fitted on, becomes one of one."""
    if not isinstance(epochs, np.ndarray):
        return epochs
    parts = list(fitted_parts(unwrap(estimator)))
    shapes = [(part.n_chans_, part.n_times_in_) for part in parts if hasattr(part, "n_times_in_")]
    if not shapes and epochs.ndim == 2:
        # A plain regressor was given flat epochs, and knows how many numbers one has: here all of them.
        known = {getattr(part, "n_features_in_", None) for part in parts}
        return epochs[None] if epochs.size in known and epochs.shape[1] not in known else epochs
    return epochs[None] if epochs.ndim == 1 or (epochs.shape in shapes and shapes[0][1] > 1) else epochs


def _among(decoder: Any, candidates: Any) -> Any:
    """A copy of the decoder that chooses among other candidates; the user's own is left alone."""
    check_table("candidates", candidates)
    decoder = copy.copy(decoder)
    if isinstance(decoder, ImageRetriever):
        decoder.set_params(gallery=candidates).added_ = []
        return decoder
    return decoder.set_params(candidates=candidates)


def _trials(
    estimator: Any, X: Any, y: Any, subject: Any, ids: np.ndarray
) -> tuple[list[np.ndarray], np.ndarray]:
    """Rows of each stimulus (and subject), and each row's column among the candidates."""
    y, n = np.asarray(y), len(X)
    if y.shape != (n,):
        raise ValueError(f"y must hold one label per epoch, shape ({n},), got {y.shape}.")
    position = {label: column for column, label in enumerate(ids.tolist())}
    labels = y
    decoder = _decoder(estimator)
    if getattr(decoder, "concepts", None) is not None and not set(y.tolist()) <= position.keys():
        labels = decoder._relabel(y)
    unknown = sorted({str(label) for label in labels.tolist() if label not in position})
    if unknown:
        raise KeyError(
            f"y: {len(unknown)} labels are not among the {len(position)} candidates (first: {unknown[0]!r})."
            " Pass candidates=, or select the epochs whose candidates there are."
        )
    subject = carried_subject(X) if subject is None else as_subject(subject, n)
    return group_rows([y] if subject is None else [y, subject]), np.array(
        [position[label] for label in labels.tolist()], dtype=np.intp
    )
