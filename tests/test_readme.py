"""The README's code runs, and its commands are the two that it promises."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

README = Path(__file__).parents[1] / "README.md"


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README.read_text(encoding="utf-8"), re.M | re.S)


def test_sample_runs_and_gives_the_figures_that_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = _blocks("python")
    assert len([line for line in code.splitlines() if line.strip()]) <= 12
    exec(compile(code, str(README), "exec"), {"__name__": "readme"})
    shown = capsys.readouterr().out
    # Not a matter of training: the published embeddings and the published pictures.
    assert "of 200: 36% (chance 0.5%)" in shown
    (auc,) = re.findall(r"AUC (0\.\d\d) \(chance 0\.50\)", shown)
    # Training differs a little from processor to processor; the standard error of such an AUC is 0.017.
    assert float(auc) == pytest.approx(0.64, abs=0.03)
    assert "It prints 36% and 0.64." in README.read_text(encoding="utf-8")


def test_what_the_readme_names_is_there() -> None:
    """Pictures, pages and benchmarks, by their paths."""
    text = README.read_text(encoding="utf-8")
    root = README.parent
    scripts = [f"examples/benchmarks/{name}" for name in re.findall(r"`(\w+\.py)", text)]
    named = {*scripts, *re.findall(r"docs/[\w/]+\.\w+", text)}
    assert len(named) >= 12
    assert [name for name in named if not (root / name).is_file()] == []


def test_the_front_pictures_are_small_and_one_for_each_background() -> None:
    Image = pytest.importorskip("PIL.Image")
    pictures = [README.parent / "docs" / "_static" / f"front_{mode}.png" for mode in ("light", "dark")]
    assert all(path.stat().st_size < 300_000 for path in pictures)
    light, dark = (Image.open(path).convert("RGBA") for path in pictures)
    assert light.size == dark.size
    # Both are transparent, and text is dark on light pages, light on dark ones.
    assert light.getpixel((2, 2))[3] == dark.getpixel((2, 2))[3] == 0

    def text_of(picture: Any) -> float:
        margin = np.asarray(picture)[40:100, :140].reshape(-1, 4)  # where "seen" is written
        return margin[margin[:, 3] > 250, :3].mean()

    assert text_of(light) < 60
    assert text_of(dark) > 200


def test_two_commands_set_up_everything() -> None:
    assert [block.strip() for block in _blocks("console")] == [
        "pip install . && skeegclip demo",
        'pip install -e ".[test]" && pytest',
    ]


def test_the_measured_figures_stand_in_the_documentation() -> None:
    """A figure that is measured anew there is out of date here."""
    docs = README.parent / "docs"
    text = README.read_text(encoding="utf-8")
    benchmarks = (docs / "benchmarks.md").read_text(encoding="utf-8")
    for row, of_readme in (
        ("| real: faces and houses", r"faces against houses.*?accuracy (\.\d+) / (\.\d+)"),
        ("| real: five categories", r"five categories.*?accuracy (\.\d+) / (\.\d+)"),
    ):
        (line,) = [line for line in benchmarks.splitlines() if line.startswith(row)]
        ours, *linear = [float(cell) for cell in line.split("|")[4:8]]
        assert tuple(map(float, re.search(of_readme, text).groups())) == (ours, max(linear))
    for figure in (
        "49.3",
        "72.7",
        "| skeegclip, float32 | 731 | 3.2x",
        "| skeegclip, bfloat16 | 551 | 4.3x",
        "40.7x",
    ):
        assert figure in benchmarks
    assert "151 MB" in (docs / "user_guide" / "store.rst").read_text(encoding="utf-8")
    assert "59.0 [52.5, 66.0]" in (docs / "user_guide" / "evaluation.rst").read_text(encoding="utf-8")
