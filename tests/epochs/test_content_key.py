"""Equal keys for equal epochs, others for others, and nothing read for it where that can be."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest

from skeegclip import EpochsStore, EpochsView
from skeegclip.epochs import _shards


@pytest.fixture
def store(tmp_path, X, rows, info, small_shards):
    return EpochsStore.create(tmp_path / "store", X, rows, info=info)


def key(folder, stop=None):
    return EpochsStore.open(folder).view()[:stop].content_key()


@pytest.fixture
def reads(monkeypatch):
    """What is read for keys."""
    seen = []
    digest = _shards.epochs_digest

    def counted(manifest, maps, start, stop):
        seen.append((start, stop))
        return digest(manifest, maps, start, stop)

    monkeypatch.setattr(_shards, "epochs_digest", counted)
    return seen


def test_a_copy_has_the_key_until_something_else_is_added(store, tmp_path, X, rows):
    copy = tmp_path / "copy"
    shutil.copytree(store.path, copy, copy_function=shutil.copyfile)  # with new times, as cp -r does
    assert key(copy) == key(store.path)
    store.append(X, rows)
    EpochsStore.open(copy).append(2 * X, rows)
    assert key(copy) != key(store.path)
    assert key(copy, 8) == key(store.path, 8)  # which the appends left as they were


def test_the_same_view_of_a_longer_store_keeps_its_key(store, X, rows, reads):
    old = store.view()
    before = old.content_key()
    store.append(X, rows)
    assert key(store.path, 10) == before == old.content_key()
    assert key(store.path) != before
    assert reads == []


def test_nothing_is_read_but_for_what_was_touched(store, tmp_path, X, rows, reads):
    store.append(X, rows)
    before = key(store.path)
    assert reads == []
    os.utime(store.path / "epochs-00004.f32", ns=(0, 1))
    view = store.view()
    assert view.content_key() == view[::-1][::-1].content_key() == before
    assert reads == [(10, 20)]


@pytest.mark.parametrize("shard", [0, 1, 2])
def test_a_shard_edited_in_place_changes_the_key(store, shard):
    before = key(store.path)
    view = store.view()
    path = store.path / f"epochs-{shard:05d}.f32"
    edited = np.memmap(path, "float32", "r+")
    edited[3] += 1
    edited.flush()
    del edited
    os.utime(path)  # what the system does by itself, some time
    assert key(store.path) != before
    assert view.content_key() != before


def test_averages_and_choices_follow(store, X, rows, info, tmp_path):
    other = EpochsStore.create(tmp_path / "other", X + 1, rows, info=info)
    for derive in (
        lambda view: view.average(by="concept"),
        lambda view: view[3:5],
        lambda view: view.pick(["Oz"]).crop(0.05),
    ):
        here, there = derive(store.view()).content_key(), derive(other.view()).content_key()
        assert isinstance(here, bytes)
        assert here != there
        assert here == derive(store.view()).content_key()
    assert EpochsView.from_arrays(X).content_key() is None


def test_version_1_goes_by_times(tmp_path):
    from pathlib import Path

    folder = shutil.copytree(Path(__file__).parent / "version_1", tmp_path / "store")
    before = key(folder)
    assert key(folder) == before
    os.utime(folder / "epochs-00001.f32", ns=(0, 1))
    assert key(folder) != before
