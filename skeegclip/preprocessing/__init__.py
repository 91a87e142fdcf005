"""Preprocessing of epochs before they are decoded."""

import importlib
from typing import Any

import lazy_loader as _lazy

_get, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    # Its home is where the raw files are known; here it can still be imported from.
    if name == "preprocess_things_eeg2":
        return getattr(importlib.import_module("skeegclip.datasets"), name)
    return _get(name)
