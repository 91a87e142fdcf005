"""The command line: what it answers, and how it refuses."""

import os
import signal
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

import skeegclip
from skeegclip.commands.cli import app
from skeegclip.commands.demo import config, run

runner = CliRunner()


@pytest.fixture
def never_run(monkeypatch):
    """Fail where the demo starts although it should have refused."""
    monkeypatch.setattr(run, "run_demo", lambda *args, **kwargs: pytest.fail("the demo ran"))


def test_version():
    result = runner.invoke(app, ["--version"])
    assert result.exit_code == 0
    assert result.output == f"skeegclip {skeegclip.__version__}\n"


def test_python_m():
    out = subprocess.run(
        [sys.executable, "-m", "skeegclip", "--version"], capture_output=True, text=True, check=True
    )
    assert out.stdout == f"skeegclip {skeegclip.__version__}\n"


def test_help_imports_nothing_heavy():
    program = (
        "import sys\n"
        "sys.argv = ['skeegclip', 'demo', '--help']\n"
        "from skeegclip.commands.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "print('LOADED', *sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    said, _, loaded = out.partition("LOADED")
    assert "--quick" in said
    assert not set(loaded.split()) & {"numpy", "torch", "sklearn", "mne", "matplotlib", "pandas", "scipy"}


@pytest.mark.parametrize(
    ("arguments", "quick", "seed"), [([], False, 0), (["--quick"], True, 0), (["--seed", "7"], False, 7)]
)
def test_options_reach_the_demo(arguments, quick, seed, tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(run, "run_demo", lambda *args, **kwargs: calls.append((args, kwargs)))
    result = runner.invoke(app, ["demo", "--out", str(tmp_path / "new"), *arguments])
    assert result.exit_code == 0
    assert calls == [((tmp_path / "new", config.QUICK if quick else config.FULL), {"seed": seed})]


def test_default_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "run_demo", lambda *args, **kwargs: None)
    assert runner.invoke(app, ["demo"]).exit_code == 0
    assert (tmp_path / "skeegclip-demo").is_dir()


def test_files_of_others_are_not_replaced(tmp_path, never_run):
    (tmp_path / "report.html").write_text("mine")
    result = runner.invoke(app, ["demo", "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert "is not what an earlier save wrote" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.parametrize("below", ["", "deeper"])
def test_file_in_the_way(below, tmp_path, never_run):
    (tmp_path / "taken").write_text("mine")
    result = runner.invoke(app, ["demo", "--out", str(tmp_path / "taken" / below)])
    assert result.exit_code == 2
    assert result.output.strip().count("\n") == 0
    assert "--out" in result.output
    assert "is a file or lies below one" in result.output
    assert (tmp_path / "taken").read_text() == "mine"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_folder_without_permission(tmp_path, never_run):
    tmp_path.chmod(0o500)
    result = runner.invoke(app, ["demo", "--out", str(tmp_path)])
    tmp_path.chmod(0o700)
    assert result.exit_code == 2
    assert "cannot write" in result.output


def test_disk_that_refuses(tmp_path, never_run, monkeypatch):
    def refuse(**kwargs):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    result = runner.invoke(app, ["demo", "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert "cannot write" in result.output
    assert "Read-only file system" in result.output


@pytest.mark.parametrize("arguments", [["--seed", "-1"], ["--seed", "x"], ["--fast"]])
def test_bad_options(arguments, tmp_path, never_run):
    assert runner.invoke(app, ["demo", "--out", str(tmp_path), *arguments]).exit_code == 2


def test_interrupt(tmp_path, monkeypatch):
    def stopped(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "run_demo", stopped)
    result = runner.invoke(app, ["demo", "--out", str(tmp_path)])
    assert result.exit_code == 130
    assert "Stopped." in result.output


def test_errors_of_the_demo_are_not_hidden(tmp_path, monkeypatch):
    def broken(*args, **kwargs):
        raise ValueError("broken")

    monkeypatch.setattr(run, "run_demo", broken)
    result = runner.invoke(app, ["demo", "--out", str(tmp_path)])
    assert result.exit_code == 1
    assert isinstance(result.exception, ValueError)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals differ")
@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_in_the_middle(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "skeegclip", "demo", "--quick", "--out", str(tmp_path)],
        stderr=subprocess.PIPE,
        text=True,
    )
    said = ""
    for line in process.stderr:
        said += line
        if "Training" in line:
            break
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    said += process.communicate(timeout=120)[1]
    # Where the interrupt lands in code run by exec(), as dataclasses do while they are imported, Python ends by the
    # signal itself. Shells say 130 for both.
    assert process.returncode in (130, -signal.SIGINT)
    assert "Stopped." in said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_quick_demo(tmp_path):
    out = subprocess.run(
        [sys.executable, "-m", "skeegclip", "demo", "--quick", "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "100-way" in out.stdout
    assert "pass/s" not in out.stderr  # no bars where nobody looks
    assert (tmp_path / "metrics.json").stat().st_size > 1000
    assert (tmp_path / "report.html").stat().st_size > 100_000


@pytest.mark.parametrize("command", ["fetch", "evaluate"])
def test_a_command_without_arguments_says_what_is_missing(command):
    result = runner.invoke(app, [command])
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert "Missing" in result.output
