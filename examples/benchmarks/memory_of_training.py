"""What training keeps in memory per epoch of a batch: activations of the networks, and the similarity matrix.

Counted, not timed: the tensors that autograd keeps for the backward pass (each storage once, parameters left out), for
batches of two sizes, so that what does not grow with the batch falls out. On GPUs the networks that end in a
temporal-spatial convolution compute in another order; that order is run here too, on the CPU.

Run: ``python examples/benchmarks/memory_of_training.py`` (seconds).
"""

import resource
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from unittest import mock

import torch

from skeegclip.losses import ClipLoss
from skeegclip.nets import tsconv
from skeegclip.nets.build import build_net
from skeegclip.nets.registry import get_net

N_CHANS, N_TIMES, N_DIMS = 63, 250, 1024


def kept(function, modules):
    """Bytes that autograd keeps of one call, without parameters."""
    own = {p.untyped_storage().data_ptr() for module in modules for p in module.parameters()}
    seen = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            seen[storage.data_ptr()] = storage.nbytes(), tensor  # held, so that no address is used twice
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = function()
    del result
    return sum(size for size, _ in seen.values())


def per_epoch(net, batches=(32, 96)):
    """Growth of what a network keeps, per epoch of the batch."""

    def cost(n):
        x = torch.randn(n, N_CHANS, N_TIMES)
        arguments = (
            (x, torch.zeros(n, dtype=torch.long)) if "subject" in net.forward.__code__.co_varnames else (x,)
        )
        return kept(lambda: net(*arguments), [net]) - x.nbytes

    return (cost(batches[1]) - cost(batches[0])) / (batches[1] - batches[0])


def peak(batch):
    """Largest resident memory of a process that makes one step of ATM-S, in bytes."""
    net = atm()
    target = torch.randn(batch, N_DIMS)
    ClipLoss()(net(torch.randn(batch, N_CHANS, N_TIMES)), target).backward()
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def atm():
    """The network as published, for ten people."""
    cls, params = get_net("atm-s", N_TIMES)
    sizes = {"n_outputs": N_DIMS, "n_chans": N_CHANS, "n_times": N_TIMES, "n_subjects": 10}
    return build_net(cls, {**sizes, **params}).train()


def main():
    """Print a line for each network, then the loss."""
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
        small, large = pool.map(peak, (128, 640))
    print(
        f"ATM-S: a step takes {(large - small) / 512 / 1e3:.0f} kB more for each epoch more (peak of a process)"
    )
    print(f"an epoch of {N_CHANS} x {N_TIMES} is {4 * N_CHANS * N_TIMES / 1e3:.0f} kB")
    print(f"{'network':12} {'parameters':>12} {'kept per epoch: CPU':>22} {'GPU':>10}")
    for name in ("atm-s", "nice", "eegproject"):
        cls, params = get_net(name, N_TIMES)
        sizes = {"n_outputs": N_DIMS, "n_chans": N_CHANS, "n_times": N_TIMES}
        net = atm() if name == "atm-s" else build_net(cls, {**sizes, **params}).train()
        cpu = per_epoch(net)
        with mock.patch.object(tsconv, "_on_cpu", return_value=False):
            gpu = per_epoch(net)
        n_parameters = sum(p.numel() for p in net.parameters())
        print(f"{name:12} {n_parameters:12,d} {cpu / 1e3:19.0f} kB {gpu / 1e3:7.0f} kB")
    for n in (1024, 4096):
        loss, z, target = ClipLoss(), torch.randn(n, N_DIMS, requires_grad=True), torch.randn(n, N_DIMS)
        stimulus = torch.arange(n)
        size = kept(partial(loss, z, target, stimulus), [loss])
        print(
            f"loss, batch {n}: keeps {size / 1e6:.0f} MB ({size / (4 * n * n):.1f} matrices of {4 * n * n / 1e6:.0f} MB)"
        )


if __name__ == "__main__":
    main()
