"""braindecode's data sets as X: whole, sliced by skorch, torch or scikit-learn, and inside every estimator."""

import mne
import numpy as np
import pandas as pd
import pytest
import torch
from braindecode.datasets import BaseConcatDataset, RawDataset, WindowsDataset, create_from_X_y
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, LeaveOneGroupOut, cross_validate
from skorch.helper import SliceDataset

from skeegclip import EEGEncoder, EmbeddingTable, EpochsView, ImageRetriever, ZeroShotClassifier
from skeegclip._utils.inputs import read_epochs

NAMES = ["O1", "Oz", "O2", "Pz"]
# 24 windows: two people, eight pictures, each shown three times.
RNG = np.random.default_rng(0)
X = RNG.standard_normal((24, 4, 40), dtype="float32")
SUBJECT = np.repeat(["ana", "ben"], 12)
TABLE = EmbeddingTable([f"s{i}" for i in range(8)], RNG.standard_normal((8, 6)))
del RNG
Y = np.tile(TABLE.ids, 3)

pytestmark = pytest.mark.filterwarnings(
    "ignore:`drop_last_window`:DeprecationWarning",
    "ignore:.*fast epoch access",
    "ignore:The inplace keyword in DataFrame.reset_index",
)


def recording(x, description=None):
    whole = create_from_X_y(
        x, np.zeros(len(x), dtype=int), drop_last_window=False, sfreq=100.0, ch_names=NAMES
    )
    for part in whole.datasets:
        if description:
            part.set_description(description)
    return whole


@pytest.fixture(scope="module")
def dataset():
    return BaseConcatDataset([recording(X[who == SUBJECT], {"subject": who}) for who in ("ana", "ben")])


@pytest.mark.parametrize(
    ("how", "rows"),
    [
        (lambda ds: ds, slice(None)),
        (SliceDataset, slice(None)),
        (lambda ds: SliceDataset(ds)[3:20], slice(3, 20)),
        (lambda ds: SliceDataset(ds)[np.array([5, 1, 20])], [5, 1, 20]),
        (lambda ds: SliceDataset(ds)[np.arange(24) % 5 == 0], slice(0, 24, 5)),
        (lambda ds: torch.utils.data.Subset(ds, [2, 13]), [2, 13]),
        (lambda ds: torch.utils.data.Subset(torch.utils.data.Subset(ds, [2, 13, 4]), [2, 0]), [4, 2]),
        (lambda ds: SliceDataset(torch.utils.data.Subset(ds, [9, 8, 7]))[1:], [8, 7]),
        (lambda ds: ds.split([[0], [1]])["1"], slice(1, 2)),
        (lambda ds: ds.datasets[3], slice(3, 4)),
        (lambda ds: ds.split("subject")["ben"], slice(12, 24)),
    ],
)
def test_windows_keep_subject_channels_and_rate(dataset, how, rows):
    read = read_epochs(how(dataset))
    np.testing.assert_array_equal(read.X, X[rows])
    np.testing.assert_array_equal(read.subject, SUBJECT[rows])
    assert (read.ch_names, read.sfreq, len(read.chs_info)) == (tuple(NAMES), 100.0, 4)


def test_reading_leaves_the_dataset_as_it_was(dataset):
    before = [list(part.metadata.columns) for part in dataset.datasets]
    read_epochs(dataset)
    assert [list(part.metadata.columns) for part in dataset.datasets] == before


def test_transforms_of_the_dataset_are_applied():
    dataset = recording(X)
    dataset.transform = lambda x: 2 * x
    np.testing.assert_array_equal(read_epochs(dataset).X, 2 * X)


def test_subjects_of_single_windows_come_from_their_metadata():
    info = mne.create_info(NAMES, 100.0, "eeg")
    columns = {"i_window_in_trial": 0, "i_start_in_trial": 0, "i_stop_in_trial": 40, "target": 0}
    frame = pd.DataFrame({"subject": SUBJECT, **columns})
    epochs = mne.EpochsArray(1e-6 * X, info, metadata=frame, verbose=False)
    read = read_epochs(WindowsDataset(epochs))
    np.testing.assert_allclose(read.X, X, rtol=1e-5)  # braindecode's windows of Epochs are in volts
    np.testing.assert_array_equal(read.subject, SUBJECT)
    assert read.ch_names == tuple(NAMES)


