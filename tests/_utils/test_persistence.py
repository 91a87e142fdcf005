import os
import subprocess
import sys

import pytest

from skeegclip._utils.persistence import write_whole


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "new" / "file.bin"
    write_whole(path, b"old")

    def fail(*args):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == ["file.bin"]


def test_others_may_read_what_is_written(tmp_path):
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    write_whole(tmp_path / "whole", b"")
    assert (tmp_path / "whole").stat().st_mode == plain.stat().st_mode


def test_a_kill_at_any_step_leaves_the_old_file_or_the_new(tmp_path, killer):
    path = tmp_path / "file"
    write_whole(path, b"old")
    seen = []
    for _ in killer.every_step(write_whole, path, b"new content"):
        seen.append(path.read_bytes())
        write_whole(path, b"old")
        assert os.listdir(tmp_path) == ["file"]
    assert set(seen) <= {b"old", b"new content"}
    assert len(seen) >= 3
    assert path.read_bytes() == b"new content"


def test_nothing_is_removed_that_is_written_at_this_moment(tmp_path):
    def slowly():
        yield b"first "
        write_whole(tmp_path / "other", b"quick")
        assert len([name for name in os.listdir(tmp_path) if name.endswith(".tmp")]) == 1
        yield b"second"

    write_whole(tmp_path / "file", slowly())
    assert (tmp_path / "file").read_bytes() == b"first second"
    assert sorted(os.listdir(tmp_path)) == ["file", "other"]


def test_files_of_others_stay(tmp_path):
    names = [".file.tmp", ".file.0123.tmp", f".file.{'0' * 32}.tmp", "x.tmp"]
    for name in names:
        (tmp_path / name).write_text(name)
    write_whole(tmp_path / "file", b"new")
    assert [(tmp_path / name).read_text() for name in names] == names


def test_many_threads_and_processes_write_one_file(tmp_path):
    program = """
import sys
from concurrent.futures import ThreadPoolExecutor
from skeegclip._utils.persistence import write_whole
with ThreadPoolExecutor(4) as pool:
    list(pool.map(lambda i: write_whole(sys.argv[1], f"{i % 10}".encode() * 100_000), range(60)))
"""
    command = [sys.executable, "-c", program, str(tmp_path / "file")]
    running = [subprocess.Popen(command) for _ in range(2)]
    while any(process.poll() is None for process in running):
        if (tmp_path / "file").exists():
            content = (tmp_path / "file").read_bytes()
            assert content == content[:1] * 100_000
    assert [process.returncode for process in running] == [0, 0]
    assert os.listdir(tmp_path) == ["file"]
