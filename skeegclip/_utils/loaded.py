"""Classes of packages that nobody has imported yet."""

from __future__ import annotations

import sys
from typing import Any


def loaded(module: str, name: str) -> Any:
    """A class of a module if that is imported already, else None: then nothing can be an instance of it."""
    return getattr(sys.modules.get(module), name, None)
