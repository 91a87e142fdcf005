"""What a fit sends to a worker, for ten people of THINGS-EEG2's size: rows, ids, a table of 16,740 x 1024.

The epochs themselves are on disk and count for nothing, so each of the 821,600 here has one sample.

Run: ``python examples/benchmarks/task_sizes.py`` (half a minute).
"""

import pickle
import tempfile
import time
from pathlib import Path

import cloudpickle
import mne
import numpy as np
import pandas as pd

from skeegclip import EEGEncoder, EmbeddingTable, EpochsStore, ImageRetriever
from skeegclip._evaluation.task import make_task
from skeegclip._utils.shipping import Shipment
from skeegclip.model_selection import LeaveOneSubjectOut

N_PEOPLE, N_TRAIN, N_TEST = 10, 16540, 200


def make_view(folder):
    """A view of ten people: 4 repetitions of each training picture, 80 of each test picture."""
    stimulus = np.array([f"{i // 10:05d}_aardvark_{i % 10:02d}s" for i in range(N_TRAIN + N_TEST)])
    shown = np.concatenate([np.repeat(stimulus[:N_TRAIN], 4), np.repeat(stimulus[N_TRAIN:], 80)])
    test = np.isin(shown, stimulus[N_TRAIN:])
    rows = pd.DataFrame(
        {
            "subject": np.repeat([f"sub-{i:02d}" for i in range(1, N_PEOPLE + 1)], len(shown)),
            "stimulus": np.tile(shown, N_PEOPLE),
            "concept": np.tile([name[:-4] for name in shown], N_PEOPLE),
            "split": np.tile(np.where(test, "test", "train"), N_PEOPLE),
            "repetition": np.tile(np.arange(len(shown)) % 4, N_PEOPLE),
        }
    )
    info = mne.create_info(["Oz"], 250.0, "eeg")
    X = np.zeros((len(rows), 1, 1), np.float16)
    return EpochsStore.create(folder / "store", X, rows, info=info).view(), stimulus


def main():
    """Weigh the parts of a task, then the task."""
    folder = Path(tempfile.mkdtemp())
    view, stimulus = make_view(folder)
    table = EmbeddingTable(stimulus, np.random.default_rng(0).standard_normal((len(stimulus), 1024)))
    table.save(folder / "table.safetensors")
    mapped = EmbeddingTable.load(folder / "table.safetensors", mmap=True)
    task = make_task(view, None, None, None, table, None, True, False, 0)
    train, test = next(LeaveOneSubjectOut().split(view))
    decoders = {
        name: ImageRetriever(EEGEncoder(targets=t)) for name, t in (("in memory", table), ("mapped", mapped))
    }
    sizes = {
        "the view of ten people": view,
        "y, subject and concept as text": (task.y, task.subject, task.concept),
        "rows of one fold": (train, test),
        "decoder, table in memory": decoders["in memory"],
        "decoder, mapped table": decoders["mapped"],
        "all that a cell of evaluate needs": (task, decoders["in memory"], train, test),
    }
    for name, value in sizes.items():
        print(f"{name:35} {len(cloudpickle.dumps(value)) / 1e6:10.4f} MB")
    with Shipment((task, decoders, [(train, test)] * 10), folder) as shared:
        start = time.perf_counter()
        sent = pickle.dumps(shared)
        written = time.perf_counter() - start
        times = []
        for _ in range(5):
            start = time.perf_counter()
            pickle.loads(sent).value
            times.append(time.perf_counter() - start)
        file = next(folder.glob(".skeegclip-shipment-*/value")).stat().st_size
    print(f"{'what is sent for a cell':35} {len(sent) / 1e6:10.4f} MB")
    print(
        f"written once: {file / 1e6:.0f} MB in {written:.2f} s; opened by a worker in {np.median(times):.3f} s"
    )


if __name__ == "__main__":
    main()
