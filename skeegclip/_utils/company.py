"""Whether what an estimator says of an epoch may depend on the epochs that it is asked with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_ALONE = ContextVar("alone", default=False)
_ROUNDING = ContextVar("rounding", default=False)


@contextmanager
def each_alone() -> Iterator[None]:
    """Ask transductive estimators for what they would say of each epoch alone.

    Not a parameter, so that it reaches them however deep they lie, and frozen ones stay as they are; each thread has its
    own.
    """
    token = _ALONE.set(True)
    try:
        yield
    finally:
        _ALONE.reset(token)


def is_each_alone() -> bool:
    """Whether a transductive estimator has to leave out what looks at epochs together."""
    return _ALONE.get()


@contextmanager
def up_to_rounding() -> Iterator[None]:
    """Let an embedding depend on the epochs beside it in its last digits, where one epoch is to be embedded soon."""
    token = _ROUNDING.set(True)
    try:
        yield
    finally:
        _ROUNDING.reset(token)


def is_up_to_rounding() -> bool:
    """Whether an embedding may differ in its last digits, alone and in a batch."""
    return _ROUNDING.get()
