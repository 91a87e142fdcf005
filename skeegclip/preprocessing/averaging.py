"""Averaging of the repetitions of a stimulus."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import assert_all_finite

from .._utils.epoched import is_view
from .._utils.groups import draw_rows, group_rows
from .._utils.inputs import as_mne_list, as_subject, read_epochs
from .._utils.missing import refuse_missing
from .._utils.mne_objects import joined, with_data
from .._utils.params import check_number


def average_repetitions(
    X: Any,
    y: Any,
    subject: Any = None,
    n: int | None = None,
    random_state: Any = None,
    *,
    n_draws: int = 1,
) -> tuple[Any, np.ndarray, np.ndarray | None]:
    """Average the epochs that show one stimulus to one subject.

    Averaging changes the number of epochs, so it is a function to call before fitting or scoring, not a step of a
    Pipeline.

    Parameters
    ----------
    X : array-like, shape (n_epochs, ...) | EpochsView | Epochs | list of Epochs
        Epochs.
    y : array-like, shape (n_epochs,)
        Stimulus of each epoch.
    subject : array-like of str, shape (n_epochs,) | str | None
        Subject of each epoch, where X does not carry it. Without any, all epochs count as one subject's.
    n : int | None
        Average only `n` repetitions of each stimulus, drawn without replacement. None averages all.
    random_state : int | RandomState | Generator | None
        Seed of the draw; used only with `n`.
    n_draws : int
        Averages of `n` repetitions made of each pair of subject and stimulus, all different.

    Returns
    -------
    X : ndarray, shape (n_groups * n_draws, ...) | EpochsView | Epochs
        Means, `n_draws` for each pair of subject and stimulus, in the order in which the pairs first appear. Floating types
        are kept, others become float64. A view stays a view, whose means are made as they are read, and Epochs stay
        Epochs, with the event and the columns (metadata) of each pair's first epoch; a list of Epochs becomes one.
    y : ndarray, shape (n_groups * n_draws,)
        Stimulus of each mean.
    subject : ndarray of str, shape (n_groups * n_draws,) | None
        Subject of each mean; None where none is known.

    Raises
    ------
    TypeError
        If X is not an array, or `n` not an int.
    ValueError
        If lengths disagree, X holds NaN or inf (of a view it is found when it is read), or a stimulus has fewer than `n` repetitions, or too few for `n_draws` different averages.

    Examples
    --------
    >>> import numpy as np
    >>> from skeegclip.preprocessing import average_repetitions
    >>> X = np.array([[1.0], [5.0], [3.0], [7.0]])
    >>> X_mean, y_mean, _ = average_repetitions(X, ["cat", "dog", "cat", "dog"])
    >>> X_mean.ravel(), y_mean
    (array([2., 6.]), array(['cat', 'dog'], dtype='<U3'))
    """
    refuse_missing(y, name="y")
    y = np.asarray(y)
    parts = as_mne_list(X)
    is_epochs = parts is not None
    if parts is not None:
        X = joined(parts)
    read = read_epochs(X, subject)
    subject = read.subject
    values = X if is_view(X) else X.get_data(verbose=False) if is_epochs else _as_array(read.X)
    if y.shape != values.shape[:1]:
        raise ValueError(
            f"y must hold one stimulus per epoch, shape {values.shape[:1]}, got {y.shape}. Pass the ids of these epochs."
        )
    if len(y) == 0:
        raise ValueError("X holds no epoch, so there is nothing to average.")
    if subject is not None:
        subject = as_subject(subject, len(y))
    groups = group_rows([y] if subject is None else [y, subject])
    check_number("n_draws", n_draws, low=1, integer=True)
    firsts = [rows[0] for rows in groups for _ in range(n_draws)]
    y_mean, subject_mean = y[firsts], None if subject is None else subject[firsts]
    if is_view(X):
        return X._averaged(groups, n, n_draws, random_state, y), y_mean, subject_mean
    # A mean would hide which of its epochs it was.
    assert_all_finite(values, input_name="X")
    groups = draw_rows(groups, n, n_draws, random_state, labels=y)
    dtype = values.dtype if np.issubdtype(values.dtype, np.floating) else np.float64
    means = np.empty((len(groups), *values.shape[1:]), dtype=dtype)
    for mean, rows in zip(means, groups, strict=True):
        np.mean(values[rows], axis=0, out=mean)
    return (with_data(X, means, firsts) if is_epochs else means), y_mean, subject_mean


def _as_array(X: Any) -> np.ndarray:
    array = np.asarray(X)
    if array.dtype.kind not in "fiub" or array.ndim < 2:
        raise TypeError(
            f"X must be a numeric array (n_epochs, ...), got {type(X).__name__} that reads as {array.dtype} of shape"
            f" {array.shape}. Pass an array of epochs, such as epochs.get_data(units='uV')."
        )
    return array
