"""Many at once: writers that take turns, readers that see one state or the other, and little memory."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import mne
import numpy as np
import pytest

from skeegclip import EpochsStore

# Each epoch holds its number in the write, each row the same, so that any mixture shows.
WRITER = """
import sys, numpy as np, mne, time
from skeegclip import EpochsStore
from skeegclip.epochs import _create
_create._SHARD_BYTES = 7 * 2 * 5 * 4
folder, kind, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
info = mne.create_info(2, 100.0, "eeg")
done = 0
while done < count:
    n = 3 + done % 4
    X = np.arange(1.0, n + 1)[:, None, None] * np.ones((1, 2, 5))
    rows = {"stimulus": [kind] * n, "n": np.arange(n) + 1}
    try:
        if kind == "over":
            EpochsStore.create(folder, X, rows, info=info, overwrite=True)
        else:
            EpochsStore.open(folder).append(X, rows)
        done += 1
    except BlockingIOError:
        time.sleep(0.002)
"""


@pytest.mark.parametrize("kinds", [("one", "two"), ("one", "over")])
@pytest.mark.slow
def test_two_writers_and_a_reader(tmp_path, kinds):
    folder = tmp_path / "store"
    info = mne.create_info(2, 100.0, "eeg")
    EpochsStore.create(folder, np.ones((1, 2, 5)), {"stimulus": ["one"], "n": [1]}, info=info)
    running = [subprocess.Popen([sys.executable, "-c", WRITER, str(folder), kind, "40"]) for kind in kinds]
    n_reads = 0
    while any(process.poll() is None for process in running):
        view = EpochsStore.open(folder).view()
        np.testing.assert_array_equal(np.asarray(view)[:, 1, 3], view.rows["n"])
        assert isinstance(view.content_key(), bytes)
        n_reads += 1
    assert [process.returncode for process in running] == [0, 0]
    assert n_reads > 10
    store = EpochsStore.open(folder)
    store.verify()
    if "over" not in kinds:
        assert len(store) == 1 + 2 * sum(3 + done % 4 for done in range(40))
    assert not [path for path in folder.iterdir() if path.name.startswith(".") and path.name != ".lock"]


def test_threads_read_one_view_while_another_appends(tmp_path, X, rows, info, small_shards):
    store = EpochsStore.create(tmp_path, X, rows, info=info)
    view = store.view()
    failed = []

    def read(seed):
        rng = np.random.default_rng(seed)
        for _ in range(50):
            order = rng.permutation(10)
            if not np.array_equal(view.read(order), X[order]) or view.content_key() != key:
                failed.append(seed)

    key = view.content_key()
    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        store.append(X, rows)
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(store) == 110


LITTLE = """
import json, resource, sys
from pathlib import Path
from skeegclip import EpochsStore
folder = Path(sys.argv[1])
EpochsStore.open(folder).view()  # all that is imported
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**26, used + 2**26))
path = folder / "manifest.json"
content = path.read_text()
for change in json.loads(sys.argv[2]):
    facts = json.loads(content) | change
    path.write_text(json.dumps(facts))
    try:
        EpochsStore.open(folder).view()
    except ValueError as error:
        print("refused", error)
path.write_text(content)
for name in ("rows.csv", "info.json", "manifest.json"):
    text = (folder / name).read_bytes()
    with open(folder / name, "r+b") as file:
        file.truncate(2**40)  # of nothing: sparse
    try:
        EpochsStore.open(folder).view()
        print("read")
    except ValueError as error:
        print("refused", error)
    (folder / name).write_bytes(text)
EpochsStore.open(folder).view()
print("whole")
"""


@pytest.mark.slow
def test_claims_and_holes_take_no_memory(tmp_path):
    """In the memory that the process has, and 64 MB more."""
    pytest.importorskip("resource")
    folder = shutil.copytree(Path(__file__).parent / "version_1", tmp_path / "store")
    huge = [
        {name: value}
        for name in ("n_chans", "n_times", "n_epochs", "rows_bytes", "epochs_per_shard")
        for value in (2**31, 2**47, 10**30)
        if name != "epochs_per_shard" or value > 2**47
    ]
    done = subprocess.run(
        [sys.executable, "-c", LITTLE, str(folder), json.dumps(huge)],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.stdout.count("refused") == len(huge) + 2, done.stdout + done.stderr
    assert done.stdout.endswith("whole\n"), done.stderr
