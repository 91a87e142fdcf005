"""Inventories for intersphinx, of the names that these pages link to: ``python docs/_ext/inventories.py`` writes them anew.

Whole inventories are megabytes, and come from the network, which a build must not need. Other projects' pages have addresses
that follow from a name; whether a name exists is asked of the installed package, so that no link is made up.
"""

from __future__ import annotations

import importlib
import inspect
import re
import zlib
from pathlib import Path

import skeegclip

DOCS = Path(__file__).parents[1]
# Project -> where its pages are, and the address of a name below it ("{name}", and "{module}" without the last part).
SITES = {
    "python": ("https://docs.python.org/3/", "library/{module}.html#{name}"),
    "numpy": ("https://numpy.org/doc/stable/", "reference/generated/{name}.html#{name}"),
    "scipy": ("https://docs.scipy.org/doc/scipy/", "reference/generated/{name}.html#{name}"),
    "sklearn": ("https://scikit-learn.org/stable/", "modules/generated/{name}.html#{name}"),
    "mne": ("https://mne.tools/stable/", "generated/{name}.html#{name}"),
    "torch": ("https://docs.pytorch.org/docs/stable/", "generated/{name}.html#{name}"),
    "skorch": ("https://skorch.readthedocs.io/en/stable/", "{root}.html#{name}"),
    "braindecode": ("https://braindecode.org/stable/", "generated/{name}.html#{name}"),
    "pandas": ("https://pandas.pydata.org/docs/", "reference/api/{name}.html#{name}"),
}
_NAME = rf"`[^`<]*?<?~?((?:{'|'.join(SITES)})\.[\w.]+)>?`"
_LINK = re.compile(r":(?:py:)?(?:class|func|meth|exc|mod|obj):" + _NAME)
_MARKDOWN = re.compile(r"\{(?:py:)?(?:class|func|meth)\}" + _NAME)


def mapping(folder: Path) -> dict[str, tuple[str, str]]:
    """Return intersphinx's mapping to the inventories in a folder."""
    return {
        name: (SITES[name][0].rstrip("/"), str(folder / f"{name}.inv"))
        for name in SITES
        if (folder / f"{name}.inv").is_file()
    }


def linked() -> set[str]:
    """Names of other projects that pages, examples and docstrings link to."""
    package = Path(skeegclip.__file__).parent
    pages = [
        path
        for folder, ending in (
            (DOCS, "*.rst"),
            (DOCS, "*.md"),
            (package, "*.py"),
            (DOCS.parent / "examples", "*.py"),
        )
        for path in folder.rglob(ending)
        if not {"_build", "generated", "auto_examples"} & set(path.parts)
    ]
    texts = [path.read_text(encoding="utf-8") for path in pages]
    return {name for text in texts for link in (_LINK, _MARKDOWN) for name in link.findall(text)}


def kind(name: str) -> str:
    """Say what the installed package has under a name: class, function or module; an AttributeError where nothing is."""
    parts = name.split(".")
    for n in range(len(parts), 0, -1):
        try:
            thing = importlib.import_module(".".join(parts[:n]))
        except ImportError:
            continue
        for part in parts[n:]:
            thing = getattr(thing, part)
        return "module" if inspect.ismodule(thing) else "class" if inspect.isclass(thing) else "function"
    raise AttributeError(name)


def inventory(project: str, names: list[str]) -> bytes:
    """Return an inventory of version 2: a header, and a compressed line for each name."""
    page = SITES[project][1]
    lines = [
        f"{name} py:{kind(name)} 1 "
        + page.format(name=name, module=name.rpartition(".")[0], root=".".join(name.split(".")[1:2]) or name)
        + " -\n"
        for name in names
    ]
    head = f"# Sphinx inventory version 2\n# Project: {project}\n# Version: \n# The remainder of this file is compressed using zlib.\n"
    return head.encode() + zlib.compress("".join(lines).encode(), 9)


if __name__ == "__main__":
    folder = DOCS / "_inventories"
    folder.mkdir(exist_ok=True)
    for project in SITES:
        names = sorted(name for name in linked() if name.split(".")[0] == project)
        if names:
            (folder / f"{project}.inv").write_bytes(inventory(project, names))
            print(f"{project}: {', '.join(names)}")
