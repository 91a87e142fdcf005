"""Training spread over processes: that of one process, whatever the shares."""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import sys
from pathlib import Path

import mne
import numpy as np
import pandas as pd
import pytest
import torch

from skeegclip import EEGEncoder, EmbeddingTable, EpochsStore
from skeegclip._training.ranks import ALONE, Ranks

SCRIPT = Path(__file__).with_name("over_ranks.py")
_spec = importlib.util.spec_from_file_location("over_ranks", SCRIPT)
script = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(script)


def start(size, folder, *arguments, program=SCRIPT):
    commands = (
        [sys.executable, str(program), str(rank), str(size), str(folder), *arguments] for rank in range(size)
    )
    return [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for command in commands
    ]


def finish(processes, timeout=120):
    """Output and errors of each, none left behind."""
    try:
        return [process.communicate(timeout=timeout) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What each of two processes found, in every case; and what they said."""
    folder = tmp_path_factory.mktemp("two")
    processes = start(2, folder, *script.CASES)
    said = finish(processes)
    assert [process.returncode for process in processes] == [0, 0], said
    found = {
        case: [dict(np.load(folder / f"case{number}-rank{rank}.npz")) for rank in (0, 1)]
        for number, case in enumerate(script.CASES)
    }
    return found, said


def equal_to_rounding(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=2e-4, atol=2e-5, err_msg=name)


@pytest.mark.parametrize("case", [case for case in script.CASES if case.startswith("step")])
@pytest.mark.slow
def test_loss_and_gradient_are_those_of_the_whole_batch(two, case):
    alone = script.train(case)
    assert (
        np.abs(alone["gradient/log_scale" if "gradient/log_scale" in alone else "gradient/clip.log_scale"])
        > 1e-4
    )
    shares = [found.pop("n_embedded") for found in two[0][case]]
    assert shares == [46, 47]
    assert alone.pop("n_embedded") == 93
    for found in two[0][case]:
        equal_to_rounding(found, alone)


@pytest.mark.slow
def test_a_fit_with_batch_norm_is_that_of_one_process(two):
    alone = script.train("fit")
    assert len(alone["valid_loss"]) >= 3
    assert sum(found["n_embedded"] for found in two[0]["fit"]) == alone["n_embedded"]
    for found in two[0]["fit"]:
        # Adam turns the rounding of small gradients into steps.
        for name in ("train_loss", "valid_loss", "chosen"):
            np.testing.assert_allclose(found[name], alone[name], rtol=0.01, err_msg=name)


@pytest.mark.parametrize("case", script.CASES)
@pytest.mark.slow
def test_all_processes_end_alike(two, case):
    first, second = two[0][case]
    assert first.keys() == second.keys()
    for name in first.keys() - {"n_embedded"}:
        np.testing.assert_array_equal(second[name], first[name], err_msg=name)


@pytest.mark.slow
def test_only_the_first_shows_progress(two):
    said = two[1]
    assert "training in batches of 25:" in said[0][1]
    assert "training" not in said[1][1]


@pytest.mark.slow
def test_different_data_are_refused_everywhere(two):
    for output, _ in two[1]:
        assert "y of process 1 differs from that of process 0. Give the same to all 2 processes" in output
        assert "X of process 1 differs from that of process 0." in output


@pytest.mark.slow
def test_cells_of_an_evaluation_are_trained_by_all(two):
    alone = script.evaluated()
    for rank, (output, _) in enumerate(two[1]):
        values = [float(value) for value in output.split("evaluated:")[1].split()]
        np.testing.assert_allclose(values, alone, rtol=1e-3, err_msg=str(rank))


def test_shares_make_up_the_batch():
    rows = np.arange(23)
    parts = [rows[Ranks(rank, 4).share(23)] for rank in range(4)]
    np.testing.assert_array_equal(np.concatenate(parts), rows)
    assert sorted(map(len, parts)) == [5, 6, 6, 6]
    assert all(len(rows[Ranks(rank, 4).share(3)]) == 3 for rank in range(4))  # too few to share


def test_batches_smaller_than_the_group_are_refused():
    Ranks(0, 4).check_batches(12, 4)
    with pytest.raises(
        ValueError, match=r"batch_size=4 makes batches of 3 epochs, too few for 4 processes\. Raise it"
    ):
        Ranks(0, 4).check_batches(13, 4)


def test_alone_nothing_changes():
    z = torch.ones(3, 2)
    assert Ranks.current() == ALONE
    assert ALONE.gather(z, 3) is z
    assert ALONE.agree(z) is z
    assert ALONE.collect(z) == [z]


# -- what goes wrong -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_killed_process_ends_the_others_and_the_run_goes_on_from_its_checkpoint(tmp_path):
    first, second = start(2, tmp_path, "kill")
    (_, error), _ = finish([first, second])
    assert second.returncode == -signal.SIGKILL
    assert first.returncode == 1
    assert "the processes that train together have lost each other" in error
    assert len(list((tmp_path / "runs").iterdir())) == 1
    again = {}
    for how, folder in (("resumed", tmp_path), ("uninterrupted", tmp_path / "other")):
        folder.mkdir(exist_ok=True)
        (folder / "meet").unlink(missing_ok=True)
        said = finish(processes := start(2, folder, "live"))
        assert [process.returncode for process in processes] == [0, 0], said
        again[how] = [np.load(folder / f"live-rank{rank}.npz")["embedding"] for rank in (0, 1)]
        assert not list((folder / "runs").iterdir())
    for embedding in again["resumed"]:
        np.testing.assert_array_equal(embedding, again["uninterrupted"][0])


@pytest.mark.slow
@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_all(tmp_path):
    processes = start(2, tmp_path, "wait")
    assert processes[0].stdout.readline() == "pass\n"
    for process in processes:
        process.send_signal(signal.SIGINT)
    said = finish(processes, timeout=60)
    assert all(process.returncode not in (0, -signal.SIGKILL) for process in processes)
    assert any("KeyboardInterrupt" in error for _, error in said)
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["accelerate", "torchrun"])
def test_the_script_of_the_docs(tmp_path, launcher):
    page = (Path(__file__).parents[2] / "docs" / "scaling.md").read_text(encoding="utf-8")
    (tmp_path / "train.py").write_text(page.split("`train.py`:\n\n```python\n")[1].split("```")[0])
    rng = np.random.default_rng(0)
    table = EmbeddingTable([f"s{i:02d}" for i in range(30)], rng.standard_normal((30, 4)))
    table.save(tmp_path / "clip.safetensors")
    rows = pd.DataFrame({"stimulus": np.tile(table.ids, 3), "subject": "ann", "split": "train"})
    info = mne.create_info(["O1", "O2", "Oz"], 250.0, "eeg")
    EpochsStore.create(tmp_path / "store", rng.standard_normal((90, 3, 120)), rows, info=info)
    launch = {
        "accelerate": "accelerate.commands.launch --multi_gpu --num_processes 2 --num_machines 1"
        " --mixed_precision no --dynamo_backend no",
        "torchrun": "torch.distributed.run --nproc_per_node 2",
    }[launcher]
    command = [sys.executable, "-m", *launch.split(), "train.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert EEGEncoder.load(tmp_path / "encoder").history_[-1]["epoch"] == 320
    assert not list((tmp_path / "runs").iterdir())
