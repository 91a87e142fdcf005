"""The door for X: every accepted form, every refusal with its own sentence."""

import mne
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator

from skeegclip import EpochsView
from skeegclip._utils.validation import check_epochs

CH_NAMES = ["Oz", "Pz", "Cz"]


class Reader(BaseEstimator):
    """The least estimator that can stand at the door."""


def fitted(X=None):
    reader = Reader()
    check_epochs(reader, np.ones((2, 3, 5)) if X is None else X, reset=True)
    return reader


def make_epochs(data, *, kinds="eeg", names=CH_NAMES, subject=None):
    info = mne.create_info(list(names), 100.0, kinds)
    metadata = None if subject is None else pd.DataFrame({"subject": subject})
    return mne.EpochsArray(data, info, metadata=metadata, verbose=False)


@pytest.fixture
def microvolts():
    return 10 * np.random.default_rng(0).standard_normal((6, 3, 5))


def test_arrays_tensors_and_lists_are_read_alike(microvolts):
    expected = microvolts.astype(np.float32)
    forms = [
        microvolts,
        microvolts.astype(np.float32),
        torch.tensor(microvolts),
        microvolts.tolist(),
        list(torch.tensor(microvolts)),
    ]
    for form in forms:
        read = check_epochs(Reader(), form, reset=True)
        assert read.X.dtype == np.float32
        assert read.X.flags.c_contiguous
        np.testing.assert_array_equal(read.X, expected)


def test_half_precision_tensors_are_widened(microvolts):
    read = check_epochs(Reader(), torch.tensor(microvolts).bfloat16(), reset=True)
    np.testing.assert_allclose(read.X, microvolts, rtol=1e-2)


def test_matrices_are_epochs_of_one_time(microvolts):
    reader = Reader()
    assert check_epochs(reader, microvolts[:, :, 0], reset=True).X.shape == (6, 3, 1)
    assert (reader.n_chans_, reader.n_times_in_, reader.n_features_in_) == (3, 1, 3)


def test_epochs_are_read_in_microvolts_with_their_subject(microvolts):
    subject = ["sub-01"] * 3 + ["sub-10"] * 3
    read = check_epochs(Reader(), make_epochs(microvolts * 1e-6, subject=subject), reset=True)
    np.testing.assert_allclose(read.X, microvolts, rtol=1e-5)
    assert read.subject.tolist() == subject
    assert read.ch_names == tuple(CH_NAMES)
    assert read.sfreq == 100.0


def test_only_data_channels_are_read(microvolts):
    kinds, names = ["eeg", "eog", "eeg"], ["Oz", "EOG", "Cz"]
    read = check_epochs(Reader(), make_epochs(microvolts * 1e-6, kinds=kinds, names=names), reset=True)
    assert read.ch_names == ("Oz", "Cz")
    np.testing.assert_allclose(read.X, microvolts[:, [0, 2]], rtol=1e-5)


def test_meg_is_read_in_display_units(microvolts):
    kinds = ["mag", "grad", "eeg"]
    data = microvolts * np.array([1e-15, 1e-13, 1e-6])[None, :, None]
    read = check_epochs(Reader(), make_epochs(data, kinds=kinds), reset=True)
    np.testing.assert_allclose(read.X, microvolts, rtol=1e-5)


def test_the_list_that_scikit_learn_makes_of_epochs(microvolts):
    from sklearn.utils import _safe_indexing

    epochs = make_epochs(microvolts * 1e-6, subject=list("abcabc"))
    part = _safe_indexing(epochs, [4, 1])
    assert isinstance(part, list)
    read = check_epochs(Reader(), part, reset=True)
    np.testing.assert_allclose(read.X, microvolts[[4, 1]], rtol=1e-5)
    assert read.subject.tolist() == ["b", "b"]


