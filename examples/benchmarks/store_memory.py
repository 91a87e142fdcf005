"""Leave-one-subject-out training from an EpochsStore: peak memory and time, against the same epochs in memory.

Writes a store of simulated subjects (a planted response to each picture, and noise), then, in a fresh process each,
cross-validates an encoder over subjects: from the store, and from one array that holds all of it. Counted are
*anonymous* pages, which a process owns; pages of the mapped files lie in the cache of the system, which takes them back
when anybody needs the space. ``--limit-mb`` lets the process allocate only so much more than it has in use before the
training starts (Linux).

    python examples/benchmarks/store_memory.py --subjects 10 --epochs 4000 --limit-mb 1000
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import mne
import numpy as np
from sklearn.model_selection import LeaveOneGroupOut, cross_validate

from skeegclip import EEGEncoder, EmbeddingTable, EpochsStore, EpochsView
from skeegclip.metrics import make_retrieval_scorer

N_STIMULI, N_DIMS = 50, 64


def table():
    """Return the vectors of the pictures."""
    vectors = np.random.default_rng(0).normal(size=(N_STIMULI, N_DIMS))
    return EmbeddingTable([f"{i:05d}" for i in range(N_STIMULI)], vectors)


def write(folder, *, subjects, epochs, chans, times):
    """Write the store, one subject at a time."""
    mixing = np.random.default_rng(1).normal(size=(N_DIMS, chans)).astype(np.float32)
    course = np.hanning(times).astype(np.float32)
    shown = np.arange(epochs) % N_STIMULI

    def blocks():
        rng = np.random.default_rng(2)
        for _ in range(subjects):
            for part in np.array_split(shown, max(1, epochs // 500)):
                noise = rng.standard_normal((len(part), chans, times), dtype=np.float32)
                yield 5 * noise + (table().vectors[part] @ mixing)[:, :, None] * course

    rows = {
        "stimulus": np.tile(table().ids[shown], subjects),
        "subject": np.repeat([f"sub-{s + 1:02d}" for s in range(subjects)], epochs),
    }
    return EpochsStore.create(folder, blocks(), rows, info=mne.create_info(chans, 250.0, "eeg"))


def status(name):
    """Return a line of the process's memory status in MB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith(name + ":")).split()[1]) * 1024 / 1e6


def limit(megabytes):
    """Allow the process only so much more memory of its own."""
    import resource

    bound = int((status("VmData") + megabytes) * 1e6)
    resource.setrlimit(resource.RLIMIT_DATA, (bound, bound))


class Peak(threading.Thread):
    """Watch the anonymous memory of the process."""

    def __init__(self):
        super().__init__(daemon=True)
        self.start_mb = self.mb = status("RssAnon")
        self.start()

    def run(self):
        while True:
            self.mb = max(self.mb, status("RssAnon"))
            time.sleep(0.01)


def encoder(args):
    """Return the encoder to cross-validate."""
    return EEGEncoder(
        args.net,
        targets=table(),
        max_epochs=args.passes,
        batch_size=args.batch,
        lr=1e-3,
        device="cpu",
        random_state=0,
    )


def train(way, folder, args):
    """Cross-validate over subjects and print what it took."""
    view = EpochsStore.open(folder).view()
    small = view[:: max(1, len(view) // 100)].load()
    encoder(args).fit(small, small.stimulus)  # whatever is loaded or allocated once
    peak = Peak()
    if args.limit_mb:
        limit(args.limit_mb)
    start = time.perf_counter()
    if way == "array":
        view = EpochsView.from_arrays(np.asarray(view), rows=view.rows, info=view.info)
    result = cross_validate(
        encoder(args), view, view.stimulus, groups=view.subject, cv=LeaveOneGroupOut(),
        scoring=make_retrieval_scorer(k=1), error_score="raise",
    )  # fmt: skip
    seconds = time.perf_counter() - start
    print(
        f"{way:8s} {peak.mb - peak.start_mb:10.0f} MB {seconds:8.1f} s"
        f"   top-1 {result['test_score'].mean():.3f} (chance {1 / N_STIMULI:.3f})"
    )


def main():
    """Read the arguments, write the store, run each way in a process of its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--subjects", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=2000, help="of each subject")
    parser.add_argument("--chans", type=int, default=63)
    parser.add_argument("--times", type=int, default=250)
    parser.add_argument("--net", default="eegproject")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--passes", type=int, default=1)
    parser.add_argument("--limit-mb", type=int, default=0)
    parser.add_argument("--way", choices=["store", "array", "both"], default="both")
    parser.add_argument("--folder", help="where to write the store (a temporary folder)")
    parser.add_argument("--written", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.written:
        return train(args.way, args.folder, args)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        start = time.perf_counter()
        shape = {"subjects": args.subjects, "epochs": args.epochs, "chans": args.chans, "times": args.times}
        store = write(Path(folder) / "store", **shape)
        size = 4 * np.prod(store.shape) / 1e6
        print(f"{store.shape} float32, {size:.0f} MB, written in {time.perf_counter() - start:.1f} s")
        print(f"{'epochs':8s} {'peak of own':>13s} {'time':>10s}   over {args.subjects} folds", flush=True)
        for way in ["store", "array"] if args.way == "both" else [args.way]:
            again = [a for a in sys.argv[1:] if a != args.way]
            command = [
                sys.executable,
                __file__,
                *again,
                "--written",
                "--folder",
                str(store.path),
                "--way",
                way,
            ]
            done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
            if done.returncode:
                print(f"{way:8s} failed: {done.stderr.strip().splitlines()[-1]}", flush=True)
    return None


if __name__ == "__main__":
    main()
