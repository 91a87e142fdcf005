from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import threading

import mne
import numpy as np
import pandas as pd
import pytest

from skeegclip import EpochsStore, EpochsView
from skeegclip.epochs import _adapters


@pytest.fixture
def store(tmp_path, X, rows, info, small_shards):
    return EpochsStore.create(tmp_path / "store", X, rows, info=info, tmin=-0.05)


def names(store):
    return sorted(path.name for path in store.path.iterdir())


# -- what is written is read ------------------------------------------------------------------------


def test_what_is_written_is_read(store, X, rows, info):
    assert (store.shape, len(store), store.dtype) == ((10, 3, 20), 10, np.float32)
    view = EpochsStore.open(store.path).view()
    assert isinstance(view, EpochsView)
    np.testing.assert_array_equal(np.asarray(view), X)
    pd.testing.assert_frame_equal(view.rows, rows.astype({"stimulus": str, "concept": str, "subject": str}))
    assert view.ch_names == ("Fp1", "Pz", "Oz")
    assert (view.sfreq, view.tmin) == (100.0, -0.05)
    assert repr(store).endswith(
        "shape=(10, 3, 20), dtype=float32, 0.0 MB,"
        " columns=['stimulus', 'concept', 'subject', 'onset', 'repetition', 'correct'])"
    )


def test_rows_in_any_order_over_several_shards(store, X):
    assert sum(name.startswith("epochs") for name in names(store)) == 3
    view = store.view()
    order = [9, 0, 5, 4, 4, 3, 8, 1]
    np.testing.assert_array_equal(view.read(order), X[order])
    np.testing.assert_array_equal(
        np.asarray(view.pick(["Oz", "Fp1"]).crop(0)[order]), X[order][:, [2, 0], 5:]
    )
    np.testing.assert_array_equal(view[7], X[7])
    assert view.read([]).shape == (0, 3, 20)


def test_a_shard_is_plain_numbers(store, X):
    shard = np.memmap(store.path / "epochs-00001.f32", "float32", "r").reshape(-1, 3, 20)
    np.testing.assert_array_equal(shard, X[4:8])


def test_info_survives_with_positions(tmp_path, X, rows):
    info = mne.create_info(["Fp1", "Pz", "Oz"], 250.0, "eeg").set_montage("spherical_1020")
    info["bads"] = ["Pz"]
    again = EpochsStore.create(tmp_path, X, rows, info=info).view().info
    assert mne.utils.object_diff(again, info) == ""


def test_append_adds_and_leaves_earlier_views_as_they_are(store, X, rows):
    before = store.view()
    assert store.append(2 * X[:7], rows[:7]) is store
    np.testing.assert_array_equal(np.asarray(store.view()), np.concatenate([X, 2 * X[:7]]))
    assert store.view().subject.tolist() == [*rows["subject"], *rows["subject"][:7]]
    np.testing.assert_array_equal(np.asarray(before), X)
    assert len(EpochsStore.open(store.path)) == 17


@pytest.mark.parametrize("steps", [[4, 4, 4], [8, 1, 8], [1] * 9, [10, 2, 5]])
def test_appends_of_any_size_fill_the_shards(tmp_path, X, rows, info, small_shards, steps):
    store = EpochsStore.create(tmp_path, X[: steps[0]], rows[: steps[0]], info=info)
    for step in steps[1:]:
        store.append(X[:step], rows[:step])
    np.testing.assert_array_equal(np.asarray(store.view()), np.concatenate([X[:step] for step in steps]))
    assert sum(name.startswith("epochs") for name in names(store)) == -(-sum(steps) // 4)


def test_append_takes_columns_in_any_order_and_whole_numbers_for_floats(store, X, rows):
    store.append(X, rows[rows.columns[::-1]].assign(onset=3))
    assert store.view().rows["onset"].tolist() == [*rows["onset"], *[3.0] * 10]


def test_append_does_not_read_or_rewrite_what_is_there(store, X, rows):
    first = store.path / "epochs-00000.f32"
    before = first.stat().st_mtime_ns
    first.chmod(0o400)
    store.append(X, rows)
    assert first.stat().st_mtime_ns == before


def test_float16_takes_half_the_space(tmp_path, X, rows, info):
    store = EpochsStore.create(tmp_path, X, rows, info=info, dtype="float16")
    assert (tmp_path / "epochs-00000.f16").stat().st_size == X.nbytes // 2
    got = np.asarray(store.view())
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, X.astype(np.float16))


