"""Averaging of the repetitions of a stimulus."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._utils.inputs import as_subject, is_view, read_epochs
from .._utils.params import check_number
from .._utils.seeding import draw_seed


def average_repetitions(
    X: Any, y: Any, subject: Any = None, n: int | None = None, random_state: Any = None
) -> tuple[Any, np.ndarray, np.ndarray | None]:
    """Average the epochs that show one stimulus to one subject.

    Averaging changes the number of epochs, so it is a function to call before fitting or scoring, not a step of a
    Pipeline.

    Parameters
    ----------
    X : array-like, shape (n_epochs, ...) | EpochsView | Epochs
        Epochs.
    y : array-like, shape (n_epochs,)
        Stimulus of each epoch.
    subject : array-like of str, shape (n_epochs,) | str | None
        Subject of each epoch, where X does not carry it. Without any, all epochs count as one subject's.
    n : int | None
        Average only `n` repetitions of each stimulus, drawn without replacement. None averages all.
    random_state : int | RandomState | Generator | None
        Seed of the draw; used only with `n`.

    Returns
    -------
    X : ndarray, shape (n_groups, ...) | EpochsView | EpochsArray
        Means, one for each pair of subject and stimulus, in the order in which the pairs first appear. Floating types
        are kept, others become float64. A view stays a view and Epochs stay Epochs, with the columns (metadata) of
        each pair's first epoch.
    y : ndarray, shape (n_groups,)
        Stimulus of each mean.
    subject : ndarray of str, shape (n_groups,) | None
        Subject of each mean; None where none is known.

    Raises
    ------
    TypeError
        If X is not an array, or `n` not an int.
    ValueError
        If lengths disagree, or a stimulus has fewer than `n` repetitions.

    Examples
    --------
    >>> import numpy as np
    >>> from skeegclip.preprocessing import average_repetitions
    >>> X = np.array([[1.0], [5.0], [3.0], [7.0]])
    >>> X_mean, y_mean, _ = average_repetitions(X, ["cat", "dog", "cat", "dog"])
    >>> X_mean.ravel(), y_mean
    (array([2., 6.]), array(['cat', 'dog'], dtype='<U3'))
    """
    y = np.asarray(y)
    is_epochs = hasattr(X, "metadata") and hasattr(X, "get_data")
    if is_view(X) or is_epochs:
        subject = read_epochs(X, subject).subject
    values = X if is_view(X) else X.get_data(verbose=False) if is_epochs else _as_array(X)
    if y.shape != values.shape[:1]:
        raise ValueError(
            f"y must hold one stimulus per epoch, shape {values.shape[:1]}, got {y.shape}. Pass the ids of these epochs."
        )
    check_number("n", n, low=1, integer=True, none=True)
    if subject is not None:
        subject = as_subject(subject, len(y))
    groups = _groups(y, subject)
    if n is not None:
        groups = _drawn(groups, n, y, np.random.default_rng(draw_seed(random_state)))
    dtype = values.dtype if np.issubdtype(values.dtype, np.floating) else np.float64
    means = np.empty((len(groups), *values.shape[1:]), dtype=dtype)
    for mean, rows in zip(means, groups, strict=True):
        # A group at a time: a view may be larger than memory.
        np.mean(np.asarray(values[rows]), axis=0, out=mean)
    firsts = [rows[0] for rows in groups]
    y, subject = y[firsts], None if subject is None else subject[firsts]
    if is_view(X):
        return X.with_data(means, firsts), y, subject
    return (_as_epochs(means, X, firsts) if is_epochs else means), y, subject


def _as_epochs(means: np.ndarray, epochs: Any, firsts: list[int]) -> Any:
    import mne

    metadata = None if epochs.metadata is None else epochs.metadata.iloc[firsts].reset_index(drop=True)
    return mne.EpochsArray(means, epochs.info, tmin=epochs.tmin, metadata=metadata, verbose=False)


def _as_array(X: Any) -> np.ndarray:
    array = np.asarray(X)
    if array.dtype.kind not in "fiub" or array.ndim < 2:
        raise TypeError(
            f"X must be a numeric array (n_epochs, ...), got {type(X).__name__} that reads as {array.dtype} of shape"
            f" {array.shape}. Pass an array of epochs, such as epochs.get_data(units='uV')."
        )
    return array


def _groups(y: np.ndarray, subject: np.ndarray | None) -> list[np.ndarray]:
    """Return the rows of each pair of subject and stimulus, in order of first appearance."""
    _, codes = np.unique(y, return_inverse=True)
    if subject is not None:
        _, of_subject = np.unique(subject, return_inverse=True)
        codes = codes + of_subject * (codes.max(initial=0) + 1)
    _, first, codes, counts = np.unique(codes, return_index=True, return_inverse=True, return_counts=True)
    rows = np.split(np.argsort(codes, kind="stable"), np.cumsum(counts)[:-1])
    return [rows[group] for group in np.argsort(first)]


def _drawn(groups: list[np.ndarray], n: int, y: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    short = [rows for rows in groups if len(rows) < n]
    if short:
        raise ValueError(
            f"n={n}, but {len(short)} of {len(groups)} stimuli have fewer repetitions"
            f" (first: {y[short[0][0]]!s} has {len(short[0])}). Choose a smaller n, or leave those stimuli out."
        )
    return [np.sort(rng.choice(rows, n, replace=False)) for rows in groups]
