"""Files of others stay as they are, and a stranger's store leads nowhere."""

from __future__ import annotations

import hashlib
import json
import os
import shutil

import numpy as np
import pytest

from skeegclip import EpochsStore
from skeegclip.epochs._journal import JOURNAL

MINE = (
    "rows.csv",
    "rows-1.csv",
    "info.json",
    "info-3.json",
    "epochs-00000.f32",
    "epochs.csv",
    "epochs-1.json",
    "epochs-00001.f16",
    "manifest.json.bak",
    ".manifest.json.tmp",
    ".lock",
    JOURNAL,
    "notes.txt",
)


def content(folder):
    return {
        path.name: path.read_bytes() if path.is_file() else path.is_dir() for path in sorted(folder.iterdir())
    }


@pytest.fixture
def store(tmp_path, X, rows, info):
    return EpochsStore.create(tmp_path / "store", X, rows, info=info)


@pytest.mark.parametrize("kind", ["file", "folder", "link", "pipe"])
@pytest.mark.parametrize("name", MINE)
def test_create_refuses_a_folder_that_holds_anything(tmp_path, X, rows, info, name, kind):
    folder, victim = tmp_path / "mine", tmp_path / "victim"
    folder.mkdir()
    victim.write_text("precious")
    make = {
        "file": lambda path: path.write_text("precious"),
        "folder": lambda path: path.mkdir(),
        "link": lambda path: path.symlink_to(victim),
        "pipe": os.mkfifo,
    }[kind]
    make(folder / name)
    before = content(folder)
    for overwrite in (False, True):
        with pytest.raises(
            (FileExistsError, ValueError), match=r"other files|not the journal|not a plain file"
        ):
            EpochsStore.create(folder, X, rows, info=info, overwrite=overwrite)
    assert content(folder) == before
    assert victim.read_text() == "precious"


def test_a_failed_create_leaves_an_empty_folder_empty(tmp_path, X, rows, info):
    with pytest.raises(ValueError, match="one line per epoch"):
        EpochsStore.create(tmp_path, X, rows[:3], info=info)
    assert list(tmp_path.iterdir()) == []


def test_overwrite_refuses_other_files_beside_a_store_and_append_leaves_them(store, X, rows, info):
    names = [
        name for name in MINE if name not in ("rows.csv", "info.json", "epochs-00000.f32", ".lock", JOURNAL)
    ]
    for name in names:
        (store.path / name).write_text(name)
    before = content(store.path)
    with pytest.raises(FileExistsError, match="holds other files"):
        EpochsStore.create(store.path, X, rows, info=info, overwrite=True)
    assert content(store.path) == before
    store.append(X, rows)
    assert all((store.path / name).read_text() == name for name in names)
    assert len(store.view()) == 20


def test_a_file_in_the_way_of_the_next_shard_is_not_touched(tmp_path, X, rows, info, small_shards):
    store = EpochsStore.create(tmp_path, X, rows, info=info)
    mine = tmp_path / "epochs-00003.f32"
    mine.write_text("precious")
    before = content(tmp_path)
    with pytest.raises(FileExistsError, match=r"epochs-00003.f32' is in the way"):
        store.append(X, rows)
    assert content(tmp_path) == before
    store.append(X[:2], rows[:2])  # which fit into the last shard
    store.verify()


@pytest.mark.parametrize(
    "name", ["rows.csv", "info.json", "epochs-00000.f32", "manifest.json", ".lock", JOURNAL]
)
@pytest.mark.parametrize("kind", ["link", "hard link", "pipe", "folder"])
def test_links_pipes_and_folders_are_not_followed(tmp_path, store, X, rows, name, kind):
    path, victim = store.path / name, tmp_path / "victim"
    shutil.copy(path, victim) if path.exists() else victim.write_bytes(b"skeegclip-epochs-journal-1\n")
    before = victim.read_bytes()
    path.unlink(missing_ok=True)
    if kind == "link":
        path.symlink_to(victim)
    elif kind == "hard link":
        os.link(victim, path)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    written = name in ("rows.csv", "epochs-00000.f32")
    if kind != "hard link" or written:
        with pytest.raises(ValueError, match=name.lstrip(".")):
            EpochsStore.open(store.path).append(X, rows)
    if kind != "hard link" and name not in (".lock", JOURNAL):
        with pytest.raises(ValueError, match=name):
            EpochsStore.open(store.path).view()
    assert victim.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["store", "victim"]


