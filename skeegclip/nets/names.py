"""ATM-S with the peculiarity of its published code, for its checkpoints; and networks by the name in a file."""

from __future__ import annotations

from typing import Any

from torch import nn

from .atm import ATM
from .registry import get_net


class ReferenceATMS(ATM):
    """ATM-S whose subject token stays for the convolution, in the place of the last channel's token."""

    _channels = slice(None, -1)


REFERENCE: dict[str, type[nn.Module]] = {"reference/ATMS": ReferenceATMS}


def find_net(name: str) -> type[nn.Module]:
    """The class of a network by the name that a saved encoder gives it."""
    return REFERENCE[name] if name in REFERENCE else get_net(name)[0]


def name_of(cls: type[nn.Module], given: Any) -> str | None:
    """The name by which `find_net` finds a class, where it has one; `given` is tried first.

    A saved encoder names its network, never a class to import: one of your own has no name.
    """
    of_braindecode = [cls.__name__] if cls.__module__.startswith("braindecode.") else []
    for name in (given, *REFERENCE, *of_braindecode):
        try:
            if isinstance(name, str) and find_net(name) is cls:
                return name
        except ValueError:
            continue
    return None
