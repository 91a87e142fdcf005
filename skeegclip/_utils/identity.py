"""What a value is, as a short text: equal for what gives the same results, another for all else."""

from __future__ import annotations

import copyreg
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from types import BuiltinFunctionType, CodeType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any

import numpy as np

from .epoched import is_view
from .loaded import loaded
from .own_code import Named, library_of, parts_of_class, parts_of_code, parts_of_function

_PLAIN = (bool, int, float, complex, str)
_BLOCK = 1024  # epochs of a view that are read at once


class UnknownIdentityError(TypeError):
    """A value that cannot be told from another of its type."""


def identity(value: Any) -> str:
    """Fingerprint of `value`, the same in every process and on every day that it means the same.

    Arrays and tensors count by type, shape and every number; tables by ids and vectors; views by the key of their store,
    or by what they hold. Functions and classes of an installed package count by name and version, those of the user's own
    by what they do: their code, that of their bases, and of all else that they name, with the settings that stand beside
    them. Estimators and other objects count by class and state, lists, tuples, sets and mappings by what is in them.

    Parameters
    ----------
    value : object
        A parameter, an estimator, a dict of them.

    Returns
    -------
    str
        32 hexadecimal digits.

    Raises
    ------
    UnknownIdentityError
        If something in it (an open file, a lock, a generator function's frame) has no state that can be looked at.
    """
    return _Teller().tell(value).hex()