def test_overwrite_replaces_and_open_views_go_on(store, X, rows, info):
    old = store.view()
    new = EpochsStore.create(store.path, X[:3] + 1, rows[:3], info=info, overwrite=True)
    np.testing.assert_array_equal(np.asarray(new.view()), X[:3] + 1)
    np.testing.assert_array_equal(np.asarray(old), X)
    tag = json.loads((store.path / "manifest.json").read_text())["generation"]
    assert len(tag) == 16
    expected = [".lock", f"epochs-{tag}-00000.f32", f"info-{tag}.json", "manifest.json", f"rows-{tag}.csv"]
    assert names(store) == expected


def test_a_store_can_be_replaced_by_a_part_of_itself(store, X):
    EpochsStore.create(store.path, store.view().select(subject="02").pick(["Oz"]), overwrite=True)
    np.testing.assert_array_equal(np.asarray(store.view()), X[4:, [2]])
    assert store.view().ch_names == ("Oz",)


# -- forms of X -------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_at_once", [1, 3, 100])
def test_arrays_are_written_in_blocks(tmp_path, X, rows, info, monkeypatch, n_at_once):
    monkeypatch.setattr(_adapters, "_BLOCK_BYTES", n_at_once * X[0].nbytes)
    for number, form in enumerate([X, X.astype(float), X.tolist()]):
        store = EpochsStore.create(tmp_path / str(number), form, rows, info=info)
        np.testing.assert_array_equal(np.asarray(store.view()), X)


def test_integers_and_tensors(tmp_path, X, rows, info):
    import torch

    whole = X.astype(np.int16)
    np.testing.assert_array_equal(
        np.asarray(EpochsStore.create(tmp_path / "a", whole, rows, info=info).view()), whole
    )
    tensor = EpochsStore.create(tmp_path / "b", torch.from_numpy(X), rows, info=info)
    np.testing.assert_array_equal(np.asarray(tensor.view()), X)


def test_blocks_of_an_iterator(tmp_path, X, rows, info, small_shards):
    store = EpochsStore.create(tmp_path, (X[i : i + 3] for i in range(0, 10, 3)), rows, info=info)
    store.append([X[:4], X[4:]], rows)
    np.testing.assert_array_equal(np.asarray(store.view()), np.concatenate([X, X]))


def test_epochs_come_with_info_tmin_and_metadata(tmp_path, X, rows, monkeypatch):
    info = mne.create_info(["Pz", "EOG", "Oz"], 100.0, ["eeg", "eog", "eeg"])
    epochs = mne.EpochsArray(1e-6 * X, info, tmin=-0.1, metadata=rows, verbose=False)
    monkeypatch.setattr(_adapters, "_BLOCK_BYTES", 4000)
    store = EpochsStore.create(tmp_path, epochs).append([epochs[:2], epochs[2:5]])
    view = store.view()
    np.testing.assert_allclose(np.asarray(view), np.concatenate([X, X[:5]])[:, [0, 2]], rtol=1e-6)
    assert view.ch_names == ("Pz", "Oz")
    assert view.tmin == pytest.approx(-0.1)
    assert view.rows["concept"].tolist() == [*rows["concept"], *rows["concept"][:5]]


def test_epochs_that_are_not_loaded_are_read_in_blocks(tmp_path, X, rows, info, monkeypatch):
    monkeypatch.setattr(_adapters, "_BLOCK_BYTES", 4000)
    mne.EpochsArray(1e-6 * X, info, metadata=rows, verbose=False).save(tmp_path / "a-epo.fif", verbose=False)
    epochs = mne.read_epochs(tmp_path / "a-epo.fif", preload=False, verbose=False)
    store = EpochsStore.create(tmp_path / "store", epochs)
    np.testing.assert_allclose(np.asarray(store.view()), X, rtol=1e-4)
    assert not epochs.preload


def test_without_metadata_the_names_of_events_are_the_stimuli(tmp_path, X, info):
    events = np.column_stack([np.arange(10), np.zeros(10, int), [7, 9] * 5])
    epochs = mne.EpochsArray(1e-6 * X, info, events, event_id={"cat": 7, "dog": 9}, verbose=False)
    assert EpochsStore.create(tmp_path, epochs).view().stimulus.tolist() == ["cat", "dog"] * 5


