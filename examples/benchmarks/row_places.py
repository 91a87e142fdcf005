"""Count networks that embed one epoch otherwise at another place of a block, for networks and epochs of random sizes.

A block holds one epoch many times, so that its rows are equal but for how this processor's kernels sum them. Other kernels:

    OPENBLAS_CORETYPE=Haswell MKL_ENABLE_INSTRUCTIONS=AVX2 ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 \
        OMP_NUM_THREADS=1 python examples/benchmarks/row_places.py
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

from skeegclip.nets import get_net
from skeegclip.nets.build import build_net

NETS = ["atm-s", "nice", "eegproject", "eegnet", "mlp"]


def differing(net, n_outputs, n_chans, n_times, n_rows, seed):
    """Count the rows of one epoch, `n_rows` times, that are not the first, and how far off they are at most."""
    torch.manual_seed(seed)
    cls, params = get_net(net, n_times)
    sizes = {"n_outputs": n_outputs, "n_chans": n_chans, "n_times": n_times, "sfreq": 250.0}
    module = build_net(cls, {**sizes, **params}).eval()
    with torch.inference_mode():
        z = module(torch.randn(1, n_chans, n_times).expand(n_rows, -1, -1).contiguous())
    return int((z != z[0]).any(1).sum()), float((z - z[0]).abs().max() / z.abs().max())


def main():
    """Read the arguments, draw the sizes, print a line for each size of a block."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, default=40, help="how many sizes of epochs and embeddings")
    parser.add_argument("--rows", type=int, nargs="+", default=[16, 24, 48, 200])
    parser.add_argument("--seed", type=int, default=3)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    drawn = [
        (int(rng.choice([3, 10, 64, 512, 768, 1024])), int(rng.integers(2, 80)), int(rng.integers(90, 300)))
        for _ in range(args.sizes)
    ]
    print(
        "| rows | networks | with rows that differ | largest, of the largest value |\n|---:|---:|---:|---:|"
    )
    for n_rows in args.rows:
        found = [differing(net, *sizes, n_rows, args.seed) for sizes in drawn for net in NETS]
        n_with, worst = sum(n > 0 for n, _ in found), max(far for _, far in found)
        print(f"| {n_rows} | {len(found)} | {n_with} | {worst:.0e} |", flush=True)


if __name__ == "__main__":
    main()
