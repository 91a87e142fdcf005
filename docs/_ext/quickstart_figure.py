"""The figure of the quick start, drawn by the code of the page: ``python docs/_ext/quickstart_figure.py``."""

from __future__ import annotations

import doctest
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[1]

if __name__ == "__main__":
    names: dict[str, Any] = {}
    page = (DOCS / "quickstart.rst").read_text(encoding="utf-8")
    for example in doctest.DocTestParser().get_examples(page):
        exec(example.source, names)
        if "figure" in names:
            break
    names["figure"].savefig(DOCS / "_static" / "quickstart.png", dpi=110, metadata={"Software": None})