def test_views_of_several_stores_flow_into_one(tmp_path, store, X):
    merged = EpochsStore.create(tmp_path / "merged", store.view()[::-1])
    merged.append(store.view().select(subject="01"))
    np.testing.assert_array_equal(np.asarray(merged.view()), np.concatenate([X[::-1], X[:4]]))


@pytest.mark.filterwarnings("ignore:`drop_last_window`:DeprecationWarning")
def test_braindecode_datasets(tmp_path, X, info):
    from braindecode.datasets import create_from_X_y

    dataset = create_from_X_y(
        X.astype(float), np.arange(10) % 2, drop_last_window=False, sfreq=100.0, ch_names=info["ch_names"],
        window_size_samples=20, window_stride_samples=20,
    )  # fmt: skip
    rows = dataset.get_metadata().assign(stimulus=["a", "b"] * 5)
    store = EpochsStore.create(tmp_path, dataset, rows)
    np.testing.assert_allclose(np.asarray(store.view()), X, rtol=1e-6)
    assert store.view().ch_names == ("Fp1", "Pz", "Oz")
    assert store.view().rows["target"].tolist() == [0, 1] * 5


def test_volts_are_warned_of(tmp_path, X, rows, info):
    with pytest.warns(UserWarning, match=r"looks like volts \(or tesla\); EpochsStore expects microvolts"):
        EpochsStore.create(tmp_path, 1e-6 * X, rows, info=info)


# -- and back ---------------------------------------------------------------------------------------


def test_to_mne_gives_epochs_in_volts_with_metadata(store, X, rows):
    epochs = store.view().pick(["Oz", "Fp1"]).crop(0, 0.1)[::2].to_mne()
    np.testing.assert_allclose(epochs.get_data(units="uV"), X[::2, [2, 0], 5:16], rtol=1e-6)
    assert (epochs.ch_names, epochs.tmin) == (["Oz", "Fp1"], 0.0)
    assert epochs.metadata["concept"].tolist() == rows["concept"].tolist()[::2]
    assert len(epochs["00002"]) == 1


def test_meg_goes_through_in_its_own_unit(tmp_path):
    info = mne.create_info(["a", "b", "c"], 100.0, ["mag", "grad", "eeg"])
    data = np.random.default_rng(0).normal(size=(2, 3, 5)) * [[1e-13], [1e-12], [1e-5]]
    epochs = mne.EpochsArray(data, info, verbose=False)
    view = EpochsStore.create(tmp_path, epochs, {"stimulus": ["x", "y"]}).view()
    np.testing.assert_allclose(np.asarray(view), data * [[1e15], [1e13], [1e6]], rtol=1e-6)
    np.testing.assert_allclose(view.to_mne().get_data(), data, rtol=1e-6)
    facts = json.loads((tmp_path / "info.json").read_text())
    assert facts["unit"] == {"eeg": "uV", "grad": "fT/cm", "mag": "fT"}


