"""The one door for X: every estimator reads its epochs here."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from .inputs import Epoched, is_view, read_epochs

# Scalp EEG in microvolts has a spread of 1 to 100, in volts of 1e-6 to 1e-4; MEG in tesla lies lower still.
_VOLTS_BELOW = 1e-3


def check_epochs(estimator: Any, X: Any, *, subject: Any = None, reset: bool) -> Epoched:
    """Read and validate X for `estimator`, as scikit-learn's ``validate_data`` does for matrices.

    Parameters
    ----------
    estimator : BaseEstimator
        Gets ``n_features_in_``, ``n_chans_``, ``n_times_in_`` and ``ch_names_`` where `reset`; else X is compared
        with them.
    X : ndarray | tensor | mne.Epochs | list of mne.Epochs | EpochsView | BaseConcatDataset
        Epochs, shape (n_epochs, n_chans, n_times), or 2-D, read as (n_epochs, n_chans, 1).
    subject : array-like of str, shape (n_epochs,) | None
        Subject of each row.
    reset : bool
        True in ``fit``.

    Returns
    -------
    Epoched
        X is a float32 array (C order) or an EpochsView, three-dimensional.

    Raises
    ------
    TypeError, ValueError
        If X is not usable; one sentence names what was got and what to do.
    """
    from sklearn.utils.validation import validate_data

    read = read_epochs(X, subject)
    if is_view(read.X):
        # Validating a view whole would read it from disk: its values are checked per batch.
        if len(read.X) == 0:
            raise ValueError("Found array with 0 sample(s) in X while a minimum of 1 is required.")
        array = validate_data(estimator, read.X, reset=reset, skip_check_array=True)
    else:
        _refuse_shape(read.X)
        array = validate_data(
            estimator,
            read.X,
            reset=reset,
            dtype=np.float32,
            order="C",
            allow_nd=True,
            ensure_all_finite=False,
        )
        if array.ndim == 2:
            array = array[:, :, None]
        check_finite(array, ch_names=read.ch_names)
    n_chans, n_times = array.shape[1:]
    if n_chans == 0 or n_times == 0:
        raise ValueError(f"X must have at least one channel and one time, got shape {tuple(array.shape)}.")
    if reset:
        estimator.n_chans_, estimator.n_times_in_, estimator.ch_names_ = n_chans, n_times, read.ch_names
        warn_volts(array[: min(len(array), 64)], type(estimator).__name__, stacklevel=4)
    else:
        _compare(estimator, n_times, read.ch_names)
    return replace(read, X=array)


def check_same_length(n_rows: int, n_y: int, *, name: str = "X") -> None:
    """Refuse a y of another length than the rows of `name`, in scikit-learn's words."""
    if n_y != n_rows:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: {name} has {n_rows}, y has {n_y}."
        )


@contextlib.contextmanager
def unchanged_on_error(estimator: Any) -> Iterator[None]:
    """After an error or Ctrl-C inside the block, `estimator` is as it was before."""
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


def check_finite(X: np.ndarray, *, ch_names: Any = None, rows: Any = None) -> None:
    """Refuse NaN and inf, naming the first epoch (by its number in `rows`, where X is a part) and channel."""
    # The cheap first look: the sum of squares of finite values can overflow, but never hides a NaN or inf. As a dot
    # product it takes a tenth of the time of a sum in double precision.
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(np.vdot(X, X) if X.dtype == np.float32 else X.sum(dtype=np.float64)):
            return
    bad = ~np.isfinite(X)
    if not bad.any():
        return
    epoch, channel, time = (int(i) for i in np.argwhere(bad)[0])
    row = epoch if rows is None else rows[epoch]
    what = "NaN" if np.isnan(X[epoch, channel, time]) else f"inf (infinity, or too large for {X.dtype})"
    name = f" ({ch_names[channel]})" if ch_names is not None else ""
    raise ValueError(
        f"Input X contains {what}: first in epoch {row}, channel {channel}{name}, time {time};"
        f" {int(bad.any(axis=(1, 2)).sum())} of {len(X)} epochs are affected. Drop or repair them first."
    )


def _refuse_shape(X: Any) -> None:
    """Refuse what scikit-learn's own checks would let pass or misname."""
    shape = getattr(X, "shape", None)
    if shape is None and isinstance(X, (list, tuple)):
        try:
            shape = np.shape(X)
        except ValueError:
            raise ValueError(
                "X: the epochs of this list differ in shape. Give every epoch the same channels and times."
            ) from None
    if shape is not None and len(shape) > 3:
        raise ValueError(
            "X must have shape (n_epochs, n_chans, n_times), or (n_epochs, n_chans),"
            f" got {len(shape)} dimensions {tuple(shape)}. Merge repetitions and epochs into one axis first."
        )
    dtype = getattr(X, "dtype", None)
    if dtype is not None and dtype == np.dtype(object) and shape is not None and len(shape) != 2:
        raise TypeError(
            f"X must be numeric, got an object array of shape {tuple(shape)}."
            " Stack the epochs into one float array with np.stack."
        )


def _compare(estimator: Any, n_times: int, ch_names: tuple | None) -> None:
    if n_times != estimator.n_times_in_:
        raise ValueError(
            f"X has {n_times} times, but {type(estimator).__name__} was fitted on {estimator.n_times_in_}."
            " Crop or resample the epochs as in fit."
        )
    fitted = estimator.ch_names_
    if fitted is not None and ch_names is not None and fitted != ch_names:
        row = next(i for i, (a, b) in enumerate(zip(fitted, ch_names, strict=True)) if a != b)
        raise ValueError(
            f"X has channel {ch_names[row]!r} in place {row}, but {type(estimator).__name__} was fitted with"
            f" {fitted[row]!r} there. Reorder with epochs.reorder_channels() to the order of fit."
        )


def warn_volts(sample: Any, owner: str, stacklevel: int) -> None:
    """Warn of epochs whose spread is far below that of microvolts."""
    spread = float(np.std(np.asarray(sample), dtype=np.float64))
    if 0 < spread < _VOLTS_BELOW:
        warnings.warn(
            f"X has a standard deviation of {spread:.1e}, which looks like volts (or tesla); {owner}"
            " expects microvolts. Multiply by 1e6, or pass mne.Epochs, which are converted.",
            UserWarning,
            stacklevel=stacklevel,
        )
