"""Whether what an estimator says of an epoch may depend on the epochs that it is asked with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar

_ALONE = ContextVar("alone", default=False)
_ROUNDING = ContextVar("rounding", default=False)


@contextmanager
def _on(flag: ContextVar[bool]) -> Iterator[None]:
    token = flag.set(True)
    try:
        yield
    finally:
        flag.reset(token)


def each_alone() -> AbstractContextManager[None]:
    """Ask transductive estimators for what they would say of each epoch alone.

    Not a parameter, so that it reaches them however deep they lie, and frozen ones stay as they are; each thread has its
    own.
    """
    return _on(_ALONE)


def is_each_alone() -> bool:
    """Whether a transductive estimator has to leave out what looks at epochs together."""
    return _ALONE.get()


def up_to_rounding() -> AbstractContextManager[None]:
    """Let an embedding depend on the epochs beside it in its last digits, where one epoch is to be embedded soon."""
    return _on(_ROUNDING)


def is_up_to_rounding() -> bool:
    """Whether an embedding may differ in its last digits, alone and in a batch."""
    return _ROUNDING.get()
