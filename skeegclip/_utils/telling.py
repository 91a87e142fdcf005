"""Warnings that are told once in a process."""

from __future__ import annotations

import warnings

_TOLD: set[str] = set()


def warn_once(text: str, *, stacklevel: int) -> None:
    """Tell a UserWarning, unless the process has been told in the same words.

    Python's own "once for each place" begins anew whenever somebody else catches warnings, as scikit-learn does at each fit of
    a grid.
    """
    if text not in _TOLD:
        warnings.warn(text, UserWarning, stacklevel=stacklevel + 1)
        # Not before: where warnings are errors, the same fit has to fail each time.
        _TOLD.add(text)


def forget() -> None:
    """Tell everything anew."""
    _TOLD.clear()
