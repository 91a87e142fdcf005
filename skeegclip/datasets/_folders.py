"""Where downloads lie, unless the user says otherwise."""

from __future__ import annotations

from pathlib import Path


def default_folder(name: str) -> Path:
    """Return a folder in the user's cache: the same for fetching and loading."""
    import pooch

    return Path(pooch.os_cache("skeegclip")) / name