def test_views_are_not_read_whole_at_the_door(monkeypatch):
    view = EpochsView.from_arrays(np.ones((500, 3, 5)), subject="sub-01")
    n_read = []
    whole = EpochsView.read
    monkeypatch.setattr(EpochsView, "read", lambda self, rows: n_read.append(len(rows)) or whole(self, rows))
    read = check_epochs(Reader(), view, reset=True)
    assert read.X is view
    assert sum(n_read) < 100
    assert set(read.subject) == {"sub-01"}


@pytest.mark.filterwarnings("ignore:`drop_last_window`:DeprecationWarning")
def test_braindecode_datasets_are_taken_as_they_are(microvolts):
    from braindecode.datasets import create_from_X_y

    dataset = create_from_X_y(
        microvolts.astype(np.float32),
        np.zeros(6, dtype=int),
        drop_last_window=False,
        sfreq=100,
        ch_names=CH_NAMES,
    )
    read = check_epochs(Reader(), dataset, reset=True)
    np.testing.assert_allclose(read.X, microvolts, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:`drop_last_window`:DeprecationWarning", "ignore:.*fast epoch access")
def test_braindecode_dataset_from_epochs_is_in_volts_and_converted(microvolts):
    from braindecode.datasets import create_from_mne_epochs

    epochs = make_epochs(microvolts * 1e-6)
    epochs.event_id = {"a": 1}
    dataset = create_from_mne_epochs(
        [epochs], window_size_samples=5, window_stride_samples=5, drop_last_window=False
    )
    read = check_epochs(Reader(), dataset, reset=True)
    np.testing.assert_allclose(read.X, microvolts, rtol=1e-4)


# -- refusals: one sentence each, with the parameter, what was got, and what to do ---------------------


def refused(X, match, error=ValueError, reader=None, **kwargs):
    with pytest.raises(error, match=match):
        check_epochs(reader or Reader(), X, reset=reader is None, **kwargs)


def test_nan_and_inf_are_refused_with_their_place(microvolts):
    microvolts[4, 2, 1] = np.nan
    refused(microvolts, r"NaN: first in epoch 4, channel 2, time 1; 1 of 6 epochs .* Drop or repair")
    refused(make_epochs(microvolts * 1e-6), r"channel 2 \(Cz\)")
    microvolts[4, 2, 1] = np.inf
    microvolts[5, 0, 0] = -np.inf
    refused(microvolts, r"inf .*epoch 4, channel 2, time 1; 2 of 6")


def test_finite_values_whose_sum_overflows_are_not_refused():
    X = np.full((2, 3, 5), 3e38, dtype=np.float32)
    assert check_epochs(Reader(), X, reset=True).X.shape == (2, 3, 5)


def test_other_shapes_than_in_fit_are_refused(microvolts):
    refused(microvolts[:, :2], "X has 2 features, but Reader is expecting 3 features", reader=fitted())
    refused(
        microvolts[:, :, :4], r"X has 4 times, but Reader was fitted on 5\. Crop or resample", reader=fitted()
    )


def test_one_epoch_without_its_axis_is_refused(microvolts):
    """Its times were taken for channels: "X has 5 features, but Reader is expecting 3"."""
    for one in (microvolts[0], torch.from_numpy(microvolts[0])):
        refused(
            one,
            r"X is one epoch, of shape \(3, 5\), .* Pass X\[None\], of shape \(1, 3, 5\)",
            reader=fitted(),
        )
    assert len(check_epochs(fitted(), microvolts[0][None], reset=False).X) == 1
    flat = fitted(microvolts[:, :, 0])  # two dimensions are (n_epochs, n_chans) where there is one time
    assert len(check_epochs(flat, microvolts[:, :, 1], reset=False).X) == 6


def test_other_channel_order_than_in_fit_is_refused(microvolts):
    reader = fitted(make_epochs(microvolts * 1e-6))
    other = make_epochs(microvolts * 1e-6, names=["Oz", "Cz", "Pz"])
    refused(other, r"channel 'Cz' in place 1, but Reader was fitted with 'Pz' there\. Reorder", reader=reader)


@pytest.mark.parametrize(
    ("X", "match", "error"),
    [
        (np.ones((2, 3, 4, 5)), r"got 4 dimensions \(2, 3, 4, 5\)\. Merge", ValueError),
        (np.ones((2, 3, 5), dtype=complex), "Complex data not supported", ValueError),
        (np.ones((0, 3, 5)), r"0 sample\(s\)", ValueError),
        (np.ones((2, 0, 5)), "at least one channel and one time", ValueError),
        (np.ones((2, 3, 0)), "at least one channel and one time", ValueError),
        (np.ones(4), "Expected 2D array, got 1D array instead", ValueError),
        (np.array([np.ones((3, 5)), None], dtype=object), r"object array of shape \(2,\)\. Stack", TypeError),
        (np.ones((2, 3, 5)).astype(object), "object array .* Stack the epochs", TypeError),
        ([np.ones((3, 5)), np.ones((3, 4))], "differ in shape", ValueError),
    ],
)
def test_what_is_not_epochs_is_refused(X, match, error):
    refused(X, match, error)


def test_undropped_bad_epochs_are_refused(microvolts):
    info = mne.create_info(CH_NAMES, 100.0, "eeg")
    raw = mne.io.RawArray(np.hstack(microvolts) * 1e-6, info, verbose=False)
    events = np.array([[5, 0, 1], [12, 0, 1]])
    epochs = mne.Epochs(
        raw, events, tmin=0, tmax=0.04, baseline=None, reject={"eeg": 1}, preload=False, verbose=False
    )
    refused(epochs, r"bad epochs have not been dropped .* Call epochs.drop_bad\(\)")
    epochs.drop_bad(verbose=False)
    assert len(check_epochs(Reader(), epochs, reset=True).X) == 2


def test_epochs_without_data_channels_are_refused(microvolts):
    refused(make_epochs(microvolts, kinds="misc"), "no data channel .*set_channel_types")


def test_a_list_of_epochs_with_other_channels_is_refused(microvolts):
    parts = [make_epochs(microvolts), make_epochs(microvolts, names=["Oz", "Pz", "Fz"])]
    refused(
        parts, r"channel 'Fz' in place 2, but the first Epochs of the list have 'Cz' there\. Pick the same"
    )


def test_volts_warn_in_fit_only(microvolts):
    reader = Reader()
    with pytest.warns(UserWarning, match=r"standard deviation of .* looks like volts .* expects microvolts"):
        check_epochs(reader, microvolts * 1e-6, reset=True)
    check_epochs(reader, microvolts * 1e-6, reset=False)  # a second warning would be an error


# -- subjects ------------------------------------------------------------------------------------------


def test_subject_given_and_carried_must_agree(microvolts):
    epochs = make_epochs(microvolts * 1e-6, subject=list("aabbcc"))
    assert check_epochs(Reader(), epochs, subject=list("aabbcc"), reset=True).subject.tolist() == list(
        "aabbcc"
    )
    refused(epochs, "row 2 is 'a' in subject= and 'b' in X. Pass only one", subject=list("aaabcc"))


def test_subject_of_wrong_length_or_with_gaps_is_refused(microvolts):
    refused(microvolts, r"shape \(6,\), got \(2,\)", subject=["a", "b"])
    refused(microvolts, "missing .* in 1 rows .first: row 3", subject=["a", "a", "a", None, "b", "b"])
    refused(microvolts, "missing .* in 1 rows", subject=[1.0, 2, 3, 4, float("nan"), 6])


def test_one_subject_serves_all_rows(microvolts):
    assert check_epochs(Reader(), microvolts, subject="sub-07", reset=True).subject.tolist() == ["sub-07"] * 6
    assert check_epochs(Reader(), microvolts, subject=7, reset=True).subject.tolist() == ["7"] * 6
