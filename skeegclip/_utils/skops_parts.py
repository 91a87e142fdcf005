"""Estimators of scikit-learn and others, as bytes of skops that run no code when they are read."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import Any

SKOPS = "estimator.skops"
# More than compression makes of a sparse matrix; below so many bytes it does not matter.
_SPARSE_TIMES, _SPARSE_BYTES = 100, 2**26


def to_skops(part: Any, is_own: Callable[[str], bool]) -> bytes:
    """Write an estimator; `is_own` tells by its name whether a class has a save of ours."""
    from skops.io import dumps, get_untrusted_types, loads

    name = type(part).__name__
    try:
        data = dumps(part)
        types = get_untrusted_types(data=data)
        loads(data, trusted=types)  # it writes a lambda, but cannot read it
    except Exception as error:
        raise TypeError(
            f"{name} has no save of ours, and skops cannot write it ({error}). Define its classes and functions in a module,"
            " or use joblib.dump, for your own use."
        ) from error
    # skops would write their private attributes, which a later version need not have, and load checks none of them.
    names = [path.rpartition(".")[2] for path in types if path.startswith("skeegclip.")]
    if ours := [own for own in names if is_own(own)]:
        raise TypeError(
            f"{name} holds {ours[-1]}, which is saved by itself or in a Pipeline. Save what is in it, such"
            " as the best_estimator_ of a search, or use joblib.dump, for your own use."
        )
    return data


def from_skops(data: bytes, loading: Any) -> Any:
    """Read an estimator, of types that are known to run no code or that the user trusts."""
    from skops.io import get_untrusted_types, loads

    try:
        _check_stored(data)
        unknown = get_untrusted_types(data=data)
    except Exception as error:
        raise loading.refuse(f"{type(error).__name__}: {error}") from error
    allowed = unknown if loading.trusted is True else list(loading.trusted or [])
    if left := sorted(set(unknown) - set(allowed)):
        raise ValueError(
            f"{loading.folder!r} holds objects of other libraries that could run code: {', '.join(left)}. If you trust who"
            f" made the folder, pass trusted={left!r} to load."
        )
    try:
        return loads(data, trusted=unknown)
    except Exception as error:
        raise loading.refuse(f"{type(error).__name__}: {error}") from error


def _check_stored(data: bytes, name: str = SKOPS) -> None:
    """Refuse a file that takes far more memory than it has bytes: a save compresses nothing but sparse matrices."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        most = len(data) if name == SKOPS else max(_SPARSE_TIMES * len(data), _SPARSE_BYTES)
        if (needed := sum(member.file_size for member in members)) > most:
            raise ValueError(f"{name} of {len(data)} bytes would take {needed} of memory")
        for member in members:
            if member.filename.endswith(".npz"):
                _check_stored(archive.read(member), member.filename)
