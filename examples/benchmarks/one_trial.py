"""One trial at a time on one core, many at once, and the same through onnxruntime.

An ATM-S network for THINGS-EEG2's epochs (63 channels, 250 samples) into 1024 dimensions and a gallery of 200 images; the
weights are those of one pass over noise, which take as long as good ones. The contenders take turns, call by call. Beside
the median time of a call stands that of the processor, which other programs on the machine disturb less.

    OMP_NUM_THREADS=1 python examples/benchmarks/one_trial.py
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from skeegclip import EEGEncoder, EmbeddingTable, ImageRetriever, OnlineDecoder, ZeroShotClassifier

N_CHANS, N_TIMES, N_DIMS, N_IMAGES = 63, 250, 1024, 200


def fit(net):
    """Return a retriever and a classifier around one fitted encoder, and epochs."""
    rng = np.random.default_rng(0)
    table = EmbeddingTable([f"image_{i:03d}" for i in range(N_IMAGES)], rng.normal(size=(N_IMAGES, N_DIMS)))
    X = 10 * rng.standard_normal((2 * N_IMAGES, N_CHANS, N_TIMES)).astype(np.float32)
    subject = np.repeat(["sub-01", "sub-02"], N_IMAGES)
    encoder = EEGEncoder(net, targets=table, max_epochs=1, validation=0, device="cpu", random_state=0)
    retriever = ImageRetriever(encoder, targets=table).fit(X, np.tile(table.ids, 2), subject=subject)
    return (
        retriever,
        ZeroShotClassifier(encoder, targets=table).fit(X, np.tile(table.ids, 2), subject=subject),
        X,
    )


def session(encoder, folder):
    """Return onnxruntime's session for an encoder, on one core."""
    encoder.export(folder / "encoder.onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(folder / "encoder.onnx", options, providers=["CPUExecutionProvider"])


def turns(calls, repetitions):
    """Print median wall and processor time of some calls in ms, and the slowest twentieth."""
    wall, cpu = {name: [] for name in calls}, {name: [] for name in calls}
    for number in range(repetitions + 1):
        for name, call in calls.items():
            start, busy = time.perf_counter(), time.process_time()
            call()
            if number:  # not the first, which allocates
                wall[name].append(1e3 * (time.perf_counter() - start))
                cpu[name].append(1e3 * (time.process_time() - busy))
    for name in calls:
        median, slow, busy = np.median(wall[name]), np.quantile(wall[name], 0.95), np.median(cpu[name])
        print(f"| {name} | {median:.2f} | {slow:.2f} | {busy:.2f} |")


def one_at_a_time(retriever, classifier, onnx, X, repetitions):
    """Compare the ways to decode one epoch."""
    encoder, x = retriever.encoder_, X[:1]
    module, tensor = encoder.net_.module_.eval(), torch.from_numpy(X[:1])
    code, known = torch.tensor([0]), ["sub-01"]
    online = {
        name: OnlineDecoder(decoder, temperature=0.05)
        for name, decoder in (("retriever", retriever), ("classifier", classifier))
    }

    def bare():
        with torch.inference_mode():
            module(tensor, subject=code)

    print("| one epoch | median, ms | 95 %, ms | processor, ms |\n|---|---|---|---|")
    turns(
        {
            "the torch module alone": bare,
            "`transform`": lambda: encoder.transform(x, subject=known),
            "`ImageRetriever.retrieve`, top 5 of 200": lambda: retriever.retrieve(x, subject=known),
            "`OnlineDecoder.update`, retriever": lambda: online["retriever"].reset().update(x, subject=known),
            "`OnlineDecoder.update`, classifier": lambda: (
                online["classifier"].reset().update(x, subject=known)
            ),
            "onnxruntime": lambda: onnx.run(None, {"epochs": x, "subject": np.zeros(1, np.int64)}),
        },
        repetitions,
    )


def many_at_once(retriever, onnx, X, repetitions):
    """Compare sizes of batches."""
    from skeegclip._training.net import embed

    encoder = retriever.encoder_
    X = np.tile(X, (3, 1, 1))[:1024]
    codes = np.zeros(len(X), dtype=np.int64)

    def run():
        for start in range(0, len(X), 64):
            rows = slice(start, start + 64)
            onnx.run(None, {"epochs": X[rows], "subject": codes[rows]})

    print(f"\n| {len(X)} epochs | median, ms | 95 %, ms | processor, ms |\n|---|---|---|---|")
    calls = {"`transform`": lambda: encoder.transform(X, subject=["sub-01"] * len(X))}
    for size in (1, 16, 64, 256, 512, 1024):
        calls[f"batches of {size}"] = lambda size=size: embed(encoder.net_, X, codes, batch_size=size)
    turns({**calls, "onnxruntime, batches of 64": run}, repetitions)


def main():
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--net", default="atm-s")
    parser.add_argument("--repetitions", type=int, default=300)
    args = parser.parse_args()
    print(f"{args.net}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    retriever, classifier, X = fit(args.net)
    with tempfile.TemporaryDirectory() as folder:
        onnx = session(retriever.encoder_, Path(folder))
        one_at_a_time(retriever, classifier, onnx, X, args.repetitions)
        many_at_once(retriever, onnx, X, max(3, args.repetitions // 60))


if __name__ == "__main__":
    main()
