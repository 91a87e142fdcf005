"""Time from a file to the first batch: an EpochsStore against the pickled dictionary that THINGS-EEG2 comes in.

Writes one subject's training epochs, noise in the published shape (16,540 pictures x 4 repetitions x 63 channels x 250
times, 4.2 GB in float32), as the pickle and as a store. Then, in a fresh process each, opens it and takes a shuffled
batch of 1024 epochs; the store also a whole shuffled pass. "cold" means that the system's cache holds none of the file.
Memory is what the process owns at most, beyond what it has after its imports (Linux).

    python examples/benchmarks/store_open.py --images 16540
"""

from __future__ import annotations

import argparse
import os
import pickle
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import mne.transforms  # what an Info is made with is an import too
import numpy as np
import pandas as pd

from skeegclip import EpochsStore

REPETITIONS, CHANS, TIMES, BATCH = 4, 63, 250, 1024


def write(folder, n_images):
    """Write the pickle, as the published files are made, and the store."""
    rng = np.random.default_rng(0)
    data = np.empty((n_images, REPETITIONS, CHANS, TIMES), dtype=np.float32)
    for image in data:
        rng.standard_normal(out=image, dtype=np.float32)
    with open(folder / "preprocessed_eeg_training.npy", "wb") as file:
        pickle.dump({"preprocessed_eeg_data": data, "times": np.arange(TIMES) / 250}, file, protocol=4)
    ids = np.repeat([f"{image:05d}" for image in range(n_images)], REPETITIONS)
    rows = pd.DataFrame(
        {"stimulus": ids, "concept": [i[:4] for i in ids], "subject": "sub-01", "split": "train"}
    )
    rows["repetition"] = np.tile(np.arange(REPETITIONS), n_images)
    start = time.perf_counter()
    EpochsStore.create(
        folder / "store", data.reshape(-1, CHANS, TIMES), rows, info=mne.create_info(CHANS, 250, "eeg")
    )
    return time.perf_counter() - start


def evict(path):
    """Take a file out of the system's cache."""
    for file in [path] if path.is_file() else path.iterdir():
        number = os.open(file, os.O_RDONLY)
        os.fsync(number)
        os.posix_fadvise(number, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(number)


def own_mb():
    """Return the anonymous memory of the process."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon:")).split()[1]) * 1024 / 1e6


def measure(way, path):
    """Open, take a batch, and print seconds and MB."""
    rng = np.random.default_rng(1)
    before = own_mb()
    start = time.perf_counter()
    if way == "store":
        view = EpochsStore.open(path).view()
        opened = time.perf_counter()
        batch = view.read(np.sort(rng.choice(len(view), BATCH, replace=False)))
    else:
        data = np.load(path, allow_pickle=True)["preprocessed_eeg_data"].reshape(-1, CHANS, TIMES)
        opened = time.perf_counter()
        batch = data[np.sort(rng.choice(len(data), BATCH, replace=False))]
    done = time.perf_counter()
    line = f"{opened - start:9.3f} s {done - start:12.3f} s {own_mb() - before:9.0f} MB"
    if way == "store":
        parts = np.array_split(rng.permutation(len(view)), -(-len(view) // BATCH))
        start = time.perf_counter()
        for part in parts:
            view.read(np.sort(part))
        seconds = time.perf_counter() - start
        line += (
            f" {1e3 * seconds / len(parts):8.0f} ms {len(view) * batch[0].nbytes / 1e6 / seconds:8.0f} MB/s"
        )
    print(line)


def main():
    """Read the arguments, write the files, measure each in a process of its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=16540)
    parser.add_argument("--folder", help="where to write 8.4 GB (a temporary folder)")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        return measure(args.measure[0], Path(args.measure[1]))
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        seconds = write(folder, args.images)
        n_epochs = args.images * REPETITIONS
        size = 4e-9 * n_epochs * CHANS * TIMES
        print(
            f"{n_epochs} x {CHANS} x {TIMES} float32, {size:.2f} GB; the store was written in {seconds:.1f} s"
        )
        print(
            f"{'':14s} {'opened':>10s} {'first batch':>14s} {'memory':>12s} {'a batch':>11s} {'shuffled pass':>13s}"
        )
        for way, path in [("store", folder / "store"), ("pickle", folder / "preprocessed_eeg_training.npy")]:
            for state in ("cold", "warm"):
                if state == "cold":
                    evict(path)
                command = [sys.executable, __file__, "--measure", way, str(path)]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                print(f"{way:7s}, {state:5s} {done.stdout.rstrip()}", flush=True)
    return None


if __name__ == "__main__":
    main()
