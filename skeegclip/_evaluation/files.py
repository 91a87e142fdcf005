"""Files of finished work: read only as far as they are what was written."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .._utils.folders.files import read_regular
from .._utils.persistence import room_told, write_whole

_DIGEST = 64  # hexadecimal digits in front, of all that follows
_MOST_BYTES = 2**32


class DamagedFileError(ValueError):
    """A file that is not what was written."""


def write_result(path: Path, facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write facts and arrays of numbers or text, whole or not at all.

    Nothing is compressed or pickled: what is read takes no more memory than the file is large.
    """
    from safetensors.numpy import save

    text = {name: array.tolist() for name, array in arrays.items() if array.dtype.kind == "U"}
    numbers = {name: np.asarray(array, order="C") for name, array in arrays.items() if name not in text}
    content = save(numbers, metadata={"facts": json.dumps(dict(facts)), "text": json.dumps(text)})
    with room_told(path, len(content)):
        write_whole(path, hashlib.sha256(content).hexdigest().encode() + content)


def read_result(path: Path, most: int = _MOST_BYTES) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read what `write_result` wrote.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    DamagedFileError
        If it is another one.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        content = memoryview(read_regular(path, most=most))
        if hashlib.sha256(content[_DIGEST:]).hexdigest().encode() != content[:_DIGEST]:
            raise DamagedFileError("its bytes are not those that were written")
        content = content[_DIGEST:]
        header = json.loads(bytes(content[8 : 8 + int.from_bytes(content[:8], "little")]))["__metadata__"]
        facts, text = json.loads(header["facts"]), json.loads(header["text"])
        arrays = load(bytes(content))
        return facts, arrays | {name: np.array(values, dtype=str) for name, values in text.items()}
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, DamagedFileError):
            raise
        raise DamagedFileError(str(error)[:200]) from error


def warn_of_damage(path: Path, error: Exception) -> None:
    """Tell that finished work is done again."""
    warnings.warn(
        f"{str(path)!r} is not a result that was written here ({error}): what it should hold is done again, and the"
        " file replaced.",
        RuntimeWarning,
        stacklevel=2,
    )
