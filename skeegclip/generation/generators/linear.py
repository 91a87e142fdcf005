"""LinearGenerator: from embedding to picture by ridge regression."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.model_selection import GroupKFold
from sklearn.utils.validation import check_is_fitted

from ..._utils.params import check_number
from ..._utils.pictures import read_picture, square, to_uint8
from .._sharing import Fitted, Portable, schema
from .base import check_embeddings
from .training import training_pictures

_N_FOLDS = 5
_ALPHAS = tuple(10.0**power for power in range(-4, 5))


@schema
class _Facts:
    n_features_in_: int


_FITTED = Fitted(
    _Facts,
    {
        "mean_picture_": ("size", "size", 3),
        "components_": ("n_components_", "n_values"),
        "coef_": ("n_features_in_", "n_components_"),
        "offset_": ("n_features_in_",),
        "intercept_": ("n_components_",),
        "alpha_": ("n_components_",),
    },
)


class LinearGenerator(Portable, BaseEstimator):
    """Paint what is most to be expected: ridge regression from the embedding to the principal components of pictures.

    It needs no weights and fits in seconds. Its pictures are blurry averages, with the light and the colours that the
    embedding tells: the less it tells, the greyer.

    Parameters
    ----------
    images : ImageTable | mapping | None
        Pictures by stimulus id, for the ids in ``y``. None where ``y`` holds the pictures themselves.
    size : int
        Side of the pictures in pixels, for learning and in the result; training pictures are cut to their centre
        square and resized.
    n_components : int
        Principal components of the pictures that are predicted; fewer where there are fewer pictures.
    alphas : sequence of float
        Penalties to choose from, relative to the mean variance of an embedding's dimensions (times the number of
        rows). Each component chooses its own, by five-fold cross-validation over pictures.

    Attributes
    ----------
    mean_picture_ : ndarray of float32, shape (size, size, 3)
        Mean of the distinct training pictures, in [0, 1].
    components_ : ndarray, shape (n_components, size * size * 3)
        Principal components.
    coef_ : ndarray, shape (n_dims, n_components)
        Of the regression.
    offset_ : ndarray, shape (n_dims,)
        Mean embedding.
    intercept_ : ndarray, shape (n_components,)
        What the mean embedding gives.
    alpha_ : ndarray, shape (n_components,)
        Penalty chosen, for each component.

    See Also
    --------
    SDXLGenerator : Sharp pictures, with weights of gigabytes.

    Examples
    --------
    >>> import numpy as np
    >>> from skeegclip.generation import LinearGenerator
    >>> rng = np.random.default_rng(0)
    >>> colour = rng.integers(0, 256, (40, 3), dtype=np.uint8)  # each picture is of one colour
    >>> pictures = np.broadcast_to(colour[:, None, None], (40, 8, 8, 3))
    >>> Z = colour @ rng.normal(size=(3, 16))  # and an embedding tells it
    >>> generator = LinearGenerator(size=8).fit(Z[:30], pictures[:30])
    >>> painted = generator.generate(Z[30:])
    >>> painted.shape, bool(np.abs(painted[:, 0, 0].astype(int) - colour[30:]).max() <= 1)
    ((10, 8, 8, 3), True)
    """

    def __init__(self, images=None, *, size=64, n_components=256, alphas=_ALPHAS):
        self.images = images
        self.size = size
        self.n_components = n_components
        self.alphas = alphas

    def fit(self, Z: Any, y: Any) -> LinearGenerator:
        """Learn from embeddings and the pictures they stand for.

        Parameters
        ----------
        Z : array-like, shape (n, n_dims)
            Embeddings like those to come: out of the decoder, for stimuli that it was not trained on.
        y : array-like of str, shape (n,) | sequence of n pictures
            Stimulus ids, looked up in `images`; or the pictures.

        Returns
        -------
        LinearGenerator
            The fitted generator.

        Raises
        ------
        TypeError, ValueError
            If an argument or a parameter is not usable.
        KeyError
            If an id has no picture.
        """
        self._check_params()
        Z = check_embeddings(Z)
        _, code, pictures = training_pictures(Z, y, self.images)
        flat = np.stack([square(read_picture(picture, "y"), self.size).ravel() for picture in pictures])
        n_components = min(self.n_components, *flat.shape)
        # Fixed state of the randomised solver: the same pictures give the same components.
        pca = PCA(n_components, svd_solver="randomized", random_state=0).fit(flat)
        self.mean_picture_ = pca.mean_.reshape(self.size, self.size, 3).astype(np.float32)
        self.components_ = pca.components_.astype(np.float32)
        wanted = pca.transform(flat)[code]
        self.offset_, self.intercept_ = Z.mean(axis=0), wanted.mean(axis=0)
        self.alpha_ = _choose_alphas(Z, wanted, code, list(self.alphas))
        self.coef_ = _Ridge(Z, wanted).coef(self.alpha_).astype(np.float32)
        self.n_features_in_ = Z.shape[1]
        return self

    def generate(
        self, embeddings: Any, low_level: Any = None, captions: Any = None, random_state: Any = None
    ) -> np.ndarray:
        """Paint one picture for each embedding.

        Parameters
        ----------
        embeddings : array-like, shape (n, n_dims)
            Embeddings.
        low_level, captions, random_state : object
            Not used: there is one most expected picture.

        Returns
        -------
        ndarray of uint8, shape (n, size, size, 3)
            The pictures.
        """
        check_is_fitted(self)
        Z = check_embeddings(embeddings, self.n_features_in_)
        scores = (Z - self.offset_) @ self.coef_ + self.intercept_
        flat = scores @ self.components_
        return to_uint8(flat.reshape(-1, *self.mean_picture_.shape) + self.mean_picture_)

    _given_on_load = ("images",)

    def _check_params(self) -> None:
        check_number("size", self.size, low=1, high=8192, integer=True)
        check_number("n_components", self.n_components, low=1, integer=True)
        if not [check_number("alphas", alpha, low=0, open_low=True) for alpha in self.alphas]:
            raise ValueError("alphas must hold at least one penalty.")

    def _fitted(self) -> Fitted:
        return _FITTED

    def _restore(self, weights: dict[str, np.ndarray], device: str) -> None:
        super()._restore(weights, device)
        if self.components_.shape[1] != self.mean_picture_.size:
            raise ValueError("the components are not of the size of the pictures")


class _Ridge:
    """Ridge regression of centred data, for any number of penalties at the cost of one decomposition."""

    def __init__(self, Z: np.ndarray, Y: np.ndarray) -> None:
        centred = (Z - Z.mean(axis=0)).astype(np.float64)
        values, self._vectors = np.linalg.eigh(centred.T @ centred)
        self._values = np.maximum(values, 0)
        self._scale = max(self._values.mean(), np.finfo(float).tiny)  # alphas are relative to it
        self._projected = self._vectors.T @ (centred.T @ (Y - Y.mean(axis=0)))

    def coef(self, alpha: np.ndarray) -> np.ndarray:
        """Coefficients (n_dims, n_targets), each target with its penalty."""
        return self._vectors @ (self._projected / (self._values[:, None] + np.asarray(alpha) * self._scale))


def _choose_alphas(Z: np.ndarray, Y: np.ndarray, code: np.ndarray, alphas: list[float]) -> np.ndarray:
    """For each column of Y the penalty of least squared error on rows of pictures left out."""
    n_folds = min(_N_FOLDS, code.max() + 1)
    if n_folds < 2 or len(alphas) == 1:
        return np.full(Y.shape[1], alphas[-1])
    error = np.zeros((len(alphas), Y.shape[1]))
    for train, test in GroupKFold(n_folds).split(Z, groups=code):
        ridge = _Ridge(Z[train], Y[train])
        left = Y[test] - Y[train].mean(axis=0)
        for i, alpha in enumerate(alphas):
            error[i] += ((left - (Z[test] - Z[train].mean(axis=0)) @ ridge.coef(np.array([alpha]))) ** 2).sum(
                axis=0
            )
    return np.asarray(alphas)[error.argmin(axis=0)]
