"""The cache alone: several processes, kills, and settings."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import warnings

import numpy as np
import pytest

from skeegclip.embeddings._cache import VectorCache

# Vectors that can be told from their key; a file for every two.
_WRITER = """
import os, signal, sys
import numpy as np
from skeegclip.embeddings import _cache
_cache._SECONDS_BETWEEN_FILES = 0
folder, first, last, kill = sys.argv[1], *map(int, sys.argv[2:])
cache = _cache.VectorCache(folder, {"model": "x"})
with cache.writing() as keep:
    for key in range(first, last, 2):
        keep([str(key), str(key + 1)], np.array([[key, 1], [key + 1, 1]], dtype=np.float32))
        print(key, flush=True)
        if key == kill:
            os.kill(os.getpid(), signal.SIGKILL)
"""


def write(folder, first, last, kill=-1):
    command = [sys.executable, "-c", _WRITER, str(folder), str(first), str(last), str(kill)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def check(vectors, keys):
    assert set(vectors) == {str(key) for key in keys}
    for key, vector in vectors.items():
        np.testing.assert_array_equal(vector, [int(key), 1])


@pytest.mark.slow
def test_two_processes_write_while_a_third_reads(tmp_path):
    cache = VectorCache(tmp_path, {"model": "x"})
    running = [write(tmp_path, 0, 200), write(tmp_path, 100, 300)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        while any(process.poll() is None for process in running):
            vectors = cache.read()
            check(vectors, map(int, vectors))
        check(cache.read(), range(300))
    assert [process.returncode for process in running] == [0, 0]


@pytest.mark.slow
def test_a_killed_process_leaves_what_it_had_written(tmp_path):
    process = write(tmp_path, 0, 100, kill=40)
    assert process.wait(timeout=60) == -signal.SIGKILL
    check(VectorCache(tmp_path, {"model": "x"}).read(), range(42))


_HALFWAY = """
import sys
import numpy as np
from skeegclip.embeddings._cache import VectorCache
from skeegclip._utils.persistence import locked
cache = VectorCache(sys.argv[1], {"model": "x"})
with cache.writing() as keep:
    keep(["1"], np.array([[1, 1]], dtype=np.float32))
file, temporary = locked(cache.folder / "half.safetensors")
print(temporary.name, flush=True)
sys.stdin.readline()
"""


def test_a_reader_removes_what_killed_writers_have_left_and_not_what_is_being_written(tmp_path):
    command = [sys.executable, "-c", _HALFWAY, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as live, subprocess.Popen(command, **pipes) as dead:
        names = {process: process.stdout.readline().strip() for process in (live, dead)}
        dead.kill()
        dead.wait()
        cache = VectorCache(tmp_path, {"model": "x"})
        assert {path.name for path in cache.folder.glob(".*.tmp")} == set(names.values())
        check(cache.read(), [1])  # everything is there: nothing will be written
        assert [path.name for path in cache.folder.glob(".*.tmp")] == [names[live]]
        live.communicate("\n", timeout=60)
    cache.read()
    assert not list(cache.folder.glob(".*.tmp"))


def test_what_was_kept_is_on_disk_however_the_block_ends(tmp_path):
    cache = VectorCache(tmp_path, {})
    assert cache.read() == {}

    def interrupted():
        with cache.writing() as keep:
            keep(["1"], np.array([[1, 1]], dtype=np.float32))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    check(cache.read(), [1])


def test_settings_have_folders_of_their_own(tmp_path):
    one, other = VectorCache(tmp_path, {"a": 1, "b": 2}), VectorCache(tmp_path, {"a": 1, "b": 3})
    same = VectorCache(tmp_path, {"b": 2, "a": 1})
    with one.writing() as keep:
        keep(["1"], np.array([[1, 1]], dtype=np.float32))
    check(same.read(), [1])
    assert other.read() == {}
    assert '"b": 2' in (one.folder / "settings.json").read_text()


def test_a_home_folder_is_understood(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert VectorCache("~/cache", {}).folder.parent == tmp_path / "cache"


def test_files_of_other_kinds_are_dropped_with_a_warning(tmp_path):
    from safetensors.numpy import save_file

    cache = VectorCache(tmp_path, {})
    cache.folder.mkdir(parents=True)
    save_file({"x": np.ones(3)}, cache.folder / f"{'0' * 32}.safetensors")
    with pytest.warns(UserWarning, match="000.safetensors is damaged"):
        assert cache.read() == {}
    assert not list(cache.folder.iterdir())


def test_files_that_the_cache_did_not_name_are_left_alone(tmp_path):
    cache = VectorCache(tmp_path, {})
    with cache.writing() as keep:
        keep(["1"], np.array([[1, 1]], dtype=np.float32))
    mine = {cache.folder / "mine.safetensors": b"precious", cache.folder / ".mine.tmp": b"too"}
    for path, content in mine.items():
        path.write_bytes(content)
    with cache.writing() as keep:
        keep(["2"], np.array([[2, 1]], dtype=np.float32))
    check(cache.read(), [1, 2])
    assert {path: path.read_bytes() for path in mine} == mine


@pytest.mark.parametrize(
    "metadata", ["[]", "null", '"x"', "[" * 100_000, '{"skeegclip": 1}', '{"skeegclip": "[]"}']
)
def test_a_damaged_file_is_made_anew(tmp_path, metadata):
    cache = VectorCache(tmp_path, {})
    with cache.writing() as keep:
        keep(["1"], np.array([[1, 1]], dtype=np.float32))
    (path,) = cache.folder.glob("*.safetensors")
    tensor = '{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}'
    header = f'{{"__metadata__":{metadata},"vectors":{tensor}}}'.encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.warns(UserWarning, match="is damaged"):
        assert cache.read() == {}
    with cache.writing() as keep:
        keep(["1"], np.array([[1, 1]], dtype=np.float32))
    check(cache.read(), [1])


def test_a_pipe_or_a_link_in_the_cache_is_not_followed(tmp_path):
    cache = VectorCache(tmp_path, {})
    cache.folder.mkdir(parents=True)
    os.mkfifo(cache.folder / f"{'a' * 32}.safetensors")
    (tmp_path / "victim").write_bytes(b"precious")
    (cache.folder / f"{'b' * 32}.safetensors").symlink_to(tmp_path / "victim")
    (cache.folder / f"{'c' * 32}.safetensors").mkdir()
    with pytest.warns(UserWarning, match="is damaged"):
        assert cache.read() == {}
    assert (tmp_path / "victim").read_bytes() == b"precious"
