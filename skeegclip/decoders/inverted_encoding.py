"""InvertedEncoding: the closed-form linear decoder that knows as much of the forward model as the data tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_consistent_length, gen_batches
from sklearn.utils.validation import check_array, check_is_fitted

from .._utils.params import check_number, check_option
from .._utils.saving import Savable
from .._utils.stated import Stated
from .._utils.validation import check_epochs, unchanged_on_error
from .._utils.whitening import power
from ..metrics import cosine_similarity, ranks

_ITERATIONS, _ROWS_AT_ONCE = 5, 1024
_CANDIDATES = (1, 2, 4, 8, 12, 16, 20, 24, 32, 40, 48, 64, 96, 128)


class InvertedEncoding(Savable, BaseEstimator):
    r"""Learn how pictures become epochs, and invert that: a linear decoder in closed form.

    An encoding model [1]_ predicts the epoch from what was seen, and is inverted to tell which picture best explains an
    epoch. With :math:`a` the k whitened principal components of a target vector,

    .. math:: x = \textstyle\sum_i a_i P_i + \varepsilon, \quad
              \mathrm{cov}\,\varepsilon = C_c \otimes C_t + D_c \otimes D_t, \quad
              P_i \sim N(0,\, V_c \otimes V_t).

    The covariance of the noise, what the targets do not tell, whitens the epochs: ongoing activity and its rhythms have each
    their place and their course, and so it is a sum of two products of channels and times [3]_. Patterns :math:`P_i` are estimated by least
    squares and shrunk to their posterior mean; their prior, as in matrix-normal models [2]_, is separable into channels and
    times too, and is read off the estimates, whose expected noise is subtracted. Epochs filtered by the patterns lie in k
    dimensions, where folds over the stimuli tell how they follow from :math:`a`, and with what error: both sides are
    whitened by its covariance. Their cosine compares only what the brain shows of a picture, each part of it by how
    certainly.

    Parameters
    ----------
    n_components : int | None
        Components of the targets. None takes the number whose mean reciprocal rank is highest when held-out stimuli are
        looked for among each other.
    n_folds : int
        Folds over the stimuli, at least 2.
    space : {"components", "targets"}
        Where the embeddings lie. In that of the components both sides are compared by how certainly each part is seen,
        and :meth:`project` brings targets there. "targets" gives, for each embedding z, the vector whose product with
        any target is that of z with its image: for whoever compares with the targets themselves, such as a contest, or an
        ensemble. The length of an image then no longer counts, and somewhat fewer are found.
    shrinkage : float
        In [0, 1]: how far the covariances of the noise are drawn to equal variances before they are inverted. Filtered
        epochs hold directions of next to no variance, which nothing should magnify. Those without any, as after an average
        reference, are left out with 0.

    Attributes
    ----------
    n_components_ : int
        Components used.
    mean_ : ndarray, shape (n_chans, n_times)
        Mean training epoch, subtracted before the filters.
    filters_ : ndarray, shape (n_components, n_chans, n_times)
        What each component is read with.
    target_mean_ : ndarray, shape (n_dims,)
        Mean training target.
    target_filters_ : ndarray, shape (n_components, n_dims)
        What it is in a target.
    offset_ : ndarray, shape (n_components,)
        What the filters give on average for held-out stimuli; subtracted.
    n_chans_, n_times_in_, n_features_in_, ch_names_
        As in :class:`EEGEncoder`.

    See Also
    --------
    skeegclip.recipes.linear : With averages over repetitions, ready to run.

    Notes
    -----
    One person's epochs, or those of people who are alike: all rows are learned as one person's. Time and memory grow
    linearly with the number of epochs, and there is nothing random in it.

    References
    ----------
    .. [1] Brouwer and Heeger, "Decoding and reconstructing color from responses in human visual cortex", Journal of
       Neuroscience 29, 2009.
    .. [2] Shvartsman et al., "Matrix-normal models for fMRI analysis", AISTATS 2018, arXiv:1711.03058.
    .. [3] Van Loan and Pitsianis, "Approximation with Kronecker products", 1993: the nearest second product.

    Examples
    --------
    >>> import numpy as np
    >>> from skeegclip import EmbeddingTable, ImageRetriever, InvertedEncoding
    >>> rng = np.random.default_rng(0)
    >>> table = EmbeddingTable([f"image_{i}" for i in range(300)], rng.normal(size=(300, 5)))
    >>> X = np.tensordot(table.vectors, rng.normal(size=(5, 8, 20)), 1) + rng.normal(size=(300, 8, 20))
    >>> decoder = ImageRetriever(InvertedEncoding(), targets=table).fit(X[:200], table.ids[:200])
    >>> decoder.encoder_.n_components_
    5
    >>> bool(decoder.score(X[200:], table.ids[200:]) > 0.9)
    True
    """

    _saved_state: ClassVar[dict[str, Any]] = {
        "n_components_": int,
        "mean_": np.ndarray,
        "filters_": np.ndarray,
        "target_mean_": np.ndarray,
        "target_filters_": np.ndarray,
        "offset_": np.ndarray,
        "n_features_in_": int,
        "n_chans_": int,
        "n_times_in_": int,
        "ch_names_": tuple | None,
        "_stated": Stated,
    }

    def __init__(self, n_components=None, *, n_folds=5, space="components", shrinkage=0.01):
        self.n_components = n_components
        self.n_folds = n_folds
        self.space = space
        self.shrinkage = shrinkage

    def fit(self, X: Any, y: Any) -> InvertedEncoding:
        """Learn the patterns, and how surely they are seen.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times) | Epochs | EpochsView
            Epochs in microvolts (MEG: fT); averages over repetitions, where the tested are averages too.
        y : array-like, shape (n_epochs, n_dims) | array-like, shape (n_epochs,)
            Vector of each epoch's stimulus; equal rows count as one stimulus.

        Returns
        -------
        InvertedEncoding
            The fitted decoder. After an error it is as it was before.

        Raises
        ------
        ValueError, TypeError
            If X, y or a parameter is not usable, or there are fewer than 2 stimuli.
        """
        check_number("n_components", self.n_components, low=1, integer=True, none=True)
        check_number("n_folds", self.n_folds, low=2, integer=True)
        check_option("space", self.space, ["components", "targets"])
        check_number("shrinkage", self.shrinkage, low=0, high=1)
        with unchanged_on_error(self):
            X = np.asarray(check_epochs(self, X, reset=True).X)
            if y is None:
                raise ValueError(
                    "This InvertedEncoding estimator requires y to be passed, but the target y is None."
                )
            y = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
            check_consistent_length(X, y)
            self._fit(X, y.reshape(len(y), -1))
        return self

    def _fit(self, X: np.ndarray, y: np.ndarray) -> None:
        n_stimuli, stimulus = _stimuli(y)
        self.mean_, self.target_mean_ = X.mean(axis=0), y.mean(axis=0)
        X = X - self.mean_
        left, size, axes = np.linalg.svd(y - self.target_mean_, full_matrices=False)
        rank = max(1, int((size > 1e-6 * size[0]).sum()))
        # Of each stimulus k numbers are learned from, and k * k tell their noise: too few cannot tell it.
        most = max(1, min(rank, n_stimuli // 8))
        if self.n_components is None:  # all of them too, where they are few: narrow targets need each
            candidates = sorted({k for k in (*_CANDIDATES, min(rank, _CANDIDATES[-1])) if k <= most})
        else:
            candidates = [min(self.n_components, rank)]
        a = np.sqrt(len(y)) * left[:, : max(candidates)]
        # What the targets do not tell is noise.
        rest = X - np.tensordot(a, np.tensordot(a.T, X, 1) / len(a), 1).astype(np.float32)
        over_chans, over_times, scale = _whiteners(rest, self.shrinkage)
        X = scale * (over_chans @ X @ over_times)
        noise = float(np.square(scale * (over_chans @ rest @ over_times)).mean())
        del rest
        folds = stimulus % min(self.n_folds, n_stimuli)
        patterns, z = zip(*(_patterns(X, a[:, :k], folds, noise) for k in candidates), strict=True)
        best = 0
        if len(candidates) > 1:
            best = int(np.argmax([_score(a[:, : values.shape[1]], values, folds, stimulus) for values in z]))
        k = self.n_components_ = candidates[best]
        reading = _Reading.of(a[:, :k], z[best])
        filters = over_chans.T @ (scale * patterns[best]) @ over_times.T
        self.filters_ = np.tensordot(reading.whitener, filters, 1).astype(np.float32)
        unit = np.divide(np.sqrt(len(y)), size[:k], out=np.zeros(k), where=size[:k] > 0)
        self.target_filters_ = reading.whitener @ reading.coef.T @ (unit[:, None] * axes[:k])
        self.offset_ = reading.whitener @ reading.mean

    def predict(self, X: Any) -> np.ndarray:
        """Tell what epochs show of what was seen.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times) | Epochs | EpochsView
            Epochs as in fit.

        Returns
        -------
        ndarray of float64, shape (n_epochs, n_components) | (n_epochs, n_dims)
            Embeddings, with noise of unit variance, in the space that :meth:`project` maps targets to; or what they are in
            that of the targets.
        """
        check_is_fitted(self, "filters_")
        X = check_epochs(self, X, reset=False).X
        # In double precision, for single depends on where a row stands among others. And in blocks, for a view may be large.
        filters = self.filters_.astype(np.float64)
        z = [
            np.tensordot(np.asarray(X[rows]) - self.mean_, filters, ((1, 2), (1, 2)))
            for rows in gen_batches(len(X), _ROWS_AT_ONCE)
        ]
        embeddings = np.concatenate(z) - self.offset_
        return embeddings @ self.target_filters_ if self.space == "targets" else embeddings

    def project(self, vectors: Any) -> np.ndarray:
        """Bring vectors of stimuli into the space of the embeddings.

        Parameters
        ----------
        vectors : array-like, shape (n, n_dims)
            Vectors in the space of the targets.

        Returns
        -------
        ndarray, shape (n, n_components)
            The embeddings that the model expects of epochs that show them; with ``space="targets"`` the vectors themselves.

        Raises
        ------
        ValueError
            If the vectors are not as wide as the targets.
        """
        check_is_fitted(self, "filters_")
        if self.space == "targets":
            return vectors
        vectors = check_array(vectors, dtype=np.float64, input_name="vectors")
        if vectors.shape[1] != len(self.target_mean_):
            raise ValueError(
                f"vectors must have shape (n, {len(self.target_mean_)}), the width of the targets, got {vectors.shape}."
            )
        return (vectors - self.target_mean_) @ self.target_filters_.T

    def _check_fitted(self) -> None:
        check_is_fitted(self, "filters_")

    @classmethod
    def _made(cls, params: dict[str, Any], state: dict[str, Any]) -> Any:
        made: Any = super()._made(params, state)
        k, epoch, width = made.n_components_, (made.n_chans_, made.n_times_in_), made.target_mean_.shape
        if (
            made.filters_.shape != (k, *epoch)
            or made.mean_.shape != epoch
            or made.offset_.shape != (k,)
            or made.target_filters_.shape != (k, *width)
        ):
            raise ValueError("its filters do not fit each other")
        return made

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        return tags


@dataclass(frozen=True)
class _Reading:
    """How filtered epochs z follow from components a: z = mean + a @ coef + error; the error is whitened."""

    mean: np.ndarray  # (k,)
    coef: np.ndarray  # (k, k)
    whitener: np.ndarray  # (k, k), symmetric

    @classmethod
    def of(cls, a: np.ndarray, z: np.ndarray) -> _Reading:
        from sklearn.covariance import ledoit_wolf

        mean = z.mean(axis=0)
        # The components are white: a little is added for folds, in which they are not quite.
        coef = np.linalg.solve(a.T @ a + np.eye(a.shape[1]), a.T @ (z - mean))
        covariance = ledoit_wolf(z - mean - a @ coef, assume_centered=True)[0]
        return cls(mean, coef, power(covariance, -0.5))


def _patterns(X: np.ndarray, a: np.ndarray, folds: np.ndarray, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Patterns learned from all of X (whitened), and each epoch filtered by those of the other folds."""
    flat, shape = X.reshape(len(X), -1), (a.shape[1], *X.shape[1:])
    a = a.astype(np.float32)
    products = [a[folds == fold].T @ flat[folds == fold] for fold in range(folds.max() + 1)]
    total = sum(products)
    z = np.empty(a.shape)
    for fold, product in enumerate(products):
        out = folds == fold
        n_rest = len(X) - int(out.sum())
        patterns = _shrunk(((total - product) / n_rest).reshape(shape), noise / n_rest)
        z[out] = flat[out] @ patterns.reshape(len(patterns), -1).T
    return _shrunk((total / len(X)).reshape(shape), noise / len(X)), z


