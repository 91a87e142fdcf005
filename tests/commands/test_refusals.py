"""Every command with nothing, with nonsense, with what is absent and with what cannot be read."""

import json
import os
import shutil

import mne
import numpy as np
import pandas as pd
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from skeegclip import EmbeddingTable, EpochsStore
from skeegclip.commands._shell import in_flags
from skeegclip.commands.cli import app

COMMANDS = sorted(get_command(app).commands)
GARBAGE = np.random.default_rng(0).bytes(4000)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files of every kind, none of them right but `store` and `table`."""
    folder = tmp_path_factory.mktemp("files")
    for name in ("garbage", "garbage.npy", "garbage-epo.fif", "garbage.safetensors", "garbage.csv"):
        (folder / name).write_bytes(GARBAGE)
    for name in ("empty", "empty.npy", "empty-epo.fif", "empty.safetensors"):
        (folder / name).write_bytes(b"")
    (folder / "text.txt").write_text("Nothing to see here.\n")
    (folder / "folder").mkdir()
    (folder / "folder.npy").mkdir()
    (folder / "stranger").mkdir()
    (folder / "stranger" / "manifest.json").write_bytes(GARBAGE)
    (folder / "foreign").mkdir()
    (folder / "foreign" / "manifest.json").write_text(json.dumps({"format": 1, "made by": "somebody else"}))
    (folder / "foreign" / "skeegclip.json").write_text(json.dumps({"format": 1}))
    rng = np.random.default_rng(0)
    X = rng.normal(size=(8, 3, 20)).astype("float32")
    np.save(folder / "flat.npy", X[0, 0])
    np.save(folder / "text.npy", np.array(["a", "b"]))
    np.save(folder / "objects.npy", np.array([{}], dtype=object))
    np.savez(folder / "several.npz", X=X)
    whole = folder / "whole.npy"
    np.save(whole, X)
    (folder / "cut.npy").write_bytes(whole.read_bytes()[:-100])
    info = mne.create_info(3, 100.0, "eeg")
    mne.EpochsArray(1e-6 * X, info, verbose=False).save(folder / "whole-epo.fif", verbose=False)
    (folder / "cut-epo.fif").write_bytes((folder / "whole-epo.fif").read_bytes()[:-1500])
    mne.io.RawArray(X[0], info, verbose=False).save(folder / "recording_raw.fif", verbose=False)
    ids = list("abcdefgh")
    EpochsStore.create(folder / "store", X, pd.DataFrame({"stimulus": ids, "subject": "ana"}), info=info)
    shutil.copytree(folder / "store", folder / "broken")
    for part in (folder / "broken").iterdir():
        if part.name != "manifest.json" and part.is_file():
            part.write_bytes(b"")
    EmbeddingTable(ids, rng.normal(size=(8, 4))).save(folder / "table.safetensors")
    return folder


def refusal(*arguments, out=None, usage=False):
    """What a command says when it refuses, after looking whether it does so as it should."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert isinstance(result.exception, SystemExit), (arguments, result.exception)
    assert result.exit_code in (1, 2), result.output
    assert "Traceback" not in result.output
    if not usage:
        assert len(result.stderr.strip().splitlines()) == 1, result.stderr
        assert result.stderr.strip()[-1] in ".)]'\"", result.stderr
    if out is not None:
        assert not os.path.lexists(out)
    return " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.parametrize("arguments", [[], *([command] for command in COMMANDS)])
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_by_either_flag(arguments, flag):
    result = CliRunner().invoke(app, [*arguments, flag])
    assert result.exit_code == 0
    assert "Usage: skeegclip" in result.stdout.replace("root", "skeegclip")


