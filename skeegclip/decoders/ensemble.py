"""EnsembleEncoder: several encoders that embed together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.preprocessing import normalize
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import _BaseComposition
from sklearn.utils.validation import check_is_fitted

from .._utils.cloning import clone_to_fit
from .._utils.estimators import find_table
from .._utils.params import check_number, refuse_class, warn_idle
from .._utils.saving import Savable
from .._utils.seeding import draw_seed, set_seeds
from .._utils.validation import unchanged_on_error
from ..embeddings import EmbeddingTable, join_tables
from .retrieval import ImageRetriever


class EnsembleEncoder(Savable, _BaseComposition):
    r"""Encoders of different seeds, networks or targets, whose similarities to an image are averaged.

    Where all members embed into the space of one table, the ensemble's embedding is the mean of theirs, each scaled
    to unit length. Where they do not (tables of different layers, or a learned projector each), it is their unit
    embeddings side by side: the cosine of such vectors is the mean of the members' cosines. Then the vectors of
    a gallery are those of :func:`~skeegclip.embeddings.join_tables`, and :meth:`project` brings them beside the
    embeddings, which :class:`ImageRetriever` and :class:`ZeroShotClassifier` do by themselves.

    Parameters
    ----------
    encoders : list of (str, estimator)
        The members with their names: :class:`EEGEncoder` or any regressor that predicts embeddings.
    targets : EmbeddingTable | None
        Vectors of the stimuli for all members. None takes each member's own.
    n_seeds : int
        How often each member is trained, with another seed each time. A member without a `random_state` is trained
        once.
    n_jobs : int | None
        Members trained at the same time, as in joblib.
    random_state : int | RandomState | Generator | None
        From it every `random_state` of the members is drawn. None leaves them as they are, unless `n_seeds` asks for
        several.

    Attributes
    ----------
    members_ : list of ImageRetriever
        The fitted encoders, each in a retriever that knows its targets.
    joined_ : bool
        Whether the embeddings are side by side (True) or averaged.
    n_features_in_ : int
        Channels seen in fit.

    See Also
    --------
    skeegclip.recipes.strong : A recipe with an ensemble.

    Notes
    -----
    What :meth:`save` writes are the members: one that is read again has them, frozen, as its `encoders`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from skeegclip import EmbeddingTable, EnsembleEncoder, ImageRetriever
    >>> rng = np.random.default_rng(0)
    >>> table = EmbeddingTable([f"image_{i}" for i in range(40)], rng.normal(size=(40, 6)))
    >>> X = (table.vectors @ rng.normal(size=(6, 30))).reshape(40, 3, 10)
    >>> ensemble = EnsembleEncoder([("weak", Ridge(1)), ("strong", Ridge(100))], targets=table)
    >>> ImageRetriever(ensemble).fit(X, table.ids).score(X, table.ids)
    1.0
    """

    __metadata_request__fit = {"subject": True}
    __metadata_request__predict = {"subject": True}

    _not_saved = (*Savable._not_saved, "encoders", "n_seeds", "random_state")
    _saved_state: ClassVar[dict[str, Any]] = {
        "members_": list,
        "joined_": bool,
        "_names": list,
        "_widths": list,
        "_place": list,
        "n_features_in_": int,
        "feature_names_in_": np.ndarray,
    }
    _may_be_absent = ("n_features_in_", "feature_names_in_")

    def __init__(self, encoders, *, targets=None, n_seeds=1, n_jobs=None, random_state=None):
        self.encoders = encoders
        self.targets = targets
        self.n_seeds = n_seeds
        self.n_jobs = n_jobs
        self.random_state = random_state

    def get_params(self, deep: bool = True) -> dict:
        """Return the parameters, with those of the members under their names.

        Parameters
        ----------
        deep : bool
            Whether to list the members and their parameters.

        Returns
        -------
        dict
            Parameter names and values.
        """
        return self._get_params("encoders", deep=deep)

    def set_params(self, **params: Any) -> EnsembleEncoder:
        """Set parameters, also those of the members.

        Parameters
        ----------
        **params : object
            Names as in `get_params`.

        Returns
        -------
        EnsembleEncoder
            This estimator.
        """
        self._set_params("encoders", **params)
        return self

    def fit(self, X: Any, y: Any, subject: Any = None) -> EnsembleEncoder:
        """Fit the members.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times) | Epochs | EpochsView
            Epochs; flattened for members that take matrices.
        y : array-like of str, shape (n_epochs,)
            Stimulus ids; any class labels where there are no targets.
        subject : array-like of str, shape (n_epochs,) | None
            Subject of each epoch, where X does not carry it.

        Returns
        -------
        EnsembleEncoder
            The fitted ensemble.

        Raises
        ------
        ValueError, TypeError
            If X, y or a parameter is not usable, or two members have one name.
        """
        with unchanged_on_error(self):
            self._fit_members(X, y, subject)
        return self

    def _fit_members(self, X: Any, y: Any, subject: Any) -> None:
        check_number("n_seeds", self.n_seeds, low=1, integer=True)
        if not self.encoders:
            raise ValueError("encoders must hold at least one pair (name, encoder), got none.")
        for pair in self.encoders:
            if not isinstance(pair, (tuple, list)) or len(pair) != 2:
                raise TypeError(
                    f"encoders must be pairs (name, encoder), got {type(pair).__name__} among them."
                )
            name, encoder = pair
            if not isinstance(name, str):
                raise TypeError(f"encoders: names must be text, got {name!r} of type {type(name).__name__}.")
            refuse_class(f"encoders: {name!r}", encoder)
        self._validate_names([name for name, _ in self.encoders])
        tables = self._tables()
        self._widths = [table.n_dims for table in tables]
        self._place = []  # for each member, its table's place among them
        members, names = [], []
        for name, copy in self._copies():
            names.append(name)
            members.append(ImageRetriever(copy, targets=self.targets))
            self._place.append(tables.index(find_table(copy)) if len(tables) > 1 else 0)
        if self.n_seeds > 1 and len(members) == len(self.encoders):
            warn_idle(
                "n_seeds",
                self.n_seeds,
                "no member has a random_state, and each is trained once",
                stacklevel=4,
            )
        self.members_ = Parallel(n_jobs=self.n_jobs)(
            delayed(_fit)(member, X, y, subject) for member in members
        )
        self._names = [f"{name}_{n}" if names.count(name) > 1 else name for n, name in enumerate(names)]
        self.joined_ = len(tables) > 1 or any(_has_projector(member) for member in self.members_)
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self.members_[0], name):
                setattr(self, name, getattr(self.members_[0], name))

    def _copies(self) -> Iterator[tuple[str, Any]]:
        """Names and clones of the encoders, each as often as it is trained, with its seeds."""
        rng = np.random.default_rng(draw_seed(self.random_state))
        for name, encoder in self.encoders:
            for _ in range(self.n_seeds):
                # Callbacks are the user's own in the one fit there is, and copies in several.
                copy = clone_to_fit(encoder) if self.n_seeds == 1 else clone(encoder)
                own = self.random_state is None and self.n_seeds == 1
                seeded = own or set_seeds(copy, rng)
                yield name, copy
                if not seeded:  # every training would be the same
                    break

    def _tables(self) -> list[EmbeddingTable]:
        """The different tables of the members; none where a member has none."""
        tables = [self.targets] if self.targets is not None else [find_table(e) for _, e in self.encoders]
        distinct: list[EmbeddingTable] = []
        for table in tables:
            if table is None:
                return []
            if table not in distinct:
                distinct.append(table)
        return distinct

    def _find_table(self) -> EmbeddingTable | None:
        tables = self._tables()
        return join_tables(tables) if len(tables) > 1 else tables[0] if tables else None

    def predict(self, X: Any, subject: Any = None) -> np.ndarray:
        """Embed epochs.

        Parameters
        ----------
        X : array-like, shape (n_epochs, n_chans, n_times) | Epochs | EpochsView
            Epochs as in fit.
        subject : array-like of str, shape (n_epochs,) | None
            Subject of each epoch, where X does not carry it.

        Returns
        -------
        ndarray, shape (n_epochs, n_outputs)
            The mean of the members' unit embeddings, or all of them side by side.
        """
        check_is_fitted(self, "members_")
        return self._together([member.embed(X, subject=subject) for member in self.members_])

    def project(self, vectors: Any) -> np.ndarray:
        """Bring vectors of stimuli into the space of the embeddings.

        Parameters
        ----------
        vectors : array-like, shape (n, n_dims)
            Vectors in the space of the targets; of the joined tables, where members have different ones.

        Returns
        -------
        ndarray, shape (n, n_outputs)
            As they are, or the members' views of them side by side.

        Raises
        ------
        ValueError
            If the vectors are not as wide as the targets.
        """
        check_is_fitted(self, "members_")
        vectors = np.asarray(vectors)
        if not self.joined_:
            return vectors
        if self._widths and (vectors.ndim != 2 or vectors.shape[1] != sum(self._widths)):
            raise ValueError(
                f"vectors must have shape (n, {sum(self._widths)}), the width of the targets, got {vectors.shape}."
                " Where members have different tables, take the vectors from join_tables."
            )
        parts = np.split(vectors, np.cumsum(self._widths)[:-1], axis=1) if self._widths else [vectors]
        return self._together(
            [member.project(parts[place]) for member, place in zip(self.members_, self._place, strict=True)]
        )

    def _together(self, parts: list[np.ndarray]) -> np.ndarray:
        unit = [normalize(part) for part in parts]
        return np.hstack(unit) / np.sqrt(len(unit)) if self.joined_ else np.mean(unit, axis=0)

    @classmethod
    def _made(cls, params: dict[str, Any], state: dict[str, Any]) -> Any:
        members, names = state["members_"], state["_names"]
        if not members or not all(isinstance(member, ImageRetriever) for member in members):
            raise ValueError("its members are no retrievers")
        if not all(0 <= place < max(1, len(state["_widths"])) for place in state["_place"]):
            raise ValueError("its members have no tables")
        encoders = [(name, member.encoder) for name, member in zip(names, members, strict=True)]
        return super()._made({**params, "encoders": encoders}, state)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.three_d_array = True
        tags.input_tags.sparse = all(get_tags(encoder).input_tags.sparse for _, encoder in self.encoders)
        return tags


def _fit(member: ImageRetriever, X: Any, y: Any, subject: Any) -> ImageRetriever:
    return member.fit(X, y, subject=subject)


def _has_projector(member: ImageRetriever) -> bool:
    assert member.targets_ is not None
    probe = np.zeros((1, member.targets_.n_dims), dtype=np.float32)
    return member.project(probe) is not probe  # without one, vectors come back as they are
