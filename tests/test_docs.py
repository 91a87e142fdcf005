"""The code in the documentation runs, and the API reference lists every public name."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import mne
import pytest

import skeegclip

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(
    page.relative_to(DOCS).as_posix()
    for folder in (DOCS, DOCS / "user_guide")
    for page in (*folder.glob("*.rst"), *folder.glob("*.md"))
    if ">>>" in page.read_text(encoding="utf-8")
)


def test_pages_with_code_are_found() -> None:
    assert {
        "quickstart.rst",
        "scaling.md",
        "user_guide/attention.rst",
        "user_guide/braindecode.rst",
        "user_guide/checkpoints.rst",
        "user_guide/data.rst",
        "user_guide/evaluation.rst",
        "user_guide/losses.rst",
        "user_guide/sharing.rst",
        "user_guide/targets.rst",
    } <= set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_code_of_a_page_runs(page: str) -> None:
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    # braindecode's first import makes mne print that names of montages will change.
    with mne.use_log_level("ERROR"):
        result = doctest.testfile(
            str(DOCS / page), module_relative=False, optionflags=flags, encoding="utf-8"
        )
    assert result.attempted > 0
    assert result.failed == 0


def _public_names() -> set[str]:
    modules = [skeegclip] + [
        importlib.import_module(f"skeegclip.{module.name}")
        for module in pkgutil.iter_modules(skeegclip.__path__)
        if module.ispkg and not module.name.startswith("_")
    ]
    names = {name for module in modules for name in getattr(module, "__all__", [])}
    return names - {module.__name__.rpartition(".")[2] for module in modules}


def test_api_reference_lists_every_public_name() -> None:
    page = (DOCS / "api" / "index.rst").read_text(encoding="utf-8")
    listed = set(re.findall(r"^ {3}(\w+)$", page, re.M)) | set(re.findall(r"skeegclip\.\w+\.(\w+)", page))
    assert _public_names() - listed == set()
    assert {name for name in listed if not name.startswith("skeegclip")} - _public_names() == set()
