"""Texts that several docstrings share, written once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeVar

Documented = TypeVar("Documented", bound=Callable)

_PLACE = re.compile(r"^( *)%\((\w+)\)s$", re.MULTILINE)


def with_texts(texts: Mapping[str, str]) -> Callable[[Documented], Documented]:
    """Put texts in the place of lines ``%(name)s`` of a docstring, indented as these are.

    Parameters
    ----------
    texts : mapping of str to str
        Text by name: a parameter's name and type, and below, by four spaces further, what it is.

    Returns
    -------
    callable
        A decorator of functions.

    Raises
    ------
    KeyError
        If a docstring names a text that is not there.
    """

    def decorate(function: Documented) -> Documented:
        if function.__doc__:  # gone with python -OO
            function.__doc__ = _PLACE.sub(_filled, function.__doc__)
        return function

    def _filled(place: re.Match) -> str:
        indent, name = place.groups()
        return "\n".join(f"{indent}{line}" for line in texts[name].strip().splitlines())

    return decorate
