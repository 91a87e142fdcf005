"""What a folder says is checked before it is believed, in stores of today and of version 1."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skeegclip import EpochsStore

# Written by the code of version 1: shards of 7 epochs; 10 epochs, and an append of 4.
FIRST = Path(__file__).parent / "version_1"
FIRST_X = (np.arange(600).reshape(10, 3, 20) % 97 - 48).astype(np.float32)


@pytest.fixture
def store(tmp_path, X, rows, info, small_shards):
    return EpochsStore.create(tmp_path / "store", X[:6], rows[:6], info=info, tmin=-0.05).append(
        X[6:], rows[6:]
    )


@pytest.fixture
def first(tmp_path):
    return EpochsStore.open(shutil.copytree(FIRST, tmp_path / "first"))


def state(folder):
    view = EpochsStore.open(folder).view()
    return np.asarray(view).tobytes(), view.rows.to_csv(), view.tmin, view.ch_names, view.sfreq


def change(store, **facts):
    path = store.path / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | facts, indent=1))


@pytest.mark.parametrize("n", [100, pytest.param(500, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["manifest.json", "rows.csv", "info.json"])
def test_a_changed_file_is_refused_or_says_the_same(store, mutate, name, n):
    path, old = store.path / name, state(store.path)
    content = path.read_bytes()
    refused = []
    for _ in range(n):
        path.write_bytes(mutate(content))
        try:
            assert state(store.path) == old
        except ValueError as error:
            refused.append(str(error))
        except FileNotFoundError:
            pytest.fail("a file that is there was not found")
    # What changes nothing: spaces in the manifest, and what is appended to the rows.
    assert len(refused) > 0.95 * n
    assert all(str(store.path) in error for error in refused)
    path.write_bytes(content)
    assert state(store.path) == old


@pytest.mark.parametrize("n", [60, pytest.param(300, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["manifest.json", "rows.csv", "info.json"])
def test_in_version_1_a_changed_file_is_refused_or_read(first, mutate, name, n):
    path = first.path / name
    content = path.read_bytes()
    refused = []
    for _ in range(n):
        path.write_bytes(mutate(content))
        try:
            state(first.path)
        except ValueError as error:
            refused.append(str(error))
    assert len(refused) > 0.5 * n
    assert all(str(first.path) in error for error in refused)


def test_shards_are_compared_by_verify(store, mutate):
    store.verify()
    for path in sorted(store.path.glob("epochs-*")):
        content = path.read_bytes()
        for _ in range(40):
            changed = mutate(content)
            path.write_bytes(changed)
            if not changed.startswith(content):
                with pytest.raises(ValueError, match="changed since|is damaged"):
                    store.verify()
        path.write_bytes(content)
    store.verify()


@pytest.mark.parametrize(
    "facts",
    [
        {"n_chans": 2},
        {"n_chans": 4},
        {"n_times": 10},
        {"n_times": 40},
        {"n_epochs": 13},
        {"n_epochs": 15},
        {"n_epochs": -1},
        {"n_epochs": 0},
        {"n_epochs": 14.0},
        {"n_epochs": "14"},
        {"n_epochs": None},
        {"n_epochs": 2**60},
        {"rows_bytes": 357},
        {"rows_bytes": -1},
        {"epochs_per_shard": 6},
        {"epochs_per_shard": 0},
        {"dtype": "float16"},
        {"dtype": ["float32"]},
        {"columns": {"stimulus": "text"}},
        {"columns": []},
        {"generation": "1"},
        {"generation": -1},
        {"generation": 3},
        {"id": None},
        {"version": 2},
        {"version": "1"},
        {"version": True},
        {"extra": 1},
    ],
)
def test_wrong_facts_of_both_versions_are_refused(store, first, facts):
    for old in (first, store):
        if facts == {"version": 2} and old is store:
            continue
        change(old, **facts)
        with pytest.raises(ValueError, match=r"is damaged|version|is missing"):
            EpochsStore.open(old.path).view()
        with pytest.raises(ValueError, match=r"is damaged|version|is missing"):
            EpochsStore.open(old.path).append(FIRST_X, first_rows())


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text.replace(b'"00001"', b'"00001-xyz"', 1),
        lambda text: b"\n" + text,
        lambda text: text.split(b"\n", 1)[0] + b"\n" + text,
        lambda text: text.replace(b"stimulus", b"stimulxs", 1),
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: text[:-1],
        lambda text: b"",
    ],
)
def test_rows_that_were_edited_are_refused(store, first, edit):
    for old in (store, first):
        path = old.path / "rows.csv"
        path.write_bytes(edit(path.read_bytes()))
        with pytest.raises(ValueError, match=r"rows.csv"):
            EpochsStore.open(old.path).view()


def test_a_label_of_the_same_length_is_noticed_too(store):
    path = store.path / "rows.csv"
    path.write_bytes(path.read_bytes().replace(b'"00001"', b'"00007"', 1))
    with pytest.raises(ValueError, match="rows.csv was edited since it was written"):
        store.view()


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"format": ' + "[" * 100_000 + "]" * 100_000 + "}", "9" * 10_000]
)
def test_depth_is_no_way_out(store, text):
    for name in ("manifest.json", "info.json"):
        content = (store.path / name).read_bytes()
        (store.path / name).write_text(text)
        with pytest.raises(ValueError, match=name):
            EpochsStore.open(store.path).view()
        (store.path / name).write_bytes(content)


def test_damage_stops_an_append(store, X, rows):
    """The shard that is added to was edited: its new time would say that it is as it was written."""
    path = store.path / "epochs-00002.f32"
    content = bytearray(path.read_bytes())
    content[5] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="epochs 6 to 9 were changed since they were written"):
        store.append(X, rows)
    content[5] ^= 1
    path.write_bytes(content)
    assert len(store.append(X, rows)) == 20
    store.verify()


# -- version 1 --------------------------------------------------------------------------------------


def first_rows(stop=10):
    return pd.DataFrame(
        {
            "stimulus": [f"{i % 5:05d}" for i in range(10)],
            "subject": ["01"] * 4 + ["02"] * 6,
            "onset": np.arange(10) / 4,
            "correct": [True, False] * 5,
        }
    )[:stop]


def test_version_1_is_read(first):
    view = first.view()
    np.testing.assert_array_equal(np.asarray(view), np.concatenate([FIRST_X, 2 * FIRST_X[:4]]))
    expected = pd.concat([first_rows(), first_rows(4)], ignore_index=True)
    pd.testing.assert_frame_equal(view.rows, expected.astype({"stimulus": str, "subject": str}))
    assert (view.tmin, view.ch_names) == (-0.05, ("Fp1", "Pz", "Oz"))
    first.verify()
    assert view.content_key() == first.view().content_key()
    assert json.loads((first.path / "manifest.json").read_text())["version"] == 1


def test_version_1_grows_and_has_digests_then(first):
    first.append(3 * FIRST_X, first_rows())
    assert json.loads((first.path / "manifest.json").read_text())["version"] == 2
    np.testing.assert_array_equal(
        np.asarray(first.view()), np.concatenate([FIRST_X, 2 * FIRST_X[:4], 3 * FIRST_X])
    )
    first.verify()
    path = first.path / "epochs-00000.f32"
    path.write_bytes(path.read_bytes()[::-1])
    with pytest.raises(ValueError, match="epochs 0 to 13 were changed"):
        first.verify()


@pytest.mark.slow
def test_version_1_survives_a_kill_on_the_way_to_version_2(tmp_path, killer):
    def append(folder):
        EpochsStore.open(folder).append(3 * FIRST_X, first_rows())

    folder = shutil.copytree(FIRST, tmp_path / "store")
    old = state(folder)
    n_old = 0
    for _ in killer.every_step(append, folder):
        if len(EpochsStore.open(folder)) == 14:
            n_old += 1
            assert state(folder) == old
        else:
            EpochsStore.open(folder).verify()
        shutil.rmtree(folder)
        shutil.copytree(FIRST, folder)
    assert n_old > 20


def test_a_tail_that_version_1_has_left_is_cut(first):
    with open(first.path / "rows.csv", "ab") as file:
        file.write(b"half a li")
    first.append(FIRST_X, first_rows())
    assert len(first.view()) == 24
