"""The one door for X: every estimator reads its epochs here."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from .absent import absent, filled, refuse_mixed
from .channels import log_left_out
from .epoched import Epoched, is_view
from .inputs import as_mne_list, read_epochs
from .size import check_size, size_of, warn_size
from .spelling import warn_alike_within
from .stated import Stated, check_alike


def check_epochs(
    estimator: Any, X: Any, *, subject: Any = None, reset: bool, is_lazy: bool = False, any_cap: bool = False
) -> Epoched:
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
    is_lazy : bool
        Whether a view is passed on unread: then its numbers are not looked at here, but where they are read.
    any_cap : bool
        Whether X may be of several caps, and after ``fit`` of another one.

    Returns
    -------
    Epoched
        X is a float32 array (C order) or an EpochsView, three-dimensional; what it states is measured.

    Raises
    ------
    TypeError, ValueError
        If X is not usable; one sentence names what was got and what to do.
    """
    from sklearn.utils.validation import check_array, validate_data

    read = read_epochs(X, subject)
    if not any_cap:
        refuse_mixed(read.stated, type(estimator).__name__)
    same_chans = reset or not any_cap
    if is_view(read.X):
        # Validating a view whole would read it from disk: its values are checked per batch.
        if len(read.X) == 0:
            raise ValueError("Found array with 0 sample(s) in X while a minimum of 1 is required.")
        array = read.X
        if same_chans:
            array = validate_data(estimator, array, reset=reset, skip_check_array=True)
    else:
        _refuse_shape(read.X)
        if not reset:
            _refuse_one_epoch(estimator, read.X)
        how: dict[str, Any] = {
            "dtype": np.float32,
            "order": "C",
            "allow_nd": True,
            "ensure_all_finite": False,
        }
        if same_chans:
            array = validate_data(estimator, read.X, reset=reset, **how)
        else:
            array = check_array(read.X, estimator=estimator, input_name="X", **how)
        if array.ndim == 2:
            array = array[:, :, None]
        check_finite(array, ch_names=read.ch_names)
    n_chans, n_times = array.shape[1:]
    if n_chans == 0 or n_times == 0:
        raise ValueError(f"X must have at least one channel and one time, got shape {tuple(array.shape)}.")
    if reset:
        estimator.n_chans_, estimator.n_times_in_, estimator.ch_names_ = n_chans, n_times, read.ch_names
    elif n_times != estimator.n_times_in_:
        raise ValueError(
            f"X has {n_times} times, but {type(estimator).__name__} was fitted on {estimator.n_times_in_}."
            " Crop or resample the epochs as in fit."
        )
    read = replace(read, X=array)
    measured = not (is_lazy and is_view(array))
    stated = check_stated(estimator, read, reset=reset, is_measured=measured, any_cap=any_cap, stacklevel=5)
    return replace(read, stated=stated)


def check_stated(
    estimator: Any,
    read: Epoched,
    *,
    reset: bool,
    is_measured: bool = True,
    any_unit: bool = False,
    any_cap: bool = False,
    stacklevel: int = 3,
) -> Stated:
    """Remember in ``fit`` what X says of itself and how large its numbers are; afterwards refuse what contradicts it.

    Parameters
    ----------
    estimator : object
        Gets ``_stated`` where `reset`, unless it has that as a property; else X is compared with it.
    read : Epoched
        X, as an array or a view of three dimensions.
    reset : bool
        True in ``fit``.
    is_measured : bool
        Whether to look at the numbers.
    any_unit : bool
        Whether it makes no difference in which unit they are, as long as it stays the same.
    any_cap : bool
        Whether the channels may be others than in ``fit``.
    stacklevel : int
        Whose the warnings are.

    Returns
    -------
    Stated
        What X says, and how large its numbers are.
    """
    name = type(estimator).__name__
    stated = replace(read.stated, size=size_of(read.X, in_fit=reset)) if is_measured else read.stated
    known: Stated = getattr(estimator, "_stated", None) or Stated(
        ch_names=getattr(estimator, "ch_names_", None)
    )
    if reset:
        known = Stated()
        # Not where it lies in the one value that the rest of the fit gives.
        if not isinstance(getattr(type(estimator), "_stated", None), property):
            estimator._stated = stated
        if read.subject is not None:
            warn_alike_within(read.subject.tolist(), stacklevel=stacklevel)
        log_left_out(read.left_out)
        if not any_unit:
            warn_size(read, stated, name, stacklevel=stacklevel)
    else:
        if any_cap:
            known = replace(known, ch_names=None, ch_types=None)
        check_alike(stated, known, f"{name} was fitted with")
        check_size(stated.size, known.size, f"{name} was fitted with", is_converted=read.is_converted)
    if bads := [channel for channel in stated.bads if channel not in known.bads]:
        warnings.warn(
            f"X: {len(bads)} channels are marked as bad ({', '.join(bads[:5])}) and are read like all others, so that"
            " recordings keep the same channels. Repair them with epochs.interpolate_bads(), or drop them"
            " everywhere.",
            UserWarning,
            stacklevel=stacklevel,
        )
    return stated


