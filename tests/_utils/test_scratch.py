"""Folders for a while: gone with their owner, or with the next one after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from skeegclip._utils.persistence import write_whole
from skeegclip._utils.scratch import scratch_folder, sweep_folders

OWNER = """
import os, sys, time
from skeegclip._utils.scratch import scratch_folder
with scratch_folder("test", sys.argv[1]) as folder:
    (folder / "data").write_text("much")
    print("here", flush=True)
    sys.stdin.readline()
"""


def start(place):
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(place)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"here\n"
    return process


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_what_a_killed_owner_leaves_goes_with_the_next(tmp_path, end):
    with start(tmp_path) as live, start(tmp_path) as dead:
        assert len(list(tmp_path.iterdir())) == 2
        dead.send_signal(end)
        dead.wait()
        with scratch_folder("test", tmp_path) as folder:
            assert len(list(tmp_path.iterdir())) == 2
            assert len(list(tmp_path.glob("*/data"))) == 1  # of the one that lives
            assert folder.parent == tmp_path
        live.communicate(b"\n", timeout=60)
    assert list(tmp_path.iterdir()) == []


def test_who_needs_no_folder_sweeps_too_and_only_his_kind(tmp_path):
    sweep_folders("test", tmp_path / "nowhere")
    with start(tmp_path) as dead:
        dead.kill()
        dead.wait()
    sweep_folders("other", tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    sweep_folders("test", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_folders_that_only_look_like_ours_stay(tmp_path):
    with scratch_folder("test", tmp_path) as folder:
        name = folder.name
    mine = tmp_path / name / "precious"
    other = tmp_path / ".skeegclip-test-notes"
    mine.parent.mkdir()
    other.mkdir()
    mine.write_text("precious")
    with scratch_folder("test", tmp_path):
        assert mine.read_text() == "precious"  # nobody has ever owned it
        assert other.exists()


@pytest.mark.slow
def test_a_kill_at_any_step_leaves_what_the_next_removes(tmp_path, killer):
    def use(place):
        with scratch_folder("test", place) as folder:
            write_whole(folder / "data", b"content")

    n_steps = 0
    for _ in killer.every_step(use, tmp_path):
        n_steps += 1
        use(tmp_path)
        assert list(tmp_path.iterdir()) == []
    assert n_steps >= 6


def test_three_hundred_uses_grow_nothing(tmp_path):
    import threading

    before = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0
    for _ in range(300):
        with scratch_folder("test", tmp_path):
            pass
    after = len(os.listdir("/proc/self/fd")) if before else 0
    assert after <= before
    assert threading.active_count() < 100
    assert list(tmp_path.iterdir()) == []