# -- what is refused, and leaves nothing behind ---------------------------------------------------


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"info": None}, ValueError, "info is None and X carries none"),
        ({"rows": None}, ValueError, "rows is None and X carries none"),
        ({"rows": pd.DataFrame({"stimulus": []})}, ValueError, "rows is empty"),
        ({"rows": pd.DataFrame({"stimulus": ["a"]})}, ValueError, r"rows must have one line per epoch \(10\), got 1"),
        ({"rows": {"stimulus": [None] * 10}}, ValueError, "stimulus is missing"),
        ({"rows": {"x": [[1]] * 10}}, TypeError, r"column 'x' must hold text or numbers, got \[1\]"),
        ({"rows": ["a"] * 10}, TypeError, "rows must be a DataFrame or a mapping"),
        ({"info": mne.create_info(2, 100.0, "eeg")}, ValueError, r"info describes 2 channels, but X has .*\(3, 20\)"),
        ({"X": np.ones((3, 20))}, ValueError, r"shape \(n_epochs, n_chans, n_times\)"),
        ({"X": np.ones((0, 3, 20)), "rows": {"stimulus": ["a"]}}, ValueError, "one line per epoch"),
        ({"X": iter([])}, ValueError, "X holds no epoch"),
        ({"X": {"a": 1}}, TypeError, "X must be an array"),
        ({"X": iter([np.ones((9, 3, 20)), np.ones((1, 3, 19))])}, ValueError, "Pick the same channels and times"),
        ({"X": iter([np.ones((9, 3, 20))])}, ValueError, r"rows must have one line per epoch \(9\), got 10"),
        ({"X": iter([np.ones((9, 3, 20)), np.full((1, 3, 20), np.nan)])}, ValueError, "NaN: first in epoch 9"),
        ({"X": np.full((10, 3, 20), 7e4), "dtype": "float16"}, ValueError, "too large for float16"),
        ({"X": np.ones((10, 3, 20), dtype=complex)}, ValueError, "complex"),
        ({"dtype": "float64"}, ValueError, "dtype must be one of 'float32', 'float16'"),
        ({"tmin": "0"}, TypeError, "tmin must be a number"),
    ],
)  # fmt: skip
def test_create_refuses_and_leaves_nothing(tmp_path, X, rows, info, change, error, match):
    with pytest.raises(error, match=match):
        EpochsStore.create(tmp_path / "new", **{"X": X, "rows": rows, "info": info, **change})
    assert not (tmp_path / "new").exists()


def other_channels(X):
    return EpochsView.from_arrays(X, info=mne.create_info(["Oz", "Pz", "Fp1"], 100.0, "eeg"), tmin=-0.05)


def other_rate(X):
    return EpochsView.from_arrays(X, info=mne.create_info(["Fp1", "Pz", "Oz"], 200.0, "eeg"), tmin=-0.05)


def other_start(X):
    return EpochsView.from_arrays(X, info=mne.create_info(["Fp1", "Pz", "Oz"], 100.0, "eeg"), tmin=0.0)


@pytest.mark.parametrize(
    ("change_X", "change_rows", "error", "match"),
    [
        (lambda X: X[:, :2], None, ValueError, r"epochs of shape \(n_epochs, 3, 20\), got float32 \(10, 2, 20\)"),
        (lambda X: np.where(np.arange(10)[:, None, None] == 7, np.inf, X), None, ValueError, "inf .*first in epoch 7"),
        (other_channels, None, ValueError, "X has channel 'Oz' in place 0, but the store has 'Fp1' there"),
        (other_rate, None, ValueError, "sampling rate of 200 Hz, but the store has one of 100 Hz"),
        (other_start, None, ValueError, "X begins at 0 s, but the store has epochs that begin at -0.05 s"),
        (None, lambda r: r[:9], ValueError, r"one line per epoch \(10\), got 9"),
        (None, lambda r: r.drop(columns="onset"), ValueError, r"missing are \['onset'\], unknown \[\]"),
        (None, lambda r: r.assign(new=1), ValueError, r"missing are \[\], unknown \['new'\]"),
        (None, lambda r: r.assign(repetition=0.5), TypeError, "'repetition' holds float, but the store's holds int"),
    ],
)  # fmt: skip
def test_append_refuses_and_leaves_the_store_as_it_was(store, X, rows, change_X, change_rows, error, match):
    content = {path.name: path.read_bytes() for path in store.path.iterdir()}
    with pytest.raises(error, match=match):
        store.append(change_X(X) if change_X else X, change_rows(rows) if change_rows else rows)
    assert {path.name: path.read_bytes() for path in store.path.iterdir()} == content


def test_folders_with_other_things_are_left_alone(tmp_path, store, X, rows, info):
    with pytest.raises(FileExistsError, match="holds an EpochsStore already. Pass overwrite=True"):
        EpochsStore.create(store.path, X, rows, info=info)
    (tmp_path / "notes.txt").write_text("precious")
    with pytest.raises(FileExistsError, match=r"holds other files \(first: 'notes.txt'\)"):
        EpochsStore.create(tmp_path, X, rows, info=info, overwrite=True)
    with pytest.raises(FileExistsError, match="is a file"):
        EpochsStore.create(tmp_path / "notes.txt", X, rows, info=info)
    assert (tmp_path / "notes.txt").read_text() == "precious"
    np.testing.assert_array_equal(np.asarray(store.view()), X)


