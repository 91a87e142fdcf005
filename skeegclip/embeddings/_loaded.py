"""Networks in memory: loaded once for all embedders of a process."""

from __future__ import annotations

import json
import threading
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

Model = TypeVar("Model")

# Weights of gigabytes are shared by all embedders of a process that name the same ones, and freed with the last of
# them.
_LOADED: weakref.WeakValueDictionary[tuple[str, str], Any] = weakref.WeakValueDictionary()
_LOADING = threading.Lock()


def load_once(identity: dict[str, Any], device: str, load: Callable[[], Model]) -> Model:
    """Return the model with these weights on this device, loaded if nobody holds it yet.

    Parameters
    ----------
    identity : dict
        What decides the weights; JSON-serialisable.
    device : str
        Torch device.
    load : callable
        Loads it.

    Returns
    -------
    object
        Shared by whoever asks for the same.
    """
    key = (json.dumps(identity, sort_keys=True), device)
    with _LOADING:
        model = _LOADED.get(key)
        if model is None:
            model = _LOADED[key] = load()
        return model


def at_precision(precision: str, device: str) -> Any:
    """A context in which matrix products are of "float32" or "bfloat16"."""
    import torch

    return torch.autocast(torch.device(device).type, dtype=torch.bfloat16, enabled=precision == "bfloat16")
