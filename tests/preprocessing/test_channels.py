import mne
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from skeegclip import EpochsView
from skeegclip.preprocessing import PickChannels

NAMES = ["Fz", "Pz", "O1", "Oz"]


@pytest.fixture
def X():
    return np.random.default_rng(0).standard_normal((5, 4, 10)).astype(np.float32)


@pytest.fixture
def info():
    return mne.create_info(NAMES, 100.0, "eeg")


def test_every_type_stays_what_it_is(X, info):
    rows = pd.DataFrame({"subject": list("abcde")})
    view = EpochsView.from_arrays(X, info=info, rows=rows)
    picked = PickChannels(["Oz", "Pz"]).fit_transform(view)
    assert (picked.ch_names, picked.subject.tolist()) == (("Oz", "Pz"), list("abcde"))
    np.testing.assert_array_equal(np.asarray(picked), X[:, [3, 1]])

    epochs = mne.EpochsArray(X / 1e6, info, metadata=rows, verbose=False)
    kept = PickChannels(["Oz", "Pz"]).fit_transform(epochs)
    assert isinstance(kept, mne.BaseEpochs)
    assert (kept.ch_names, kept.metadata["subject"].tolist()) == (["Oz", "Pz"], list("abcde"))
    assert epochs.ch_names == NAMES
    listed = PickChannels(["Oz", "Pz"]).fit_transform([epochs[i] for i in range(5)])  # what scikit-learn cuts
    assert [part.metadata["subject"].iloc[0] for part in listed] == list("abcde")
    np.testing.assert_allclose(mne.concatenate_epochs(listed).get_data(units="uV"), X[:, [3, 1]], rtol=1e-5)

    np.testing.assert_array_equal(PickChannels([3, 1]).fit_transform(X), X[:, [3, 1]])


def test_regions(X, info):
    view = EpochsView.from_arrays(X, info=info)
    assert PickChannels("occipital").fit_transform(view).ch_names == ("O1", "Oz")
    assert PickChannels(["occipital", "Fz", "Oz"]).fit_transform(view).ch_names == ("O1", "Oz", "Fz")


def test_new_data_must_have_the_channels_of_fit(X, info):
    picker = PickChannels(["Oz"]).fit(EpochsView.from_arrays(X, info=info))
    with pytest.raises(ValueError, match="fitted with"):
        picker.transform(EpochsView.from_arrays(X, info=mne.create_info(NAMES[::-1], 100.0, "eeg")))
    assert clone(picker).channels == ["Oz"]


@pytest.mark.parametrize(
    ("channels", "error", "message"),
    [
        ([], ValueError, "channels must name at least one channel"),
        (3, TypeError, "channels must be a name, or a list"),
        ([4], ValueError, "position 4 does not lie in 0 .. 3"),
        ([-1], ValueError, "position -1 does not lie in 0 .. 3"),
        (["Cz"], KeyError, "'Cz' is not among"),
    ],
)
def test_bad_channels(X, info, channels, error, message):
    with pytest.raises(error, match=message):
        PickChannels(channels).fit(EpochsView.from_arrays(X, info=info))


def test_names_need_names(X):
    with pytest.raises(KeyError, match="no channel names"):
        PickChannels(["Oz"]).fit(X)


def test_a_mask_is_no_list_of_positions():
    X = np.arange(24.0).reshape(2, 4, 3)
    view = EpochsView.from_arrays(X)
    for mask in ([False, True, False, True], np.array([False, True, False, True])):
        np.testing.assert_array_equal(PickChannels(mask).fit_transform(X), X[:, [1, 3]])
        np.testing.assert_array_equal(np.asarray(view.pick(mask)), X[:, [1, 3]])


@pytest.mark.parametrize(
    ("channels", "error", "match"),
    [
        ([True, False], ValueError, "a mask must tell for each of the 4 channels, got 2 bools"),
        ([1.7], TypeError, "must hold names or whole numbers, got 1.7"),
        ([True, 2], TypeError, "must hold names or whole numbers, got True"),
        ([99], ValueError, r"position 99 does not lie in 0 \.\. 3"),
        ([], ValueError, "at least one channel"),
    ],
)
def test_what_is_no_channel(channels, error, match):
    X = np.arange(24.0).reshape(2, 4, 3)
    with pytest.raises(error, match=match):
        PickChannels(channels).fit(X)
    with pytest.raises(error, match=match):
        EpochsView.from_arrays(X).pick(channels)
