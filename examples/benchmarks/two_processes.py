"""One training step by one process and by two: loss, gradients, seconds of a processor.

ATM-S as published (63 channels, 250 samples, 1024 dimensions), without dropout, batch normalisation included; gloo on
this machine, one thread a process. Seconds are those that a process computes, which others on the machine change little.

Run: ``python examples/benchmarks/two_processes.py`` (a minute or two on two cores).
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from skorch.callbacks import Callback

from skeegclip import EEGEncoder

STILL = {"dropout": 0.0, "conv_dropout": 0.0, "head_dropout": 0.0, "subject_dropout": 0.0}


class Watch(Callback):
    """Keep the first step's gradients and every step's processor time."""

    def on_train_begin(self, net, **kwargs):
        self.gradients, self.times = {}, []

    def on_batch_begin(self, net, **kwargs):
        self.start = time.process_time()

    def on_grad_computed(self, net, **kwargs):
        if not self.gradients:
            parameters = [*net.module_.named_parameters(), *net.criterion_.named_parameters()]
            self.gradients = {name: p.grad.numpy().copy() for name, p in parameters if p.grad is not None}

    def on_batch_end(self, net, **kwargs):
        self.times.append(time.process_time() - self.start)


def train(batch_size, n_steps):
    """Loss of the first pass, gradients of its first step, median processor seconds of a step."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((batch_size, 63, 250)).astype(np.float32)
    y = rng.standard_normal((batch_size, 1024)).astype(np.float32)
    encoder = EEGEncoder(
        "atm-s",
        net_params=STILL,
        loss_weight=0.9,
        batch_size=batch_size,
        max_epochs=n_steps,
        validation=0,
        callbacks=[("watch", Watch())],
        random_state=0,
        device="cpu",
    ).fit(X, y, subject=np.resize(["sub-01", "sub-02"], batch_size))
    watch = dict(encoder.net_.callbacks)["watch"]
    return encoder.history_[0]["train_loss"], watch.gradients, float(np.median(watch.times[1:]))


def one_of_two(rank, folder, batch_size, n_steps):
    """What each of the two processes does."""
    torch.distributed.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2)
    loss, gradients, seconds = train(batch_size, n_steps)
    np.savez(Path(folder) / f"{rank}.npz", loss=loss, seconds=seconds, **gradients)
    torch.distributed.destroy_process_group()


def main():
    """Compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=6)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    settings = arguments.batch_size, arguments.steps
    loss, gradients, seconds = train(*settings)
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(one_of_two, (folder, *settings), nprocs=2)
        found = [dict(np.load(Path(folder) / f"{rank}.npz")) for rank in (0, 1)]
    print(f"{len(gradients)} parameters, {sum(g.size for g in gradients.values()):,d} numbers")
    for rank, other in enumerate(found):
        whole = np.concatenate([(other[name] - gradient).ravel() for name, gradient in gradients.items()])
        norm = np.linalg.norm(np.concatenate([gradient.ravel() for gradient in gradients.values()]))
        print(
            f"process {rank}: loss {other['loss']:.7f} against {loss:.7f}; gradient differs by"
            f" {np.linalg.norm(whole) / norm:.1e} of its length"
        )
    each = max(float(f["seconds"]) for f in found)
    print(
        f"a step of {arguments.batch_size}: {seconds:.2f} s of a processor alone, {each:.2f} s in each of two"
    )


if __name__ == "__main__":
    main()
