"""The page "THINGS-EEG2 in five commands", followed as it is written, on a miniature from a server on this machine."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from skeegclip.commands.cli import app
from skeegclip.datasets import fetch_things_eeg2

PAGE = Path(__file__).parents[2] / "docs" / "user_guide" / "things_eeg2.rst"


def blocks():
    """Kind and content of each block to follow."""
    found = re.findall(
        r"^\.\. code-block:: (console|python)\n((?: +.*\n|\n)+)", PAGE.read_text(encoding="utf-8"), re.M
    )
    for kind, body in found:
        lines = body.strip("\n").splitlines()
        if ":class: not-run" not in lines[0]:
            yield kind, "\n".join(line[3:] for line in lines).strip() + "\n"


@pytest.fixture
def miniature(publisher, things_eeg2, monkeypatch, tmp_path):
    """Subject 8 of a small THINGS-EEG2, published where the commands look."""
    import io
    import zipfile

    for path in things_eeg2.rglob("*"):
        name = path.relative_to(things_eeg2).as_posix()
        if path.suffix in (".npy", ".pt"):
            publisher.hub[name.replace("sub-01", "sub-08")] = path.read_bytes()
    for split in ("training_images", "test_images"):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for path in (things_eeg2 / "image_set" / split).rglob("*.jpg"):
                archive.write(path, path.relative_to(things_eeg2 / "image_set"))
        publisher.osf.setdefault("y63gw", {})[f"{split}.zip"] = out.getvalue()
    publisher.osf["y63gw"]["image_metadata.npy"] = b"not needed where there are pictures"
    monkeypatch.setitem(fetch_things_eeg2.__kwdefaults__, "hub", publisher.address)
    monkeypatch.setitem(fetch_things_eeg2.__kwdefaults__, "osf", f"{publisher.address}/v2")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_has_five_commands():
    text = PAGE.read_text(encoding="utf-8")
    assert re.findall(r"^\*\*(\d)\. \w+\*\*", text, re.M) == ["1", "2", "3", "4", "5"]
    assert [kind for kind, _ in blocks()][:5] == ["console", "python", "python", "python", "python"]


@pytest.mark.slow
def test_following_the_page(miniature, capsys):
    import matplotlib.pyplot as plt

    names: dict = {}
    for kind, code in blocks():
        if kind == "python":
            # As written, but for the 40 passes of the default.
            code = code.replace("EEGEncoder(targets", "EEGEncoder(max_epochs=2, targets")
            exec(compile(code, str(PAGE), "exec"), names)
            continue
        (command,) = code.splitlines()
        result = CliRunner().invoke(app, shlex.split(command.removeprefix("$ skeegclip")))
        assert result.exit_code == 0, result.output
        assert result.stdout.splitlines()[-1] == "things-eeg2"
    assert (names["train"].shape, names["test"].shape) == ((180, 63, 250), (10, 63, 250))
    assert len(names["encoder"].history_) == 2
    table = names["table"]
    assert table["n_way"].max() == 10
    assert (miniature / "found.png").stat().st_size > 10_000
    assert "large_pink_wavy_cross_on_green_01" in capsys.readouterr().out  # the manifest is shown
    assert np.isfinite(table["accuracy"]).all()
    plt.close("all")
