"""``skeegclip fetch``: what it hands on, and what it says."""

import pytest
from typer.testing import CliRunner

import skeegclip.datasets
from skeegclip.commands.cli import app

runner = CliRunner()


@pytest.fixture
def calls(monkeypatch, tmp_path):
    """Calls of the two functions, which return a folder."""
    made = []
    for name in ("fetch_things_eeg2", "fetch_things_meg"):
        monkeypatch.setattr(
            skeegclip.datasets,
            name,
            lambda *args, name=name, **kwargs: made.append((name, args, kwargs)) or tmp_path,
        )
    return made


@pytest.mark.parametrize(
    ("arguments", "name", "subjects", "options"),
    [
        (["things-eeg2"], "fetch_things_eeg2", None, {}),
        (["things-eeg2", "--subjects", "8"], "fetch_things_eeg2", ["8"], {}),
        (["things-eeg2", "--subjects", "1", "2", "--what", "images", "raw"], "fetch_things_eeg2", ["1", "2"], {"what": ["images", "raw"]}),
        (["--subjects", "3", "--subjects", "4", "--what", "features", "--offline", "things-eeg2"], "fetch_things_eeg2", ["3", "4"], {"what": ["features"]}),
        (["things-meg", "--subjects", "1", "4"], "fetch_things_meg", ["1", "4"], {}),
    ],
)  # fmt: skip
def test_options_are_handed_on(arguments, name, subjects, options, calls, tmp_path):
    result = runner.invoke(app, ["fetch", *arguments])
    assert result.exit_code == 0, result.output
    assert result.output == f"{tmp_path}\n"
    assert calls == [(name, (subjects,), {"folder": None, "offline": "--offline" in arguments, **options})]


def test_folder(calls, tmp_path):
    assert runner.invoke(app, ["fetch", "things-eeg2", "--folder", str(tmp_path / "x")]).exit_code == 0
    assert calls[0][2]["folder"] == tmp_path / "x"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["things-eeg2", "--subjects", "11"], 2, "--subjects must be among 1 to 10, got 'sub-11'."),
        (["things-eeg2", "--what", "image"], 2, "Did you mean 'images'?"),
        (["things-eeg2", "--subjects", "1", "--offline"], 1, "--offline, but 6 of the files are not in"),
        (["things-meg", "--what", "images"], 2, "things-meg has one thing to download"),
        (["things-fmri"], 2, "things-fmri"),
        (
            ["things-eeg2", "--subjects", "ana"],
            2,
            '--subjects must be numbers or names such as "sub-01", got',
        ),
        (["things-eeg2", "--subjects", "--offline"], 2, "got '--offline'"),
    ],
)
def test_what_is_wrong_is_told_in_one_sentence(arguments, code, said, tmp_path):
    result = runner.invoke(app, ["fetch", *arguments, "--folder", str(tmp_path)])
    assert result.exit_code == code
    assert said in " ".join(result.output.replace("│", " ").split())
    assert "Traceback" not in result.output
    assert list(tmp_path.iterdir()) == []


def test_interrupt(monkeypatch):
    def stopped(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(skeegclip.datasets, "fetch_things_eeg2", stopped)
    result = runner.invoke(app, ["fetch", "things-eeg2"])
    assert result.exit_code == 130
    assert "The same command goes on from here." in result.output
