"""Where a training step of ATM-S spends its time: each part by itself, forward and backward, on random signals.

Prints the least processor time of each part, and how much of their sum it takes.

    python step_parts.py --batch 256 --threads 1 --repeats 5 [--bf16]
"""

from __future__ import annotations

import argparse
import time
from contextlib import nullcontext

import torch

from skeegclip.losses import ClipLoss
from skeegclip.nets import ATM

N_CHANS, N_TIMES, N_DIMS = 63, 250, 1024


def parts_of(batch):
    """Name, function and an input of each part; those of one row follow each other in a step."""
    torch.manual_seed(0)
    net, criterion = ATM(N_DIMS, N_CHANS, N_TIMES), ClipLoss()
    layer = net.layers[0]
    target, stimulus = torch.randn(batch, N_DIMS), torch.arange(batch)
    signals = torch.randn(batch, N_CHANS, N_TIMES)
    tokens = torch.randn(batch, N_CHANS + 1, N_TIMES)
    features = torch.randn(batch, net.tsconv.n_outputs)
    yield "embedding of the channels", net.embedding, signals
    yield "attention", layer.attention, tokens
    yield "feed-forward part", layer.feed_forward, tokens
    yield (
        "dropout, sum and norm (two of them)",
        lambda x: layer.attention_norm(tokens + layer.dropout(x)),
        tokens,
    )
    yield "convolutions", net.tsconv, signals
    yield "projection head", net.head, features
    yield "loss", lambda z: criterion(z, target, stimulus), torch.randn(batch, N_DIMS)
    yield "all of it", lambda x: criterion(net(x), target, stimulus), signals


def least(function, given, repeats, bf16):
    """Least processor time of a forward and a backward pass, in seconds."""
    times = []
    for _ in range(repeats + 1):
        x = given.clone().requires_grad_()
        start = time.process_time()
        with torch.autocast("cpu", torch.bfloat16) if bf16 else nullcontext():
            out = function(x)
        out.backward(torch.ones_like(out))
        times.append(time.process_time() - start)
    return min(times[1:])


def main():
    """Read the arguments, time the parts, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--bf16", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    times = {
        name: least(function, given, args.repeats, args.bf16)
        for name, function, given in parts_of(args.batch)
    }
    whole = times["all of it"]
    print("| part | processor, ms | share |\n|---|---:|---:|")
    for name, seconds in times.items():
        print(f"| {name} | {seconds * 1e3:.0f} | {seconds / whole:.0%} |")


if __name__ == "__main__":
    main()
