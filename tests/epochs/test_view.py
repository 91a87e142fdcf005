import pickle
import sys

import mne
import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import LeaveOneGroupOut, train_test_split

from skeegclip import EpochsView

SUBJECT = ["sub-01", "sub-01", "sub-02", "sub-02", "sub-10"]


@pytest.fixture
def X():
    return np.random.default_rng(0).standard_normal((5, 3, 20)).astype(np.float32)


@pytest.fixture
def view(X):
    info = mne.create_info(["Oz", "Pz", "Cz"], 100.0, "eeg")
    rows = pd.DataFrame({"split": ["train", "train", "test", "test", "test"]})
    return EpochsView.from_arrays(
        X, subject=SUBJECT, stimulus=list("abcde"), info=info, tmin=-0.05, rows=rows
    )


def test_a_view_looks_like_its_array(X, view):
    assert (view.shape, view.dtype, view.ndim, len(view)) == ((5, 3, 20), np.float32, 3, 5)
    np.testing.assert_array_equal(np.asarray(view), X)
    assert np.asarray(view, dtype=np.float64).dtype == np.float64
    np.testing.assert_allclose(view.times, -0.05 + np.arange(20) / 100)
    assert view.ch_names == ("Oz", "Pz", "Cz")
    assert view.sfreq == 100.0


@pytest.mark.parametrize(
    "key",
    [
        slice(1, 4),
        slice(None, None, -2),
        [3, 0, 0],
        np.array([True, False, True, False, True]),
        np.array([], dtype=int),
        [],
    ],
)
def test_indexing_rows_takes_their_columns_along(X, view, key):
    index = np.asarray(key, dtype=int) if isinstance(key, list) else key
    part = view[key]
    np.testing.assert_array_equal(np.asarray(part), X[index])
    assert part.subject.tolist() == np.array(SUBJECT)[index].tolist()
    assert part.stimulus.tolist() == np.array(list("abcde"))[index].tolist()
    np.testing.assert_array_equal(np.asarray(view[key, ...]), X[index])


def test_slices_copy_nothing_and_nest(X, view):
    nested = view[1:][[2, 0]][::-1]
    assert nested._data is view._data
    np.testing.assert_array_equal(np.asarray(nested), X[[1, 3]])
    assert nested.rows["split"].tolist() == ["train", "test"]


def test_one_epoch_and_other_axes(X, view):
    np.testing.assert_array_equal(view[2], X[2])
    np.testing.assert_array_equal(view[np.int64(-1)], X[-1])
    with pytest.raises(IndexError, match=r"indexed by rows only"):
        view[:, 0]
    with pytest.raises(IndexError):
        view[7]


def test_float32_arrays_are_not_copied(X):
    assert EpochsView.from_arrays(X)._data is X
    assert EpochsView.from_arrays(X.astype(np.float64)).dtype == np.float32


def test_select_pick_and_crop(X, view):
    np.testing.assert_array_equal(np.asarray(view.select(subject="sub-02")), X[2:4])
    np.testing.assert_array_equal(np.asarray(view.select(subject=["sub-02", "sub-10"], stimulus="e")), X[4:])
    np.testing.assert_array_equal(np.asarray(view.pick(["Cz", "Oz"])), X[:, [2, 0]])
    np.testing.assert_array_equal(np.asarray(view.pick([1])), X[:, [1]])
    assert view.pick(["Cz", "Oz"]).pick(["Oz"]).ch_names == ("Oz",)
    cropped = view.crop(0, 0.05)
    np.testing.assert_array_equal(np.asarray(cropped), X[:, :, 5:11])
    np.testing.assert_allclose(cropped.times, [0, 0.01, 0.02, 0.03, 0.04, 0.05], atol=1e-12)
    np.testing.assert_array_equal(np.asarray(cropped.crop(tmin=0.04).pick(["Cz"])), X[:, [2], 9:11])
    with pytest.raises(KeyError, match="no column 'session'"):
        view.select(session="1")
    with pytest.raises(KeyError, match="'Fz' is not among"):
        view.pick(["Fz"])
    with pytest.raises(ValueError, match=r"no time lies in \[5, 6\]"):
        view.crop(5, 6)


def test_scikit_learn_splits_a_view_as_it_is(X, view):
    train, test = train_test_split(view, test_size=2, random_state=0)
    assert isinstance(train, EpochsView)
    assert sorted([*train.stimulus, *test.stimulus]) == list("abcde")
    folds = list(LeaveOneGroupOut().split(view, groups=view.subject))
    assert [view[out].subject[0] for _, out in folds] == ["sub-01", "sub-02", "sub-10"]


@pytest.mark.parametrize(
    ("wanted", "match"),
    [
        ({"subject": "zz"}, r"no row has subject='zz'\. The view has subject 'sub-01', 'sub-02', 'sub-10'"),
        ({"subject": ["zz", "yy"]}, r"no row has subject=\['zz', 'yy'\]"),
        (
            {"subject": "sub-01", "stimulus": "e"},
            "no row has subject='sub-01', stimulus='e'.*and stimulus 'a'",
        ),
    ],
)
def test_selecting_nothing_names_what_there_is(view, wanted, match):
    with pytest.raises(KeyError, match=match):
        view.select(**wanted)