@pytest.mark.parametrize("command", [command for command in COMMANDS if command != "demo"])
def test_nothing(command):
    assert "Missing" in refusal(command, usage=True)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "nonsense", [["--nonsense"], ["--out"], ["a", "b", "c", "d"], ["--folder", ""], ["-x"]]
)
def test_nonsense(command, nonsense, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refusal(command, *nonsense, usage=True)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_command():
    assert "No such command 'nonsense'" in refusal("nonsense", usage=True)


NO_STORES = ["absent", "garbage", "empty", "text.txt", "folder", "stranger", "foreign", "broken", "whole.npy"]


@pytest.mark.parametrize("name", NO_STORES)
def test_evaluate_without_a_store(name, files, tmp_path):
    out = tmp_path / "new" / "report"
    options = ["--recipes", "nice", "--protocol", "within", "--targets", files / "table.safetensors"]
    said = refusal("evaluate", "--store", files / name, *options, "--out", out, out=out.parent)
    assert name in said
    if name in ("absent", "empty", "folder"):
        assert "load_recordings" in said  # how to write one's own


@pytest.mark.parametrize("option", ["--targets", "--texts"])
@pytest.mark.parametrize("name", ["absent", "garbage", "garbage.safetensors", "empty.safetensors", "text.txt", "folder", "folder.npy"])  # fmt: skip
def test_evaluate_without_a_table(option, name, files, tmp_path):
    options = ["--recipes", "nice", "--protocol", "within", "--out", tmp_path / "out"]
    said = refusal(
        "evaluate", "--store", files / "store", *options, option, files / name, out=tmp_path / "out"
    )
    assert name in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--recipes", "nonsense"],
            "--recipes: 'nonsense' is neither a recipe (atm_paper, brain_hive, contest, enigma, linear, nice, samga, shallow_alignment, strong) nor",
        ),
        (["--recipes", "nice", "--subjects", "zoe"], "subject"),
        (["--recipes", "nice"], "split"),
    ],
)
def test_evaluate_with_other_nonsense(options, said, files, tmp_path):
    common = ["--store", files / "store", "--protocol", "within", "--targets", files / "table.safetensors"]
    assert said in refusal("evaluate", *common, "--out", tmp_path / "out", *options, out=tmp_path / "out")
    assert "--targets" in refusal(
        "evaluate", *common[:-2], "--recipes", "nice", "--out", tmp_path / "out", out=tmp_path / "out"
    )
    assert "--protocol" in refusal(
        "evaluate", *common[:2], "--protocol", "x", "--recipes", "nice", usage=True
    )


@pytest.mark.parametrize(
    "name",
    [*NO_STORES[:-1], "garbage.npy", "garbage-epo.fif", "garbage.csv", "empty.npy", "empty-epo.fif", "folder.npy",
     "text.npy", "objects.npy", "several.npz", "cut.npy", "cut-epo.fif", "recording_raw.fif"],
)  # fmt: skip
def test_reconstruct_without_epochs(name, files, tmp_path):
    out = tmp_path / "new" / "pictures"
    said = refusal("reconstruct", files / "folder", files / name, "--out", out, out=out.parent)
    assert name in said or name in ("broken", "text.npy")
    assert not said.startswith("path:")  # the command has no such option


@pytest.mark.parametrize(
    "name", ["absent", "garbage", "folder", "stranger", "foreign", "store", "table.safetensors"]
)
def test_reconstruct_without_parts(name, files, tmp_path):
    out = tmp_path / "out"
    refusal("reconstruct", files / name, files / "whole.npy", "--out", out, out=out)
    refusal("reconstruct", files / name, files / "whole-epo.fif", "--out", out, out=out)


def test_what_was_in_the_folder_stays(files, tmp_path):
    (tmp_path / "mine").write_text("mine")
    refusal("reconstruct", files / "folder", files / "garbage", "--out", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    assert "is a file or lies below one" in refusal(
        "reconstruct", files / "folder", files / "whole.npy", "--out", tmp_path / "mine"
    )
    (tmp_path / "empty").mkdir()  # empty, but not ours
    refusal("reconstruct", files / "folder", files / "garbage", "--out", tmp_path / "empty")
    assert (tmp_path / "empty").is_dir()


@pytest.mark.parametrize("name", ["garbage", "text.txt"])
def test_fetch_into_a_file(name, files):
    before = (files / name).read_bytes()
    refusal("fetch", "things-eeg2", "--subjects", "1", "--offline", "--folder", files / name)
    refusal("fetch", "things-meg", "--subjects", "1", "--offline", "--folder", files / name)
    assert (files / name).read_bytes() == before


def test_the_shell_speaks_of_options(files):
    said = refusal("fetch", "things-eeg2", "--subjects", "1", "--offline", "--folder", files / "folder")
    assert said.startswith("--offline, but 6 of the files are not in")
    assert said.endswith("Leave out --offline to download them.")
    assert refusal("fetch", "things-meg", "--subjects", "99").startswith("--subjects must be among 1 to 4")
    flags = {"n_images": "--n-images", "device": "--device", "trusted": "--trusted"}
    assert in_flags("Pass device='cpu', or n_images=2.", flags) == "Pass --device 'cpu', or --n-images 2."
    assert in_flags("untrusted=True and my-device=3 and net__device=4 stay.", flags) == (
        "untrusted=True and my-device=3 and net__device=4 stay."
    )
