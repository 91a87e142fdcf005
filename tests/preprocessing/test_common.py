"""What both transformers do with the types that they are given."""

import pickle

import mne
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import config_context
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneGroupOut, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from skeegclip import EEGEncoder, EmbeddingTable, EpochsStore, EpochsView, ZeroShotClassifier
from skeegclip.preprocessing import MVNN, EpochScaler, SubjectAligner, average_repetitions

RNG = np.random.default_rng(0)
Y = np.tile(np.repeat([f"image_{i}" for i in range(6)], 4), 2)
X = (RNG.standard_normal((48, 4, 30)) * [[1], [10], [5], [50]]).astype(np.float32)
SUBJECT = np.repeat(["ana", "ben"], 24)
TABLE = EmbeddingTable(np.unique(Y), RNG.standard_normal((6, 5)))
del RNG
INFO = mne.create_info(["Oz", "Pz", "Cz", "Fz"], 100.0, "eeg")
TRANSFORMERS = [
    MVNN(),
    MVNN("time", unknown="pooled"),
    EpochScaler(),
    EpochScaler("robust", per_subject=True),
    SubjectAligner(),
]

each = pytest.mark.parametrize("transformer", TRANSFORMERS, ids=repr)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning", "ignore:X has a standard deviation")
@parametrize_with_checks(TRANSFORMERS)
def test_estimator_checks(estimator, check):
    check(estimator)


@pytest.fixture
def view():
    return EpochsView.from_arrays(X, subject=SUBJECT, stimulus=Y, info=INFO, tmin=-0.1)


@each
def test_arrays_tensors_lists_and_matrices(transformer):
    Z = transformer.fit(X, Y, subject=SUBJECT).transform(X, subject=SUBJECT)
    assert (Z.shape, Z.dtype) == (X.shape, np.float32)
    for same in (torch.from_numpy(X), X.tolist(), X.astype(np.float64)):
        made = transformer.transform(same, subject=SUBJECT)
        assert isinstance(made, np.ndarray)
        np.testing.assert_allclose(made, Z, rtol=1e-5, atol=1e-6)
    matrix = X[:, :, 0]
    assert (
        transformer.fit(matrix, Y, subject=SUBJECT).transform(matrix, subject=SUBJECT).shape == matrix.shape
    )
    one_time = X[:, :, :1]
    assert (
        transformer.fit(one_time, Y, subject=SUBJECT).transform(one_time, subject=SUBJECT).shape
        == one_time.shape
    )


