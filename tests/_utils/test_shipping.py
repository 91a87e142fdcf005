"""What tasks share goes to workers in one file."""

import gc
import os
import pickle
import signal
import subprocess
import sys
import threading

import cloudpickle
import joblib
import mne
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from skeegclip import EmbeddingTable, EpochsStore, EpochsView, evaluate
from skeegclip._evaluation import parallel
from skeegclip._utils.shipping import Shipment, unpacked
from skeegclip.inspection import region_importance
from skeegclip.model_selection import LeaveOneSubjectOut

MANY = 300_000


def test_a_shipment_is_small_and_arrives_whole(tmp_path):
    big, small, text = np.arange(MANY), np.arange(3), np.full(MANY, "öl")
    frame = pd.DataFrame({"kind": pd.Categorical(text), "number": big})
    with Shipment(
        {"big": big, "again": big, "small": small, "text": text, "frame": frame}, tmp_path
    ) as shared:
        sent = pickle.dumps(shared)
        assert len(sent) < 1000
        assert len(list(tmp_path.glob(".*/value"))) == 1
        assert pickle.dumps(shared) == sent
        value = pickle.loads(sent).value
        assert value["again"] is value["big"]
        for name in ("big", "small", "text"):
            np.testing.assert_array_equal(value[name], {"big": big, "small": small, "text": text}[name])
        pd.testing.assert_frame_equal(value["frame"], frame)
        assert not value["big"].flags.owndata
        assert value["small"].flags.writeable
    assert not list(tmp_path.iterdir())
    np.testing.assert_array_equal(value["big"], big)  # still open


def test_a_worker_runs_its_task_in_turn(tmp_path):
    def jobs():
        return joblib.Parallel(n_jobs=2, backend=None)._backend.effective_n_jobs(2)

    with Shipment(1, tmp_path) as shared:
        arrived = pickle.loads(pickle.dumps(shared))
        assert jobs() == 2
        with unpacked(shared) as value:
            assert (value, jobs()) == (1, 2)
        with unpacked(arrived) as value:
            assert (value, jobs()) == (1, 1)
        assert jobs() == 2


def test_nothing_is_written_that_nobody_pickles(tmp_path):
    with Shipment(np.arange(MANY), tmp_path / "new") as shared:
        results = joblib.Parallel(n_jobs=2, backend="threading")(
            joblib.delayed(_first)(shared, threading.current_thread()) for _ in range(2)
        )
    assert results == [0, 0]
    assert not (tmp_path / "new").exists()


def _first(shared, caller):
    return shared.value[0]


def test_a_worker_that_cannot_see_the_file_says_so(tmp_path):
    with Shipment(1, tmp_path) as shared:
        sent = pickle.dumps(shared)
    with pytest.raises(
        FileNotFoundError, match=r"A worker cannot see .* Pass folder= on a file system that all"
    ):
        pickle.loads(sent).value  # noqa: B018


def test_an_interrupted_block_leaves_no_file(tmp_path):
    def interrupted():
        with Shipment(1, tmp_path) as shared:
            pickle.dumps(shared)
            assert list(tmp_path.iterdir())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not list(tmp_path.iterdir())


class Weighing:
    """In place of joblib's Parallel: weighs what would be sent for every task."""

    sizes: list

    def __init__(self, **settings):
        pass

    def __call__(self, tasks):
        for task in tasks:
            sent = cloudpickle.dumps(task)
            self.sizes.append(len(sent))
            function, args, kwargs = pickle.loads(sent)
            yield function(*args, **kwargs)


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_task_weighs_next_to_nothing(monkeypatch, tmp_path, in_memory):
    rng = np.random.default_rng(0)
    ids = [f"s{i:02d}" for i in range(20)]
    table = EmbeddingTable(ids, rng.standard_normal((20, 4000)))
    y, subject = np.tile(np.repeat(ids, 5), 3), np.repeat(["ann", "bob", "cyd"], 100)
    rows = pd.DataFrame({"split": np.where(np.isin(y, ids[:5]), "test", "train")})
    X = rng.standard_normal((300, 2, 500)).astype(np.float32)
    info = mne.create_info(["O1", "O2"], 250.0, "eeg")
    X = EpochsView.from_arrays(X, subject=subject, stimulus=y, rows=rows, info=info)
    if not in_memory:
        X = EpochsStore.create(tmp_path / "store", X).view()
    monkeypatch.setattr(parallel, "Parallel", Weighing)
    Weighing.sizes = []
    settings = {"targets": table, "cv": LeaveOneSubjectOut(), "folder": tmp_path / "results"}
    report = evaluate(Ridge(), X, **settings)
    assert len(report.scores["subject"].unique()) == 3
    region_importance(Ridge(), X, regions={"one": ["O1"], "other": ["O2"]}, **settings)
    assert len(Weighing.sizes) > 3
    assert max(Weighing.sizes) < 1500


SHIP = """
import pickle, sys
import numpy as np
from skeegclip._evaluation import parallel
from skeegclip._utils.shipping import Shipment
with Shipment(np.arange(300_000), sys.argv[1]) as shared:
    pickle.dumps(shared)
    print("sent", flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_what_a_killed_run_has_shipped_goes_with_the_next(tmp_path, end):
    command = [sys.executable, "-c", SHIP, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as live, subprocess.Popen(command, **pipes) as dead:
        assert [process.stdout.readline() for process in (live, dead)] == [b"sent\n"] * 2
        dead.send_signal(end)
        dead.wait()
        assert len(list(tmp_path.glob(".skeegclip-shipment-*"))) == 2
        with Shipment(1, tmp_path) as shared:  # also a run that stays in its process
            assert len(list(tmp_path.glob(".skeegclip-shipment-*"))) == 1
            pickle.dumps(shared)
            assert len(list(tmp_path.glob(".skeegclip-shipment-*"))) == 2  # of the one that lives, and this
        live.communicate(b"\n", timeout=60)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_of_and_not_that_a_task_does_not_pickle(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("skeegclip._utils.shipping.open", full, raising=False)

    def run():
        with Shipment(np.arange(MANY), tmp_path) as shared:
            joblib.Parallel(n_jobs=2)(joblib.delayed(_first)(shared, None) for _ in range(3))

    needed = np.arange(MANY).nbytes
    with pytest.raises(
        OSError, match=rf"{needed // 1000}\d* bytes are needed and \d+ are free.*{tmp_path}"
    ) as caught:
        run()
    assert caught.value.errno == 28
    assert list(tmp_path.iterdir()) == []


def test_three_hundred_shipments_grow_neither_files_nor_threads(tmp_path):
    def use():
        with Shipment(np.arange(MANY), tmp_path) as shared:
            assert pickle.loads(pickle.dumps(shared)).value[-1] == MANY - 1

    use()
    files, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
    for _ in range(300):
        use()
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= files
    assert threading.active_count() <= threads
    assert list(tmp_path.iterdir()) == []
