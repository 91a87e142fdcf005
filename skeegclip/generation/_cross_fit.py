"""Out-of-fold EEG embeddings: what a prior and a generator learn from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GroupKFold
from sklearn.utils import Bunch

from .._utils.epoched import is_view
from .._utils.estimators import project
from .._utils.ids import as_ids
from .._utils.inputs import as_subject, read_epochs
from .._utils.params import check_number, check_option
from .._utils.progress import tqdm
from .._utils.seeding import draw_seed
from ..decoders.retrieval import ImageRetriever
from ..preprocessing import average_repetitions


def out_of_fold_embeddings(
    encoder: Any,
    X: Any,
    y: Any,
    *,
    subject: Any = None,
    targets: Any = None,
    n_folds: int = 5,
    repetitions: str = "both",
    random_state: Any = None,
    verbose: int = 0,
    like: Any = None,
) -> Bunch:
    """Embed each stimulus with an encoder that has not seen it.

    An encoder's embeddings of its own training epochs are far better than those it gives later (overfitting), so what
    is trained on them learns to trust them too much. As in stacking, the stimuli are dealt into folds, and those of a
    fold are embedded by a clone fitted on the others.

    Parameters
    ----------
    encoder : estimator | FrozenEstimator | "passthrough"
        As in a composite (:class:`~skeegclip.ImageRetriever`). One that is not fitted here is only used.
    X : array-like, shape (n_epochs, n_chans, n_times) | Epochs | EpochsView
        Epochs.
    y : array-like of str, shape (n_epochs,)
        Stimulus ids.
    subject : array-like of str, shape (n_epochs,) | None
        Subject of each epoch, where X does not carry it.
    targets : EmbeddingTable | None
        Vectors of the stimuli, where the encoder has none of its own.
    n_folds : int
        Number of folds, at least 2.
    repetitions : {"single", "average", "both"}
        Embed single epochs, the average over each stimulus's repetitions (per subject), or both. Test epochs are
        averages of many repetitions: "average" comes nearest to them.
    random_state : int | RandomState | Generator | None
        Seed of the folds.
    verbose : int
        1 shows a progress bar.
    like : estimator | None
        The encoder fitted to all, where encoders have a space of their own (``EEGEncoder(projector=...)``): each fold has
        another one, and its embeddings are brought into this one's, by the linear map that brings its targets there.

    Returns
    -------
    Bunch
        ``Z`` ndarray of float32, shape (n_rows, n_dims); ``y`` ndarray of str, shape (n_rows,), stimulus of each row;
        ``is_average`` ndarray of bool, shape (n_rows,).
    """
    check_number("n_folds", n_folds, low=2, integer=True)
    check_option("repetitions", repetitions, ["single", "average", "both"])
    ids = as_ids(y, name="y")
    X = _indexable(X)
    if subject is not None:
        subject = as_subject(subject, len(ids))
    parts: list[tuple[np.ndarray, np.ndarray, bool]] = []

    def embed_with(embedder: ImageRetriever, rows: np.ndarray) -> None:
        move = _into_space(embedder, like, ids)
        some, names = take(X, rows), ids[rows]
        who = None if subject is None else subject[rows]
        if repetitions != "average":
            parts.append((move(embedder.embed(some, subject=who)), names, False))
        if repetitions != "single" and len(np.unique(names)) < len(names):
            mean, names, who = average_repetitions(some, names, subject=who)
            parts.append((move(embedder.embed(mean, subject=None if is_view(mean) else who)), names, True))
        elif repetitions == "average":
            parts.append((move(embedder.embed(some, subject=who)), names, True))

    embedder = ImageRetriever(encoder, targets=targets)
    if isinstance(encoder, (str, FrozenEstimator)):
        embed_with(embedder.fit(X, ids, subject=subject), np.arange(len(ids)))
    else:
        splitter = GroupKFold(n_folds, shuffle=True, random_state=draw_seed(random_state))
        _check_n_folds(n_folds, ids)
        folds = list(splitter.split(ids, groups=ids))
        for train, held in tqdm(folds, desc="folds", unit="fold") if verbose else folds:
            who = None if subject is None else subject[train]
            embed_with(clone(embedder).fit(take(X, train), ids[train], subject=who), held)
    Z, names, averages = zip(*parts, strict=True)
    return Bunch(
        Z=np.concatenate(Z).astype(np.float32),
        y=np.concatenate(names),
        is_average=np.repeat(averages, [len(z) for z in Z]),
    )


def _into_space(embedder: ImageRetriever, like: Any, ids: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """What brings the embeddings of a fold's encoder into the space of another one."""
    if like is None or embedder.targets_ is None:
        return lambda z: z
    vectors = embedder.targets_.lookup(np.unique(ids))
    own, wanted = embedder.project(vectors), project(like, vectors)
    if own is vectors and wanted is vectors:
        return lambda z: z
    moved = np.linalg.lstsq(own, wanted, rcond=1e-3)[0]
    return lambda z: z @ moved


def take(X: Any, rows: np.ndarray) -> Any:
    """Some rows of X, as what it was."""
    return [X[row] for row in rows] if isinstance(X, list) else X[rows]


def _indexable(X: Any) -> Any:
    """X as something whose rows can be taken: views, Epochs and lists stay; the rest becomes an array."""
    if is_view(X) or hasattr(X, "get_data") or isinstance(X, (np.ndarray, list)):
        return X
    return np.asarray(read_epochs(X).X)


def _check_n_folds(n_folds: int, ids: np.ndarray) -> None:
    n_stimuli = len(np.unique(ids))
    if n_stimuli < 2 * n_folds:
        raise ValueError(
            f"n_folds={n_folds} needs at least {2 * n_folds} stimuli (two a fold), got {n_stimuli}."
            " Pass fewer folds, or a fitted encoder in FrozenEstimator."
        )
