"""SubjectWhitening: make the embeddings of different people alike in mean and covariance."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.preprocessing import normalize

from .._utils.company import is_each_alone
from .._utils.inputs import as_subject, carried_subject
from .._utils.params import check_number
from .._utils.whitening import moments, power
from .composite import EmbeddingComposite


class SubjectWhitening(EmbeddingComposite):
    r"""Whiten the embeddings of each person by their own mean and covariance.

    People differ in anatomy and so in where their embeddings lie. With mean :math:`\mu_s` and covariance :math:`C_s`
    (Ledoit and Wolf's shrinkage) of the unit embeddings of subject s,

    .. math:: z' = C_s^{-w/2} (z - \mu_s), \quad w = \mathtt{strength}.

    It is *transductive*: :math:`\mu_s` and :math:`C_s` are those of the epochs that are embedded together, the test
    epochs. One epoch alone cannot be decoded this way, and :func:`~skeegclip.evaluate` flags it.

    Parameters
    ----------
    encoder : EEGEncoder | regressor | FrozenEstimator
        What embeds the epochs.
    targets : EmbeddingTable | None
        Vectors of the training stimuli; None takes the encoder's own, else codes of the labels in ``y``.
    strength : float
        In [0, 1]: 0 takes the mean only, 1 whitens wholly. Between them directions of little variance, which with
        fewer epochs than dimensions are mostly noise, are magnified less.

    Attributes
    ----------
    encoder_ : estimator
        The fitted encoder.
    targets_ : EmbeddingTable
        The table trained on.
    seen_ : ndarray, shape (n_labels,)
        The distinct labels of ``y`` in fit.
    n_features_in_ : int
        Channels seen in fit.

    See Also
    --------
    ImageRetriever : Its `whiten` learns from training alone.

    Notes
    -----
    The default strength of 0.5 was chosen while looking at *test* pictures: those of subject 8 of THINGS-EEG2 and of
    simulated people. So on THINGS-EEG2 it is a tuned number, and a figure obtained with it there should say so. On
    simulated people that nothing was tuned on, strengths from 0.5 to 1 are about equally good
    (``examples/benchmarks/whitening_strength.py``). To choose without the test set, leave out training people *and*
    pictures, with as many repetitions averaged as will be tested: from noisier epochs the choice comes out too low.

    References
    ----------
    .. [1] "SATTC", arXiv:2603.20738 (subject-adaptive whitening).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from skeegclip import EmbeddingTable, SubjectWhitening
    >>> rng = np.random.default_rng(0)
    >>> table = EmbeddingTable([f"image_{i}" for i in range(50)], rng.normal(size=(50, 4)))
    >>> X = table.vectors[:, :, None] + rng.normal(size=(50, 4, 3))
    >>> encoder = SubjectWhitening(Ridge(), targets=table).fit(X, table.ids)
    >>> encoder.predict(5 + X, subject=["ann", "bob"] * 25).shape
    (50, 4)
    """

    def __init__(self, encoder, *, targets=None, strength=0.5):
        self.encoder = encoder
        self.targets = targets
        self.strength = strength

    def fit(self, X: Any, y: Any, subject: Any = None) -> SubjectWhitening:
        """Fit the encoder; whitening learns nothing from training.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times) | Epochs | EpochsView
            Epochs, handed to the encoder as they are.
        y : array-like of str, shape (n_epochs,)
            Stimulus ids.
        subject : array-like of str, shape (n_epochs,) | None
            Subject of each epoch, where X does not carry it.

        Returns
        -------
        SubjectWhitening
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            If X, y or a parameter is not usable.
        """
        check_number("strength", self.strength, low=0, high=1)
        self._fit_encoder(X, y, subject)
        return self

    def embed(self, X: Any, subject: Any = None) -> np.ndarray:
        """Embed epochs, then whiten the embeddings of each subject.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times) | Epochs | EpochsView
            All epochs of a test, together.
        subject : array-like of str, shape (n_epochs,) | None
            Subject of each epoch, where X does not carry it; where none is known, all count as one subject's.

        Returns
        -------
        ndarray, shape (n_epochs, n_dims)
            Embeddings.

        Raises
        ------
        ValueError
            If a subject has a single epoch, which has no covariance.
        """
        z = normalize(super().embed(X, subject=subject))
        if is_each_alone():
            return z
        people = carried_subject(X) if subject is None else as_subject(subject, len(z))
        people = np.zeros(len(z), dtype=int) if people is None else people
        whitened = np.empty_like(z)
        for name in np.unique(people):
            rows = people == name
            if rows.sum() < 2:
                raise ValueError(
                    "SubjectWhitening needs several epochs of each subject together,"
                    f" got one{'' if isinstance(name, np.integer) else f' of {str(name)!r}'}. Embed the test epochs at once."
                )
            mean, covariance = moments(z[rows])
            whitened[rows] = (z[rows] - mean) @ power(covariance, -self.strength / 2)
        return whitened

    def predict(self, X: Any, subject: Any = None) -> np.ndarray:
        """Embed epochs, then whiten the embeddings of each subject; the same as `embed`.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times) | Epochs | EpochsView
            All epochs of a test, together.
        subject : array-like of str, shape (n_epochs,) | None
            Subject of each epoch, where X does not carry it.

        Returns
        -------
        ndarray, shape (n_epochs, n_dims)
            Embeddings.
        """
        return self.embed(X, subject=subject)

    @property
    def _transductive(self) -> str:
        """What looks at the test epochs together, for reports."""
        return "per-subject whitening: by the mean and covariance of each person's test epochs"
