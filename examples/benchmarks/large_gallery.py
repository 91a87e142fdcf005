"""Retrieval in galleries of 10^3 to 10^6 images: time and memory, exact and with faiss, and what faiss misses.

The gallery is simulated, because a million real embeddings cannot be shipped, after the statistics of real ones: those of
CLIP ViT-H-14 for THINGS-EEG2's 200 test images, and of a published ATM-S encoder for the EEG of subject 8. Images have a
common mean (cosine of two: .40 +- .07; real: .39 +- .09), lie in clusters in clusters (60 superordinate categories, one
concept per 200 images), and spread along 1024 directions, the i-th with variance 1 / (i + 3) (of 200 images half of the
variance lies on 24 axes; real: on 31). An embedding of EEG has a cosine of .27 +- .07 with its own image (real: .23 +- .06)
and of .08 +- .08 with others (real: .05 +- .07), and its errors lie along the same directions as the images, where they do
most harm. ``--check`` prints these.

    python examples/benchmarks/large_gallery.py

Each size runs in a fresh process, from a file that is mapped into memory. Counted are *anonymous* pages, above those before
the search; pages of the file lie in the cache of the system. ``--folder`` keeps the files for another run (5 GB).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from store_memory import Peak

from skeegclip import EmbeddingTable, ImageRetriever

N_DIMS, N_QUERIES, COMMON = 1024, 200, 0.628


def unit(x):
    """Scale rows to unit length."""
    return x / np.linalg.norm(x, axis=1, keepdims=True)


class Simulation:
    """Embeddings of images in clusters, and of EEG."""

    def __init__(self, n_images):
        rng = np.random.default_rng(0)
        variance = 1 / (np.arange(N_DIMS) + 3)
        axes = np.linalg.qr(rng.standard_normal((N_DIMS, N_DIMS)))[0]
        self.mixing = (np.sqrt(variance / variance.sum())[:, None] * axes).astype(np.float32)
        self.mean, self.eeg_mean = unit(rng.standard_normal((2, N_DIMS))).astype(np.float32)
        n_concepts = max(200, n_images // 200)
        category = self.draw(rng, 60)[rng.integers(60, size=n_concepts)]
        self.concepts = np.sqrt(0.25) * category + np.sqrt(0.3) * self.draw(rng, n_concepts)

    def draw(self, rng, n):
        """Vectors with the spectrum of images, of mean squared length one."""
        return rng.standard_normal((n, N_DIMS), dtype=np.float32) @ self.mixing

    def images(self, rng, concepts):
        """Unit vectors of one image of each concept."""
        own = self.concepts[concepts] + np.sqrt(0.45) * self.draw(rng, len(concepts))
        return unit(COMMON * self.mean + np.sqrt(1 - COMMON**2) * own)

    def eeg(self, rng, images):
        """Embeddings of EEG that was recorded while images were seen."""
        own = unit(images - COMMON * self.mean)
        common = 0.12 * self.mean + 0.42 * self.eeg_mean
        return unit(common + 0.27 * own + 0.95 * self.draw(rng, len(images)))

    def check(self):
        """Print what was compared with real embeddings."""
        rng = np.random.default_rng(5)
        images = self.images(rng, rng.permutation(len(self.concepts))[:200])
        pairs = (images @ images.T)[np.triu_indices(200, 1)]
        spread = np.linalg.svd(images - images.mean(axis=0), compute_uv=False) ** 2
        half = int(np.searchsorted(spread.cumsum() / spread.sum(), 0.5)) + 1
        cosine = self.eeg(rng, images) @ images.T
        own, other = np.diag(cosine), cosine[~np.eye(200, dtype=bool)]
        print(f"two images {pairs.mean():.2f} +- {pairs.std():.2f}; half of the variance on {half} axes")
        print(
            f"EEG and own image {own.mean():.2f} +- {own.std():.2f}, others {other.mean():.2f} +- {other.std():.2f}"
        )


def write(path, n):
    """Write a gallery a block at a time, and queries beside it."""
    simulation, rng = Simulation(n), np.random.default_rng(1)
    concepts = rng.integers(len(simulation.concepts), size=n)
    blocks = (simulation.images(rng, concepts[start : start + 8192]) for start in range(0, n, 8192))
    table = EmbeddingTable.write(path, [f"image_{i:07d}" for i in range(n)], blocks)
    shown = np.sort(np.random.default_rng(2).choice(n, N_QUERIES, replace=False))
    np.save(path.with_suffix(".npy"), simulation.eeg(rng, table.vectors[shown]))


def timed(call, repetitions):
    """Median time of a call in seconds."""
    seconds = []
    for _ in range(repetitions):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


def row(name, retriever, Z, repetitions, truth=None):
    """Measure one way to search: one embedding at a time, and many together."""
    retriever.retrieve(Z[:1])
    one = timed(lambda: retriever.retrieve(Z[:1]), 2 * repetitions + 1)
    peak = Peak()
    many = timed(lambda: retriever.retrieve(Z), repetitions) / len(Z)
    ids = retriever.retrieve(Z)[0]
    recall = (
        1.0 if truth is None else np.mean([np.isin(*rows).mean() for rows in zip(truth, ids, strict=True)])
    )
    times = f"{1e3 * one:.1f} | {1e3 * many:.2f}"
    print(f"| {name} | {times} | {recall:.3f} | {peak.mb - peak.start_mb:.0f} |", flush=True)
    return ids


def measure(path, n, probes, repetitions):
    """Print the rows of one size."""
    Z = np.load(path.with_suffix(".npy"))
    table = EmbeddingTable.load(path, mmap=True)
    retriever = ImageRetriever("passthrough", gallery=table, index="exact").fit(Z)
    truth = row(f"{n:,}, exact", retriever, Z, repetitions)
    if n <= 20_000:
        return  # faiss would search exactly too
    retriever.set_params(index="faiss")
    peak, start = Peak(), time.perf_counter()
    retriever.retrieve(Z[:1])
    seconds = time.perf_counter() - start
    print(
        f"<!-- index of {n:,}: built in {seconds:.0f} s, peak {peak.mb - peak.start_mb:.0f} MB -->",
        flush=True,
    )
    for n_probes in probes:
        row(f"{n:,}, faiss, {n_probes} cells", retriever.set_params(n_probes=n_probes), Z, repetitions, truth)
    row(f"{n:,}, exact again", retriever.set_params(index="exact"), Z, repetitions)


def main():
    """Read the arguments, write what is missing, measure each size in a process of its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--probes", type=int, nargs="+", default=[32, 64, 128, 256, 512])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the galleries are kept (a temporary folder)")
    parser.add_argument("--write-only", action="store_true")
    parser.add_argument("--check", action="store_true", help="print the statistics of the simulation")
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.check:
        return Simulation(1_000_000).check()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        if args.measure:
            path = folder / f"gallery_{args.measure}.safetensors"
            return measure(path, args.measure, args.probes, args.repetitions)
        for n in args.sizes:
            path = folder / f"gallery_{n}.safetensors"
            if not path.with_suffix(".npy").exists():
                write(path, n)
        if args.write_only:
            return None
        print("| gallery | one, ms | of 200, ms | recall@5 | MB |\n|---|---|---|---|---|", flush=True)
        for n in args.sizes:
            options = ["--folder", str(folder), "--repetitions", str(args.repetitions), "--measure", str(n)]
            subprocess.run(
                [sys.executable, __file__, *options, "--probes", *map(str, args.probes)], check=True
            )
    return None


if __name__ == "__main__":
    main()
