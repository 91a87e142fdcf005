"""SubjectWhitening: give the embeddings of every person the same mean and covariance."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.preprocessing import normalize

from ._composite import EmbeddingComposite
from ._utils.inputs import as_subject, carried_subject
from ._utils.validation import unchanged_on_error
from ._utils.whitening import moments, power


class SubjectWhitening(EmbeddingComposite):
    r"""Whiten the embeddings of each person by their own mean and covariance, and give them those of the images.

    People differ in anatomy and so in where their embeddings lie. With mean :math:`\mu_s` and covariance :math:`C_s` of
    the embeddings of subject s, and those of the training images without index, all of unit length and with Ledoit
    and Wolf's shrinkage,

    .. math:: z' = \mu + C^{1/2} C_s^{-1/2} (z - \mu_s).

    It is *transductive*: :math:`\mu_s` and :math:`C_s` are those of the epochs that are embedded together, the test
    epochs. One epoch alone cannot be decoded this way, and :func:`~skeegclip.model_selection.evaluate` flags it.

    Parameters
    ----------
    encoder : EEGEncoder | regressor | FrozenEstimator
        What embeds the epochs.
    targets : EmbeddingTable | None
        Vectors of the training stimuli; None takes the encoder's own, else codes of the labels in ``y``.

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
    ImageRetriever : Whitens by the training images with ``whiten=True``, which is not transductive.

    References
    ----------
    .. [1] "SATTC", arXiv:2603.20738 (subject-adaptive whitening).
    .. [2] B. Sun, J. Feng and K. Saenko, "Return of Frustratingly Easy Domain Adaptation", AAAI 2016,
       arXiv:1511.05547.

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

    def __init__(self, encoder, *, targets=None):
        self.encoder = encoder
        self.targets = targets

    def fit(self, X: Any, y: Any, subject: Any = None) -> SubjectWhitening:
        """Fit the encoder, and remember the mean and covariance of the training images.

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
        with unchanged_on_error(self):
            self._fit_encoder(X, y, subject)
            ids = [str(label) for label in self.seen_.tolist()]
            self._mean, covariance = moments(self.project(self.targets_.lookup(ids)))
            self._colour = power(covariance, 0.5)
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
            whitened[rows] = self._mean + (z[rows] - mean) @ power(covariance, -0.5) @ self._colour
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
