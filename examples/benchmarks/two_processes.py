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
    """Keep the first step's gradients and the time of every step: the processor's, of a card the clock's."""

    def on_train_begin(self, net, **kwargs):
        self.gradients, self.times = {}, []

    def on_batch_begin(self, net, **kwargs):
        self.start = self.now(net)

    def now(self, net):
        if not str(net.device).startswith("cuda"):
            return time.process_time()
        torch.cuda.synchronize(net.device)
        return time.perf_counter()

    def on_grad_computed(self, net, **kwargs):
        if not self.gradients:
            parameters = [*net.module_.named_parameters(), *net.criterion_.named_parameters()]
            self.gradients = {
                name: p.grad.cpu().numpy().copy() for name, p in parameters if p.grad is not None
            }

    def on_batch_end(self, net, **kwargs):
        self.times.append(self.now(net) - self.start)


def train(batch_size, n_steps, device, shape):
    """Loss of the first pass, gradients of its first step, median seconds of a step."""
    n_chans, n_times, n_dims = shape
    rng = np.random.default_rng(0)
    X = rng.standard_normal((batch_size, n_chans, n_times)).astype(np.float32)
    y = rng.standard_normal((batch_size, n_dims)).astype(np.float32)
    encoder = EEGEncoder(
        "atm-s",
        net_params=STILL,
        loss_weight=0.9,
        batch_size=batch_size,
        max_epochs=n_steps,
        validation=0,
        callbacks=[("watch", Watch())],
        random_state=0,
        precision="float32",
        device=device,
    ).fit(X, y, subject=np.resize(["sub-01", "sub-02"], batch_size))
    watch = dict(encoder.net_.callbacks)["watch"]
    return encoder.history_[0]["train_loss"], watch.gradients, float(np.median(watch.times[1:]))


def one_of_two(rank, folder, settings, backend):
    """What each of the two processes does."""
    batch_size, n_steps, device, shape = settings
    if device == "cuda":
        torch.cuda.set_device(rank)
        device = f"cuda:{rank}"
    torch.distributed.init_process_group(backend, f"file://{folder}/meet", rank=rank, world_size=2)
    loss, gradients, seconds = train(batch_size, n_steps, device, shape)
    np.savez(Path(folder) / f"{rank}.npz", loss=loss, seconds=seconds, **gradients)
    torch.distributed.destroy_process_group()


def compare(settings, backend="gloo"):
    """How far loss and gradient of each of two processes are from those of one, and the seconds of a step."""
    loss, gradients, seconds = train(*settings)
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(one_of_two, (folder, settings, backend), nprocs=2)
        found = [dict(np.load(Path(folder) / f"{rank}.npz")) for rank in (0, 1)]
    norm = np.linalg.norm(np.concatenate([gradient.ravel() for gradient in gradients.values()]))
    apart = [
        np.linalg.norm(np.concatenate([(other[name] - g).ravel() for name, g in gradients.items()])) / norm
        for other in found
    ]
    return {
        "sizes": [gradient.size for gradient in gradients.values()],
        "loss": [abs(float(other["loss"]) - loss) for other in found],
        "gradient": [float(value) for value in apart],
        "alone": seconds,
        "each": max(float(other["seconds"]) for other in found),
    }


def main():
    """Compare on the CPU."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=6)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = compare((arguments.batch_size, arguments.steps, "cpu", (63, 250, 1024)))
    print(f"{len(found['sizes'])} parameters, {sum(found['sizes']):,d} numbers")
    for rank in (0, 1):
        loss, gradient = found["loss"][rank], found["gradient"][rank]
        print(f"process {rank}: loss differs by {loss:.1e}; gradient differs by {gradient:.1e} of its length")
    print(
        f"a step of {arguments.batch_size}: {found['alone']:.2f} s of a processor alone, {found['each']:.2f} s in each of two"
    )


if __name__ == "__main__":
    main()
