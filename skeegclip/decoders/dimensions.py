"""DimensionDecoder: from embeddings to dimensions with names, by which people judge objects."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_array, check_consistent_length, check_is_fitted, validate_data

from .._utils.ids import as_ids, mapping_to_array
from .._utils.params import check_number
from .._utils.ridge import ridge_cv
from .._utils.saving import Savable
from .._utils.validation import unchanged_on_error
from ..embeddings.table import check_table


class DimensionDecoder(Savable, TransformerMixin, BaseEstimator):
    r"""Tell embeddings in words: values on dimensions by which people judge objects.

    Dimensions such as "animal-related" or "round", learned from what people found odd among three objects, describe the
    1,854 objects of THINGS [1]_. A linear map from embeddings to them is learned by ridge regression on some objects, and
    applied to embeddings of others: of pictures, and of what an encoder reads from the brain, which lie in one space.

    Embeddings are brought to unit length, centred, and scaled by one number. The penalty is chosen by cross-validation in
    which all rows of an object are in one fold.

    Parameters
    ----------
    dimensions : EmbeddingTable | None
        Values of each object, from :func:`~skeegclip.datasets.fetch_dimensions` or your own; ``meta["names"]`` holds a name
        for each dimension. None: ``y`` holds the values themselves.
    concepts : mapping | callable | None
        From stimulus id to object, where ``y`` holds stimuli.
    n_folds : int
        Folds over the objects, at least 2.

    Attributes
    ----------
    coef_ : ndarray, shape (n_features, n_dimensions)
        Of embeddings at unit length.
    intercept_ : ndarray, shape (n_dimensions,)
        Value where the embedding says nothing.
    penalty_ : float
        The penalty chosen.
    names_ : tuple of str
        Names of the dimensions; ``"dimension 0"`` and so on, where there are none.
    n_features_in_ : int
        Width of the embeddings.

    See Also
    --------
    skeegclip.inspection.dimension_correlations : Which dimensions are decoded, tested by permutation.
    skeegclip.inspection.dimensions_over_time : When they are.

    Notes
    -----
    What is tested must not have been trained on, as a picture either: the embedding of another picture of the object tells
    its dimensions. Groups of the folds are objects: ``cross_val_predict(decoder, X, y, groups=y, cv=GroupKFold(10))``.
    Trained on embeddings of pictures *and* of epochs of the same objects, one below the other, the map learns where the two
    differ (:doc:`/user_guide/targets`).

    References
    ----------
    .. [1] Hebart et al., "Revealing the multidimensional mental representations of natural objects underlying human
       similarity judgements", Nature Human Behaviour 4, 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from skeegclip import DimensionDecoder, EmbeddingTable
    >>> rng = np.random.default_rng(0)
    >>> pictures = rng.normal(size=(60, 20))
    >>> objects = [f"object {i:02d}" for i in range(60)]
    >>> values = pictures @ rng.normal(size=(20, 2))
    >>> dimensions = EmbeddingTable(objects, values, meta={"names": ["animal-related", "round"]})
    >>> decoder = DimensionDecoder(dimensions).fit(pictures[:50], objects[:50])
    >>> decoder.get_feature_names_out()
    array(['animal-related', 'round'], dtype=object)
    >>> bool(decoder.score(pictures[50:], objects[50:]) > 0.9)
    True
    """

    _saved_state: ClassVar[dict[str, Any]] = {
        "coef_": np.ndarray,
        "intercept_": np.ndarray,
        "penalty_": float,
        "names_": tuple,
        "n_features_in_": int,
    }

    def __init__(self, dimensions=None, *, concepts=None, n_folds=5):
        self.dimensions = dimensions
        self.concepts = concepts
        self.n_folds = n_folds

    def fit(self, X: Any, y: Any) -> DimensionDecoder:
        """Learn the map.

        Parameters
        ----------
        X : array-like, shape (n, n_features)
            Embeddings.
        y : array-like of str, shape (n,) | array-like, shape (n, n_dimensions)
            Object (or stimulus, with `concepts`) of each row, or the values, where there are no `dimensions`: equal rows of
            them are then one object.

        Returns
        -------
        DimensionDecoder
            The fitted decoder. After an error it is as it was before.

        Raises
        ------
        ValueError, TypeError
            If X, y or a parameter is not usable, or there are fewer than 2 objects.
        KeyError
            If an object is not in the table.
        """
        check_number("n_folds", self.n_folds, low=2, integer=True)
        if self.dimensions is not None:
            check_table("dimensions", self.dimensions)
        with unchanged_on_error(self):
            if y is None:
                raise ValueError(
                    "This DimensionDecoder estimator requires y to be passed, but the target y is None."
                )
            X = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
            values, objects = self._read(y)
            check_consistent_length(X, values)
            if (n := len(np.unique(objects))) < 2:
                raise ValueError(f"y holds {n} object. Pass rows of at least 2: folds are made over objects.")
            self._fit(_unit(X), np.asarray(values, dtype=np.float64), objects)
        return self

    def _read(self, y: Any) -> tuple[np.ndarray, np.ndarray]:
        """Values (n, n_dimensions) and the number of each row's object."""
        if self.dimensions is None:
            array = np.asarray(y)
            if array.dtype.kind in "UT" or any(isinstance(item, str) for item in array.flat):
                raise TypeError(
                    "y holds names, and there is no table of their values. Pass DimensionDecoder(dimensions=...)."
                )
            values = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
            values = values.reshape(len(values), -1)
            return values, np.unique(values, axis=0, return_inverse=True)[1].reshape(-1)
        names = self._objects(y)
        return self.dimensions.lookup(names), np.unique(names, return_inverse=True)[1]

    def _objects(self, y: Any) -> np.ndarray:
        ids = as_ids(y, name="y")
        return (
            ids if self.concepts is None else mapping_to_array(self.concepts, ids.tolist(), name="concepts")
        )

    def _fit(self, X: np.ndarray, values: np.ndarray, objects: np.ndarray) -> None:
        mean, self.intercept_ = X.mean(axis=0), values.mean(axis=0)
        # Ridge is the same along any axes: along their own, rows that are fewer than features cost little.
        left, size, axes = np.linalg.svd(X - mean, full_matrices=False)
        scale = float(np.sqrt(np.square(size).mean() / len(X))) or 1.0
        found = ridge_cv(left * (size / scale), values - self.intercept_, objects, 0, n_folds=self.n_folds)
        self.coef_ = axes.T @ found.coefficients / scale
        self.intercept_ = self.intercept_ - mean @ self.coef_
        self.penalty_ = found.penalty
        named = getattr(self.dimensions, "meta", {}).get("names")
        if named is not None and len(named) != values.shape[1]:
            raise ValueError(
                f'dimensions has {values.shape[1]} columns and {len(named)} names in meta["names"]. Pass one name each.'
            )
        self.names_ = (
            tuple(f"dimension {i}" for i in range(values.shape[1])) if named is None else tuple(named)
        )

    def transform(self, X: Any) -> np.ndarray:
        """Tell the values of embeddings.

        Parameters
        ----------
        X : array-like, shape (n, n_features)
            Embeddings, in the space of those in fit.

        Returns
        -------
        ndarray of float64, shape (n, n_dimensions)
            Values. With ``set_output(transform="pandas")`` a DataFrame with the names as its columns.

        Raises
        ------
        ValueError
            If X is not usable, or not as wide as in fit.
        """
        check_is_fitted(self, "coef_")
        X = validate_data(self, X, dtype=np.float64, reset=False)
        return _unit(X) @ self.coef_ + self.intercept_

    def predict(self, X: Any) -> np.ndarray:
        """Tell the values of embeddings, as `transform` does, always as an array.

        Parameters
        ----------
        X : array-like, shape (n, n_features)
            Embeddings, in the space of those in fit.

        Returns
        -------
        ndarray of float64, shape (n, n_dimensions)
            Values.
        """
        return np.asarray(self.transform(X))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Average the correlation of decoded and true values over the dimensions.

        Parameters
        ----------
        X : array-like, shape (n, n_features)
            Embeddings of objects that were not trained on.
        y : array-like of str, shape (n,) | array-like, shape (n, n_dimensions)
            As in fit.
        sample_weight : array-like, shape (n,) | None
            Weight of each row.

        Returns
        -------
        float
            In [-1, 1]. Dimensions that do not vary in `y` are left out, and those that do not vary in what is decoded are 0.
        """
        values = self.predict(X)
        true, _ = self._read(y)
        return _mean_correlation(values, np.asarray(true, dtype=np.float64), sample_weight)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Name the dimensions.

        Parameters
        ----------
        input_features : ignored
            There for scikit-learn.

        Returns
        -------
        ndarray of str, shape (n_dimensions,)
            The names.
        """
        check_is_fitted(self, "coef_")
        return np.array(self.names_, dtype=object)

    def _check_fitted(self) -> None:
        check_is_fitted(self, "coef_")

    @classmethod
    def _made(cls, params: dict[str, Any], state: dict[str, Any]) -> Any:
        made: Any = super()._made(params, state)
        if made.coef_.shape != (made.n_features_in_, len(made.names_)) or made.intercept_.shape != (
            len(made.names_),
        ):
            raise ValueError("its coefficients do not fit each other")
        return made

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        return tags


def _unit(X: np.ndarray) -> np.ndarray:
    """Rows at unit length; zeros stay."""
    norm = np.linalg.norm(X, axis=1, keepdims=True)
    return X / np.where(norm > 0, norm, 1)


def _mean_correlation(values: np.ndarray, true: np.ndarray, weight: Any) -> float:
    centred = [part - np.average(part, axis=0, weights=weight) for part in (values, true)]
    share = np.ones(len(values)) if weight is None else np.asarray(weight, dtype=np.float64)
    product = share @ (centred[0] * centred[1])
    power = [share @ np.square(part) for part in centred]
    varies = power[1] > 0
    size = np.sqrt(power[0] * power[1])
    r = np.divide(product, size, out=np.zeros_like(product), where=size > 0)
    return float(r[varies].mean()) if varies.any() else 0.0
