"""Parameters and fitted attributes as JSON, arrays and parts, and back."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from .folders import Content, checked
from .plain import RECORDS, from_plain, to_plain

_MARKS = (
    "__array__",
    "__text__",
    "__objects__",
    "__tuple__",
    "__pairs__",
    "__part__",
    "__record__",
    "__class__",
    "__partial__",
)


class Packer:
    """Writes values as what JSON knows, and keeps aside the arrays and parts among them.

    Parameters
    ----------
    kind : str
        Name of the class whose values they are.
    to_content : callable
        What a part consists of.
    """

    def __init__(self, kind: str, to_content: Callable[[Any], Content]) -> None:
        self._kind, self._to_content = kind, to_content
        self._arrays: dict[str, np.ndarray] = {}
        self._parts: dict[str, Content] = {}
        self._kept: list[tuple[Any, str]] = []  # with the values, so that their ids stay theirs

    def content(self, facts: dict[str, Any]) -> Content:
        """Return the facts with all that was kept aside."""
        return Content(self._kind, facts, arrays=self._arrays, parts=self._parts)

    def part(self, value: Any, name: str) -> dict[str, str]:
        """Keep an estimator or a table aside, once, under its name if that is free."""
        for kept, key in self._kept:
            if kept is value:
                return {"__part__": key}
        key = _as_name(name, self._parts)
        self._parts[key] = self._to_content(value)
        self._kept.append((value, key))
        return {"__part__": key}

    def __call__(self, value: Any, name: str) -> Any:
        """Return a value as JSON; `name` says whose it is."""
        if isinstance(value, np.ndarray):
            return self._array(value, name)
        if isinstance(value, tuple) and type(value) is tuple:
            return {"__tuple__": [self(item, f"{name}.{i}") for i, item in enumerate(value)]}
        if isinstance(value, list):
            return [self(item, f"{name}.{i}") for i, item in enumerate(value)]
        if isinstance(value, dict) and all(isinstance(key, str) for key in value):
            if any(key.startswith("__") for key in value):
                raise TypeError(f"{name} of this {self._kind} has a key that begins with '__'. Rename it.")
            return {key: self(item, f"{name}.{key}") for key, item in value.items()}
        if isinstance(value, dict):
            return {
                "__pairs__": [
                    [self(k, name), self(v, f"{name}.{i}")] for i, (k, v) in enumerate(value.items())
                ]
            }
        if RECORDS.get(type(value).__name__) is type(value):
            plain = value.to_plain() if hasattr(value, "to_plain") else asdict(value)
            return {"__record__": type(value).__name__, "says": plain}
        if not isinstance(value, type) and (hasattr(value, "_to_content") or hasattr(value, "get_params")):
            return self.part(value, name.partition(".")[2] or name)
        try:
            return to_plain(value)
        except TypeError as error:
            raise TypeError(
                f"{name.partition('.')[2] or name} of this {self._kind} has no place in a file: {error}. Use joblib.dump,"
                " for your own use."
            ) from None

    def _array(self, value: np.ndarray, name: str) -> Any:
        if value.dtype.kind in "fiub":
            key = name
            self._arrays[key] = value
            return {"__array__": key}
        if value.dtype.kind == "U":
            return {"__text__": value.astype(str).tolist()}
        if value.dtype == object:
            return {"__objects__": self(value.tolist(), name)}
        raise TypeError(
            f"{name} of this {self._kind} is an array of {value.dtype}, which has no place in a file."
        )


def _as_name(name: str, taken: Mapping[str, Any]) -> str:
    """A name that can name a folder, and a keyword of `load`: "encoders.0" becomes "encoders_0"."""
    kept = re.sub(r"\W", "_", name, flags=re.ASCII)[:80].rstrip("_") or "part"
    wishes = itertools.chain([kept], (f"{kept}_{n}" for n in itertools.count(2)))
    lower = {key.lower() for key in taken}  # which on some file systems is the same name
    return next(wish for wish in wishes if wish.lower() not in lower)


class Unpacker:
    """Undoes a `Packer`.

    Parameters
    ----------
    arrays : dict of str to ndarray
        What was kept aside.
    load_part : callable
        Makes a part by its name.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], load_part: Callable[[str], Any]) -> None:
        self._arrays, self._load_part = arrays, functools.cache(load_part)

    def __call__(self, value: Any) -> Any:
        """Return the value that was packed."""
        if isinstance(value, list):
            return [self(item) for item in value]
        if not isinstance(value, dict):
            return value
        mark = next((mark for mark in _MARKS if mark in value), None)
        return {key: self(item) for key, item in value.items()} if mark is None else self._undo(mark, value)

    def _undo(self, mark: str, value: dict) -> Any:
        if len(value) > (2 if mark in ("__partial__", "__record__") else 1):
            raise TypeError(f"{mark} stands beside something else")
        inside = value[mark]
        if mark == "__array__":
            return self._arrays[inside]
        if mark == "__text__":
            return _text(inside)
        if mark == "__objects__":
            return _objects(self(inside))
        if mark == "__tuple__":
            return tuple(self(item) for item in inside)
        if mark == "__pairs__":
            return {self(key): self(item) for key, item in inside}
        if mark == "__part__":
            return self._load_part(inside)
        if mark == "__record__":
            cls, says = RECORDS[inside], value["says"]
            if unknown := sorted(set(says) - {field.name for field in fields(cls)}):
                raise TypeError(f"{inside} has no {unknown[0]!r:.60}")
            return cls.from_plain(says) if hasattr(cls, "from_plain") else checked(says, cls, inside)
        return from_plain(value)


def _text(items: list) -> np.ndarray:
    if not all(isinstance(item, str) for item in np.ravel(np.array(items, dtype=object))):
        raise TypeError("an array of text holds something else")
    return np.array(items, dtype=str)


def _objects(items: list) -> np.ndarray:
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array
