"""The code in the documentation runs, and the API reference lists every public name."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import pkgutil
import re
import zlib
from pathlib import Path
from types import ModuleType

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


# Those whose code takes seconds.
LONG_PAGES = {
    f"user_guide/{name}.rst"
    for name in ("inspection", "sharing", "your_recordings", "reconstruction", "reporting")
}


def test_pages_with_code_are_found() -> None:
    assert {
        "coming_from.rst",
        "first_hours.rst",
        "index.rst",
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
    } | LONG_PAGES <= set(PAGES)


@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=pytest.mark.slow) if page in LONG_PAGES else page for page in PAGES]
)
def test_code_of_a_page_runs(page: str) -> None:
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    # braindecode's first import makes mne print that names of montages will change.
    with mne.use_log_level("ERROR"):
        result = doctest.testfile(
            str(DOCS / page), module_relative=False, optionflags=flags, encoding="utf-8"
        )
    assert result.attempted > 0
    assert result.failed == 0


def test_lines_of_code_fit_a_laptop() -> None:
    """Longer ones are wrapped, which is harder to read."""
    pages = [page for ending in ("*.rst", "*.md") for page in (*DOCS.glob(ending), *DOCS.glob(f"*/{ending}"))]
    code = re.compile(r"\s*(?:>>>|\.\.\. |\$ )")
    long = [
        (page.name, line.strip())
        for page in pages
        if page.parent.name != "auto_examples"
        for line in page.read_text(encoding="utf-8").splitlines()
        if code.match(line) and len(line.strip()) > 120
    ]
    assert len(pages) > 40
    assert long == []


def test_the_user_guide_says_what_each_of_its_pages_is_about() -> None:
    index = (DOCS / "user_guide" / "index.rst").read_text(encoding="utf-8")
    told = re.findall(r"^:doc:`(\w+)`\n   \S", index, re.M)
    assert told == re.findall(r"^   (\w+)$", index.split(":hidden:")[1], re.M)
    assert set(told) == {page.stem for page in (DOCS / "user_guide").glob("*.rst")} - {"index"}


def test_both_flowcharts_lead_to_the_same_public_estimators() -> None:
    """A build does not follow links in drawings."""
    links = [
        sorted(re.findall(r'<a href="([^"]+)"', (DOCS / "_static" / name).read_text(encoding="utf-8")))
        for name in ("which_estimator.svg", "which_estimator_narrow.svg")
    ]
    assert links[0] == links[1]
    names = {re.fullmatch(r"api/generated/skeegclip\.(\w+)\.html", link)[1] for link in links[0]}
    assert names <= set(skeegclip.__all__)
    assert len(names) == 4


EXAMPLES = sorted((DOCS.parent / "examples").glob("plot_*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_an_example_begins_with_text_and_shows_its_figures_in_a_notebook(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    _, _, begin = source.split('"""', 2)
    assert begin.split("# %%")[0].strip() == ""  # a comment for the gallery alone leaves an empty box of code
    assert "from matplotlib.figure import Figure" not in source  # a notebook shows what pyplot knows
    assert re.search(r"plot_|plt\.subplots", begin)


def _public_names() -> set[str]:
    rooms = {
        module.name
        for module in pkgutil.iter_modules(skeegclip.__path__)
        if module.ispkg and not module.name.startswith("_")
    }
    modules = [importlib.import_module(f"skeegclip.{room}") for room in rooms]
    # A room and what is in another may have one name, as the contest and its recipe.
    return set(skeegclip.__all__) - rooms | {n for module in modules for n in getattr(module, "__all__", [])}


def test_api_reference_lists_every_public_name() -> None:
    page = (DOCS / "api" / "index.rst").read_text(encoding="utf-8")
    listed = set(re.findall(r"^ {3}(\w+)$", page, re.M)) | set(re.findall(r"skeegclip\.\w+\.(\w+)", page))
    assert _public_names() - listed == set()
    assert {name for name in listed if not name.startswith("skeegclip")} - _public_names() == set()


def test_the_citation_is_one_of_cff_and_of_this_version() -> None:
    """What the schema 1.2.0 of the Citation File Format asks of the keys that are used."""
    yaml = pytest.importorskip("yaml")
    # As text, each value: a version such as 1.10 must be quoted, or other readers take it for a number.
    path = DOCS.parent / "CITATION.cff"
    said, typed = (
        yaml.load(path.read_text(encoding="utf-8"), loader) for loader in (yaml.BaseLoader, yaml.SafeLoader)
    )
    assert {"cff-version", "message", "title", "authors"} <= set(said)
    assert set(said) - {"date-released", "doi", "repository-code", "url"} == {
        "cff-version", "message", "title", "type", "authors", "version", "license", "keywords", "preferred-citation",
    }  # fmt: skip
    assert (said["cff-version"], said["type"]) == ("1.2.0", "software")
    assert said["version"] == skeegclip.__version__
    assert said["license"] in (DOCS.parent / "pyproject.toml").read_text(encoding="utf-8")
    if "date-released" in said:
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", said["date-released"])
    paper = typed["preferred-citation"]
    assert set(paper) == {"type", "title", "authors", "collection-title", "year", "identifiers"}
    assert paper["type"] == "conference-paper"
    assert type(paper["year"]) is int
    assert all(set(entry) == {"type", "value"} for entry in paper["identifiers"])
    assert {entry["type"] for entry in paper["identifiers"]} <= {"doi", "url", "swh", "other"}
    for author in [*typed["authors"], *paper["authors"]]:
        assert set(author) in ({"name"}, {"family-names", "given-names"}), author
        assert all(isinstance(part, str) and part for part in author.values())
    apart = {"authors", "keywords", "preferred-citation", "date-released"}
    texts = [value for key, value in typed.items() if key not in apart]
    assert all(isinstance(text, str) and text for text in [*texts, *typed["keywords"], paper["title"]])
    assert len(set(typed["keywords"])) == len(typed["keywords"])


def _of_docs(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DOCS / "_ext" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_inventories_hold_every_name_of_others_that_the_pages_link_to() -> None:
    """Read by hand, as the format says: four lines, then zlib."""
    inventories = _of_docs("inventories")
    addresses = {}
    for project, (site, path) in inventories.mapping(DOCS / "_inventories").items():
        head, content = Path(path).read_bytes().split(b"zlib.\n")
        assert head.startswith(b"# Sphinx inventory version 2\n# Project: " + project.encode())
        for line in zlib.decompress(content).decode().splitlines():
            name, _, _, page, shown = line.split(" ")
            assert shown == "-"
            addresses[name] = f"{site}/{page}"
    wanted = inventories.linked()
    assert len(wanted) > 10
    assert wanted == set(addresses), "run python docs/_ext/inventories.py"
    # An address that is known from scikit-learn's own pages.
    clone = "https://scikit-learn.org/stable/modules/generated/sklearn.base.clone.html#sklearn.base.clone"
    assert addresses["sklearn.base.clone"] == clone


def test_a_name_that_no_package_has_gets_no_link() -> None:
    with pytest.raises(AttributeError):
        _of_docs("inventories").kind("sklearn.base.klone")
