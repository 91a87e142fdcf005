"""Ten people of THINGS-EEG2's size on disk: one fold of leave-one-subject-out, in memory, time and idle share.

Writes a store of float16 (26 GB for ten people, which must be free, and 5 GB more): 16,540 pictures x 4 epochs for
training and 200 x 80 for the test, of 63 channels and 250 samples. Each person's noise comes from a bank of 4,096 epochs, cut at
random places and with random signs, because fresh noise takes longer than the disk; from sample 60 to 110 a response to the
picture is added, which people share in part. Then, with none of the store in the system's cache:

- the store is opened, and the fit of a whole fold is begun, up to its first batch;
- an encoder (EEGProject, of the networks with a name the one whose step is cheapest) is trained on a share of all epochs of
  all people but one, drawn at random;
- it is tested on the averages of that person's test epochs;
- a network that does next to nothing, a linear map of each channel's mean, is trained on as many others: what the reading gives
  when nothing holds it up;
- both are trained on as many epochs out of memory, a part of the store that fits, again and again;
- with ``--dask``, a short leave-one-subject-out runs in three worker processes, of which one is killed.

Memory is what the process owns (``RssAnon``, looked at every 10 ms); pages of the mapped files lie in the cache of the system,
which takes them back when anybody needs the space. "Waits" is the time from the end of one batch to the begin of the next,
over the whole time: what the reading costs beside what it overlaps with. Training computes in one thread (``--threads``), so that
times of the processor are those of work. The folder is removed at the end, also when the script is killed (Linux).

    python examples/benchmarks/full_size.py --people 10 --dask
    python examples/benchmarks/full_size.py --steps
"""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import mne
import numpy as np
import pandas as pd
import torch
from skorch.callbacks import Callback
from store_memory import Peak, status
from store_open import evict

from skeegclip import EEGEncoder, EmbeddingTable, EpochsStore
from skeegclip.metrics import cosine_similarity, top_k_accuracy
from skeegclip.nets import list_nets

CHANS, TIMES, RATE, BANK, BLOCK = 63, 250, 250.0, 4096, 1024
RESPONSE = slice(60, 110)
SIZES = {
    "images": 16540,
    "repetitions": 4,
    "tested": 200,
    "test_repetitions": 80,
    "in_memory": 16384,
    "dims": 1024,
}
SMALL = {"images": 400, "repetitions": 2, "tested": 20, "test_repetitions": 10, "in_memory": 300, "dims": 64}
LATENTS = 32


def make_table(sizes):
    """What the brain tells of each picture, and the vectors of the pictures, which say that in more numbers."""
    rng = np.random.default_rng(0)
    latent = rng.standard_normal((sizes["images"] + sizes["tested"], LATENTS), dtype=np.float32)
    vectors = latent @ rng.standard_normal((LATENTS, sizes["dims"]), dtype=np.float32)
    return latent, EmbeddingTable([f"{i:05d}" for i in range(len(latent))], vectors)


def make_rows(person, sizes):
    """The table of one person's epochs."""
    images = np.arange(sizes["images"] + sizes["tested"])
    train, test = images[: sizes["images"]], images[sizes["images"] :]
    shown = np.concatenate(
        [np.repeat(train, sizes["repetitions"]), np.repeat(test, sizes["test_repetitions"])]
    )
    split = np.where(shown < sizes["images"], "train", "test")
    stimulus = np.char.zfill(shown.astype(str), 5)
    return shown, pd.DataFrame({"stimulus": stimulus, "subject": f"sub-{person + 1:02d}", "split": split})


