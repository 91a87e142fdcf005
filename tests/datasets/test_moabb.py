"""Epochs as a data set of MOABB: its arrays are ours, and its leave-one-subject-out gives the score of ours."""

import sys

import mne
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneGroupOut, cross_val_score
from sklearn.pipeline import make_pipeline

from skeegclip import EpochsView, ZeroShotClassifier
from skeegclip.datasets import as_moabb_dataset
from skeegclip.preprocessing import EpochScaler


def view_of(sfreq=128.0, tmin=-0.1015625, sessions=False):
    """Four people who see faces and houses; the rows are mixed."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(96, 5, 30)).astype("float32") * 10
    y, subject = np.tile(["face", "house"], 48), np.repeat(["ana", "ben", "eve", "tom"], 24)
    X[y == "face", :2, 10:20] += 4
    order = rng.permutation(96)
    rows = {"session": np.where(np.arange(96) % 24 < 12, "ses-01", "ses-02")[order]} if sessions else None
    info = mne.create_info(["O1", "O2", "Cz", "Fz", "Pz"], sfreq, "eeg").set_montage("colin27_1020")
    return EpochsView.from_arrays(
        X[order],
        subject=subject[order],
        stimulus=y[order],
        info=info,
        tmin=tmin,
        rows=None if rows is None else pd.DataFrame(rows),
    )


def paradigm(dataset, **params):
    from moabb.paradigms import P300

    setting = {"events": list(dataset.event_id), "ignore_relabelling": True, "scorer": "accuracy"}
    return P300(fmin=None, fmax=None, **(setting | params))


@pytest.mark.parametrize(
    ("sfreq", "tmin"), [(128.0, -0.1015625), (250.0, -0.2), (100.0, -0.29), (100.0, 0.05), (1000.0, -0.057)]
)
def test_what_moabb_reads_is_what_was_given(sfreq, tmin):
    pytest.importorskip("moabb")
    view = view_of(sfreq, tmin)
    dataset = as_moabb_dataset(view)
    X, y, rows = paradigm(dataset).get_data(dataset)
    order = np.argsort(view.subject, kind="stable")
    np.testing.assert_allclose(X, np.asarray(view[order]), rtol=1e-12, atol=1e-12)
    assert y.tolist() == view.stimulus[order].tolist()
    assert rows["subject"].tolist() == view.subject[order].tolist()
    epochs, _, _ = paradigm(dataset).get_data(dataset, return_epochs=True)
    np.testing.assert_allclose(epochs.times, view.times, atol=1e-9)
    assert epochs.ch_names == view.info["ch_names"]
    np.testing.assert_array_equal(epochs.info["chs"][0]["loc"][:3], view.info["chs"][0]["loc"][:3])


@pytest.mark.filterwarnings("ignore:Creating a dataset without passing data")  # of h5py, to MOABB
def test_its_cross_subject_evaluation_gives_our_leave_one_subject_out(tmp_path):
    pytest.importorskip("moabb")
    from moabb.evaluations import CrossSubjectEvaluation

    view = view_of()
    dataset = as_moabb_dataset(view)
    decoder = make_pipeline(EpochScaler(), ZeroShotClassifier(Ridge()))
    evaluation = CrossSubjectEvaluation(
        paradigm=paradigm(dataset), datasets=[dataset], overwrite=True, hdf5_path=str(tmp_path)
    )
    found = evaluation.process({"ridge": decoder}).set_index("subject")["score"]
    ours = cross_val_score(decoder, view, view.stimulus, groups=view.subject, cv=LeaveOneGroupOut())
    np.testing.assert_allclose(found.loc[["ana", "ben", "eve", "tom"]], ours, atol=1e-12)
    assert ours.mean() > 0.55


def test_sessions_stay_apart():
    pytest.importorskip("moabb")
    dataset = as_moabb_dataset(view_of(sessions=True))
    assert dataset.n_sessions == 2
    _, _, rows = paradigm(dataset).get_data(dataset, subjects=["ben"])
    assert rows["session"].value_counts().tolist() == [12, 12]


def test_what_is_refused():
    pytest.importorskip("moabb")
    view = view_of()
    with pytest.raises(ValueError, match="each of the 96 epochs"):
        as_moabb_dataset(view, ["face"] * 3)
    with pytest.raises(ValueError, match="must know the subject"):
        as_moabb_dataset(EpochsView.from_arrays(np.zeros((3, 2, 5)), stimulus=list("abc")))
    meg = mne.create_info(2, 100.0, "mag")
    with pytest.raises(ValueError, match="EEG alone"):
        as_moabb_dataset(
            EpochsView.from_arrays(np.zeros((3, 2, 5)), subject="a", stimulus=list("abc"), info=meg)
        )
    with pytest.raises(ValueError, match="some are missing"):
        as_moabb_dataset(view, ["face", None] * 48)


def test_without_moabb_the_error_says_what_to_install(monkeypatch):
    from skeegclip.datasets.moabb import _dataset_class

    _dataset_class.cache_clear()
    monkeypatch.setitem(sys.modules, "moabb.datasets.base", None)
    with pytest.raises(ImportError, match=r"skeegclip\[moabb\]"):
        as_moabb_dataset(view_of())