class _Teller:
    """One walk through a value. Numbers of what contains itself are counted from inside out."""

    def __init__(self) -> None:
        self.told: dict[int, bytes] = {}
        self.open: list[int] = []
        self.kept: list[Any] = []  # so that no new object takes the id of one that was told

    def tell(self, value: Any) -> bytes:
        if isinstance(value, np.generic) and value.dtype.kind in "biufcUS":
            value = value.item()
        if value is None or type(value) in _PLAIN:
            return _digest(type(value).__name__, repr(value).encode())
        if isinstance(value, (bytes, bytearray)):
            return _digest("bytes", bytes(value))
        key = id(value)
        if key in self.told:
            return self.told[key]
        if key in self.open:
            return _digest("again", str(len(self.open) - self.open.index(key)).encode())
        self.kept.append(value)
        self.open.append(key)
        try:
            found = self._tell(value)
        except RecursionError:
            raise UnknownIdentityError(
                f"{_short(value)} is nested too deeply to be told from others."
            ) from None
        finally:
            self.open.pop()
        self.told[key] = found
        return found

    def _all(self, kind: str, parts: Iterable[Any]) -> bytes:
        return _digest(kind, *map(self.tell, parts))

    def _tell(self, value: Any) -> bytes:
        kind = type(value)
        tensor = loaded("torch", "Tensor")
        if isinstance(value, Named):
            return self._of_named(value.value)
        if isinstance(value, np.generic):
            return self.tell(np.asarray(value))
        if isinstance(value, np.ndarray):
            return self._of_array(value)
        if tensor is not None and isinstance(value, tensor):
            return self._of_tensor(value)
        if kind in (list, tuple):
            return self._all(kind.__name__, value)
        if kind in (set, frozenset):
            return _digest("set", *sorted(map(self.tell, value)))
        if kind is dict:
            return _digest("dict", *sorted(self.tell(k) + self.tell(v) for k, v in value.items()))
        if isinstance(value, Enum):
            return self._all("enum", [kind, value.name])
        if isinstance(value, os.PathLike):
            return self._all("path", [os.fspath(value)])
        if isinstance(value, CodeType):
            return self._all("code", parts_of_code(value))
        if isinstance(value, (type, FunctionType, BuiltinFunctionType, ModuleType)):
            return self._of_code(value)
        if isinstance(value, MethodType):
            return self._all("method", [value.__func__, value.__self__])
        if isinstance(value, MappingProxyType):
            return self.tell(dict(value))
        if (script := _script_of(value)) is not None:
            return self._all("script", script)
        if isinstance(value, (staticmethod, classmethod)):
            return self._all(kind.__name__, [value.__func__])
        if isinstance(value, property):
            return self._all("property", [value.fget, value.fset, value.fdel])
        if is_view(value):
            return self._of_view(value)
        if hasattr(value, "lookup") and hasattr(value, "vectors") and hasattr(value, "ids"):
            return self._all("table", [kind, value.ids, value.vectors, getattr(value, "meta", None)])
        if hasattr(value, "get_params"):
            return self._of_estimator(value)
        return self._of_object(value)

    def _of_named(self, value: Any) -> bytes:
        try:
            return self.tell(value)
        except UnknownIdentityError:  # a lock, say: not what decides; what stands beside it may
            if isinstance(value, MethodType):
                return self._all("method", [Named(value.__func__), Named(value.__self__)])
            if library_of(type(value)) is not None or not hasattr(value, "__dict__"):
                return self.tell(type(value))
            beside = sorted(vars(value).items())
            return self._all("object", [type(value), *(part for k, v in beside for part in (k, Named(v)))])

    def _of_array(self, array: np.ndarray) -> bytes:
        if array.dtype.hasobject:
            return self._all("array", [array.dtype.str, array.shape, array.tolist()])
        flat = np.ascontiguousarray(array).reshape(-1)
        return _digest("array", f"{array.dtype.descr}{array.shape}".encode(), flat.view(np.uint8).data)

    def _of_tensor(self, tensor: Any) -> bytes:
        tensor = tensor.detach()
        if tensor.layout is not loaded("torch", "strided"):
            return self._all("tensor", [str(tensor.layout), tensor.to_dense()])
        flat = tensor.cpu().contiguous().reshape(-1).view(loaded("torch", "uint8")).numpy()
        return _digest("tensor", f"{tensor.dtype}{tuple(tensor.shape)}".encode(), flat.data)

    def _of_view(self, view: Any) -> bytes:
        key = view.content_key()
        if key is None:
            # Block by block: a view may be larger than memory.
            digest = hashlib.blake2b(digest_size=16)
            for start in range(0, len(view), _BLOCK):
                digest.update(view.read(range(start, min(start + _BLOCK, len(view)))))
            key = digest.digest()
        return self._all("view", [key, view.shape, view.ch_names, view.times])

    def _of_code(self, value: Any) -> bytes:
        library = library_of(value)
        name = getattr(value, "__qualname__", value.__name__)
        if library is not None:
            return self._all("library", [library, getattr(value, "__module__", None), name])
        if isinstance(value, type):
            return self._all("class", [name, *parts_of_class(value)])
        if isinstance(value, FunctionType):
            return self._all("function", parts_of_function(value))
        bound = getattr(value, "__self__", None)  # a class of the user's own, of which apply is torch's
        bound = None if isinstance(bound, ModuleType) else Named(bound)
        return self._all("name", [getattr(value, "__module__", None), name, bound])

    def _of_estimator(self, estimator: Any) -> bytes:
        params = estimator.get_params(deep=False)
        if vars(estimator).keys() <= params.keys():
            return self._all("estimator", [type(estimator), params])
        # What it has learned counts too: a frozen one is used as it is.
        return self._all("estimator", [type(estimator), params, self._reduced(estimator)])

    def _of_object(self, value: Any) -> bytes:
        return self._all("object", self._reduced(value))

    def _reduced(self, value: Any) -> list[Any]:
        """What a pickle would hold, of which classes and functions are then told by what they do."""
        try:
            registered = copyreg.dispatch_table.get(type(value))
            reduced = value.__reduce_ex__(4) if registered is None else registered(value)
        except Exception as error:
            raise UnknownIdentityError(
                f"{_short(value)} of type {type(value).__name__} cannot be told from another one: it has no state that"
                f" can be looked at ({error})."
            ) from error
        if isinstance(reduced, str):
            # Of what goes by its name, what is behind it: functools.cache is around a function.
            behind = Named(getattr(value, "__wrapped__", None))
            return [type(value).__name__, getattr(value, "__module__", None), reduced, behind]
        return [list(part) if isinstance(part, Iterator) else _plain(part) for part in reduced]


def _script_of(value: Any) -> list[Any] | None:
    """What torch has compiled: its graph, without the places in files, and the weights; None of all else."""
    function, module = loaded("torch.jit", "ScriptFunction"), loaded("torch.jit", "ScriptModule")
    if function is None or not isinstance(value, (function, module)):
        return None
    graph = value.inlined_graph.str(False)
    return [graph, dict(value.state_dict()) if isinstance(value, module) else None]


def _plain(part: Any) -> Any:
    return dict(part) if isinstance(part, Mapping) and type(part) is not dict else part


def _digest(kind: str, *parts: Any) -> bytes:
    digest = hashlib.blake2b(kind.encode(), digest_size=16)
    for part in parts:
        digest.update(memoryview(part).nbytes.to_bytes(8, "little"))
        digest.update(part)
    return digest.digest()


def _short(value: Any) -> str:
    text = object.__repr__(value)
    return text if len(text) < 80 else f"{text[:77]}..."