def _shrunk(patterns: np.ndarray, noise: float) -> np.ndarray:
    """Posterior mean of patterns (k, n_chans, n_times) that were measured with white noise of a variance."""
    (k, n_chans, n_times), patterns = patterns.shape, patterns.astype(np.float64)
    by_chan, by_time = (
        np.moveaxis(patterns, axis, 0).reshape(n, -1) for axis, n in ((1, n_chans), (2, n_times))
    )
    chans, chan_axes = np.linalg.eigh(by_chan @ by_chan.T / k - n_times * noise * np.eye(n_chans))
    times, time_axes = np.linalg.eigh(by_time @ by_time.T / k - n_chans * noise * np.eye(n_times))
    chans, times = chans.clip(min=0), times.clip(min=0)
    prior = np.outer(chans, times) / (np.sqrt(chans.sum() * times.sum()) or 1.0)
    # Where nothing stands out of the noise all is equally likely, and nothing is shrunk.
    gain = prior / (prior + noise) if prior.any() else np.ones_like(prior)
    return (chan_axes @ ((chan_axes.T @ patterns @ time_axes) * gain) @ time_axes.T).astype(np.float32)


def _whiteners(X: np.ndarray, shrinkage: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Maps of channels and of times, and a factor for each pair of what these give, that make noise X white."""
    over_chans = _whitener(np.tensordot(X, X, ((0, 2), (0, 2))) / (len(X) * X.shape[2]), shrinkage)
    X = over_chans @ X
    over_times = _whitener(np.tensordot(X, X, ((0, 1), (0, 1))) / (len(X) * X.shape[1]), shrinkage)
    X = X @ over_times
    chan_axes, time_axes = _second_axes(X, over_times)
    scale = _inverse_root(shrinkage + np.square(chan_axes.T @ X @ time_axes).mean(axis=0))
    return chan_axes.T @ over_chans, over_times @ time_axes, scale


def _second_axes(X: np.ndarray, over_times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Axes of the second of two products whose sum the covariance is, where the first is white by now.

    Slow and fast activity, such as alpha and what is behind it, lie in different places. The product that is nearest to
    what the covariance has beside the identity is found by power iteration. It starts from the course that was strongest;
    from all courses, each with its own power, it would start from nothing: weighted so, channels are white already.
    """
    _, courses = np.linalg.eigh(over_times.astype(np.float64))
    times = np.outer(courses[:, 0], courses[:, 0])
    for _ in range(_ITERATIONS):
        chans = _beside_white(X @ times.astype(np.float32), X, (0, 2))
        times = _beside_white(np.swapaxes(X, 1, 2) @ chans.astype(np.float32), np.swapaxes(X, 1, 2), (0, 2))
    chan_axes, time_axes = (np.linalg.eigh(part)[1].astype(np.float32) for part in (chans, times))
    return chan_axes, time_axes


def _beside_white(weighted: np.ndarray, X: np.ndarray, over: tuple[int, int]) -> np.ndarray:
    """Covariance over one axis, weighted over the other, without what white noise has; of unit norm."""
    covariance = np.tensordot(weighted, X, (over, over)).astype(np.float64)
    covariance = (covariance + covariance.T) / 2
    covariance -= np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    return covariance / (np.linalg.norm(covariance) or 1.0)


def _whitener(covariance: np.ndarray, shrinkage: float) -> np.ndarray:
    covariance = covariance.astype(np.float64)
    mean = np.trace(covariance) / len(covariance) or 1.0
    values, axes = np.linalg.eigh((1 - shrinkage) * covariance + shrinkage * mean * np.eye(len(covariance)))
    return ((axes * _inverse_root(values)) @ axes.T).astype(np.float32)


def _inverse_root(values: np.ndarray) -> np.ndarray:
    """One over the root of variances of float32; 0 where there is none, as after an average reference."""
    some = values > 10 * np.finfo(np.float32).eps * values.max()
    return np.where(some, 1 / np.sqrt(np.where(some, values, 1.0)), 0.0)


def _stimuli(y: np.ndarray) -> tuple[int, np.ndarray]:
    distinct, stimulus = np.unique(y, axis=0, return_inverse=True)
    if len(distinct) < 2:
        raise ValueError(
            f"InvertedEncoding needs two stimuli or more, got {len(distinct)} in {len(y)} sample(s)."
        )
    return len(distinct), stimulus.reshape(-1)


def _score(a: np.ndarray, z: np.ndarray, folds: np.ndarray, stimulus: np.ndarray) -> float:
    """Mean reciprocal rank of each held-out stimulus among those of its fold."""
    found = []
    for fold in range(folds.max() + 1):
        rows, rest = np.flatnonzero(folds == fold), folds != fold
        _, first, places = np.unique(stimulus[rows], return_index=True, return_inverse=True)
        reading = _Reading.of(a[rest], z[rest])
        embedded = (z[rows] - reading.mean) @ reading.whitener
        similarity = cosine_similarity(embedded, a[rows[first]] @ reading.coef @ reading.whitener)
        found.append(1 / ranks(similarity, places))
    return float(np.concatenate(found).mean())
