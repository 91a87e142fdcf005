"""Parameters as JSON and back, with nothing in the file that could name code of its own."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

_MARKS = ("__tuple__", "__class__", "__partial__")
RECORDS: dict[str, Any] = {}


def record(cls: Any) -> Any:
    """Let a dataclass of facts be saved under its name; one with more than JSON in it has `to_plain` and `from_plain`."""
    RECORDS[cls.__name__] = cls
    return cls


def _namespaces() -> dict[str, tuple[Any, type]]:
    """The classes that a parameter may be: subclasses of the second, found in the first under their own name."""
    import torch

    return {
        "torch.nn": (torch.nn, torch.nn.Module),
        "torch.optim": (torch.optim, torch.optim.Optimizer),
        "torch.optim.lr_scheduler": (torch.optim.lr_scheduler, torch.optim.lr_scheduler.LRScheduler),
    }


def to_plain(value: Any) -> Any:
    """Rewrite a parameter in what JSON knows: tuples, torch classes and partials of these become marked dicts.

    Parameters
    ----------
    value : object
        A number, text, None, or a list, tuple, dict or partial of such.

    Returns
    -------
    object
        For ``json.dumps``.

    Raises
    ------
    TypeError
        If something in it has no place there.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, tuple):
        return {"__tuple__": [to_plain(item) for item in value]}
    if isinstance(value, list):
        return [to_plain(item) for item in value]
    if isinstance(value, functools.partial) and not value.args:
        return {"__partial__": to_plain(value.func), "keywords": to_plain(value.keywords)}
    if isinstance(value, dict) and all(isinstance(key, str) and key not in _MARKS for key in value):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, type):
        name = value.__name__
        for module, (namespace, base) in _namespaces().items():
            if issubclass(value, base) and getattr(namespace, name, None) is value:
                return {"__class__": f"{module}.{name}"}
    raise TypeError(f"{value!r} of type {type(value).__name__}")


def from_plain(value: Any) -> Any:
    """Undo `to_plain`; nothing is imported, and no name is looked up but those of torch's own classes.

    Parameters
    ----------
    value : object
        From ``json.loads``.

    Returns
    -------
    object
        The parameter.

    Raises
    ------
    ValueError
        If it names what is not one of these classes.
    """
    if isinstance(value, list):
        return [from_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "__tuple__" in value:
        return tuple(from_plain(value["__tuple__"]))
    if "__class__" in value:
        return _class_named(value["__class__"])
    if "__partial__" in value:
        return functools.partial(from_plain(value["__partial__"]), **from_plain(value["keywords"]))
    return {key: from_plain(item) for key, item in value.items()}


def _class_named(path: Any) -> type:
    module, _, name = str(path).rpartition(".")
    namespaces = _namespaces()
    if module in namespaces:
        namespace, base = namespaces[module]
        found = getattr(namespace, name, None)
        if isinstance(found, type) and issubclass(found, base):
            return found
    raise ValueError(f"{path!r} is not a class of {', '.join(namespaces)}")


def channels_to_plain(chs_info: Any) -> list[dict]:
    """Rewrite channel descriptions of MNE: numbers, names, and the place of each sensor."""
    return [{key: _channel_entry(value) for key, value in dict(ch).items()} for ch in chs_info]


def _channel_entry(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return {"__array__": value.tolist()}
    if isinstance(value, int):
        return int(value)  # MNE's constants know their name, which JSON need not
    return to_plain(value)


def channels_from_plain(chs_info: Sequence[Mapping]) -> list[dict]:
    """Undo `channels_to_plain`."""
    return [
        {
            key: np.array(value["__array__"], dtype=float) if isinstance(value, dict) else value
            for key, value in ch.items()
        }
        for ch in chs_info
    ]
