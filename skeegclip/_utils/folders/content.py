"""What is saved, and a check of what a file says."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from ..persistence import conforming

Facts = TypeVar("Facts")


class FolderError(ValueError):
    """A folder that is not, or no longer, what was saved."""


@dataclass(frozen=True)
class Content:
    """What something consists of, on its way to a folder or from one.

    Attributes
    ----------
    kind : str
        Name of its class.
    facts : dict
        What JSON knows.
    arrays : dict of str to ndarray
        Numbers of any shape.
    files : dict of str to (bytes or list of bytes-like)
        What has a format of its own, by file name; as a list, whose entries follow one another, nothing is copied.
        Read, they are bytes.
    parts : dict of str to Content
        What it is made of.
    """

    kind: str
    facts: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    files: dict[str, Any] = field(default_factory=dict)
    parts: dict[str, Content] = field(default_factory=dict)


def checked(value: Any, schema: type[Facts], path: str | os.PathLike) -> Facts:
    """Check what a file says against a schema.

    Parameters
    ----------
    value : object
        From ``json.loads``.
    schema : type
        A dataclass, or another type; nothing is converted but lists to tuples and integers to floats.
    path : path-like
        The file or folder that says it, for the message.

    Returns
    -------
    object
        An instance of the schema.

    Raises
    ------
    FolderError
        If it is anything else.
    """
    try:
        return conforming(schema, value)
    except ValueError as error:
        raise FolderError(
            f"{os.fspath(path)!r} is not what skeegclip saves: {error}. Get it again."
        ) from None
