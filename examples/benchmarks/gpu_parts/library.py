"""What needs the whole library: EEGEncoder on arrays and on stores, the prior, two processes."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from .steps import shape, subject


def fit(bench):
    """`EEGEncoder.fit` of a whole subject, with its checks and the way to the card."""
    from skeegclip import EEGEncoder, EmbeddingTable

    X, image, vectors = (value.cpu().numpy() for value in subject(bench))
    ids = np.array([f"image_{i:05d}" for i in range(len(vectors))])
    bench.fresh()
    # As many passes as fit into half of what is left, at a second each; the first few tell all.
    n_passes = bench.sized(int(np.clip(bench.left / 2, 2, 40)), 2)
    encoder = EEGEncoder(
        "atm-s", targets=EmbeddingTable(ids, vectors), batch_size=bench.sized(1024, 32), max_epochs=n_passes,
        validation=0, random_state=0, device=str(bench.device),
    )  # fmt: skip
    start = time.perf_counter()
    encoder.fit(X, ids[image])
    seconds = time.perf_counter() - start
    passes = [row["dur"] for row in encoder.history_]
    bench.row(f"{len(X):,} epochs, {n_passes} passes", seconds, "s", f"of which passes {sum(passes):.1f} s")
    bench.row("a pass", float(np.median(passes)), "s", "goal: 0.75 s")
    bench.memory()


def store(bench):
    """Leave one subject out, from a store that is larger than the memory that the card has free."""
    import mne
    import pandas as pd

    from skeegclip import EEGEncoder, EmbeddingTable, EpochsStore

    n_chans, n_times, n_dims = shape(bench)
    n_subjects, n_epochs = bench.sized((6, 16_540), (3, 60))
    rng = np.random.default_rng(0)
    ids = np.array([f"image_{i:05d}" for i in range(n_epochs)])
    table = EmbeddingTable(ids, rng.standard_normal((n_epochs, n_dims)).astype(np.float32))
    rows = pd.DataFrame(
        {
            "stimulus": np.tile(ids, n_subjects),
            "subject": np.repeat([f"sub-{i:02d}" for i in range(n_subjects)], n_epochs),
        }
    )
    info = mne.create_info([f"E{i}" for i in range(n_chans)], 250.0, "eeg")
    block = rng.standard_normal((min(n_epochs, 2000), n_chans, n_times)).astype(np.float32)
    parts = (
        block[: min(len(block), n_epochs - at)]
        for _ in range(n_subjects)
        for at in range(0, n_epochs, len(block))
    )
    with tempfile.TemporaryDirectory() as folder:
        view = EpochsStore.create(Path(folder) / "store", parts, rows, info=info, dtype="float16").view()
        training = view.select(subject=sorted(set(view.subject))[1:])
        gigabytes = 4 * np.prod(training.shape) / 1e9
        bench.row(f"{n_subjects} people of {n_epochs:,} epochs, in float32", float(gigabytes), "GB")
        rates = {}
        fits = (
            bench.on_gpu and torch.cuda.mem_get_info()[0] > 2e9 * gigabytes
        )  # else it is read from the disk both times
        for way in ("from the disk", "whole on the device") if fits else ("from the disk",):
            # What fills the card leaves less than the epochs need.
            ballast = leave_free(0.8 * gigabytes) if bench.on_gpu and way == "from the disk" else None
            encoder = EEGEncoder(
                "atm-s", targets=table, max_epochs=2, batch_size=bench.sized(1024, 32), validation=0, random_state=0,
                device=str(bench.device),
            )  # fmt: skip
            start = time.perf_counter()
            encoder.fit(training, training.stimulus)
            seconds = time.perf_counter() - start
            rates[way] = len(training) / encoder.history_[-1]["dur"]
            bench.row(way, rates[way], "epochs a second", f"the fit of 2 passes took {seconds:.1f} s")
            del ballast
            bench.fresh()
        if len(rates) > 1:
            bench.row(
                "from the disk",
                rates["from the disk"] / rates["whole on the device"],
                "of the rate on the card",
            )


def leave_free(gigabytes):
    """Take all of the card's memory but so much."""
    free, _ = torch.cuda.mem_get_info()
    return torch.empty(max(0, int(free - 1e9 * gigabytes)), dtype=torch.uint8, device="cuda")


def prior(bench):
    """Fit the diffusion prior on a subject's pictures, and refine 200 embeddings."""
    from skeegclip import DiffusionPrior

    n, n_dims = bench.sized((16_540, 1024), (120, 8))
    rng = np.random.default_rng(0)
    truth = rng.standard_normal((n, n_dims)).astype(np.float32)
    Z = truth + rng.standard_normal((n, n_dims)).astype(np.float32)
    n_passes = bench.sized(10, 2)
    model = DiffusionPrior(max_epochs=n_passes, random_state=0, device=str(bench.device))
    start = time.perf_counter()
    model.fit(Z, truth)
    bench.row(
        f"fit, {n:,} pictures, {n_passes} passes",
        time.perf_counter() - start,
        "s",
        "the Gaussian on the CPU included",
    )
    start = time.perf_counter()
    model.transform(Z[:200])
    bench.row(
        f"{len(Z[:200])} embeddings refined", time.perf_counter() - start, "s", f"{model.n_steps} steps"
    )
    bench.memory()


def processes(bench):
    """One step by one process and by two: NCCL on two cards, gloo on the CPU."""
    import two_processes

    if bench.on_gpu and torch.cuda.device_count() < 2:
        bench.row("two processes", "skipped", "", "one card only")
        return
    device, backend = ("cuda", "nccl") if bench.on_gpu else ("cpu", "gloo")
    settings = bench.sized((1024, 6), (16, 2)) + (device, shape(bench))
    found = two_processes.compare(settings, backend)
    off = max(found["gradient"])
    losses = f"losses {found['loss'][0]:.6f} and {found['loss'][1]:.6f} against {found['loss alone']:.6f}"
    verdict = "agrees" if off < 1e-2 else "DIFFERS"
    bench.row(f"gradient of two, {backend}", off, "of its length", f"{losses}: {verdict}")
    bench.row("a step alone", found["alone"], "s", f"in each of two {found['each']:.3g} s")
