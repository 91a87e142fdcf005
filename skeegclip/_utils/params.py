"""Checks of constructor parameters, with one form of message."""

from __future__ import annotations

import difflib
import math
import numbers
from collections.abc import Iterable
from typing import Any


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