def test_views_pickle_with_their_columns(X, view):
    again = pickle.loads(pickle.dumps(view[1:].crop(0)))
    np.testing.assert_array_equal(np.asarray(again), X[1:, :, 5:])
    assert again.subject.tolist() == SUBJECT[1:]
    assert again.ch_names == view.ch_names


def test_a_view_without_columns(X):
    view = EpochsView.from_arrays(X)
    assert view.subject is None
    assert view.stimulus is None
    assert view.ch_names is None
    np.testing.assert_array_equal(view.times[:3], [0, 1, 2])
    with pytest.raises(
        ValueError, match=r"sampling rate of this view is not known, only that it has \d+ times"
    ):
        view.crop(3, 5)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"X": np.zeros((2, 3))}, r"shape \(n_epochs, n_chans, n_times\)"),
        ({"X": np.full((2, 3, 4), np.nan)}, "NaN: first in epoch 0"),
        ({"subject": ["a"]}, r"subject must hold one id per epoch, shape \(5,\), got \(1,\)"),
        ({"stimulus": ["a", None, "c", "d", "e"]}, "stimulus is missing"),
        ({"info": mne.create_info(2, 100.0, "eeg")}, "info describes 2 channels, but X has 3"),
        ({"rows": pd.DataFrame({"x": [1]})}, r"one line per epoch \(5\), got 1"),
        ({"rows": pd.DataFrame(np.ones((5, 2)), columns=["x", "x"])}, "each used once, got 'x'"),
    ],
)
def test_what_does_not_fit_is_refused(X, change, match):
    with pytest.raises(ValueError, match=match):
        EpochsView.from_arrays(**{"X": X, **change})


def test_views_lack_what_sends_scikit_learn_astray(view):
    for name in ("iloc", "fit", "take", "__array_namespace__"):
        assert not hasattr(view, name)


def test_ids_are_text_and_numbers_are_numbers(X):
    rows = pd.DataFrame({"run": [1, 2, 3, 4, 5], "trial": range(5), "concept": "null"})
    view = EpochsView.from_arrays(X, rows=rows)
    assert view.rows["run"].tolist() == list("12345")
    assert view.rows["trial"].tolist() == [0, 1, 2, 3, 4]
    assert view.select(run=3).rows["concept"].tolist() == ["null"]
    np.testing.assert_array_equal(np.asarray(view.select(trial=[1, 4])), X[[1, 4]])


def test_repr_tells_shape_times_and_columns(X, view):
    assert (
        repr(view)
        == "EpochsView(shape=(5, 3, 20), -0.05 to 0.14 s, columns=['split', 'subject', 'stimulus'])"
    )
    assert repr(EpochsView.from_arrays(X)) == "EpochsView(shape=(5, 3, 20))"


def test_views_are_made_by_from_arrays_only():
    with pytest.raises(TypeError, match="from_arrays"):
        EpochsView()


def test_info_is_the_callers_own(X):
    given = mne.create_info(["Oz", "Pz", "Cz"], 100.0, "eeg")
    view = EpochsView.from_arrays(X, info=given)
    picked = view.pick(["Cz", "Oz"])
    derived = picked.map(lambda X, rows: X)
    for info in (given, view.info, picked.info, derived.info, picked[:2].info):
        info["bads"] = list(info["ch_names"])
        mne.rename_channels(info, {"Oz": "O9"})
    assert (view.ch_names, picked.ch_names, derived.ch_names) == (("Oz", "Pz", "Cz"), *[("Cz", "Oz")] * 2)
    assert view.info["bads"] == picked.info["bads"] == derived.info["bads"] == []


def test_info_is_picked_once_and_follows_the_channels(view, monkeypatch):
    calls, real = [], mne.pick_info
    monkeypatch.setattr(mne, "pick_info", lambda *a, **k: (calls.append(1), real(*a, **k))[1])
    picked = view.pick(["Cz", "Oz"])
    for part in (picked, picked[1:], picked.crop(0, 0.05), picked.map(lambda X, rows: X)):
        assert part.info["ch_names"] == ["Cz", "Oz"]
    assert len(calls) == 1
    assert picked.pick(["Oz"]).info["ch_names"] == ["Oz"]
    assert view.info["ch_names"] == ["Oz", "Pz", "Cz"]
    assert len(calls) == 2
    other = view.pick(["Cz", "Oz"])
    assert len(pickle.dumps(picked)) == len(pickle.dumps(other))


def test_a_view_tells_what_it_holds_in_memory():
    X = np.zeros((1000, 2, 50), np.float32)
    view = EpochsView.from_arrays(X, subject="ann")
    assert X.nbytes < sys.getsizeof(view) < 1.1 * X.nbytes
    assert sys.getsizeof(view.map(np.abs)) > X.nbytes
    assert sys.getsizeof(view.average(by="subject")) > X.nbytes
