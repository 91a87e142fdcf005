"""InterpolateChannels against MNE's own interpolation, and through everything that epochs pass."""

import pickle

import mne
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from skeegclip import EmbeddingTable, EpochsView, ImageRetriever, OnlineDecoder, load
from skeegclip.epochs.positions import CENTRE
from skeegclip.epochs.sites import THINGS_EEG_CHANNELS
from skeegclip.preprocessing import InterpolateChannels
from skeegclip.preprocessing.interpolation import spline_matrix

NAMES = list(THINGS_EEG_CHANNELS)
LOST = ["Oz", "C3", "FT9", "Fp1", "P5"]


@pytest.fixture(scope="module")
def epochs():
    info = mne.create_info(NAMES, 100.0, "eeg").set_montage("colin27_1005")
    rng = np.random.default_rng(0)
    smooth = rng.normal(size=(8, 63, 15)) @ np.eye(15)
    smooth += 3 * rng.normal(size=(8, 1, 15))
    events = np.column_stack([np.arange(8), np.zeros(8, int), np.arange(8) % 2 + 1])
    return mne.EpochsArray(1e-5 * smooth, info, events, -0.05, {"cat": 1, "dog": 2}, verbose=False)


@pytest.fixture(scope="module")
def all_channels(epochs):
    return InterpolateChannels(NAMES).fit(epochs)


def test_it_does_what_mne_does_with_bad_channels(epochs, all_channels):
    marked = epochs.copy()
    marked.info["bads"] = LOST
    same = marked.copy().interpolate_bads(origin=CENTRE, verbose=False).get_data()
    made = all_channels.transform(epochs.copy().drop_channels(LOST))
    assert made.ch_names == NAMES
    assert np.allclose(made.get_data(), same, atol=1e-6 * same.std())
    # MNE's own sphere is fitted to all electrodes.
    lost = [NAMES.index(name) for name in LOST]
    fitted = marked.copy().interpolate_bads(verbose=False).get_data()
    assert np.corrcoef(made.get_data()[:, lost].ravel(), fitted[:, lost].ravel())[0, 1] > 0.999


def test_channels_that_are_there_are_kept_as_they_are(epochs, all_channels):
    order = np.random.default_rng(0).permutation(63)
    view = EpochsView.from_epochs(epochs)
    assert np.array_equal(all_channels.transform(view.pick(order.tolist())), view)


def test_a_smooth_field_is_found_again_from_half_of_the_channels():
    info = mne.create_info(NAMES, 100.0, "eeg")
    whole = InterpolateChannels(NAMES).fit(EpochsView.from_arrays(np.zeros((1, 63, 1)), info=info))
    field = whole.places_ @ [1.0, 2.0, -1.0] + (whole.places_**2) @ [0.5, 0.0, 1.0]
    view = EpochsView.from_arrays(field[None, :, None], info=info)
    made = np.asarray(whole.transform(view.pick(list(range(0, 63, 2)))))[0, :, 0]
    assert np.abs(made - field).max() < 0.1 * field.std()


def test_every_cap_of_a_view_is_mapped_as_it_is_alone(epochs, all_channels):
    whole = EpochsView.from_epochs(epochs)
    caps = [whole, whole.pick(NAMES[::2]), whole.pick(["Oz", "Pz", "Cz"])]
    mixed = EpochsView.join(caps)[np.random.default_rng(0).permutation(24)]
    made = all_channels.transform(mixed)
    assert made.ch_names == tuple(NAMES)
    assert made.stimulus.tolist() == mixed.stimulus.tolist()
    assert not made._told.mixed
    order = np.random.default_rng(0).permutation(24)
    alone = np.concatenate([np.asarray(all_channels.transform(cap)) for cap in caps])[order]
    assert np.allclose(made, alone, atol=1e-4)
    assert np.allclose(made.pick(["Cz"]).crop(0.0, 0.02)[:3], alone[:3, [NAMES.index("Cz")], 5:8], atol=1e-4)


