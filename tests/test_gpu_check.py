"""The GPU check runs on a CPU: every part works, also where little more than torch is installed."""

from __future__ import annotations

import csv
import importlib
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import torch

_ROOT = Path(__file__).parents[1]
_SCRIPT = _ROOT / "examples" / "benchmarks" / "gpu.py"
_SMALL = ["--device", "cpu", "--small", "--minutes", "30"]


@pytest.fixture
def parts(monkeypatch):
    monkeypatch.syspath_prepend(str(_SCRIPT.parent))
    return importlib.import_module


def run(tmp_path, *arguments, python=(sys.executable,), **environment):
    out = tmp_path / "gpu.csv"
    command = [*python, str(_SCRIPT), *_SMALL, "--out", str(out), *arguments]
    env = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    with open(out, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file)), done.stdout


def test_time_that_is_up_and_packages_that_are_missing_leave_parts_out(parts, capsys, monkeypatch):
    gpu, bench = parts("gpu"), parts("gpu_parts.bench")
    assert bench.missing(["torch", "no_such_package"]) == ["no_such_package"]
    late = bench.Bench(torch.device("cpu"), small=False, minutes=0.01)
    gpu.run(late, gpu.PARTS)
    assert [row[:2] for row in late.rows] == [(name, "skipped") for name in gpu.PARTS]
    monkeypatch.setitem(gpu.PARTS, "prior", ("library", "prior", 0, ["no_such_package"]))
    small = bench.Bench(torch.device("cpu"), small=True, minutes=1)
    gpu.run(small, ["prior", "one trial"])
    assert small.rows[0] == ("prior", "skipped", "", "", "needs no_such_package")
    assert small.rows[1][0] == "one trial"
    assert small.rows[1][2] > 0
    assert capsys.readouterr().out.count("\n") == len(late.rows) + len(small.rows)


def test_parity_tells_a_wrong_gradient(parts, monkeypatch):
    bench, steps = parts("gpu_parts.bench"), parts("gpu_parts.steps")
    small = bench.Bench(torch.device("cpu"), small=True, minutes=1)
    steps.parity(small)
    assert [row[4].rpartition(" ")[2] for row in small.rows] == ["agrees"] * len(small.rows)
    right = steps.one_step

    def wrong(*given):
        loss, z, gradient = right(*given)
        return loss, z, gradient if given[-1] == "float64" else 1.5 * gradient

    monkeypatch.setattr(steps, "one_step", wrong)
    small.rows.clear()
    steps.parity(small)
    assert [row[4].rpartition(" ")[2] for row in small.rows] == ["DIFFERS"] * len(small.rows)


@pytest.mark.slow
def test_multiplications_of_a_step_are_counted(parts):
    bench, steps = parts("gpu_parts.bench"), parts("gpu_parts.steps")
    small = bench.Bench(torch.device("cpu"), small=True, minutes=1)
    layer = torch.nn.Linear(7, 5)
    assert steps.flops_of(layer, torch.zeros(3, 7), small, "float32") == 2 * 3 * 7 * 5


@pytest.mark.slow
def test_every_part_runs_end_to_end(tmp_path, parts):
    rows, shown = run(tmp_path)
    assert list(dict.fromkeys(row["part"] for row in rows)) == list(parts("gpu").PARTS)
    assert not any(row["what"] in ("skipped", "FAILED") or row["value"] == "failed" for row in rows), shown
    learnt = next(float(row["value"]) for row in rows if row["what"].startswith("loss, first"))
    assert learnt < 1
    assert "packages that are missing here: none" in shown


@pytest.mark.slow
def test_parts_of_networks_need_torch_alone(tmp_path, parts):
    bare = tmp_path / "bare"
    bare.mkdir()
    absent = {*parts("gpu_parts.bench").LIBRARY} - {"numpy", "filelock"}  # torch's own
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if path.name not in absent and path.suffix != ".pth":
            (bare / path.name).symlink_to(path)
    rows, shown = run(tmp_path, python=(sys.executable, "-S"), PYTHONPATH=str(bare))
    assert "packages that are missing here: lazy_loader, scipy" in shown
    skipped = {row["part"] for row in rows if row["what"] == "skipped"}
    assert skipped == {name for name, part in parts("gpu").PARTS.items() if part[3]}
    assert len({row["part"] for row in rows} - skipped) == 6


@pytest.mark.slow
def test_the_unet_has_as_many_parameters_as_sdxl_s(parts):
    sdxl = parts("gpu_parts.sdxl")
    with torch.device("meta"):
        unet = sdxl.unet_of(sdxl.FULL)
    assert sum(p.numel() for p in unet.parameters()) == 2_567_463_684
