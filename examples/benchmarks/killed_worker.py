"""An evaluation on dask in which a worker is killed: what is lost, and what is sent.

Networks and ridge regression, leave one subject out, on a store of simulated epochs, with two worker processes of this
machine. When a third of the cells are done, one worker gets SIGKILL. Then the same evaluation is made without dask.

Run: ``python examples/benchmarks/killed_worker.py`` (one to three minutes on two cores).
"""

import os

os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # as in dask's workers, so that the results are equal to the bit

import signal
import tempfile
import threading
import time
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge

from skeegclip import EEGEncoder, EpochsStore, evaluate
from skeegclip.datasets import make_things_like
from skeegclip.model_selection import LeaveOneSubjectOut


def make_store(folder):
    """Four people as a store, and the vectors of the pictures."""
    data = make_things_like(
        n_subjects=4, n_train_concepts=150, n_images_per_concept=2, snr=2.0, random_state=0
    )
    rows = pd.DataFrame(
        {"subject": data.subject, "stimulus": data.y, "concept": data.concept, "split": data.split}
    )
    return EpochsStore.create(folder / "store", data.X, rows, info=data.info), data.image_embeddings


def kill_later(pid, cells, n_done):
    """Kill a process when so many cells are done; return when, and the cells that were there."""
    found = {}

    def watch():
        while len(files := {path: path.stat().st_mtime_ns for path in cells.glob("*.cell")}) < n_done:
            time.sleep(0.01)
        os.kill(pid, signal.SIGKILL)
        found["before"] = files

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread, found


def evaluate_and_kill(decoders, view, table, folder, *, n_workers, n_done, n_seeds):
    """Evaluate with dask and a kill, then without either, and compare; returns the report."""
    from distributed import Client, LocalCluster

    settings = {"cv": LeaveOneSubjectOut(), "targets": table, "n_seeds": n_seeds}
    # A limit would count the pages of the store that a worker has mapped, and end it for them.
    how = {"n_workers": n_workers, "threads_per_worker": 1, "memory_limit": 0, "dashboard_address": ":0"}
    with (
        LocalCluster(**how) as cluster,
        Client(cluster) as client,
    ):
        workers = list(client.run(os.getpid).values())
        thread, found = kill_later(workers[0], folder / "cells", n_done=n_done)
        start = time.perf_counter()
        with joblib.parallel_config("dask"):
            report = evaluate(decoders, view, folder=folder, verbose=1, **settings)
        seconds = time.perf_counter() - start
        thread.join(timeout=10)
        if "before" not in found:
            raise RuntimeError(f"no worker was killed: fewer than {n_done} cells were seen in {folder}.")
        anew = set(client.run(os.getpid).values()) - set(workers)
    serial = evaluate(decoders, view, **settings)
    after = {path: path.stat().st_mtime_ns for path in (folder / "cells").glob("*.cell")}
    untouched = sum(after.get(path) == written for path, written in found["before"].items())
    same = np.array_equal(report.scores["value"], serial.scores["value"])
    print(f"worker {workers[0]} of {n_workers} killed with {len(found['before'])} of {len(after)} cells done")
    print(f"of these written again: {len(found['before']) - untouched}; new worker: {anew or 'none'}")
    print(f"all cells done after {seconds:.1f} s; scores equal those of the serial run: {same}")
    print(report.summary(["top-1"])[["estimator", "mean", "chance", "n_subjects"]].round(3).to_string())
    return report


def main():
    """Evaluate networks and ridge regression on four people."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store, table = make_store(folder)
        network = EEGEncoder("eegproject", targets=table, max_epochs=5, batch_size=256, lr=1e-3, device="cpu")
        decoders = {"EEGProject": network, "Ridge": Ridge(1e5)}
        evaluate_and_kill(decoders, store.view(), table, folder / "results", n_workers=2, n_done=5, n_seeds=2)
        size = sum(path.stat().st_size for path in (folder / "store").iterdir())
        print(f"store {size / 1e6:.1f} MB, table {table.vectors.nbytes / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
