"""A kill at any moment leaves the old store or the new one."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from skeegclip import EpochsStore

STEPS = ("open", "write", "fsync", "replace", "truncate", "unlink")


class Killed(BaseException):
    """Stands for SIGKILL: nothing of the process runs after it, cleaning up included."""


class Killer:
    """Let `n_steps` system calls on files pass, then die in the middle of the next one."""

    def __init__(self, monkeypatch, n_steps):
        self.left, self.dead = n_steps, False
        for name in STEPS:
            monkeypatch.setattr(os, name, self.mortal(name, getattr(os, name)))

    def mortal(self, name, call):
        def step(*args, **kwargs):
            if not self.dead and self.left > 0:
                self.left -= 1
                return call(*args, **kwargs)
            if not self.dead and name == "write":
                call(args[0], bytes(args[1])[: len(args[1]) // 2])
            self.dead = True
            raise Killed(name)

        return step


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


@pytest.mark.parametrize(
    ("write", "before"), [(create, []), (append, [create]), (overwrite, [create, append])]
)
def test_a_kill_at_any_step_leaves_the_old_state_or_the_new(
    tmp_path, X, rows, info, small_shards, monkeypatch, write, before
):
    start, goal = tmp_path / "start", tmp_path / "goal"
    for earlier in before:
        earlier(start, X, rows, info)
    start.mkdir(exist_ok=True)
    shutil.copytree(start, goal)
    write(goal, X, rows, info)
    old, new = state(start), state(goal)
    files = names(goal)
    seen = []
    for n_steps in range(1000):
        folder = tmp_path / f"killed_{n_steps}"
        shutil.copytree(start, folder)
        with monkeypatch.context() as patch:
            killer = Killer(patch, n_steps)
            with contextlib.suppress(Killed):
                write(folder, X, rows, info)
        seen.append(state(folder))
        assert seen[-1] in (old, new)
        if seen[-1] == old:
            # What the killed process left behind does no harm to the next one, and goes.
            write(folder, X, rows, info)
            assert state(folder) == new
            assert names(folder) == files
        if not killer.dead:
            break
        shutil.rmtree(folder)
    else:
        pytest.fail("the write never came to its end")
    assert n_steps > 15
    # Once the new state is there it stays: there is one moment at which it begins to count.
    assert seen == sorted(seen, key=lambda s: s == new)
    assert seen.count(old) > 10


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
def test_sigkill_at_random_moments(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FORKS, str(tmp_path / "store")], capture_output=True, text=True, timeout=250
    )
    assert done.returncode == 0, done.stderr
    killed, committed = map(int, done.stdout.split())
    assert killed >= 10
    assert committed < 40
    assert not list(Path(tmp_path).glob("*.tmp"))
