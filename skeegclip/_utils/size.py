"""Units that are taken for others: what their numbers look like, in fit and after it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from .absent import absent
from .epoched import Epoched, is_mixed, is_view
from .stated import Stated

# Scalp EEG in microvolts has a spread of 1 to 100, in volts of 1e-6 to 1e-4; MEG in tesla lies lower still.
_VOLTS_BELOW = 1e-3
# A million times too much is 1e6 at least for EEG; MEG in fT may drift by 1e6 in a badly shielded room.
_TOO_MUCH_ABOVE, _TOO_MUCH_MEG = 1e5, 1e9
# Units differ by a thousand or a million. Averages of a hundred epochs are ten times smaller than these, and
# artefacts a hundred times larger.
_OTHER_UNIT = 500.0
_OF_ARRAYS = "pass mne.Epochs, which are converted to microvolts."
_OF_EPOCHS = "look at what these Epochs were made of, which must have been in volts."
_LOOKED_AT, _READ = 64, 16  # epochs of an array, and of a view, which may lie on a disk


def size_of(X: Any, *, in_fit: bool = True) -> tuple[float, float]:
    """How large the numbers of epochs are, to tell one unit from another.

    It is the same for one epoch and for many, because offsets of epochs and of channels
    do not count.

    Parameters
    ----------
    X : ndarray | EpochsView, shape (n_epochs, n_chans, n_times)
        Epochs, of which a few from all over X are looked at.
    in_fit : bool
        Whether X is what others are compared with. Else epochs of one time may be few and alike, and their size is at
        least that of their values.

    Returns
    -------
    tuple of float
        Median over epochs of the standard deviation within an epoch: its root mean square over channels, which a few
        good channels among silent ones keep up, and its median over channels, which a few noisy ones do not raise. 0
        where nothing varies.
    """
    n = _READ if is_view(X) else _LOOKED_AT
    rows = np.unique(np.linspace(0, len(X) - 1, min(len(X), n)).astype(int))
    block = X.read(rows) if is_view(X) else X if len(rows) == len(X) else X[rows]
    # An epoch of one time does not vary: then it is epochs that are compared.
    block = np.asarray(block if block.shape[2] > 1 else block.transpose(2, 1, 0), dtype=np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        mean = np.add.reduce(block, axis=2) / block.shape[2]
        block = block - mean[:, :, None]
        variance = np.einsum("ect,ect->ec", block, block) / block.shape[2]
        variance[variance <= 1e-12 * np.square(mean)] = 0.0  # rounding
        if is_mixed(X):
            lacks = absent(block)
            variance[lacks] = np.nan
            n_own = np.maximum(1, (~lacks).sum(axis=1))
            middle = np.take_along_axis(np.sort(variance, axis=1), n_own[:, None] // 2, axis=1)[:, 0]
            return math.sqrt(_median(np.nansum(variance, axis=1) / n_own)), math.sqrt(_median(middle))
        rms = _median(np.add.reduce(variance, axis=1) / variance.shape[1])
        if X.shape[2] == 1 and not in_fit:
            rms = max(rms, float(np.mean(variance + np.square(mean))))
        return math.sqrt(rms), math.sqrt(_median(np.sort(variance, axis=1)[:, variance.shape[1] // 2]))


def _median(values: np.ndarray) -> float:
    # numpy's own takes longer than all the rest for one epoch, which online decoding waits for.
    return float(np.sort(values)[len(values) // 2])


def check_size(
    size: tuple[float, float] | None,
    fitted: tuple[float, float] | None,
    owner: str,
    *,
    is_converted: bool = False,
) -> None:
    """Refuse numbers about a thousand times smaller or larger than those of fit, or more.

    `is_converted` says that X came as Epochs, so that passing some is no advice.
    """
    if size is None or fitted is None:
        return
    for now, then, is_other in (
        (size[0], fitted[0], lambda ratio: ratio < 1 / _OTHER_UNIT),
        (size[1], fitted[1], lambda ratio: ratio > _OTHER_UNIT),
    ):
        if now > 0 and then > 0 and math.isfinite(now) and is_other(now / then):
            raise ValueError(
                f"X has a typical standard deviation of {now:.1e}, but {owner} one of {then:.1e}:"
                f" {_factor(now / then)}, or {_OF_EPOCHS if is_converted else _OF_ARRAYS}"
            )


def _factor(ratio: float) -> str:
    less = ratio < 1
    power = 3 * max(1, round(abs(math.log10(ratio)) / 3))
    units = {3: ("millivolts", "microvolts"), 6: ("volts", "microvolts")}.get(power)
    like = ""
    if units is not None:
        like = f", as {units[0]} beside {units[1]} are" if less else f", as {units[1]} beside {units[0]} are"
    times = 1 / ratio if less else ratio
    return (
        f"{'smaller' if less else 'larger'} by a factor of {times:.1e}{like}."
        f" Multiply X by 1e{power if less else -power}"
    )


def odd_size(spread: float, kinds: Iterable[str]) -> str | None:
    """Tell whether a standard deviation is far too "large" or too "small" for microvolts; None where it is neither."""
    kinds = set(kinds)
    limit = _TOO_MUCH_MEG if kinds & {"mag", "grad"} else _TOO_MUCH_ABOVE
    is_optical = bool(kinds) and all(kind.startswith(("fnirs", "hb")) for kind in kinds)
    if limit < spread < math.inf:
        return "large"
    return "small" if 0 < spread < _VOLTS_BELOW and not is_optical else None


def warn_size(read: Epoched, stated: Stated, owner: str, *, stacklevel: int) -> None:
    """Warn of epochs whose numbers are far too small or too large for microvolts."""
    spread = (stated.size or (0.0, 0.0))[0]
    odd = odd_size(spread, stated.ch_types or ())
    if odd == "large":
        text = (
            "The data of these Epochs seem to be in microvolts, where MNE expects volts: multiply them by 1e-6 before"
            " Epochs are made of them."
            if read.is_converted
            else "Multiply by 1e-6 if they were converted twice, or pass mne.Epochs, which are converted."
        )
        what = f"is a million times too large for microvolts; {owner} expects microvolts"
    elif odd == "small":
        text = (
            "MNE expects volts in Epochs, and they were converted: look at what Epochs were made of."
            if read.is_converted
            else "Multiply by 1e6, or pass mne.Epochs, which are converted."
        )
        what = f"looks like volts (or tesla); {owner} expects microvolts"
    else:
        return
    warnings.warn(
        f"X has a standard deviation of {spread:.1e}, which {what}. {text}",
        UserWarning,
        stacklevel=stacklevel + 1,
    )
