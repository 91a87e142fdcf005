"""What a function or a class is made of: a name and a version where it is a library's, else its code and all it names."""

from __future__ import annotations

import contextlib
import dis
import functools
import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from types import CodeType, FunctionType, ModuleType
from typing import Any

_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE
_INSTALLED = {"site-packages", "dist-packages"}
# Of a class's members, those that Python makes and that change nothing in what the class does.
_NO_PART = {
    "__module__",
    "__doc__",
    "__dict__",
    "__weakref__",
    "__annotations__",
    "__annotate__",
    "__annotate_func__",
    "__annotations_cache__",
    "__firstlineno__",
    "__static_attributes__",
    "__parameters__",
    "__orig_bases__",
    "__abstractmethods__",
    "_abc_impl",
    "__match_args__",
    "__dataclass_fields__",
    "__dataclass_params__",
    "_backward_cls",  # of a torch.autograd.Function, with a number that counts all of them
}


@dataclass(frozen=True, eq=False)
class Named:
    """Something that code refers to, beside the parameters; None of the ways to tell it may exist."""

    value: Any


def library_of(value: Any) -> str | None:
    """Name and version of the installed package that `value` (a class, a function, a module) is part of.

    None where it is nobody's release but the user's own code, which may change under the same name, or where it was
    made while the program ran.
    """
    name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
    if not isinstance(name, str) or (_is_of_python(value) and not _is_found(value, name)):
        return None
    return _release(name.partition(".")[0])


def _is_of_python(value: Any) -> bool:
    """Whether it was written in Python: what was not cannot be made on the way."""
    return isinstance(value, FunctionType) or (isinstance(value, type) and bool(value.__flags__ & _HEAP_TYPE))


def _is_found(value: Any, module: str) -> bool:
    found: Any = sys.modules.get(module)
    for name in value.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is value


@functools.cache
def _release(root: str) -> str | None:
    if root in sys.stdlib_module_names:
        return root
    module = sys.modules.get(root)
    if root != __name__.partition(".")[0] and not _is_installed(root, module):
        return None
    version = getattr(module, "__version__", None)
    if not isinstance(version, str):
        try:
            version = importlib.metadata.version(root)
        except importlib.metadata.PackageNotFoundError:
            return None
    return f"{root} {version}"


def _is_installed(root: str, module: ModuleType | None) -> bool:
    place = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), None)
    if place is None and module is None:
        with contextlib.suppress(ImportError, ValueError):
            spec = importlib.util.find_spec(root)
            place = None if spec is None else spec.origin
    return place is not None and bool(_INSTALLED & set(PurePath(place).parts))


def parts_of_function(function: Any) -> Iterator[Any]:
    """Code, defaults, what is closed over, and what the code names of its module."""
    yield function.__code__
    yield function.__defaults__
    yield function.__kwdefaults__
    for cell in function.__closure__ or ():
        try:
            yield Named(cell.cell_contents)
        except ValueError:  # not filled yet
            yield None
    names = sorted(_names(function.__code__))
    for name in names:
        if name in function.__globals__:
            yield from _named(name, function.__globals__[name], names)
    for name in sorted(_imports(function.__code__)):
        yield from _imported(name, function.__globals__.get("__package__"), names)


def parts_of_class(cls: type) -> Iterator[Any]:
    """Bases and members."""
    yield from cls.__bases__
    for name, member in sorted(vars(cls).items()):
        if name not in _NO_PART and type(member).__name__ not in ("member_descriptor", "getset_descriptor"):
            yield name
            yield Named(member)


def parts_of_code(code: CodeType) -> Iterator[Any]:
    """What the interpreter runs; neither comments nor places in files."""
    yield from (code.co_code, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    yield from (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    yield code.co_exceptiontable
    yield from code.co_consts


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _names(code: CodeType) -> set[str]:
    return {name for part in _codes(code) for name in part.co_names}


def _imports(code: CodeType) -> set[str]:
    """Modules that the code imports while it runs."""
    return {
        step.argval
        for part in _codes(code)
        for step in dis.get_instructions(part)
        if step.opname == "IMPORT_NAME"
    }


def _named(name: str, value: Any, names: list[str]) -> Iterator[Any]:
    yield name
    if not isinstance(value, ModuleType) or library_of(value) is not None:
        yield Named(value)
        return
    for inner in names:  # of a module of the user's own, what the code can ask it for
        if inner in vars(value) and vars(value)[inner] is not value:
            yield from _named(inner, vars(value)[inner], [other for other in names if other != inner])


def _imported(name: str, package: str | None, names: list[str]) -> Iterator[Any]:
    yield name
    if name and _release(name.partition(".")[0]) is not None:
        yield _release(name.partition(".")[0])
        return
    for full in (name, f"{package}.{name}".rstrip(".")):
        with contextlib.suppress(Exception):  # the code itself will say what is wrong with it
            yield from _named(name, importlib.import_module(full), names)
            return
