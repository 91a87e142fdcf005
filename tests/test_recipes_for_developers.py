"""docs/architecture.md: its rooms are those of the imports, its places exist, and its recipes work as they are written."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import skeegclip

ROOT = Path(skeegclip.__file__).parent
PAGE = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
WALLS = Path(__file__).with_name("test_imports.py")
EDGES = next(
    ast.literal_eval(node.value)
    for node in ast.parse(WALLS.read_text(encoding="utf-8")).body
    if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "EDGES"
)
SECTIONS = dict(re.findall(r"^### (.+?)\n(.*?)(?=^### |\Z)", PAGE, re.M | re.S))
BLOCK = re.compile(r"^```(?:\{code-block\} (\w+)\n:caption: (\S+)|(python))\n(.*?)^```", re.M | re.S)


def test_the_rooms_are_those_that_the_imports_are_held_to():
    rows = re.findall(r"^\| `(\w+)` \| .+? \| (.*?) ?\|$", PAGE, re.M)
    assert {room: " ".join(re.findall(r"`(\w+)`", needs)) for room, needs in rows} == EDGES
    assert [room for room, _ in rows] == list(EDGES)


def test_every_place_that_is_named_exists():
    places = re.findall(r"`([\w/]+\.py):(\w+)`", PAGE)
    assert len(places) > 20
    for file, name in places:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        assert name in {getattr(node, "name", None) for node in tree.body}, f"{file}:{name}"


def apply(change, text):
    """A text with the change that a diff of one place describes."""
    lines = change.rstrip("\n").splitlines()
    assert {line[0] for line in lines} <= set("+- "), change
    old = "\n".join(line[1:] for line in lines if line[0] in "- ")
    new = "\n".join(line[1:] for line in lines if line[0] in "+ ")
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times"
    return text.replace(old, new)


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the package with all recipes in it."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(ROOT, folder / "skeegclip", ignore=shutil.ignore_patterns("__pycache__"))
    for text in SECTIONS.values():
        for language, file, _, content in BLOCK.findall(text):
            path = folder / file
            if language == "diff":
                path.write_text(apply(content, path.read_text(encoding="utf-8")), encoding="utf-8")
            elif language == "python":
                assert not path.exists()
                path.write_text(content, encoding="utf-8")
    return folder


def run(folder, *arguments, cwd):
    env = {**os.environ, "PYTHONPATH": str(folder), "MNE_LOGGING_LEVEL": "ERROR"}
    done = subprocess.run(
        [sys.executable, *arguments], env=env, cwd=cwd, capture_output=True, text=True, timeout=250
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_there_is_a_recipe_for_each_kind():
    assert list(SECTIONS) == ["A network", "A loss", "A data set", "A metric", "An analysis"]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SECTIONS))
def test_a_recipe_works_as_it_is_written(name, copy, tmp_path):
    (program,) = [content for _, _, plain, content in BLOCK.findall(SECTIONS[name]) if plain]
    assert "assert" in program
    where = run(copy, "-c", f"{program}\nimport skeegclip; print(skeegclip.__file__)", cwd=tmp_path)
    assert Path(where.splitlines()[-1]).parent == copy / "skeegclip"


@pytest.mark.slow
def test_with_all_of_them_the_walls_stand(copy):
    options = ["-n", "0", "-q", "-p", "no:cacheprovider", "--rootdir", str(copy)]
    program = f"import sys, pytest; sys.exit(pytest.main({[str(WALLS), *options]!r} + ['-k', '(room or stubs or heavy_imports or small) and not circle']))"
    out = run(copy, "-c", program, cwd=copy)
    assert "passed" in out
