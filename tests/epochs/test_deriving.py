"""Views made of views: loaded, averaged, passed through a function; in memory and on disk."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from skeegclip import EpochsStore, EpochsView
from skeegclip.epochs import _sources
from skeegclip.preprocessing import average_repetitions


@pytest.fixture(params=["memory", "disk"])
def view(request, tmp_path, X, rows, info, small_shards):
    if request.param == "memory":
        return EpochsView.from_arrays(X, rows=rows, info=info, tmin=-0.05)
    return EpochsStore.create(tmp_path, X, rows, info=info, tmin=-0.05).view()


def gain_of_row(X, positions):
    return X * (1 + np.asarray(positions))[:, None, None]


def test_map_applies_a_function_to_what_is_read(X, view):
    mapped = view.pick(["Oz", "Pz"]).crop(0)[2:].map(gain_of_row)
    expected = X[2:, [2, 1], 5:] * np.arange(1, 9, dtype=np.float32)[:, None, None]
    np.testing.assert_array_equal(np.asarray(mapped), expected)
    np.testing.assert_array_equal(
        np.asarray(mapped.pick(["Pz"]).crop(0.05)[[5, 1]]), expected[[5, 1], 1:, 5:]
    )
    assert (mapped.ch_names, mapped.tmin) == (("Oz", "Pz"), 0.0)
    assert mapped.subject.tolist() == view.subject.tolist()[2:]
    np.testing.assert_array_equal(np.asarray(pickle.loads(pickle.dumps(mapped))), expected)


def test_map_refuses_a_function_that_changes_the_shape(view):
    with pytest.raises(
        ValueError, match=r"function must keep the shape of its block, \(1, 3, 20\), got \(1, 20\)"
    ):
        view.map(lambda X, positions: X[:, 0])[0]


def test_load_reads_once(X, view):
    loaded = view.pick(["Oz"]).crop(0, 0.1)[::3].load()
    assert isinstance(loaded._data, np.ndarray)
    np.testing.assert_array_equal(np.asarray(loaded), X[::3, [2], 5:16])
    np.testing.assert_allclose(loaded.times, np.arange(11) / 100, atol=1e-9)
    assert (loaded.ch_names, loaded.rows.to_csv()) == (("Oz",), view[::3].rows.to_csv())


def test_average_of_each_subject_and_stimulus(X, view, rows):
    mean = view.crop(0).average()
    pairs = rows[["subject", "stimulus"]].drop_duplicates().to_numpy().tolist()
    assert np.column_stack([mean.subject, mean.stimulus]).tolist() == pairs
    for epoch, (subject, stimulus) in zip(np.asarray(mean), pairs, strict=True):
        members = X[(rows["subject"] == subject) & (rows["stimulus"] == stimulus)]
        np.testing.assert_allclose(epoch, members[:, :, 5:].mean(axis=0), rtol=1e-5, atol=1e-5)
    assert mean.rows["repetition"].tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1]
    assert len(mean.pick("Oz").select(subject="01")) == 4


def test_average_reads_large_groups_in_parts(X, view, monkeypatch):
    whole = np.asarray(view.average(by="concept"))
    monkeypatch.setattr(_sources, "_READ_AT_ONCE", 1)
    np.testing.assert_array_equal(np.asarray(view.average(by="concept")), whole)
    monkeypatch.undo()
    monkeypatch.setattr(_sources, "_READ_AT_ONCE", 3)
    np.testing.assert_allclose(
        np.asarray(view.average(by="correct"))[0], X[::2].mean(axis=0), rtol=1e-5, atol=1e-5
    )


def test_random_averages_are_drawn_once_and_differ(rows):
    X = np.eye(10)[:, :, None]  # an average shows which rows it is made of
    view = EpochsView.from_arrays(X, rows=rows.assign(stimulus=["a"] * 5 + ["b"] * 5))
    mean = view.average(by="stimulus", n=2, n_draws=4, random_state=0)
    assert mean.stimulus.tolist() == ["a"] * 4 + ["b"] * 4
    weights = np.asarray(mean)[:, :, 0]
    assert ((weights == 0.5).sum(axis=1) == 2).all()
    assert (weights[:4, 5:] == 0).all()
    assert (weights[4:, :5] == 0).all()
    assert len(np.unique(weights, axis=0)) == 8
    np.testing.assert_array_equal(np.asarray(mean)[:, :, 0], weights)  # the same in the next pass
    again, other = (view.average(by="stimulus", n=2, n_draws=4, random_state=seed) for seed in (0, 1))
    np.testing.assert_array_equal(np.asarray(again)[:, :, 0], weights)
    assert (np.asarray(other)[:, :, 0] != weights).any()
    everything = view.average(by="stimulus", n=2, n_draws=10, random_state=0)
    assert len(np.unique(np.asarray(everything), axis=0)) == 20


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"by": "sitting"}, KeyError, "by: no column 'sitting' in this view"),
        ({"by": []}, ValueError, "by must name at least one column"),
        ({"n": 3}, ValueError, "n=3, but 9 of 9 stimuli have fewer repetitions .* has 1"),
        (
            {"by": "subject", "n": 4, "n_draws": 2},
            ValueError,
            r"n_draws=2, but 4 repetitions \(01\) give 1 different",
        ),
        ({"n_draws": 2}, ValueError, "n_draws=2 draws need n"),
        ({"n_draws": 0}, ValueError, "n_draws must lie in"),
        ({"n": 1.5}, TypeError, "n must be an int or None"),
        ({"by": "subject", "n": 1, "random_state": "x"}, ValueError, "random_state must be"),
    ],
)
def test_averages_that_cannot_be_made(view, arguments, error, match):
    with pytest.raises(error, match=match):
        view.average(**arguments)


def test_average_repetitions_of_a_view_is_lazy(X, view, rows, monkeypatch):
    expected, y_expected, subject_expected = average_repetitions(
        X, rows["concept"].to_numpy(), rows["subject"].to_numpy()
    )
    reads = []
    read = EpochsView.read
    monkeypatch.setattr(EpochsView, "read", lambda self, rows: reads.append(len(rows)) or read(self, rows))
    mean, y, subject = average_repetitions(view, rows["concept"].to_numpy())
    assert (y.tolist(), subject.tolist()) == (y_expected.tolist(), subject_expected.tolist())
    assert reads == []
    np.testing.assert_allclose(np.asarray(mean), expected, rtol=1e-5, atol=1e-5)


def test_views_that_read_views_pickle(X, view):
    mean = view.average(by="concept").map(gain_of_row)
    np.testing.assert_array_equal(np.asarray(pickle.loads(pickle.dumps(mean))), np.asarray(mean))


# -- what tells two views apart without reading them ------------------------------------------------


def test_content_keys(tmp_path, X, rows, info):
    store = EpochsStore.create(tmp_path, X, rows, info=info)
    view = store.view()
    key = view.content_key()
    assert key == EpochsStore.open(tmp_path).view().content_key()
    assert key == pickle.loads(pickle.dumps(view)).content_key()
    mean = view.average(by="concept")
    others = [
        view[1:],
        view.pick(["Oz"]),
        view.crop(0.1),
        view[::-1],
        mean,
        view.average(by="subject"),
        mean[1:],
    ]
    keys = {key, *(other.content_key() for other in others)}
    assert len(keys) == 8
    assert None not in keys
    store.append(X, rows)
    assert store.view()[:10].content_key() == key  # nothing that was there has changed
    replaced = EpochsStore.create(tmp_path, X, rows, info=info, overwrite=True)
    assert replaced.view().content_key() != key
    assert view.map(gain_of_row).content_key() is None
    assert view.map(gain_of_row).average(by="concept").content_key() is None
    assert EpochsView.from_arrays(X).content_key() is None