def signed(facts):
    """A manifest as a stranger who knows the format writes it."""
    facts = {key: value for key, value in facts.items() if key != "sha256"}
    return json.dumps(facts | {"sha256": hashlib.sha256(json.dumps(facts).encode()).hexdigest()})


@pytest.mark.parametrize(
    "generation", ["x/../../victim", "../victim", "1/..", "/victim", "", "1\n", 7, None, "01"]
)
@pytest.mark.parametrize("version", [1, 2])
def test_a_manifest_names_no_file_elsewhere(tmp_path, store, X, rows, version, generation):
    victim = tmp_path / "victim.csv"
    victim.write_text("precious")
    path = store.path / "manifest.json"
    facts = json.loads(path.read_text())
    if version == 1:
        facts = {key: facts[key] for key in facts if key not in ("info", "parts", "times", "sha256")}
        facts["version"] = 1
    if version == 2 and generation == "":
        generation = "-1"
    path.write_text(
        signed(facts | {"generation": generation})
        if version == 2
        else json.dumps(facts | {"generation": generation})
    )
    before = content(store.path)
    with pytest.raises(ValueError, match=r"manifest.json' is damaged|is missing"):
        EpochsStore.open(store.path).append(X, rows)
    assert content(store.path) == before
    assert victim.read_text() == "precious"


@pytest.mark.parametrize(
    "facts",
    [
        {"n_chans": 2},
        {"n_chans": 2**40, "n_times": 2**40},
        {"n_times": 2**70},
        {"n_epochs": -1},
        {"n_epochs": 0},
        {"n_epochs": 11},
        {"n_epochs": 9},
        {"n_epochs": True},
        {"n_epochs": 10.0},
        {"rows_bytes": 2**40},
        {"epochs_per_shard": 0},
        {"dtype": "float64"},
        {"dtype": "object"},
        {"columns": {}},
        {"columns": {"stimulus": "object"}},
        {"columns": {"stimulus": "text"}},
        {"parts": []},
        {"times": []},
        {"info": None},
        {"id": "../x"},
        {"more": 1},
    ],
)
def test_a_signed_manifest_is_not_believed_either(store, facts):
    path = store.path / "manifest.json"
    path.write_text(signed(json.loads(path.read_text()) | facts))
    with pytest.raises(ValueError, match=r"store.* is damaged"):
        EpochsStore.open(store.path).view()


def test_a_journal_names_nothing_but_files_of_a_store(tmp_path, store, X, rows):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (store.path / JOURNAL).write_text("skeegclip-epochs-journal-1\n../victim\n")
    with pytest.raises(ValueError, match=r"it tells of '../victim'"):
        store.append(X, rows)
    assert victim.read_text() == "precious"
    (store.path / JOURNAL).write_text(
        "skeegclip-epochs-journal-1\nrows.csv\nepochs-00000.f32\nrows-4.csv\nepoc"
    )
    store.append(X, rows)  # what counts is kept, whatever a journal says
    np.testing.assert_array_equal(np.asarray(store.view()), np.concatenate([X, X]))
    assert not (store.path / JOURNAL).exists()


def test_reading_opens_nothing_for_writing(store, killer):
    def read():
        import sys

        def refuse(event, args):
            path = str(args[0]) if args else ""
            writes = event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)
            if str(store.path) in path and (
                writes or event in ("os.rename", "os.remove", "os.mkdir", "os.truncate")
            ):
                os._exit(3)

        sys.addaudithook(refuse)
        opened = EpochsStore.open(store.path)
        assert np.asarray(opened.view()).size
        opened.view().content_key()
        opened.verify()

    assert killer.run(read)
