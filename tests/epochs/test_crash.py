"""A kill at any moment leaves the old store or the new one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from skeegclip import EpochsStore


def state(folder):
    """What a reader sees: None where there is no store."""
    try:
        view = EpochsStore.open(folder).view()
    except FileNotFoundError:
        return None
    return np.asarray(view).tobytes(), view.rows.to_csv(), view.tmin


def names(folder):
    """What a folder holds, without what is drawn for each overwritten state."""
    return sorted(re.sub("-[0-9a-f]{16}", "", path.name) for path in folder.iterdir())


def create(folder, X, rows, info):
    EpochsStore.create(folder, iter([X[:6], X[6:]]), rows, info=info)


def append(folder, X, rows, info):
    EpochsStore.open(folder).append(iter([2 * X[:6], 2 * X[6:]]), rows)


def overwrite(folder, X, rows, info):
    EpochsStore.create(folder, 3 * X[:6], rows[:6], info=info, tmin=-0.1, overwrite=True)


WRITES = pytest.mark.parametrize(
    ("write", "before"),
    [
        (create, []),
        pytest.param(append, [create], marks=pytest.mark.slow),
        pytest.param(overwrite, [create, append], marks=pytest.mark.slow),
    ],
)


@WRITES
@pytest.mark.slow
def test_a_kill_at_any_step_leaves_the_old_state_or_the_new(
    tmp_path, X, rows, info, small_shards, killer, write, before
):
    start, goal = tmp_path / "start", tmp_path / "goal"
    for earlier in before:
        earlier(start, X, rows, info)
    start.mkdir(exist_ok=True)
    shutil.copytree(start, goal)
    write(goal, X, rows, info)
    old, new = state(start), state(goal)
    assert old != new
    files = names(goal)
    folder = tmp_path / "killed"
    shutil.copytree(start, folder)
    seen = []
    for _ in killer.every_step(write, folder, X, rows, info):
        seen.append(state(folder))
        assert seen[-1] in (old, new)
        if seen[-1] == old:
            # What the killed process left behind does no harm to the next one, and goes.
            write(folder, X, rows, info)
            assert state(folder) == new
            assert names(folder) == files
        else:
            EpochsStore.create(folder, X[:1], rows[:1], info=info, overwrite=True)
            assert len(names(folder)) == 5
        shutil.rmtree(folder)
        shutil.copytree(start, folder)
    # Once the new state is there it stays: there is one moment at which it begins to count.
    assert seen == sorted(seen, key=lambda s: s == new)
    assert seen.count(old) > 20
    assert seen.count(new) >= 2


@WRITES
def test_what_the_user_puts_beside_a_killed_write_stays(tmp_path, X, rows, info, killer, write, before):
    for earlier in before:
        earlier(tmp_path, X, rows, info)
    assert not killer.run(write, tmp_path, X, rows, info, step=20)
    mine = [
        "epochs-00009.f32",
        "rows-1.csv",
        "info-2.json",
        "manifest.json.bak",
        ".manifest.json.x.tmp",
        "notes",
    ]
    for name in mine:
        (tmp_path / name).write_text(f"precious {name}")
    if write is append:
        write(tmp_path, X, rows, info)
    else:
        with pytest.raises(FileExistsError, match="holds other files"):
            write(tmp_path, X, rows, info)
    assert [(tmp_path / name).read_text() for name in mine] == [f"precious {name}" for name in mine]


@WRITES
@pytest.mark.parametrize("file_size", [0, 20, 300, 700, 959])
def test_files_that_cannot_grow_leave_the_old_state(
    tmp_path, X, rows, info, small_shards, killer, write, before, file_size
):
    for earlier in before:
        earlier(tmp_path / "store", X, rows, info)
    (tmp_path / "store").mkdir(exist_ok=True)
    old = state(tmp_path / "store")
    assert not killer.run(write, tmp_path / "store", X, rows, info, file_size=file_size)
    assert state(tmp_path / "store") == old
    write(tmp_path / "store", X, rows, info)
    assert state(tmp_path / "store") != old
    n_shards = -(-len(EpochsStore.open(tmp_path / "store")) // 4)
    assert len(names(tmp_path / "store")) == n_shards + 4


@pytest.mark.parametrize("name", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_the_store_as_it_was(tmp_path, X, rows, info, small_shards, monkeypatch, name):
    create(tmp_path, X, rows, info)
    content = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*args):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, name, full)
        with pytest.raises(OSError, match="No space left"):
            append(tmp_path, X, rows, info)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == content
    append(tmp_path, X, rows, info)
    assert len(EpochsStore.open(tmp_path)) == 20


def test_ctrl_c_after_the_last_step_leaves_the_new_state(tmp_path, X, rows, info, monkeypatch):
    create(tmp_path, X, rows, info)
    replace = os.replace

    def interrupted(*args):
        replace(*args)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            append(tmp_path, X, rows, info)
    np.testing.assert_array_equal(np.asarray(EpochsStore.open(tmp_path).view()), np.concatenate([X, 2 * X]))


FORKS = """
import os, random, signal, sys, time
import numpy as np
from skeegclip import EpochsStore
from skeegclip.epochs import _create
import mne
_create._SHARD_BYTES = 3 * 2**20
info = mne.create_info(4, 100.0, "eeg")
X = np.arange(2000, dtype=np.float32)[:, None, None] * np.ones((1, 4, 100), dtype=np.float32)  # 3.2 MB
rows = {"n": np.arange(2000)}
folder = sys.argv[1]
EpochsStore.create(folder, X, rows, info=info)
begin = time.perf_counter()
EpochsStore.open(folder).append(X, rows)
took = time.perf_counter() - begin
random.seed(0)
killed = committed = 0
for trial in range(40):
    before = len(EpochsStore.open(folder))
    child = os.fork()
    if child == 0:
        EpochsStore.open(folder).append(X, rows)
        os._exit(0)
    time.sleep(random.uniform(0, 1.3 * took))
    os.kill(child, signal.SIGKILL)
    killed += os.WIFSIGNALED(os.waitpid(child, 0)[1])
    view = EpochsStore.open(folder).view()
    committed += len(view) - before == 2000
    assert len(view) in (before, before + 2000), (before, len(view))
    last = view[-4000:]
    expected = np.tile(np.arange(2000), 2)
    assert (last.rows["n"] == expected).all()
    assert (np.asarray(last) == expected[:, None, None]).all()
print(killed, committed)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.slow
def test_sigkill_at_random_moments(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FORKS, str(tmp_path / "store")], capture_output=True, text=True, timeout=250
    )
    assert done.returncode == 0, done.stderr
    killed, committed = map(int, done.stdout.split())
    assert killed >= 10
    assert committed < 40
    assert not list(Path(tmp_path).glob("*.tmp"))
