"""How names are written: what does not count when two of them are compared."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_FILE = re.compile(r"\.(jpe?g|png|bmp|gif|tiff?|webp|npy|npz|wav|mp4)$")


@lru_cache(maxsize=2**17)  # the same stimuli are compared in every fold
def plain_form(name: str) -> tuple[str, ...]:
    """Folders and name of a file, last first, without extension, case, white space and form of Unicode."""
    text = unicodedata.normalize("NFKC", name).casefold()
    text = _FILE.sub("", " ".join(text.split()).replace("\\", "/"))
    return tuple(part.strip() for part in reversed(text.split("/")) if part.strip() not in ("", "."))