def make_blocks(people, sizes, latent):
    """Blocks of epochs in microvolts: noise of 10 from the bank, and a response of 1."""
    rng = np.random.default_rng(1)
    shared = rng.standard_normal((LATENTS, CHANS), dtype=np.float32)
    course = np.hanning(RESPONSE.stop - RESPONSE.start).astype(np.float32)
    for person in range(people):
        own = (0.8 * shared + 0.6 * rng.standard_normal(shared.shape, dtype=np.float32)) / np.sqrt(LATENTS)
        bank = (10 * rng.standard_normal(BANK * CHANS * TIMES, dtype=np.float32)).astype(np.float16)
        shown, _ = make_rows(person, sizes)
        for part in np.array_split(shown, -(-len(shown) // BLOCK)):
            start = rng.integers(len(bank) - BLOCK * CHANS * TIMES)
            block = bank[start : start + len(part) * CHANS * TIMES].reshape(-1, CHANS, TIMES).copy()
            flip = (rng.integers(2, size=(len(part), 1, 1)) << 15).astype(np.uint16)
            block.view(np.uint16)[...] ^= flip  # the bit of the sign
            block[:, :, RESPONSE] += ((latent[part] @ own)[:, :, None] * course).astype(np.float16)
            yield block


@contextmanager
def removed_folder(where):
    """A temporary folder that is removed however this process ends: another one waits for its end."""
    folder = tempfile.mkdtemp(prefix="full-size-", dir=where)
    code = "import shutil, sys; sys.stdin.read(); shutil.rmtree(sys.argv[1], ignore_errors=True)"
    command = [sys.executable, "-c", code, folder]
    cleaner = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield Path(folder)
    finally:
        cleaner.stdin.close()
        cleaner.wait()


def write(folder, people, sizes, latent):
    """Write the store, all people in one go, and tell what it took."""
    info = mne.create_info(CHANS, RATE, "eeg")
    rows = pd.concat([make_rows(person, sizes)[1] for person in range(people)], ignore_index=True)
    need = 2 * len(rows) * CHANS * TIMES
    free = shutil.disk_usage(folder).free
    if free < need + 5e9:
        raise SystemExit(
            f"{need / 1e9:.1f} GB and 5 more are needed, {free / 1e9:.1f} are free. Choose --folder."
        )
    start = time.perf_counter(), time.process_time()
    EpochsStore.create(folder / "store", make_blocks(people, sizes, latent), rows, info=info, dtype="float16")
    clock, own = time.perf_counter() - start[0], time.process_time() - start[1]
    print(
        f"{people} people, {len(rows):,} x {CHANS} x {TIMES} float16, {need / 1e9:.1f} GB,"
        f" written in {clock:.0f} s ({own:.0f} s of the processor)",
        flush=True,
    )


class Enough(Exception):
    """What was to be seen was seen."""


class Watch(Callback):
    """Take the times of batches; with `only_begin`, stop at the first."""

    def __init__(self, only_begin=False):
        self.only_begin = only_begin

    def initialize(self):
        self.begun = self.ended = None
        self.epochs, self.waits, self.works = 0, [], []  # works: seconds of the processor

    def on_batch_begin(self, net, batch, training, **kwargs):
        now = time.perf_counter()
        if self.only_begin:
            raise Enough
        if self.ended is None:
            self.first, self.own = now, time.process_time()
        else:
            self.waits.append(now - self.ended)
        self.begun = time.process_time()
        self.epochs += len(batch[1])

    def on_batch_end(self, net, batch, training, **kwargs):
        self.ended, self.last_own = time.perf_counter(), time.process_time()
        self.works.append(self.last_own - self.begun)

    def told(self):
        """Epochs a second by the clock and by the processor's time, and the share of the clock that was waited."""
        clock, own = self.ended - self.first, self.last_own - self.own
        return self.epochs / clock, self.epochs / own, sum(self.waits) / clock


class Means(torch.nn.Module):
    """A linear map of each channel's mean: every number is looked at once, and that is all."""

    def __init__(self, n_outputs, n_chans, n_times):
        super().__init__()
        self.head = torch.nn.Linear(n_chans, n_outputs)

    def forward(self, x):
        return self.head(x.mean(dim=2))


NETS = {"EEGProject": "eegproject", "channel means": Means}


def make_encoder(table, net="eegproject", passes=1, only_begin=False):
    """The encoder to train, which holds nothing out."""
    return EEGEncoder(
        net, targets=table, max_epochs=passes, batch_size=256, lr=3e-4, validation=0, device="cpu",
        random_state=0, callbacks=[("watch", Watch(only_begin))],
    )  # fmt: skip


def watch_of(encoder):
    """What has watched an encoder's fit."""
    return next(callback for _, callback in encoder.net_.callbacks if isinstance(callback, Watch))


def time_steps(table, n_steps=4):
    """Print the processor time of a step by each network that has a name, the cheapest first."""
    X = np.random.default_rng(0).standard_normal((256, CHANS, TIMES), dtype=np.float32)
    found = {}
    for net in list_nets()["name"]:
        encoder = make_encoder(table, net, passes=n_steps)
        found[net] = min(watch_of(encoder.fit(X, table.ids[:256])).works)
    print("| network | a step of 256, ms of the processor |\n|---|---:|")
    for net, seconds in sorted(found.items(), key=lambda pair: pair[1]):
        print(f"| {net} | {1e3 * seconds:,.0f} |")


def show(net, place, told):
    """Print a line of the table of speeds."""
    print(f"| {net} | {place} | {told[0]:,.0f} | {told[1]:,.0f} | {told[2]:.1%} |", flush=True)


def train_from_store(path, table, share):
    """Open, begin a whole fold, train on a share of it, and test; returns view, rows and the speeds."""
    start = time.perf_counter()
    view = EpochsStore.open(path).view()
    print(f"opened in {time.perf_counter() - start:.1f} s")
    held = view.subject[-1]
    train = view[np.flatnonzero((view.subject != held) & (view.rows["split"] == "train"))]
    start = time.perf_counter()
    try:
        make_encoder(table, only_begin=True).fit(train, train.stimulus)
    except Enough:
        print(f"a fold of {len(train):,} epochs: first batch after {time.perf_counter() - start:.1f} s")
    fitted, n_rows = {}, round(share * len(train))
    for seed, (name, net) in enumerate(NETS.items(), 2):
        evict(path)
        part = train[np.sort(np.random.default_rng(seed).choice(len(train), n_rows, replace=False))]
        fitted[name] = make_encoder(table, net).fit(part, part.stimulus)
    start = time.perf_counter()
    test = view.select(subject=held, split="test").average(by="stimulus")
    similarity = cosine_similarity(fitted["EEGProject"].transform(test), table.lookup(test.stimulus))
    found = [100 * top_k_accuracy(similarity, np.arange(len(test)), k) for k in (1, 5)]
    print(
        f"trained on {n_rows:,}; {held}, {len(test)} pictures: top-1 {found[0]:.1f} %, top-5 {found[1]:.1f} %"
        f" (chance {100 / len(test):.1f} %), tested in {time.perf_counter() - start:.1f} s"
    )
    return view, train, n_rows, {name: watch_of(encoder).told() for name, encoder in fitted.items()}


def train_from_memory(train, table, n_rows, size):
    """Train on as many epochs out of a few that memory holds."""
    few = train[np.linspace(0, len(train) - 1, min(size, len(train))).astype(int)]
    X, passes = few.load(), max(1, round(n_rows / min(size, len(train))))
    return {
        name: watch_of(make_encoder(table, net, passes).fit(X, X.stimulus)).told()
        for name, net in NETS.items()
    }


def with_dask(view, table, folder):
    """Leave one subject out on a few rows of everybody, in three processes, of which one is killed."""
    from killed_worker import evaluate_and_kill

    torch.set_num_threads(1)
    rng = np.random.default_rng(3)
    is_test = (view.rows["split"] == "test").to_numpy()
    few = [
        rng.choice(np.flatnonzero(is_test == kind), min(len(view) // 10, n), replace=False)
        for kind, n in ((False, 1500), (True, 1000))
    ]
    part = view[np.sort(np.concatenate(few))]
    nice = EEGEncoder("nice", targets=table, max_epochs=1, batch_size=256, validation=0, device="cpu")
    n_done = max(1, len(np.unique(view.subject)) // 3)
    evaluate_and_kill({"NICE": nice}, part, table, folder / "results", n_workers=3, n_done=n_done, n_seeds=1)


def main():
    """Read the arguments, write the store, measure, and remove it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, default=10)
    parser.add_argument(
        "--share", type=float, default=0.05, help="of the fold's training epochs that are learned"
    )
    parser.add_argument("--small", action="store_true", help="few pictures, to try the script out")
    parser.add_argument(
        "--dask", action="store_true", help="also three worker processes, one of which is killed"
    )
    parser.add_argument(
        "--steps", action="store_true", help="only time a step of each network, which tells the cheapest"
    )
    parser.add_argument("--threads", type=int, default=1, help="that compute, beside the one that reads")
    parser.add_argument("--folder", help="where to write (the system's temporary folder)")
    args = parser.parse_args()
    sizes = SMALL if args.small else SIZES
    torch.set_num_threads(args.threads)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    latent, table = make_table(sizes)
    if args.steps:
        return time_steps(table)
    with removed_folder(args.folder) as folder:
        write(folder, args.people, sizes, latent)
        evict(folder / "store")
        few = np.random.default_rng(0).standard_normal((8, CHANS, TIMES), dtype=np.float32)
        make_encoder(table).fit(few, table.ids[:8])  # whatever is loaded once
        peak = Peak()
        view, train, n_rows, store = train_from_store(folder / "store", table, args.share)
        print(
            f"own memory: {peak.start_mb:.0f} MB before the store was opened, {peak.mb:.0f} MB at the peak;"
            f" pages of the store {status('RssFile'):.0f} MB",
            flush=True,
        )
        memory = train_from_memory(train, table, n_rows, sizes["in_memory"])
        print("| network | epochs from | epochs/s, clock | epochs/s of processor time | waits |")
        print("|---|---|---:|---:|---:|")
        for name in NETS:
            show(name, "the store, not cached", store[name])
            show(name, "a part of it in memory", memory[name])
        if args.dask:
            with_dask(view, table, folder)
    return None


if __name__ == "__main__":
    main()
