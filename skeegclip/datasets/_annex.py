"""Files of data sets that git-annex keeps: their names in the repository are links, whose ends tell size and hash."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ._download import Remote

_KEY = re.compile(r"(MD5|SHA256)E?-s(\d+)--([0-9a-f]{32}(?:[0-9a-f]{32})?)(?:\.[^/\s]*)?")


def annex_key(link: str) -> tuple[str, int, str] | None:
    """Return key, size and hash ("sha256:...") that a link, or the text that stands for one, leads to; None if to none."""
    target = link.strip().replace("\\", "/")
    match = _KEY.fullmatch(target.rpartition("/")[2]) if "/annex/objects/" in f"/{target}" else None
    return None if match is None else (match[0], int(match[2]), f"{match[1].lower()}:{match[3]}")


def local_file(root: Path, name: str) -> Remote:
    """Describe a file that is here, with the size and hash that its data set tells, if it does."""
    path = root / name
    key = annex_key(os.readlink(path)) if path.is_symlink() else None
    return Remote(name, "") if key is None else Remote(name, "", key[1], key[2])
