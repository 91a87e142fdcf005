"""AveragedTraining: train an encoder on averages of repetitions."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from .._utils.epoched import is_view
from .._utils.validation import check_epochs
from ..preprocessing import average_repetitions
from .composite import EmbeddingComposite

# A view makes its averages anew in every pass, which keeps memory small: up to so many bytes they are kept instead.
_KEPT = 2**31


class AveragedTraining(EmbeddingComposite):
    """Train an encoder on averages over the repetitions of each stimulus; what is decoded is left as it is.

    Averaging changes the number of epochs, so it cannot be a step of a Pipeline. This estimator does it between the
    steps before it and the encoder inside it, for training only.

    Parameters
    ----------
    encoder : EEGEncoder | regressor
        What is trained.
    targets : EmbeddingTable | None
        Vectors of the training stimuli; None takes the encoder's own, else codes of the labels in ``y``.
    n : int | None
        Repetitions in an average, drawn without replacement. None averages all.
    n_draws : int
        Averages of `n` repetitions made of each pair of subject and stimulus, all different: an augmentation.
    random_state : int | RandomState | Generator | None
        Seed of the draws.

    Attributes
    ----------
    encoder_ : estimator
        The fitted encoder.
    n_averages_ : int
        Number of averages trained on.
    targets_ : EmbeddingTable
        The table trained on.
    seen_ : ndarray, shape (n_labels,)
        The distinct labels of ``y`` in fit.
    n_features_in_ : int
        Channels seen in fit.

    See Also
    --------
    skeegclip.preprocessing.average_repetitions : The function, for test epochs.

    References
    ----------
    .. [1] Du et al., "Decoding Visual Neural Representations by Multimodal Learning of Brain-Visual-Linguistic
       Features", IEEE TPAMI 2023 (averaged repetitions of THINGS-EEG2).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from skeegclip import AveragedTraining, EmbeddingTable
    >>> rng = np.random.default_rng(0)
    >>> table = EmbeddingTable(["cat", "dog", "owl"], rng.normal(size=(3, 4)))
    >>> X, y = rng.normal(size=(12, 2, 5)), np.repeat(table.ids, 4)
    >>> AveragedTraining(Ridge(), targets=table).fit(X, y).n_averages_
    3
    >>> AveragedTraining(Ridge(), targets=table, n=2, n_draws=5, random_state=0).fit(X, y).n_averages_
    15
    """

    _not_saved = (*EmbeddingComposite._not_saved, "random_state")
    _saved_state: ClassVar[dict[str, Any]] = {**EmbeddingComposite._saved_state, "n_averages_": int}

    def __init__(self, encoder, *, targets=None, n=None, n_draws=1, random_state=None):
        self.encoder = encoder
        self.targets = targets
        self.n = n
        self.n_draws = n_draws
        self.random_state = random_state

    def fit(self, X: Any, y: Any, subject: Any = None) -> AveragedTraining:
        """Average the repetitions, then fit the encoder.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times) | Epochs | EpochsView
            Single trials.
        y : array-like of str, shape (n_epochs,)
            Stimulus ids.
        subject : array-like of str, shape (n_epochs,) | None
            Subject of each epoch, where X does not carry it; epochs of different people are not averaged.

        Returns
        -------
        AveragedTraining
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            If X, y or a parameter is not usable, or a stimulus has fewer than `n` repetitions.
        """
        if y is None:
            raise ValueError(
                "This AveragedTraining estimator requires y to be passed, but the target y is None."
            )
        if not hasattr(X, "get_data"):  # Epochs stay Epochs, all else becomes an array or is a view
            # Whether several caps will do, the encoder says.
            read = check_epochs(self, X, subject=subject, reset=True, any_cap=True)
            X, subject = read.X, read.subject
        means, ids, people = average_repetitions(
            X, y, subject, self.n, self.random_state, n_draws=self.n_draws
        )
        if is_view(means) and 4 * math.prod(means.shape) <= _KEPT:
            means = means.load()
        self._fit_encoder(means, ids, people)
        self.n_averages_ = len(ids)
        return self

    def predict(self, X: Any, subject: Any = None) -> np.ndarray:
        """Embed epochs with the fitted encoder.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times) | Epochs | EpochsView
            Epochs; they are not averaged.
        subject : array-like of str, shape (n_epochs,) | None
            Subject of each epoch, where X does not carry it.

        Returns
        -------
        ndarray, shape (n_epochs, n_dims)
            Embeddings.
        """
        return self.embed(X, subject=subject)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        return tags
