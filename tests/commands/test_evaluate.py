"""``skeegclip evaluate`` on a miniature with the file layout of THINGS-EEG2, and on a store."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from skeegclip import EmbeddingTable, recipes
from skeegclip.commands.cli import app
from skeegclip.commands.evaluate import make_recipe

QUICK = ["--batch-size", "64", "--max-epochs", "1"]


@pytest.fixture(scope="module")
def folder(things_eeg2, tmp_path_factory):
    """A copy of the miniature, for the store that the first run makes of it."""
    return shutil.copytree(things_eeg2, tmp_path_factory.mktemp("mini") / "things-eeg2")


def run(*arguments):
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


@pytest.fixture(scope="module")
def finished(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("reports") / "within"
    result = run(
        "--store", folder, "--recipes", "atm_paper", "mlp", "--protocol", "within", "--out", out, *QUICK
    )
    assert result.exit_code == 0, result.output
    return out, result.output


@pytest.mark.slow
def test_it_writes_the_report_beside_published_figures(finished):
    out, output = finished
    assert sorted(path.name for path in out.iterdir()) == [
        "cells",
        "report.html",
        "report.json",
        "report.md",
        "scores.csv",
        "skeegclip-files.json",
    ]
    scores = pd.read_csv(out / "scores.csv")
    assert set(scores["estimator"]) == {"atm_paper", "mlp"}
    assert set(scores["subject"]) == {"sub-01", "sub-02"}
    # Names of concepts lie beside the recordings, so that there is a classification too.
    assert set(scores["task"]) == {"retrieval", "classification"}
    assert {"top-1", "top-5", "2-way", "10-way", "oracle top-1"} <= set(scores["metric"])
    text = (out / "report.md").read_text(encoding="utf-8")
    # Table 8, within subjects: 26.13 for ATM-S, 7.34 for the MLP.
    assert "26.1 ± 8.2" in text
    assert "7.3 ± 2.1" in text
    assert "oracle top-1" in text
    assert "the last batch of the training set" in text
    content = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert {row["rule"] for row in content["selection"]} == {"last-batch"}
    assert {row["level"] for row in content["flags"]} <= {"warning", "note"}
    assert "batch_size=64" in content["estimators"]["atm_paper"]
    assert "text_weight=0.01" in content["estimators"]["atm_paper"]
    assert "report.html" in output
    assert "oracle top-1" in output


@pytest.mark.slow
def test_the_same_command_again_does_nothing_again(folder, finished):
    out, _ = finished
    cells = {path: path.stat().st_mtime_ns for path in (out / "cells").iterdir()}
    assert len(cells) == 4
    result = run(
        "--store", folder, "--recipes", "atm_paper", "mlp", "--protocol", "within", "--out", out, *QUICK
    )
    assert result.exit_code == 0, result.output
    assert {path: path.stat().st_mtime_ns for path in (out / "cells").iterdir()} == cells


@pytest.mark.slow
def test_a_store_with_a_table_and_one_person_left_out(folder, simulated, tmp_path):
    store = folder / "skeegclip-float32"
    assert (store / "manifest.json").is_file()
    simulated.image_embeddings.save(tmp_path / "images.safetensors")
    arguments = ["--store", store, "--targets", tmp_path / "images.safetensors", "--out", tmp_path / "out"]
    result = run(*arguments, "--recipes", "strong", "--protocol", "loso", "--no-oracle", *QUICK)
    assert result.exit_code == 0, result.output
    scores = pd.read_csv(tmp_path / "out" / "scores.csv")
    assert not scores["metric"].str.startswith("oracle").any()
    content = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert content["settings"]["cv"] == "LeaveOneSubjectOut(concept='concept')"
    assert content["published"] == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"--recipes": "stron"}, "'stron' is neither a recipe"),
        ({"--subjects": "sub-99"}, "no row has subject=['sub-99']"),
        ({"--store": "nowhere"}, "nowhere"),
    ],
)
def test_mistakes_are_told_in_a_sentence(folder, tmp_path, changes, message):
    arguments = {
        "--store": folder,
        "--recipes": "nice",
        "--protocol": "within",
        "--out": tmp_path / "out",
        **changes,
    }
    result = run(*(part for pair in arguments.items() for part in pair))
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output


@pytest.mark.slow
def test_a_store_alone_does_not_know_the_pictures(folder, finished, tmp_path):
    result = run(
        "--store",
        folder / "skeegclip-float32",
        "--recipes",
        "nice",
        "--protocol",
        "within",
        "--out",
        tmp_path / "out",
    )
    assert result.exit_code == 2
    assert "targets: nothing is known of the pictures" in result.output


@pytest.mark.parametrize("name", sorted(set(recipes.__all__) - {"paper", "finetune"}))
def test_every_recipe_can_be_named(name):
    table = EmbeddingTable(["cat", "dog"], np.eye(2))
    made = make_recipe(name.replace("_", "-"), table, text_targets=None, protocol="within")
    assert repr(made) == repr(getattr(recipes, name)(table))


@pytest.mark.parametrize("name", sorted(set(recipes.__all__) - {"paper", "finetune"}))
def test_every_recipe_takes_the_options_and_is_told_of_in_the_help(name):
    """``linear`` and ``contest`` train no network: beside others that do, they have no batches to make smaller."""
    table = EmbeddingTable(["cat", "dog"], np.eye(2))
    short = {"batch_size": 64, "max_epochs": 7}
    made = make_recipe(name, table, text_targets=None, protocol="within", **short)
    asked = {
        key.rpartition("__")[2]: value
        for key, value in made.get_params().items()
        if key.endswith(("__batch_size", "__max_epochs"))
    }
    assert asked == ({} if name in ("linear", "contest") else short)
    assert name in {word.strip(" │,") for word in run("--help").output.split()}