def check_told(
    estimator: Any, X: Any, read: Epoched, given: Any, *, reset: bool, any_unit: bool = False
) -> None:
    """Do as :func:`check_stated` for an X, `read`, that goes as `given` to a part that does not check it itself."""
    refuse_mixed(read.stated, type(estimator).__name__)
    array = read.X if is_view(read.X) or isinstance(read.X, np.ndarray) else np.asarray(read.X)
    if getattr(array, "ndim", 0) == 2 and array.dtype.kind in "fiu":
        array = array[:, :, None]
    elif getattr(array, "ndim", 0) == 3 and len(array) == 0:
        raise ValueError("Found array with 0 sample(s) in X while a minimum of 1 is required.")
    if getattr(array, "ndim", 0) == 3 and array.dtype.kind in "fiu" and 0 not in array.shape:
        # Epochs may go on in their own unit, and then it is that one which must stay the same.
        is_own = as_mne_list(X) is not None and getattr(given, "ndim", 0) == 3
        measured = reset or not is_own
        read = replace(read, X=array)
        check_stated(estimator, read, reset=reset, is_measured=measured, any_unit=any_unit, stacklevel=7)
        if is_own and reset:
            estimator._stated = replace(estimator._stated, size=size_of(given))
        elif is_own:
            check_size(size_of(given), estimator._stated.size, f"{type(estimator).__name__} was fitted with")


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


def check_finite(X: np.ndarray, *, ch_names: Any = None, rows: Any = None, mixed: bool = False) -> None:
    """Refuse NaN and inf, naming the first epoch (by its number in `rows`, where X is a part) and channel.

    Of `mixed` epochs, those of several caps, each may lack channels, but not all of them.
    """
    if mixed:
        if len(none := np.flatnonzero(absent(X).all(axis=1))):
            row = int(none[0]) if rows is None else rows[none[0]]
            raise ValueError(
                f"X: epoch {row} has none of these channels, for its cap lacks them all. Pick channels that every cap has"
                " some of."
            )
        X = filled(X)
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


def _refuse_one_epoch(estimator: Any, X: Any) -> None:
    """Of an epoch alone scikit-learn would say that its times are too many channels."""
    shape, n_times = getattr(X, "shape", ()), estimator.n_times_in_
    if n_times > 1 and shape == (getattr(estimator, "n_chans_", None), n_times):
        raise ValueError(
            f"X is one epoch, of shape {tuple(shape)}, where several are expected. Pass X[None], of shape {(1, *shape)}."
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
    if getattr(dtype, "kind", "f") in "USMm":
        raise TypeError(f"X must be numeric, got {dtype}. Convert it to numbers first: X.astype(float).")
    if dtype is not None and dtype == np.dtype(object) and shape is not None and len(shape) != 2:
        raise TypeError(
            f"X must be numeric, got an object array of shape {tuple(shape)}."
            " Stack the epochs into one float array with np.stack."
        )
