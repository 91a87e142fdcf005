"""Time what happens before the first result: imports, a first estimator, the command line's help.

Each line runs in a fresh interpreter, the lines taking turns, and is shown beside the bare interpreter and what no
training can do without (torch, skorch, scikit-learn).

    python examples/benchmarks/bench_startup.py --repeats 7
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time

DATA = "import numpy as np; X, Y = np.random.default_rng(0).normal(size=(16, 4, 100)), np.eye(16)\n"
FIT = DATA + "from skeegclip import EEGEncoder; e = EEGEncoder(max_epochs=1, device='cpu').fit(X, Y)\n"
LOAD = DATA + "from skeegclip import EEGEncoder; EEGEncoder.load({0!r}).transform(X[:1])"
LIBRARIES = "import torch, skorch, sklearn.base\n"
OPTIMIZER = "torch.optim.AdamW([torch.zeros(1, requires_grad=True)])"


def lines(folder):
    """Return the arguments of every line; a fitted encoder is in the folder."""
    return {
        "bare interpreter": ["-c", "pass"],
        "`import skeegclip`": ["-c", "import skeegclip"],
        "`skeegclip --help`": ["-m", "skeegclip", "--help"],
        "`EEGEncoder()`": ["-c", "from skeegclip import EEGEncoder; EEGEncoder()"],
        "`EEGEncoder.load(folder).transform(X)`, one epoch": ["-c", LOAD.format(folder)],
        "`EEGEncoder().fit(X, y)`, 16 epochs": ["-c", FIT],
        "for comparison: `import sklearn.base`": ["-c", "import sklearn.base"],
        "`import torch, skorch, sklearn.base`": ["-c", LIBRARIES],
        "the same, and one `torch.optim.AdamW`": ["-c", LIBRARIES + OPTIMIZER],
    }


def run(arguments):
    """Return seconds by the clock and of the processor for one interpreter."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    clock, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return clock, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    """Read the arguments, run the rounds, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run(["-c", FIT + f"e.save({folder + '/encoder'!r})"])
        commands = lines(folder + "/encoder")
        times = {name: [] for name in commands}
        for round_ in range(args.repeats + 1):
            for name, arguments in commands.items():
                seconds = run(arguments)
                if round_:  # the first fills the cache of the disk
                    times[name].append(seconds)
    print("| | clock, s: median | least | processor, s |\n|---|---:|---:|---:|")
    for name, pairs in times.items():
        clock, processor = zip(*pairs, strict=True)
        print(
            f"| {name} | {statistics.median(clock):.2f} | {min(clock):.2f} | {statistics.median(processor):.2f} |"
        )


if __name__ == "__main__":
    main()
