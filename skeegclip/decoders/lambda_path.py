"""LambdaPath: an encoder for each of several lambdas, for little more than the price of one."""

from __future__ import annotations

import copy
import warnings
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from .._utils.cloning import clone_to_fit
from .._utils.estimators import find_table
from .._utils.params import check_number, check_option
from ..embeddings import EmbeddingTable
from ..embeddings.join import as_tables
from ._foreign import target_slots
from .composite import EmbeddingComposite
from .encoder import EEGEncoder

_SCORES = ("top1", "error")


class LambdaPath(EmbeddingComposite):
    """Train an encoder with several values of lambda (``loss_weight``), and keep the one that does best.

    The largest is trained as the encoder says; each smaller one goes on from the network of the one before, for a tenth
    of its passes. In between, embeddings are multiplied by a number and moved by a vector, those with which the new loss
    is least: what the CLIP loss leaves open, and what would take the optimizer longest. Values are compared on stimuli
    that were held out of training, those by which the encoder chooses its pass (`validation` of the encoder).

    Parameters
    ----------
    encoder : EEGEncoder
        What is trained; its own `loss_weight` does not count.
    loss_weights : array-like of float, shape (n_loss_weights,)
        Values of lambda in [0, 1]; they are trained in descending order.
    scoring : {"top1", "error"}
        What the best one is chosen by: the accuracy of retrieval among the held-out stimuli, or the mean squared error.
        Of equal ones the largest lambda is taken.
    share : float
        How long the smaller values are trained: passes over the data, as a share of those that the largest took; at
        least one pass.
    targets : EmbeddingTable | None
        Vectors of the stimuli; None takes the encoder's own, else codes of the labels in ``y``.

    Attributes
    ----------
    encoder_ : EEGEncoder
        The fitted encoder of the best lambda; its ``selection_`` says how that was chosen.
    best_ : float
        The best lambda.
    scores_ : dict of str to ndarray, shape (n_loss_weights,)
        For each lambda, in descending order: ``loss_weight``; ``top1`` and ``error`` on the held-out epochs (the mean
        squared error is divided by the variance of the targets: 1 is predicting their mean); ``n_passes`` trained;
        ``chosen``. The figures of the chosen one are better than what new stimuli will show, for it was chosen by them.
    lambda_path_ : list of EEGEncoder
        The fitted encoders, in the same order.
    held_out_ : ndarray of int, shape (n_held_out,)
        Rows of X that were held out, by which pass and lambda were chosen.
    targets_ : EmbeddingTable
        The table trained on.
    seen_ : ndarray, shape (n_labels,)
        The distinct labels of ``y`` in fit.
    n_features_in_ : int
        Channels seen in fit.

    See Also
    --------
    skeegclip.plotting.plot_lambda_path : Draw the scores.
    EEGEncoder : Its `loss_weight` is lambda.

    Notes
    -----
    Lambda is chosen where the pass is chosen, on ``validation=0.05`` of the stimuli by default: few, where there are
    few. Hold out a tenth or more where lambda matters. Callbacks of the encoder see one run after the other.

    Examples
    --------
    >>> import numpy as np
    >>> from skeegclip import EEGEncoder, EmbeddingTable, LambdaPath
    >>> rng = np.random.default_rng(0)
    >>> table = EmbeddingTable([f"image_{i:02d}" for i in range(60)], rng.normal(size=(60, 6)))
    >>> X = (table.vectors @ rng.normal(size=(6, 40))).reshape(60, 2, 20) + rng.normal(size=(60, 2, 20))
    >>> encoder = EEGEncoder("eegproject", lr=3e-3, max_epochs=20, batch_size=16, validation=0.2, random_state=0)
    >>> path = LambdaPath(encoder, loss_weights=[1, 0.5, 0], targets=table).fit(X, table.ids)
    >>> path.scores_["loss_weight"], path.scores_["n_passes"]
    (array([1. , 0.5, 0. ]), array([20,  2,  2]))
    >>> path.best_ in path.scores_["loss_weight"]
    True
    """

    __metadata_request__fit = {"subject": True, "sample_weight": True}

    _saved_state: ClassVar[dict[str, Any]] = {
        **EmbeddingComposite._saved_state,
        "lambda_path_": list,
        "scores_": dict,
        "best_": float,
        "held_out_": np.ndarray,
    }
    _beside = ("lambda_path_",)  # encoders that are there, but do not decode

    def __init__(
        self, encoder, *, loss_weights=(1.0, 0.9, 0.7, 0.5, 0.1, 0.0), scoring="top1", share=0.1, targets=None
    ):
        self.encoder = encoder
        self.loss_weights = loss_weights
        self.scoring = scoring
        self.share = share
        self.targets = targets

    def fit(self, X: Any, y: Any, subject: Any = None, sample_weight: Any = None) -> LambdaPath:
        """Train the encoders.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times) | Epochs | EpochsView | BaseConcatDataset
            Epochs in microvolts (MEG: fT).
        y : array-like of str, shape (n_epochs,)
            Stimulus ids.
        subject : array-like of str, shape (n_epochs,) | None
            Subject of each epoch, where X does not carry it.
        sample_weight : array-like, shape (n_epochs,) | None
            Weight of each epoch in the loss, as for :class:`EEGEncoder`.

        Returns
        -------
        LambdaPath
            The fitted estimator. After an error or Ctrl-C it is as it was before.

        Raises
        ------
        ValueError, TypeError
            If X, y or a parameter is not usable.

        Warns
        -----
        UserWarning
            If no stimuli can be held out: then the largest lambda alone is trained, and nothing is chosen.
        """
        if isinstance(self.encoder, FrozenEstimator):
            raise TypeError("encoder must be an EEGEncoder to be trained, got a frozen one.")
        self._fit_encoder(X, y, subject, sample_weight)
        return self

    def _check_encoder(self) -> None:
        if isinstance(self.encoder, FrozenEstimator):  # of one that was saved
            return
        if not isinstance(self.encoder, EEGEncoder):
            raise TypeError(
                f"encoder must be an EEGEncoder, which has a lambda, got {type(self.encoder).__name__}. Steps before it"
                " belong into a Pipeline around LambdaPath."
            )
        check_option("scoring", self.scoring, _SCORES)
        check_number("share", self.share, low=0, high=1, open_low=True)
        if np.ndim(self.loss_weights) != 1 or len(self.loss_weights) == 0:
            raise ValueError(f"loss_weights must be a list of one value or more, got {self.loss_weights!r}.")
        for value in self.loss_weights:
            check_number("loss_weights", value, low=0, high=1)
        if self.encoder.train == "probe" and len({float(value) for value in self.loss_weights}) > 1:
            raise ValueError(
                "encoder: train='probe' is ridge regression, without steps that could go on from one lambda to the next,"
                " so that there is no path. Take train='head', or the encoder without LambdaPath."
            )
        if self.encoder.validation == "last-batch":
            raise ValueError(
                "encoder: validation='last-batch' holds out epochs whose stimuli may be trained on, by which"
                " no lambda can be chosen. Hold out a fraction of the stimuli (validation=0.1)."
            )
        if self.encoder.projector is not None and min(self.loss_weights) < 1:
            raise ValueError(
                "encoder: a projector is for loss_weight=1 alone, so that there is no path. Take projector=None."
            )

    def _weigh(self, labels: Any, sample_weight: Any, *, are_stimuli: bool) -> np.ndarray | None:
        if sample_weight is None:
            return None
        return _check_sample_weight(sample_weight, labels, dtype=np.float64, ensure_non_negative=True)

    def _fit_clone(
        self, X: Any, ids: np.ndarray, targets: EmbeddingTable, subject: Any, weight: Any = None
    ) -> Any:
        from .._training.lambda_path import fit_path

        encoder = clone_to_fit(self.encoder)
        if find_table(encoder) != targets:
            encoder.set_params(**dict.fromkeys(target_slots(encoder), targets))
        values = sorted({float(value) for value in self.loss_weights}, reverse=True)
        encoder.set_params(loss_weight=values[0])
        encoder._check_params()
        if values[-1] < 1 and len(as_tables("targets", encoder.targets)) > 1:
            raise ValueError(
                "encoder: several targets are for loss_weight=1 alone, so that there is no path. Take one table."
            )
        read = encoder._read(X, subject, reset=True)
        nets, held = fit_path(encoder, read, ids, weight, loss_weights=values, share=self.share)
        chosen = 0
        if len(nets) < len(values):
            warnings.warn(
                f"LambdaPath has nothing to choose by: no stimuli can be held out ({self._why_none(targets)}). Trained is"
                f" loss_weight={values[0]:g} alone.",
                UserWarning,
                stacklevel=5,
            )
            values = values[:1]
        elif len(values) > 1:
            chosen = int(np.argmax(held.top1) if self.scoring == "top1" else np.argmin(held.error))
        self.lambda_path_ = []
        for value, net in zip(values, nets, strict=True):
            own = copy.copy(encoder).set_params(loss_weight=value)
            own.fitted_ = net
            self.lambda_path_.append(own)
        best = self.lambda_path_[chosen]
        if len(values) > 1:
            how = {"loss_weight": values[chosen], "of_loss_weights": values, "scoring": self.scoring}
            best.fitted_ = replace(best.fitted_, selection={**best.fitted_.selection, **how})
        self.best_, self.held_out_ = values[chosen], held.rows
        self.scores_ = {
            "loss_weight": np.array(values),
            "top1": held.top1,
            "error": held.error,
            "n_passes": np.array([len(net.history) for net in nets]),
            "chosen": np.arange(len(values)) == chosen,
        }
        self.trained_on_ = best.trained_on_
        return best

    def _why_none(self, targets: EmbeddingTable) -> str:
        if targets.meta.get("class_codes"):
            return "the targets are codes of classes"
        return f"validation={self.encoder.validation:g} of {len(targets)} stimuli is fewer than 2"

    def predict(self, X: Any, subject: Any = None) -> np.ndarray:
        """Embed epochs with the encoder of the best lambda.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times) | Epochs | EpochsView
            Epochs as in fit.
        subject : array-like of str, shape (n_epochs,) | None
            Subject of each epoch, where X does not carry it.

        Returns
        -------
        ndarray of float64, shape (n_epochs, n_dims)
            Embeddings, not normalised.
        """
        return self.embed(X, subject=subject)

    def score(self, X: Any, y: Any, sample_weight: Any = None, subject: Any = None) -> float:
        """Top-1 retrieval accuracy of the best lambda, in the gallery of the distinct stimuli in y.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times)
            Epochs.
        y : array-like of str, shape (n_epochs,)
            Stimulus ids.
        sample_weight : array-like, shape (n_epochs,) | None
            Weight of each epoch.
        subject : array-like of str, shape (n_epochs,) | None
            Subject of each epoch.

        Returns
        -------
        float
            As :meth:`EEGEncoder.score`.
        """
        check_is_fitted(self, "encoder_")
        encoder = self.encoder_.estimator if isinstance(self.encoder_, FrozenEstimator) else self.encoder_
        return encoder.score(X, np.asarray(y).astype(str), sample_weight=sample_weight, subject=subject)