def test_epochs_stay_epochs_and_lists_stay_lists(epochs, all_channels):
    few = epochs.copy().pick(["Pz", "Oz", "Cz", "CPz"]).set_eeg_reference("average", projection=False)
    all_channels = InterpolateChannels(NAMES).fit(few)
    made = all_channels.transform([few, few[:3]])
    assert [part.ch_names for part in made] == [NAMES, NAMES]
    assert made[0].tmin == few.tmin
    assert (made[0].events[:, 2] == few.events[:, 2]).all()
    assert made[0].event_id == few.event_id
    assert made[0].info["custom_ref_applied"]
    view = np.asarray(all_channels.transform(EpochsView.from_epochs(few)))
    assert np.allclose(1e6 * made[0].get_data(), view, atol=1e-4)


def test_a_pipeline_decodes_other_caps_also_online(epochs):
    rng = np.random.default_rng(1)
    ids, vectors = [f"s{k}" for k in range(20)], rng.normal(size=(20, 3))
    info = mne.create_info(NAMES, 100.0, "eeg")
    field = InterpolateChannels(NAMES).fit(EpochsView.from_arrays(np.zeros((1, 63, 1)), info=info)).places_
    X = np.einsum("nk,ck,t->nct", vectors, field, np.ones(5)) + 0.01 * rng.normal(size=(20, 63, 5))
    view = EpochsView.from_arrays(X, stimulus=ids, info=info)
    table = EmbeddingTable(ids, vectors)
    model = make_pipeline(InterpolateChannels(NAMES[::3]), ImageRetriever(Ridge(1.0), targets=table))
    few = view.pick(NAMES[1::3])
    assert model.fit(view, ids).score(few, ids) == 1
    online = OnlineDecoder(model, threshold=0.9, temperature=0.01).reset()
    assert online.update(few[3:4].to_mne()).best == "s3"


def test_what_cannot_be_interpolated_is_refused(epochs):
    view = EpochsView.from_epochs(epochs)
    for channels, error, message in (
        (["Oz", "nowhere"], ValueError, r"1 of 2 are not known \('nowhere'\)"),
        (["Oz", "Oz"], ValueError, "'Oz' is wanted twice"),
        ("Oz", TypeError, "list of names"),
        ([], TypeError, "list of names"),
    ):
        with pytest.raises(error, match=message):
            InterpolateChannels(channels).fit(view)
    with pytest.raises(ValueError, match="does not name its channels"):
        InterpolateChannels(["Oz"]).fit(np.ones((2, 3, 4)))
    meg = mne.create_info(["MEG1"], 100.0, "mag")
    meg["chs"][0]["loc"][:3] = [0, 0, 0.1]
    with pytest.raises(ValueError, match="no EEG"):
        InterpolateChannels(["Oz"]).fit(EpochsView.from_arrays(np.ones((2, 1, 4)), info=meg))
    fitted = InterpolateChannels(["Oz"]).fit(view)
    with pytest.raises(ValueError, match="X has 8 times"):
        fitted.transform(EpochsView.from_epochs(epochs.copy().resample(50)))


def test_rows_of_the_matrix_sum_to_one():
    """A constant potential is one everywhere."""
    places = np.random.default_rng(0).normal(size=(12, 3))
    places /= np.linalg.norm(places, axis=1, keepdims=True)
    matrix = spline_matrix([f"E{k}" for k in range(8)], places[:8], [f"E{k}" for k in range(12)], places)
    assert np.allclose(matrix.sum(axis=1), 1, atol=1e-5)
    assert np.array_equal(matrix[:8], np.eye(8))


def test_it_is_kept_and_cloned(all_channels, epochs, tmp_path):
    few = EpochsView.from_epochs(epochs.copy().pick(["Pz", "Oz", "Cz"]))
    expected = np.asarray(all_channels.transform(few))
    all_channels.save(tmp_path / "channels")
    for copy in (load(tmp_path / "channels"), pickle.loads(pickle.dumps(all_channels))):
        assert np.array_equal(copy.transform(few), expected)
    assert clone(all_channels).channels == NAMES