def test_lists_of_items_do_not_tell_what_is_data():
    dataset = recording(X, {"subject": "ana"})
    for items in ([dataset[i] for i in (3, 1)], [(torch.tensor(X[0]), 1)]):
        with pytest.raises(TypeError, match=r"single windows.*Pass skorch.helper.SliceDataset\(dataset\)"):
            read_epochs(items)
    not_items = [[X[0], X[1]]]
    assert read_epochs(not_items).X is not_items


@pytest.mark.parametrize(
    ("how", "match"),
    [
        (lambda ds: SliceDataset(ds, idx=1), "this SliceDataset shows element 1 of each item"),
        (lambda ds: SliceDataset(ds)[:0], "this braindecode dataset holds no window"),
        (
            lambda ds: BaseConcatDataset([ds, recording(X)]),
            "24 of the 48 recordings of this braindecode dataset have no 'subject'",
        ),
        (
            lambda ds: RawDataset(mne.io.RawArray(X[0], mne.create_info(NAMES, 100.0, "eeg"), verbose=False)),
            "not windows but single samples of recordings",
        ),
        (
            lambda ds: BaseConcatDataset([recording(X), recording(X[:, :, :20])]),
            r"not windows of one shape \(found \[\(4, 20\), \(4, 40\)\]\)",
        ),
    ],
)
def test_datasets_that_cannot_be_read(dataset, how, match):
    with pytest.raises(ValueError, match=match):
        read_epochs(how(dataset))


def make(**params):
    small = {"kernel_length": 5, "pool_length": 6, "pool_stride": 2, "d_ff": 16, "n_filters": 8}
    return EEGEncoder(
        net_params=small, targets=TABLE, max_epochs=2, random_state=0, device="cpu", validation=0, **params
    )


def test_an_encoder_of_a_dataset_is_that_of_its_arrays(dataset):
    view = EpochsView.from_arrays(X, subject=SUBJECT)
    expected = make().fit(view, Y)
    for form in (dataset, SliceDataset(dataset)):
        encoder = make().fit(form, Y)
        np.testing.assert_array_equal(encoder.transform(form), expected.transform(view))
        assert encoder.subjects_.tolist() == ["ana", "ben"]
        assert encoder.ch_names_ == tuple(NAMES)
        assert encoder.score(form, Y) == expected.score(view, Y)


@pytest.mark.parametrize(
    "estimator",
    [make(), ZeroShotClassifier(make(), candidates=TABLE), ImageRetriever(make(), gallery=TABLE)],
    ids=["encoder", "classifier", "retriever"],
)
def test_cross_validation_of_a_sliced_dataset_is_that_of_a_view(dataset, estimator):
    options = {"cv": LeaveOneGroupOut(), "groups": SUBJECT, "error_score": "raise", "return_estimator": True}
    sliced = cross_validate(estimator, SliceDataset(dataset), Y, **options)
    view = cross_validate(estimator, EpochsView.from_arrays(X, subject=SUBJECT), Y, **options)
    np.testing.assert_array_equal(sliced["test_score"], view["test_score"])
    for a, b in zip(sliced["estimator"], view["estimator"], strict=True):
        a, b = (getattr(fitted, "encoder_", fitted) for fitted in (a, b))
        assert a.subjects_.tolist() == b.subjects_.tolist()
        np.testing.assert_array_equal(a.transform(X), b.transform(X))


def test_cross_validation_of_the_dataset_itself_names_the_wrapper_to_use(dataset):
    with pytest.raises(TypeError, match="SliceDataset"):
        cross_validate(make(), dataset, Y, cv=GroupKFold(2), groups=Y, error_score="raise")


def test_grid_search_and_a_flat_baseline(dataset):
    search = GridSearchCV(make(), {"loss_weight": [0.5, 1]}, cv=GroupKFold(2), error_score="raise")
    assert search.fit(SliceDataset(dataset), Y, groups=Y).predict(dataset).shape == (24, 6)
    ridge = ImageRetriever(Ridge(1.0), targets=TABLE).fit(SliceDataset(dataset), Y)
    np.testing.assert_array_equal(
        ridge.embed(dataset), Ridge(1.0).fit(X.reshape(24, -1), TABLE.lookup(Y)).predict(X.reshape(24, -1))
    )
