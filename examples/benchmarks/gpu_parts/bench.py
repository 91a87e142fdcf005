"""What all parts of the GPU check share: where it runs, how long it may take, and the table it fills."""

from __future__ import annotations

import ast
import csv
import gc
import importlib.util
import statistics
import sys
import time
import types
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path

import torch

# What the library needs beside torch; the networks and losses need none of these.
LIBRARY = [
    "lazy_loader",
    "numpy",
    "scipy",
    "pandas",
    "sklearn",
    "skorch",
    "mne",
    "braindecode",
    "pydantic",
    "safetensors",
    "skops",
    "joblib",
    "cloudpickle",
    "tqdm",
    "PIL",
    "filelock",
    "threadpoolctl",
]
COLUMNS = ("part", "what", "value", "unit", "note")


def missing(packages=LIBRARY):
    """Those that cannot be imported."""

    def is_there(name):
        try:
            return importlib.util.find_spec(name) is not None
        except ValueError:  # the stand-in below
            return False

    return [name for name in packages if not is_there(name)]


def networks_alone():
    """Stand in for lazy_loader where it is missing, so that networks and losses can be had with torch alone."""
    if "lazy_loader" in sys.modules or importlib.util.find_spec("lazy_loader") is not None:
        return

    def attach_stub(package, file):
        tree = ast.parse(Path(file).with_suffix(".pyi").read_text(encoding="utf-8"))
        lines = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
        homes = {name.name: node.module for node in lines for name in node.names}

        def get(name):
            if name not in homes:
                raise AttributeError(f"module {package!r} has no attribute {name!r}")
            home = homes[name]
            module = import_module(f"{package}.{home or name}")
            return getattr(module, name) if home else module

        return get, lambda: sorted(homes), sorted(homes)

    stand_in = types.ModuleType("lazy_loader")
    stand_in.attach_stub = attach_stub
    sys.modules["lazy_loader"] = stand_in


@dataclass
class Bench:
    """Where and how long, and what came out.

    Attributes
    ----------
    device : torch.device
        The card; a CPU runs every part too, for tests.
    small : bool
        Tiny sizes, which show that the parts work and nothing else.
    minutes : float
        After which nothing goes on.
    out : str | None
        CSV file that every row is written to as it comes.
    """

    device: torch.device
    small: bool
    minutes: float
    out: str | None = None
    rows: list[tuple] = field(default_factory=list)
    part: str = ""
    start: float = field(default_factory=time.perf_counter)
    peak: dict[str, float] = field(default_factory=dict)

    def __post_init__(self):
        if self.out is not None:
            self._write(COLUMNS, "w")

    @property
    def on_gpu(self):
        return self.device.type == "cuda"

    @property
    def left(self):
        """Seconds that are left."""
        return 60 * self.minutes - (time.perf_counter() - self.start)

    def sized(self, full, small):
        return small if self.small else full

    def row(self, what, value, unit, note=""):
        """Print a row of the table at once, and keep it."""
        shown = (
            f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else value
        )
        self.rows.append((self.part, what, value, unit, note))
        if self.out is not None:
            self._write(self.rows[-1], "a")
        cells = [str(cell).replace("|", "/") for cell in (self.part, what, shown, unit, note)]
        print(f"| {' | '.join(cells)} |", flush=True)

    def _write(self, row, mode):
        with open(self.out, mode, newline="", encoding="utf-8") as file:
            csv.writer(file).writerow(row)

    def sync(self):
        if self.on_gpu:
            torch.cuda.synchronize()

    def fresh(self):
        """Free what nobody uses, and forget the peak of memory."""
        gc.collect()  # pipelines and compiled steps refer to themselves
        if self.on_gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def gigabytes(self):
        """Peak of the card's memory since `fresh`, as text; of a CPU nothing is known here."""
        return f"{torch.cuda.max_memory_allocated() / 1e9:.2f} GB" if self.on_gpu else ""

    def memory(self, note=""):
        """A row of the peak of memory since `fresh`."""
        if self.on_gpu:
            self.row("peak of memory", torch.cuda.max_memory_allocated() / 1e9, "GB", note)

    def autocast(self, precision):
        return torch.autocast(self.device.type, torch.bfloat16) if precision == "bfloat16" else nullcontext()

    def seconds(self, run, repeats, warm_up=2):
        """Times of some runs by the clock, each waited for."""
        times = []
        for number in range(warm_up + repeats):
            self.sync()
            start = time.perf_counter()
            run()
            self.sync()
            if number >= warm_up:
                times.append(time.perf_counter() - start)
        return times

    def matmul_peak(self, precision):
        """Multiplications and additions a second of one large product: what this card gives, not what it is sold for."""
        if precision not in self.peak:
            side = self.sized(8192, 256)
            dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
            a, b = (torch.randn(side, side, device=self.device, dtype=dtype) for _ in range(2))
            times = self.seconds(partial(torch.mm, a, b), 5)
            self.peak[precision] = 2 * side**3 / statistics.median(times)
        return self.peak[precision]


def first_line(error):
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:160]}"
