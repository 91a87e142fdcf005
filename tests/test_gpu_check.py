"""The GPU check runs on a CPU: every part works, also where little more than torch is installed."""

from __future__ import annotations

import contextlib
import csv
import gc
import importlib
import os
import signal
import subprocess
import sys
import sysconfig
import time
import weakref
from pathlib import Path

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

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


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no such alarm")
def test_a_part_is_stopped_when_the_time_is_up_and_its_rows_are_kept(parts, tmp_path, monkeypatch):
    gpu, bench, steps = parts("gpu"), parts("gpu_parts.bench"), parts("gpu_parts.steps")

    def endless(bench):
        bench.row("begun", 1, "")
        with contextlib.suppress(Exception):
            time.sleep(60)

    monkeypatch.setattr(steps, "search", endless)
    before = signal.getsignal(signal.SIGALRM)
    small = bench.Bench(torch.device("cpu"), True, 0.3 / 60, str(tmp_path / "rows.csv"))
    gpu.run(small, ["retrieval", "one trial"])
    kinds = [(row[0], row[1]) for row in small.rows]
    assert kinds == [("retrieval", "begun"), ("retrieval", "stopped"), ("one trial", "skipped")]
    assert signal.getsignal(signal.SIGALRM) is before
    with open(tmp_path / "rows.csv", newline="", encoding="utf-8") as file:
        assert [(row["part"], row["what"]) for row in csv.DictReader(file)] == kinds


def test_small_and_broken_cards_end_no_run(parts, monkeypatch):
    gpu, bench, steps = parts("gpu"), parts("gpu_parts.bench"), parts("gpu_parts.steps")

    def fails(error):
        def part(bench):
            raise error

        return part

    small = bench.Bench(torch.device("cpu"), small=True, minutes=1)
    monkeypatch.setattr(steps, "within", fails(torch.OutOfMemoryError("CUDA out of memory. | Tried")))
    monkeypatch.setattr(steps, "search", fails(RuntimeError("an illegal memory access")))
    fresh = iter([None, RuntimeError("an illegal memory access")])

    def lost():
        if error := next(fresh):
            raise error

    monkeypatch.setattr(small, "fresh", lost)
    gpu.run(small, ["within one person", "retrieval", "one trial"])
    assert [row[:2] for row in small.rows] == [
        ("within one person", "out of memory"),
        ("retrieval", "FAILED"),
        ("retrieval", "FAILED"),
    ]
    assert "of no more use" in small.rows[2][4]


class Watch(TorchDispatchMode):
    """Names of the operations that the CPU has a part in."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        tensors = [value for value in tree_leaves((args, kwargs, out)) if isinstance(value, torch.Tensor)]
        if any(value.device.type == "cpu" for value in tensors):
            self.seen.append(str(func))
        return out


@pytest.mark.parametrize("name", ["ATM", "NICE", "EEGProject", "MLP"])
def test_a_step_waits_for_no_number_and_takes_nothing_from_the_cpu(parts, monkeypatch, name):
    """On the device without memory, which refuses to tell a number: what a CUDA graph could not capture."""
    bench, steps = parts("gpu_parts.bench"), parts("gpu_parts.steps")
    monkeypatch.setattr(torch, "autocast", lambda *args, **kwargs: contextlib.nullcontext())  # unknown there
    small = bench.Bench(torch.device("meta"), small=True, minutes=1)
    net, criterion = steps.make(name, steps.shape(small), small.device)
    optimizer = torch.optim.SGD([*net.parameters(), *criterion.parameters()])  # AdamW's own is torch's affair
    given, total = steps.a_batch(small, 16), torch.zeros((), device="meta")
    with Watch() as watch:
        for _ in range(2):
            steps.train(net, criterion, optimizer, *given, small, "float32", total)
    assert watch.seen == []
    with Watch() as watch, pytest.raises((RuntimeError, NotImplementedError)):
        float(total + torch.tensor([1.0])[0].to("meta"))
    assert watch.seen


def test_time_is_taken_when_the_card_is_done(parts, monkeypatch):
    bench = parts("gpu_parts.bench")
    card, log = bench.Bench(torch.device("cuda"), small=True, minutes=1), []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: log.append("wait"))
    monkeypatch.setattr(bench.time, "perf_counter", lambda: log.append("look") or len(log))
    card.seconds(lambda: log.append("run"), repeats=2, warm_up=1)
    assert "".join(word[0] for word in log) == "wlrw" + 2 * "wlrwl"


def test_a_graph_is_captured_after_steps_on_a_stream_of_their_own_and_holds_the_network(parts, monkeypatch):
    bench, steps = parts("gpu_parts.bench"), parts("gpu_parts.steps")
    small, log = bench.Bench(torch.device("cpu"), small=True, minutes=1), []

    class Stream:
        def wait_stream(self, other):
            log.append("wait")

    class Graph:
        def replay(self):
            log.append("replay")

    @contextlib.contextmanager
    def inside(what):
        log.append(type(what).__name__)
        yield
        log.append("end")

    for name, fake in (("Stream", Stream), ("current_stream", Stream), ("CUDAGraph", Graph)):
        monkeypatch.setattr(torch.cuda, name, fake)
    monkeypatch.setattr(torch.cuda, "stream", inside)
    monkeypatch.setattr(torch.cuda, "graph", inside)
    made = []
    right = steps.make

    def make(*given):
        net, criterion = right("EEGProject", *given[1:])
        net.register_forward_hook(lambda *_: log.append("step"))
        made.append(weakref.ref(net))
        return net, criterion

    monkeypatch.setattr(steps, "make", make)
    monkeypatch.setattr(steps, "optimizer_of", lambda net, criterion, **_: torch.optim.SGD(net.parameters()))
    replay = steps.graphed(small, steps.a_batch(small, 16), "float32")
    replay()
    steps_on_stream = ["wait", "Stream", "step", "step", "step", "end", "wait"]
    assert log == [*steps_on_stream, "Graph", "step", "end", "replay"]
    gc.collect()
    assert made[0]() is not None


@pytest.mark.slow
def test_a_step_is_timed_in_a_process_of_its_own(parts):
    """As one that is captured is."""
    bench, steps = parts("gpu_parts.bench"), parts("gpu_parts.steps")
    small = bench.Bench(torch.device("cpu"), small=True, minutes=1)
    with torch.multiprocessing.get_context("spawn").Pool(1) as pool:
        milliseconds, first = pool.apply(steps.timed, (small, "eager", "bfloat16"))
    assert 0 < milliseconds / 1e3 < first


@pytest.mark.slow
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