@each
def test_epochs_stay_epochs(transformer):
    info = mne.create_info(["Oz", "EOG", "Pz", "Cz", "Fz"], 100.0, ["eeg", "eog", "eeg", "eeg", "eeg"])
    data = 1e-6 * np.insert(X, 1, 7.0, axis=1)
    events = np.column_stack([np.arange(48), np.zeros(48, int), np.unique(Y, return_inverse=True)[1] + 1])
    names = {name: code + 1 for code, name in enumerate(np.unique(Y))}
    metadata = pd.DataFrame({"subject": SUBJECT, "stimulus": Y, "rating": np.arange(48)})
    epochs = mne.EpochsArray(data, info, events, -0.1, names, metadata=metadata, baseline=None, verbose=False)
    epochs.drop([3], verbose=False)
    keep = np.delete(np.arange(48), 3)

    made = transformer.fit(epochs).transform(epochs)
    expected = transformer.fit(X[keep], Y[keep], subject=SUBJECT[keep]).transform(
        X[keep], subject=SUBJECT[keep]
    )
    assert isinstance(made, mne.BaseEpochs)
    np.testing.assert_allclose(made.get_data(picks="eeg", units="uV"), expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_array_equal(made.get_data(picks="eog"), epochs.get_data(picks="eog"))
    pd.testing.assert_frame_equal(made.metadata, epochs.metadata)
    np.testing.assert_array_equal(made.events, epochs.events)
    np.testing.assert_array_equal(made.times, epochs.times)
    assert made.event_id == epochs.event_id
    assert made.drop_log == epochs.drop_log
    np.testing.assert_allclose(epochs.get_data(picks="eeg"), 1e-6 * X[keep])  # the input is not written to
    cut = transformer.transform([epochs[3], epochs[40]])  # what scikit-learn makes of Epochs
    assert [len(part) for part in cut] == [1, 1]
    np.testing.assert_allclose(cut[1].get_data(), made[40].get_data(), rtol=1e-4, atol=1e-10)


@each
def test_magnetometers_keep_their_scale(transformer):
    info = mne.create_info(4, 100.0, "mag")
    metadata = pd.DataFrame({"subject": SUBJECT, "stimulus": Y})
    epochs = mne.EpochsArray(1e-15 * X, info, metadata=metadata, verbose=False)
    made = transformer.fit_transform(epochs)
    expected = transformer.fit_transform(X, Y, subject=SUBJECT)
    np.testing.assert_allclose(made.get_data(units="fT"), expected, rtol=1e-3, atol=1e-3)


def test_projections_are_not_applied_to_what_is_whitened():
    info = mne.create_info(["Oz", "Pz", "Cz", "Fz"], 100.0, "eeg")
    epochs = mne.EpochsArray(1e-6 * X, info, verbose=False).set_eeg_reference(projection=True, verbose=False)
    made = MVNN().fit_transform(epochs, Y)
    np.testing.assert_allclose(made.get_data(units="uV"), MVNN().fit_transform(X, Y), rtol=1e-3, atol=1e-3)


@each
def test_views_stay_views_and_read_nothing_yet(transformer, view, monkeypatch):
    transformer.fit(view)
    expected = transformer.transform(X, subject=SUBJECT)
    reads = []
    original = EpochsView.read
    monkeypatch.setattr(
        EpochsView, "read", lambda self, rows: reads.append(len(rows)) or original(self, rows)
    )
    made = transformer.transform(view)
    assert isinstance(made, EpochsView)
    assert sum(reads) == 0
    np.testing.assert_array_equal(made.read([5, 2, 40]), expected[[5, 2, 40]])
    assert max(reads) == 3
    np.testing.assert_array_equal(np.asarray(made), expected)
    assert made.subject.tolist() == SUBJECT.tolist()
    assert (made.ch_names, made.tmin, made.sfreq) == (view.ch_names, -0.1, 100.0)


@each
def test_transformed_views_slice_pick_crop_average_and_pickle(transformer, view):
    expected = transformer.fit_transform(X, Y, subject=SUBJECT)
    made = transformer.fit_transform(view)
    np.testing.assert_array_equal(np.asarray(made[::-3][[2, 0]]), expected[::-3][[2, 0]])
    np.testing.assert_array_equal(np.asarray(made.select(subject="ben")), expected[24:])
    np.testing.assert_array_equal(
        np.asarray(made.pick(["Fz", "Oz"]).crop(0, 0.05)), expected[:, [3, 0], 10:16]
    )
    means, y, subject = average_repetitions(made, Y)
    np.testing.assert_allclose(
        np.asarray(means), expected.reshape(12, 4, 4, 30).mean(axis=1), rtol=1e-5, atol=1e-5
    )
    np.testing.assert_array_equal(np.asarray(made.average()), np.asarray(means))
    # A view that was cut before it is transformed.
    part = transformer.transform(view[10:30].pick(["Oz", "Pz", "Cz", "Fz"]))
    np.testing.assert_array_equal(np.asarray(part), expected[10:30])
    again = pickle.loads(pickle.dumps(made))
    np.testing.assert_array_equal(np.asarray(again), expected)


def test_transformed_views_of_a_store_pickle_small(tmp_path):
    rows = pd.DataFrame({"subject": SUBJECT, "stimulus": Y, "session": np.tile(["1", "2"], 24)})
    long = np.tile(X, (40, 1, 1))
    store = EpochsStore.create(tmp_path / "store", long, pd.concat([rows] * 40), info=INFO)
    made = make_pipeline(MVNN(), EpochScaler(per_subject=True)).fit_transform(store.view())
    packed = pickle.dumps(made)
    assert len(packed) < long.nbytes / 8
    np.testing.assert_array_equal(pickle.loads(packed).read([7, 1900]), made.read([7, 1900]))


@pytest.mark.filterwarnings("ignore:`drop_last_window`:DeprecationWarning")
def test_braindecode_data_sets_become_views_that_keep_their_subjects():
    from braindecode.datasets import create_from_X_y

    data = create_from_X_y(X, np.zeros(48, int), drop_last_window=False, sfreq=100, ch_names=INFO["ch_names"])
    for part, name in zip(data.datasets, SUBJECT, strict=True):
        part.set_description({"subject": name})
    made = EpochScaler(per_subject=True).fit_transform(data)
    assert isinstance(made, EpochsView)
    assert made.subject.tolist() == SUBJECT.tolist()
    np.testing.assert_allclose(
        np.asarray(made),
        EpochScaler(per_subject=True).fit_transform(X, subject=SUBJECT),
        rtol=1e-4,
        atol=1e-4,
    )


def test_training_from_a_transformed_view_is_training_on_the_array(view):
    params = {"targets": TABLE, "max_epochs": 2, "random_state": 0, "device": "cpu"}
    lazy = make_pipeline(MVNN(), EEGEncoder("eegproject", **params)).fit(view, Y)
    eager = EEGEncoder("eegproject", **params).fit(MVNN().fit_transform(X, Y, subject=SUBJECT), Y)
    np.testing.assert_array_equal(lazy.transform(view), eager.transform(np.asarray(lazy[0].transform(view))))


def test_leaving_a_subject_out(view):
    encoder = EEGEncoder("eegproject", targets=TABLE, max_epochs=1, random_state=0, device="cpu")
    pipeline = make_pipeline(MVNN(unknown="pooled"), encoder)
    scores = cross_val_score(pipeline, view, Y, groups=SUBJECT, cv=LeaveOneGroupOut(), error_score="raise")
    assert scores.shape == (2,)
    with pytest.raises(ValueError, match="subject 'ana', not seen in fit"):
        cross_val_score(
            make_pipeline(MVNN(), encoder),
            view,
            Y,
            groups=SUBJECT,
            cv=LeaveOneGroupOut(),
            error_score="raise",
        )


def test_subjects_travel_by_metadata_routing():
    with config_context(enable_metadata_routing=True):
        pipeline = make_pipeline(MVNN(), ZeroShotClassifier(Ridge()))
        pipeline.fit(X, Y, subject=SUBJECT)
        assert pipeline[0].groups_.keys == (("ana",), ("ben",))
        with pytest.raises(ValueError, match="no subject, not seen in fit"):
            pipeline.predict(X)
    plain = make_pipeline(MVNN(), Ridge()).fit(X[:, :, 0], np.arange(48.0) // 4, mvnn__subject=SUBJECT)
    assert len(plain[0].groups_.keys) == 2


def test_feature_names_are_channels():
    frame = pd.DataFrame(X[:, :, 0], columns=["Oz", "Pz", "Cz", "Fz"])
    assert EpochScaler().fit(frame).get_feature_names_out().tolist() == ["Oz", "Pz", "Cz", "Fz"]
