"""Training spread over processes: that of one process, whatever the shares."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

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
            process.wait()


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


def test_a_fit_with_batch_norm_is_that_of_one_process(two):
    alone = script.train("fit")
    assert len(alone["valid_loss"]) >= 3
    assert sum(found["n_embedded"] for found in two[0]["fit"]) == alone["n_embedded"]
    for found in two[0]["fit"]:
        # Adam turns the rounding of small gradients into steps.
        for name in ("train_loss", "valid_loss", "chosen"):
            np.testing.assert_allclose(found[name], alone[name], rtol=0.01, err_msg=name)


@pytest.mark.parametrize("case", script.CASES)
def test_all_processes_end_alike(two, case):
    first, second = two[0][case]
    assert first.keys() == second.keys()
    for name in first.keys() - {"n_embedded"}:
        np.testing.assert_array_equal(second[name], first[name], err_msg=name)


def test_only_the_first_shows_progress(two):
    said = two[1]
    assert "training:" in said[0][1]
    assert "training:" not in said[1][1]
