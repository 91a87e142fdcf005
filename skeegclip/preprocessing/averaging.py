"""Averaging of the repetitions of a stimulus."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._utils.inputs import as_subject
from .._utils.params import check_number
from .._utils.seeding import draw_seed


def average_repetitions(
    X: Any, y: Any, subject: Any = None, n: int | None = None, random_state: Any = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Average the epochs that show one stimulus to one subject.

    Averaging changes the number of epochs, so it is a function to call before fitting or scoring, not a step of a
    Pipeline.

    Parameters
    ----------
    X : array-like, shape (n_epochs, ...)
        Epochs.
    y : array-like, shape (n_epochs,)
        Stimulus of each epoch.
    subject : array-like of str, shape (n_epochs,) | str | None
        Subject of each epoch. None treats all epochs as one subject's.
    n : int | None
        Average only `n` repetitions of each stimulus, drawn without replacement. None averages all.
    random_state : int | RandomState | Generator | None
        Seed of the draw; used only with `n`.

    Returns
    -------
    X : ndarray, shape (n_groups, ...)
        Means, one for each pair of subject and stimulus, in the order in which the pairs first appear. Floating types
        are kept, others become float64.
    y : ndarray, shape (n_groups,)
        Stimulus of each mean.
    subject : ndarray of str, shape (n_groups,) | None
        Subject of each mean; None if `subject` is.

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
    X, y = _as_array(X), np.asarray(y)
    if y.shape != X.shape[:1]:
        raise ValueError(
            f"y must hold one stimulus per epoch, shape {X.shape[:1]}, got {y.shape}. Pass the ids of these epochs."
        )
    check_number("n", n, low=1, integer=True, none=True)
    if subject is not None:
        subject = as_subject(subject, len(y))
    groups = _groups(y, subject)
    if n is not None:
        groups = _drawn(groups, n, y, np.random.default_rng(draw_seed(random_state)))
    dtype = X.dtype if np.issubdtype(X.dtype, np.floating) else np.float64
    means = np.empty((len(groups), *X.shape[1:]), dtype=dtype)
    for mean, rows in zip(means, groups, strict=True):
        np.mean(X[rows], axis=0, out=mean)
    firsts = [rows[0] for rows in groups]
    return means, y[firsts], None if subject is None else subject[firsts]


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
