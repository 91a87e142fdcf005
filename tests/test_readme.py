"""The README's code runs, and its commands are the two that it promises."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README.read_text(encoding="utf-8"), re.M | re.S)


def test_sample_runs_and_decodes_above_chance(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = _blocks("python")
    assert len([line for line in code.splitlines() if line.strip()]) <= 15
    exec(compile(code, str(README), "exec"), {"__name__": "readme"})
    shown = re.findall(r"(\w+) +right among 200: ([\d.]+)% \(chance 0.5%\)", capsys.readouterr().out)
    assert [name for name, _ in shown] == ["EEGEncoder", "Ridge"]
    # The claim of the README is that both decode: far above the half per cent of chance.
    assert all(float(accuracy) > 5 for _, accuracy in shown)


def test_two_commands_set_up_everything() -> None:
    assert [block.strip() for block in _blocks("console")] == [
        "pip install . && skeegclip demo",
        'pip install -e ".[test]" && pytest',
    ]
