"""What the demo ran on."""

from __future__ import annotations

import platform
from importlib.metadata import version

from ..._version import __version__

FIGURES = ("faces", "retrieved", "when", "where", "reconstructed", "training", "similarity")
FILES = ("metrics.json", "report.html", *(f"{name}.png" for name in FIGURES))
_PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "skorch", "mne", "matplotlib")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that the numbers depend on."""
    found = {name: version(name) for name in _PACKAGES}
    return {"skeegclip": __version__, "python": platform.python_version(), **found}