def test_stores_are_made_by_create_or_open(tmp_path):
    with pytest.raises(TypeError, match=r"EpochsStore\.create"):
        EpochsStore()
    with pytest.raises(FileNotFoundError, match="is not an EpochsStore"):
        EpochsStore.open(tmp_path)


# -- damage -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("epochs-00002.f32", b"1234", r"epochs-00002.f32 has 4 bytes of 480"),
        ("epochs-00001.f32", None, "epochs-00001.f32 is missing"),
        ("rows.csv", b"stimulus\n", "rows.csv has 9 bytes"),
        ("rows.csv", None, "rows.csv is missing"),
        ("info.json", b"{", "info.json cannot be read"),
        ("info.json", b"{}", "info.json cannot be read"),
        ("manifest.json", b'{"format": ', "is damaged"),
        ("manifest.json", b"[]", "is not the manifest of an EpochsStore"),
        ("manifest.json", b'{"format": "skeegclip-epochs-store", "version": 9}', "version 9"),
        ("manifest.json", b'{"format": "skeegclip-epochs-store", "version": 1}', "is damaged"),
    ],
)
def test_damage_is_told_of(store, name, content, match):
    (store.path / name).unlink()
    if content is not None:
        (store.path / name).write_bytes(content)
    with pytest.raises(ValueError, match=match):
        EpochsStore.open(store.path).view()


# -- pickles ----------------------------------------------------------------------------------------


def test_views_pickle_as_path_and_rows(tmp_path, rows, info):
    n = 4000
    X = np.random.default_rng(0).normal(size=(n, 3, 200)).astype(np.float32)
    table = pd.DataFrame(
        {"subject": np.repeat(["01", "02"], n // 2), "stimulus": np.tile([f"{i:05d}" for i in range(500)], 8)}
    )
    view = EpochsStore.create(tmp_path, X, table, info=info).view().pick(["Oz"]).crop(0.5)[5:]
    content = pickle.dumps(view)
    assert (
        len(content) < n * 20 < X.nbytes / 50
    )  # a number, and the codes of subject and stimulus, for each row
    again = pickle.loads(content)
    np.testing.assert_array_equal(np.asarray(again), X[5:, [2], 50:])
    assert again.subject.tolist() == table["subject"].tolist()[5:]


def test_pickles_survive_appends_but_not_changes(store, X, rows, info):
    content = pickle.dumps(store.view())
    store.append(X, rows)
    np.testing.assert_array_equal(np.asarray(pickle.loads(content)), X)

    content = pickle.dumps(store.view())
    shard = store.path / "epochs-00000.f32"
    os.utime(shard, ns=(0, 1))
    with pytest.raises(ValueError, match="has changed since this view of it was pickled"):
        pickle.loads(content)

    content = pickle.dumps(store.view())
    EpochsStore.create(store.path, X, rows, info=info, overwrite=True)
    with pytest.raises(ValueError, match="has changed"):
        pickle.loads(content)


# -- one writer -------------------------------------------------------------------------------------

WRITER = """
import sys, numpy as np
from skeegclip import EpochsStore
def blocks():
    print("writing", flush=True)
    sys.stdin.readline()
    yield np.ones((1, 3, 20))
EpochsStore.open(sys.argv[1]).append(blocks(), {name: [0] for name in sys.argv[2:]})
"""


@pytest.mark.slow
def test_two_processes_do_not_write_at_once(tmp_path, X, info):
    store = EpochsStore.create(tmp_path, X, {"n": np.arange(10)}, info=info)
    other = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path), "n"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert other.stdout.readline() == b"writing\n"
        with pytest.raises(BlockingIOError, match="is being written by another process"):
            store.append(X, {"n": np.arange(10)})
        assert len(store.view()) == 10  # reading goes on
        other.communicate(b"\n", timeout=60)
    finally:
        other.kill()
        other.wait()
    assert other.returncode == 0
    assert len(store.append(X, {"n": np.arange(10)})) == 21


def test_nor_do_two_threads(store, X, rows):
    inside, go_on = threading.Event(), threading.Event()

    def blocks():
        inside.set()
        go_on.wait(30)
        yield X

    thread = threading.Thread(target=store.append, args=(blocks(), rows))
    thread.start()
    assert inside.wait(30)
    with pytest.raises(BlockingIOError):
        store.append(X, rows)
    go_on.set()
    thread.join()
    assert len(store) == 20
