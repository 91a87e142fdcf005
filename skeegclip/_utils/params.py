"""Checks of constructor parameters, with one form of message."""

from __future__ import annotations

import difflib
import math
import numbers
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np


def check_option(name: str, value: Any, options: Iterable[Any]) -> Any:
    """Return `value` if it is one of `options`, else raise a ValueError that lists them."""
    options = list(options)
    if any(value is option or (isinstance(value, str) and value == option) for option in options):
        return value
    close = difflib.get_close_matches(str(value), [o for o in options if isinstance(o, str)], n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise ValueError(f"{name} must be one of {', '.join(map(repr, options))}, got {value!r}.{hint}")


def check_number(
    name: str,
    value: Any,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    integer: bool = False,
    open_low: bool = False,
    none: bool = False,
) -> Any:
    """Return `value` if it is a number (an int if `integer`) in [low, high], or (low, high] if `open_low`."""
    if none and value is None:
        return value
    kind = numbers.Integral if integer else numbers.Real
    if isinstance(value, bool) or not isinstance(value, kind):
        what = ("an int" if integer else "a number") + (" or None" if none else "")
        raise TypeError(f"{name} must be {what}, got {value!r} of type {type(value).__name__}.")
    number: Any = value
    if not (low < number if open_low else low <= number) or not number <= high:
        raise ValueError(f"{name} must lie in {'(' if open_low else '['}{low:g}, {high:g}], got {value!r}.")
    return value


def check_schedule(name: str, value: Any, *, low: float, high: float) -> Any:
    """Return `value` if it is a number in [low, high], or a sequence of two such numbers or more."""
    if isinstance(value, (list, tuple, np.ndarray)):
        if len(value) < 2:
            raise ValueError(
                f"{name} must be a number, or two or more that are spread over the training, got {value!r}."
            )
        for part in value:
            check_number(name, part, low=low, high=high)
        return value
    return check_number(name, value, low=low, high=high)


def as_schedule(value: Any) -> float | tuple[float, ...]:
    """Return a number as it is, and a sequence of numbers as a tuple."""
    return tuple(map(float, value)) if isinstance(value, (list, tuple, np.ndarray)) else value


def refuse_class(name: str, value: Any) -> None:
    """Refuse an estimator's class where an estimator belongs."""
    if isinstance(value, type):
        raise TypeError(
            f"{name} must be an estimator, got the class {value.__name__} itself. Make one: {value.__name__}(...)."
        )


def check_dict(name: str, value: Any) -> dict:
    """Return a copy of a dict of parameters; None is an empty one."""
    if value is not None and not isinstance(value, Mapping):
        raise TypeError(
            f"{name} must be a dict of parameters or None, got {value!r} of type {type(value).__name__}."
        )
    return dict(value or {})


def warn_idle(name: str, value: Any, why: str, *, stacklevel: int) -> None:
    """Say that a parameter which was given changes nothing, and why."""
    shown = (
        repr(value) if isinstance(value, (bool, int, float, str, dict, type(None))) else type(value).__name__
    )
    warnings.warn(f"{name}={shown} cannot act: {why}.", UserWarning, stacklevel=stacklevel)
