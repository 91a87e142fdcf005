"""How names are written: what does not count when two of them are compared."""

from __future__ import annotations

import re
import unicodedata

_FILE = re.compile(r"\.(jpe?g|png|bmp|gif|tiff?|webp|npy|npz|wav|mp4)$")


def plain_form(name: str) -> tuple[str, ...]:
    """Folders and name of a file, last first, without extension, case, white space and form of Unicode."""
    text = unicodedata.normalize("NFKC", name).casefold()
    text = _FILE.sub("", " ".join(text.split()).replace("\\", "/"))
    return tuple(part.strip() for part in reversed(text.split("/")) if part.strip() not in ("", "."))
