"""Time one training step of ATM-S against the same network written layer by layer.

Runs forward, CLIP loss, backward and AdamW on random epochs, the contenders taking turns, and prints the
median time of each and how many times faster it is than the layer-by-layer network in float32.

    python bench_training_step.py --batch 256 --threads 2 --repeats 7
"""

from __future__ import annotations

import argparse
import statistics
import time
from contextlib import nullcontext
from functools import partial

import torch
from layer_by_layer import PlainATM, PlainNICE

from skeegclip.losses import ClipLoss
from skeegclip.nets import ATM, NICE

NETS = {"atm-s": (PlainATM, ATM), "nice": (PlainNICE, NICE)}


def training_step(net, optimizer, criterion, x, target, *, bf16):
    """Run one step and wait for it."""
    optimizer.zero_grad()
    with torch.autocast(x.device.type, torch.bfloat16) if bf16 else nullcontext():
        z = net(x)
    criterion(z, target).backward()
    optimizer.step()
    if x.is_cuda:
        torch.cuda.synchronize()


def contenders(name, x, target, *, with_compile):
    """Build one step function for each way to run the network."""
    plain, fast = NETS[name]

    def build(make, *, bf16=False, compiled=False):
        torch.manual_seed(0)
        net = make(target.shape[1], x.shape[1], x.shape[2]).to(x.device)
        criterion = ClipLoss().to(x.device)
        optimizer = torch.optim.AdamW([*net.parameters(), *criterion.parameters()], lr=3e-4)
        if compiled:
            net.compile()
        return partial(training_step, net, optimizer, criterion, x, target, bf16=bf16)

    steps = {
        "layer by layer, float32": build(plain),
        "layer by layer, bfloat16": build(plain, bf16=True),
        "skeegclip, float32": build(fast),
        "skeegclip, bfloat16": build(fast, bf16=True),
    }
    if with_compile:
        steps["skeegclip, float32, compiled"] = build(fast, compiled=True)
        steps["skeegclip, bfloat16, compiled"] = build(fast, bf16=True, compiled=True)
    return steps


def main():
    """Read the arguments, run the rounds, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--net", choices=NETS, default="atm-s")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--compile", action="store_true", help="also time torch.compile (needs a C++ compiler)"
    )
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    x = torch.randn(args.batch, 63, 250, device=args.device)
    target = torch.nn.functional.normalize(torch.randn(args.batch, 1024, device=args.device), dim=-1)
    steps = contenders(args.net, x, target, with_compile=args.compile)
    for step in steps.values():  # warm-up: allocations, and compilation
        step()
        step()
    times = {name: [] for name in steps}
    for _ in range(args.repeats):  # in turns, so that a busy machine slows all of them down alike
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - start)
    baseline = statistics.median(times["layer by layer, float32"])
    for name, values in times.items():
        median = statistics.median(values)
        print(f"{name:32s} {median * 1e3:9.1f} ms   {baseline / median:5.2f} x")


if __name__ == "__main__":
    main()
