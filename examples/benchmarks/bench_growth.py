"""What training costs as epochs, channels, length, batch and subjects grow: time, memory, and the exponents.

From one common size, each of the five grows by itself. Every point is one EEGEncoder, fitted in a fresh process after a
small fit that loads and allocates what is needed once. Time is the processor's, of all threads, for one pass; memory is
the peak of the process during fit over what it held before, with the epochs already in memory (Linux). The exponent is
the slope of the logarithms over the last two points: 1 = twice as much costs twice as much.

    python examples/benchmarks/bench_growth.py
    python examples/benchmarks/bench_growth.py --only chans --steps 5
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from pathlib import Path

COMMON = {"epochs": 1024, "chans": 32, "times": 125, "batch": 128, "subjects": 1}
START = {"epochs": 512, "chans": 16, "times": 100, "batch": 64, "subjects": 1}


def measure(epochs, chans, times, batch, subjects, net, repeats):
    """Fit one encoder and print what it took."""
    import numpy as np
    import torch

    from skeegclip import EEGEncoder, EpochsView

    torch.set_num_threads(1)

    def fit(n_epochs):
        rng = np.random.default_rng(0)
        X = rng.standard_normal((n_epochs, chans, times), dtype=np.float32)
        Y = rng.standard_normal((n_epochs, 512), dtype=np.float32)
        X = EpochsView.from_arrays(X, subject=[f"sub-{i % subjects:03d}" for i in range(n_epochs)])
        encoder = EEGEncoder(net, validation=0, batch_size=batch, max_epochs=1, device="cpu", random_state=0)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts again from here
        before, start = status("VmRSS"), time.process_time()
        encoder.fit(X, Y)
        return time.process_time() - start, status("VmHWM") - before

    fit(2 * min(batch, 64))
    points = [fit(epochs) for _ in range(repeats)]
    print(json.dumps([min(point[0] for point in points), points[0][1]]))


def status(name):
    """Return a line of the process's memory status in MB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith(name + ":")).split()[1]) * 1024 / 1e6


def slope(sizes, costs):
    """Return the exponent between the last two points, or a dash where there is nothing to measure."""
    if min(costs[-2:]) <= 0:
        return "-"
    return f"{math.log(costs[-1] / costs[-2]) / math.log(sizes[-1] / sizes[-2]):.2f}"


def main():
    """Read the arguments, run every point in a process of its own, print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--net", default="atm-s")
    parser.add_argument("--only", choices=COMMON)
    parser.add_argument("--steps", type=int, default=4, help="number of sizes, each twice the last")
    parser.add_argument("--repeats", type=int, default=2, help="fits of a point, of which the fastest counts")
    parser.add_argument("--point", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.point:
        return measure(**json.loads(args.point), net=args.net, repeats=args.repeats)
    print(
        "common size: " + ", ".join(f"{size} {name}" for name, size in COMMON.items()) + f"; net {args.net}\n"
    )
    print("| what grows | sizes | time, s | exponent | memory, MB | exponent |\n|---|---|---|---:|---|---:|")
    for name in [args.only] if args.only else COMMON:
        sizes = [START[name] * 2**step for step in range(args.steps)]
        points = []
        for size in sizes:
            point = json.dumps(COMMON | {name: size})
            command = [sys.executable, __file__, "--net", args.net, "--repeats", str(args.repeats)]
            done = subprocess.run([*command, "--point", point], stdout=subprocess.PIPE, text=True, check=True)
            points.append(json.loads(done.stdout))
        seconds, memory = zip(*points, strict=True)
        columns = [
            name,
            ", ".join(map(str, sizes)),
            ", ".join(f"{s:.2f}" for s in seconds),
            slope(sizes, seconds),
            ", ".join(f"{m:.0f}" for m in memory),
            slope(sizes, memory),
        ]
        print("| " + " | ".join(columns) + " |", flush=True)
    return None


if __name__ == "__main__":
    main()
