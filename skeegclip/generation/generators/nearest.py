"""NearestImageGenerator: the nearest training picture, the baseline to beat."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from ..._utils.contents import Loading
from ..._utils.folders import Content
from ..._utils.params import check_number
from ..._utils.pictures import owned, read_picture, square, to_uint8
from ...embeddings.table import check_table
from ...metrics import cosine_similarity
from .._sharing import Fitted, Portable, schema
from .base import check_embeddings
from .training import check_images, picture_of, training_pictures


@schema
class _Facts:
    n_features_in_: int
    ids_: list[str]


_FITTED = Fitted(_Facts, {"vectors_": ("n_pictures", "n_features_in_")})


class NearestImageGenerator(Portable, BaseEstimator):
    """Show the training picture whose embedding is nearest: a reconstruction that paints nothing must beat.

    Parameters
    ----------
    images : ImageTable | mapping | None
        Pictures by stimulus id, for the ids in ``y``. None where ``y`` holds the pictures themselves.
    targets : EmbeddingTable | None
        Embeddings of the stimuli, by id. None takes the mean of the rows of ``Z`` that show a stimulus.
    size : int | None
        Side of the pictures in pixels: cut to their centre square and resized. None leaves them as they are, which
        must then be of one size.

    Attributes
    ----------
    ids_ : ndarray of str, shape (n_pictures,)
        Ids of the distinct training pictures.
    vectors_ : ndarray of float32, shape (n_pictures, n_dims)
        Their embeddings.
    pictures_ : list
        The pictures, or the paths of their files.

    See Also
    --------
    LinearGenerator : The picture to be expected.

    Examples
    --------
    >>> import numpy as np
    >>> from skeegclip.generation import NearestImageGenerator
    >>> pictures = np.arange(3, dtype=np.uint8)[:, None, None, None].repeat(3, axis=3)
    >>> generator = NearestImageGenerator().fit(np.eye(3), pictures)
    >>> generator.generate([[0.1, 0.9, 0.0], [1.0, 0.2, 0.3]])[:, 0, 0, 0].tolist()
    [1, 0]
    """

    def __init__(self, images=None, *, targets=None, size=None):
        self.images = images
        self.targets = targets
        self.size = size

    def fit(self, Z: Any, y: Any) -> NearestImageGenerator:
        """Remember the pictures and their embeddings.

        Parameters
        ----------
        Z : array-like, shape (n, n_dims)
            Embeddings of the training epochs; with `targets` only their width counts.
        y : array-like of str, shape (n,) | sequence of n pictures
            Stimulus ids, looked up in `images`; or the pictures.

        Returns
        -------
        NearestImageGenerator
            The fitted generator.

        Raises
        ------
        TypeError, ValueError
            If an argument or a parameter is not usable.
        KeyError
            If an id has no picture, or no embedding.
        """
        self._check_params()
        Z = check_embeddings(Z)
        ids, code, pictures = training_pictures(Z, y, self.images)
        self.pictures_ = _kept(pictures)
        self.ids_ = np.array(ids)
        if self.targets is not None and self.images is not None:
            check_table("targets", self.targets)
            self.vectors_ = check_embeddings(self.targets.lookup(self.ids_), Z.shape[1])
        else:
            total = np.zeros((len(ids), Z.shape[1]))
            np.add.at(total, code, Z)
            self.vectors_ = (total / np.bincount(code)[:, None]).astype(np.float32)
        self.n_features_in_ = Z.shape[1]
        return self

    def nearest(self, embeddings: Any) -> np.ndarray:
        """Find the nearest training picture of each embedding.

        Parameters
        ----------
        embeddings : array-like, shape (n, n_dims)
            Embeddings.

        Returns
        -------
        ndarray of int, shape (n,)
            Places in `ids_` and `pictures_`.
        """
        check_is_fitted(self)
        Z = check_embeddings(embeddings, self.n_features_in_)
        # In blocks: 66,160 epochs against 16,540 pictures would be 4 GB of cosines.
        blocks = np.array_split(Z, range(1024, len(Z), 1024))
        return np.concatenate([cosine_similarity(block, self.vectors_).argmax(axis=1) for block in blocks])

    def generate(
        self, embeddings: Any, low_level: Any = None, captions: Any = None, random_state: Any = None
    ) -> np.ndarray:
        """Show the nearest training picture of each embedding.

        Parameters
        ----------
        embeddings : array-like, shape (n, n_dims)
            Embeddings.
        low_level, captions, random_state : object
            Not used.

        Returns
        -------
        ndarray of uint8, shape (n, height, width, 3)
            The pictures.

        Raises
        ------
        ValueError
            If pictures differ in size and `size` is None.
        """
        place = self.nearest(embeddings)
        found = {i: self._picture(i) for i in np.unique(place).tolist()}
        shapes = sorted({picture.shape for picture in found.values()})
        if len(shapes) > 1:
            raise ValueError(f"images differ in size ({shapes[:3]}). Pass size= to bring them to one.")
        return np.stack([found[i] for i in place.tolist()])

    def _picture(self, place: int) -> np.ndarray:
        picture = read_picture(self.pictures_[place], "images")
        return to_uint8(picture if self.size is None else square(picture, self.size))

    # -- saving -------------------------------------------------------------------------------------

    _given_on_load = ("images",)

    def _check_params(self) -> None:
        check_number("size", self.size, low=1, high=8192, integer=True, none=True)

    def _fitted(self) -> Fitted:
        return _FITTED

    def _restore(self, weights: dict[str, np.ndarray], device: str) -> None:
        super()._restore(weights, device)
        self.ids_ = np.array(self.ids_)
        if len(np.unique(self.ids_)) != len(self.vectors_):
            raise ValueError(f"{len(np.unique(self.ids_))} ids are of {len(self.vectors_)} vectors")

    @classmethod
    def _from_content(cls, content: Content, loading: Loading) -> Self:
        images = loading.given.get("images")
        check_images(images)
        if images is None:
            raise ValueError(
                f"{loading.folder!r}: the pictures that this generator shows are not in the folder. Pass them: load(folder,"
                " images=ImageTable(...))."
            )
        made = super()._from_content(content, loading)
        made.pictures_ = _kept([picture_of(images, name) for name in made.ids_.tolist()])
        return made


def _kept(pictures: list) -> list:
    """Pictures, or the paths of their files; what is of a larger array is copied."""
    return [owned(p) if isinstance(p, np.ndarray) else p for p in pictures]
