"""Bars in notebooks without widgets, and where they are shown at all."""

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

import skeegclip
from skeegclip._utils import progress

# What tqdm asks a notebook for, without widgets.
_NOTEBOOK = """
import sys, types
sys.modules["IPython"] = types.ModuleType("IPython")
sys.modules["IPython"].get_ipython = lambda: types.SimpleNamespace(config={"IPKernelApp": {}})
sys.modules["ipykernel.zmqshell"] = types.ModuleType("zmqshell")
sys.modules["ipywidgets"] = None
"""


def _in_a_notebook(program):
    return subprocess.run(
        [sys.executable, "-W", "default", "-c", _NOTEBOOK + program],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_notebook_without_widgets_gets_a_line_and_no_warning():
    ran = _in_a_notebook(
        "from skeegclip._utils.progress import is_watched, tqdm\n"
        "assert is_watched()\n"
        "assert tqdm.__mro__[1].__module__ != 'tqdm.notebook'\n"
        "for _ in tqdm(range(3), desc='passes'): pass\n"
    )
    assert ran.returncode == 0, ran.stderr
    assert "passes: 100%" in ran.stderr
    assert "Warning" not in ran.stderr
    # This is what it keeps away; where tqdm warns no more, the module can go.
    assert "IProgress not found" in _in_a_notebook("from tqdm.auto import tqdm").stderr


def test_bars_have_one_door():
    root = Path(skeegclip.__file__).parent
    users = [
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if re.search(r"^\s*(from|import) tqdm", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert users == ["_utils/progress.py"]


@pytest.mark.parametrize(
    ("terminal", "config", "watched"),
    [(True, None, True), (False, None, False), (False, {}, False), (False, {"IPKernelApp": {}}, True)],
    ids=["terminal", "file", "ipython into a file", "notebook"],
)
def test_bars_that_are_on_by_default_show_where_someone_looks(terminal, config, watched, monkeypatch):
    shell = ModuleType("IPython")
    shell.get_ipython = lambda: None if config is None else SimpleNamespace(config=config)
    monkeypatch.setitem(sys.modules, "IPython", shell)
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(isatty=lambda: terminal))
    assert progress.is_watched() is watched
