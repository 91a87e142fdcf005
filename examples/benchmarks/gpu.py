"""What only a GPU can show, in one command, the most telling first.

Parity of CPU and GPU; a whole subject within its own recordings; the library's own fit; compilers; sizes of batches; one
trial; pictures by networks of SDXL's size; leave one subject out from the disk; the prior; retrieval among a million; two
processes. Every row is printed (and written to ``--out``) as it comes, ready for a table in markdown; a part that would not fit
into the time, or whose packages are missing, says so and is left out, and one that takes longer than there is time is stopped.
Parity, the subject, compilers, batches, one trial and retrieval need torch alone.

    python examples/benchmarks/gpu.py --minutes 9 --out gpu.csv
    python examples/benchmarks/gpu.py --device cpu --small      # that it works, no measurement
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import traceback
from contextlib import contextmanager
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))  # a checkout that is not installed

from gpu_parts.bench import LIBRARY, Bench, first_line, missing, networks_alone

# Module, function, seconds that it takes at full size (reckoned, not measured), packages.
PARTS = {
    "parity": ("steps", "parity", 20, []),
    "within one person": ("steps", "within", 30, []),
    "EEGEncoder.fit": ("library", "fit", 40, LIBRARY),
    "compilers": ("steps", "compilers", 60, []),
    "batches": ("steps", "batches", 10, []),
    "one trial": ("steps", "one_trial", 5, []),
    "SDXL's size": ("sdxl", "pictures", 90, [*LIBRARY, "diffusers", "transformers", "accelerate"]),
    "leave one subject out": ("library", "store", 60, LIBRARY),
    "prior": ("library", "prior", 60, [*LIBRARY, "diffusers"]),
    "retrieval": ("steps", "search", 5, []),
    "two processes": ("library", "processes", 40, LIBRARY),
}


class TimeIsUp(BaseException):
    """No Exception, so that no part takes it for a failure of its own."""


@contextmanager
def at_most(seconds):
    """Raise TimeIsUp in what takes longer, where the system has such an alarm."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def stop(*_):
        raise TimeIsUp

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def run(bench, names):
    """Run the parts that are asked for, in turn."""
    for name in names:
        module, function, cost, packages = PARTS[name]
        bench.part = name
        if bench.left < bench.sized(cost, 0):
            bench.row("skipped", "", "", f"{max(0, bench.left):.0f} s are left, about {cost} are needed")
            continue
        if lacking := missing(packages):
            bench.row("skipped", "", "", f"needs {', '.join(lacking)}")
            continue
        try:
            with at_most(bench.left):
                part = __import__(f"gpu_parts.{module}", fromlist=[function])
                getattr(part, function)(bench)
        except TimeIsUp:
            bench.row("stopped", "", "", "the time is up")
        except torch.OutOfMemoryError as error:  # of a smaller card
            bench.row("out of memory", "", "", first_line(error))
        except Exception as error:  # the others are worth running all the same
            traceback.print_exc()
            bench.row("FAILED", "", "", first_line(error))
        try:
            bench.fresh()
        except RuntimeError as error:  # a fault of the card stays with the process
            bench.row("FAILED", "", "", f"the card is of no more use: {first_line(error)}")
            return


def main():
    """Read the arguments, say where this is, run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=9.0, help="after which nothing goes on")
    parser.add_argument("--device", default="cuda", help='a torch device: "cuda", "cuda:1", "cpu"')
    parser.add_argument("--small", action="store_true", help="tiny sizes: that it works, no measurement")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--out", help="write the rows to this CSV file too, as they come")
    args = parser.parse_args()
    device = torch.device(args.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no GPU here. --device cpu --small shows that the parts work.")
    wanted = missing([*LIBRARY, "diffusers", "transformers", "accelerate"])
    networks_alone()
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)  # for whatever asks for "the" card
    bench = Bench(device, args.small, args.minutes, args.out)
    card = f"{os.cpu_count()} cores, {platform.machine()}"
    if bench.on_gpu:
        facts = torch.cuda.get_device_properties(device)
        card = f"{torch.cuda.device_count()} x {facts.name}, {facts.total_memory / 1e9:.0f} GB, CUDA {torch.version.cuda}"
    print(f"{card}; torch {torch.__version__}; Python {platform.python_version()}")
    print(f"packages that are missing here: {', '.join(wanted) or 'none'}\n")
    print("| part | what | value | unit | note |\n|---|---|---:|---|---|", flush=True)
    run(bench, args.parts)
    sys.exit(any(row[1] == "FAILED" or "DIFFERS" in row[4] for row in bench.rows))


if __name__ == "__main__":
    main()
