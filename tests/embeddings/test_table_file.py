"""The file of a table: written whole, and believed only as far as its digest goes."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from skeegclip import EmbeddingTable


@pytest.fixture
def old():
    return EmbeddingTable(["a", "b", "c"], np.arange(6.0).reshape(3, 2) + 1, meta={"layer": -1})


@pytest.fixture
def new():
    return EmbeddingTable([f"n{i}" for i in range(50)], np.arange(350.0).reshape(50, 7))


def save(path, table):
    table.save(path)


def test_a_kill_at_any_step_leaves_the_old_table_or_the_new(tmp_path, old, new, killer):
    path = tmp_path / "table.safetensors"
    old.save(path)
    seen = []
    for _ in killer.every_step(save, path, new):
        seen.append(EmbeddingTable.load(path))
        assert seen[-1] in (old, new)
        old.save(path)  # and what the killed process has left goes
        assert os.listdir(tmp_path) == [path.name]
    assert len(seen) >= 3
    assert EmbeddingTable.load(path) == new


@pytest.mark.parametrize("file_size", [0, 8, 200, 1500])
def test_a_full_disk_leaves_the_old_table(tmp_path, old, new, killer, file_size):
    path = tmp_path / "table.safetensors"
    old.save(path)
    assert not killer.run(save, path, new, file_size=file_size)
    assert EmbeddingTable.load(path) == old
    assert os.listdir(tmp_path) == [path.name]


def test_a_full_disk_is_told_of(tmp_path, new, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        OSError, match=r"No space left on device: \d+ bytes are needed and \d+ are free.*table"
    ):
        new.save(tmp_path / "table")


def test_a_changed_file_is_refused_or_says_the_same(tmp_path, old, mutate):
    path = tmp_path / "table.safetensors"
    old.save(path)
    content = path.read_bytes()
    refused = []
    for _ in range(500):
        path.write_bytes(mutate(content))
        try:
            assert EmbeddingTable.load(path) == old
        except ValueError as error:
            refused.append(str(error))
    assert len(refused) > 450
    assert all(str(path) in error for error in refused)


@pytest.mark.parametrize("key", ["ids", "meta", "format"])
def test_changed_notes_are_refused(tmp_path, old, mutate, key):
    path = tmp_path / "table.safetensors"
    old.save(path)
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    for value in (
        [],
        {},
        None,
        1,
        ["a", "a", "b"],
        ["a", "b", "d"],
        ["a", "b", 1],
        {"layer": 2},
        "skeegclip-embedding-table-1",
    ):
        notes = json.loads(header["__metadata__"]["skeegclip"]) | {key: value}
        about = header["__metadata__"] | {"skeegclip": json.dumps(notes)}
        text = json.dumps(header | {"__metadata__": about}).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + size :])
        with pytest.raises(ValueError, match="is not an EmbeddingTable as one was saved"):
            EmbeddingTable.load(path)


def test_a_table_of_the_first_format_is_read(tmp_path, old):
    from safetensors.numpy import save_file

    notes = {"format": "skeegclip-embedding-table-1", "ids": old.ids.tolist(), "meta": old.meta}
    save_file({"vectors": old.vectors}, tmp_path / "table", metadata={"skeegclip": json.dumps(notes)})
    assert EmbeddingTable.load(tmp_path / "table") == old
    assert EmbeddingTable.load(tmp_path / "table", mmap=True) == old


def test_what_is_no_file_is_told_in_a_sentence(tmp_path, old):
    with pytest.raises(FileNotFoundError, match=r"path: 'missing' does not exist. Pass the file that"):
        EmbeddingTable.load("missing")
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(ValueError, match="is a folder or a pipe"):
            EmbeddingTable.load(path)
    old.save(tmp_path / "table")
    (tmp_path / "link").symlink_to(tmp_path / "table")  # as in the caches of the hub
    assert EmbeddingTable.load(tmp_path / "link") == old


@pytest.mark.slow
def test_a_header_that_claims_much_costs_nothing(tmp_path):
    resource = pytest.importorskip("resource")
    assert resource
    text = json.dumps(
        {"vectors": {"dtype": "F32", "shape": [2**20, 2**20], "data_offsets": [0, 2**42]}, "__metadata__": {}}
    ).encode()
    (tmp_path / "table").write_bytes(len(text).to_bytes(8, "little") + text)
    (tmp_path / "length").write_bytes((2**60).to_bytes(8, "little") + text)
    program = """
import resource, sys
from skeegclip import EmbeddingTable
EmbeddingTable(["a"], [[1.0]]).save(sys.argv[1] + "/small"); EmbeddingTable.load(sys.argv[1] + "/small")
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**27, used + 2**27))
for name in ("table", "length"):
    try:
        EmbeddingTable.load(sys.argv[1] + "/" + name)
    except ValueError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=120
    )
    assert done.stdout.count("is not a") == 2, done.stderr
