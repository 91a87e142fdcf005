"""braindecode, where it is first needed."""

from __future__ import annotations

import warnings
from types import ModuleType


def braindecode_models() -> ModuleType:
    """Import braindecode's models, which takes seconds, and leaves its warnings to its authors: users cannot mend them."""
    with warnings.catch_warnings():
        for category in (DeprecationWarning, FutureWarning):
            warnings.simplefilter("ignore", category)
        import braindecode.models
    return braindecode.models
