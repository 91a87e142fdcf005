"""Regions and channels on planted sources."""

import mne
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from skeegclip import EmbeddingTable, EpochsView
from skeegclip._evaluation.cuts import permute
from skeegclip.inspection import channel_importance, region_importance
from skeegclip.model_selection import WithinSubject


@pytest.mark.parametrize("refit", [True, False])
def test_regions_rank_as_planted(view, setting, planted, refit):
    found = region_importance(X=view, refit=refit, **setting)
    assert found["n_channels"].tolist()[:6] == [63, *(len(names) for names in planted.truth.regions.values())]
    alone = found[found["kept"] == "alone"].set_index("region")["similarity"]
    without = found[found["kept"] == "without"].set_index("region")["similarity"]
    # Sources lie under occipital, occipito-temporal and parietal electrodes.
    assert alone[["occipital", "parietal"]].min() > alone["temporal"] > alone[["frontal", "central"]].min()
    assert alone["frontal"] < 0.5 * alone["occipital"]
    assert without[["occipital", "parietal"]].max() < without[["frontal", "central", "temporal"]].min()
    everything = found.iloc[0]
    assert everything["difference"] == 0
    assert everything["region"] == "all"
    frontal = found.query("region == 'frontal' and kept == 'alone'").iloc[0]
    assert frontal["difference_high"] < 0  # worse than all channels, beyond the pictures' spread


def test_regions_of_ones_own(view, setting):
    given = {"back": ["O1", "Oz", "O2"], "front": ["Fp1", "Fp2"]}
    found = region_importance(X=view, regions=given, **setting).set_index(["region", "kept"])
    assert found.loc[("back", "alone"), "n_channels"] == 3
    assert found.loc[("back", "alone"), "similarity"] > found.loc[("front", "alone"), "similarity"] + 0.05


def test_channels_over_the_sources_are_worth_most(view, setting, planted):
    found = channel_importance(X=view, **setting).set_index("channel")
    assert len(found) == 63
    region = {name: of for of, names in planted.truth.regions.items() for name in names}
    by_region = found.groupby(found.index.map(region))["similarity_loss"].mean()
    assert by_region[["occipital", "parietal"]].min() > 2 * by_region[["frontal", "central"]].abs().max()
    assert (found["similarity_loss_low"] <= found["similarity_loss"]).all()
    assert (found["similarity_loss"] <= found["similarity_loss_high"]).all()


def test_permuted_channels_over_the_sources_are_worth_most(view, setting, planted):
    few = view.pick(["Fp1", "Fp2", "AF3", "FC1", "FC2", "POz", "Oz", "O1", "O2"])
    found = channel_importance(X=few, hide="permute", n_repeats=5, **setting).set_index("channel")
    worth = found["similarity_loss"]
    assert worth[["POz", "Oz", "O1", "O2"]].min() > 2 * worth[["Fp1", "Fp2", "AF3", "FC1", "FC2"]].abs().max()
    assert (found["similarity_loss_low"] <= worth).all()
    assert (worth <= found["similarity_loss_high"]).all()
    # The same answer as hiding, on the whole, but not the same numbers.
    hidden = channel_importance(X=few, **setting).set_index("channel")["similarity_loss"]
    assert 0.8 < np.corrcoef(worth, hidden)[0, 1] < 0.9999


@pytest.mark.filterwarnings(
    "ignore::skeegclip.model_selection.LeakWarning"
)  # trained on what it is tested on
def test_permuting_keeps_each_person_and_repeats_with_the_seed():
    """A channel that says only who it is loses nothing when it is exchanged among the epochs of a person."""
    rng = np.random.default_rng(0)
    people = np.repeat(["ana", "ben"], 100)
    vectors = rng.normal(size=(200, 8))
    vectors[:, 0] += np.where(people == "ana", 3, -3)  # they saw different kinds of pictures
    table = EmbeddingTable([f"image_{i:03d}" for i in range(200)], vectors)
    X = (vectors[:, 1:] @ rng.normal(size=(7, 3 * 20))).reshape(200, 3, 20)
    X[:, 2] = np.where(people == "ana", 3.0, -3.0)[:, None]
    view = EpochsView.from_arrays(X, stimulus=table.ids, subject=people)
    asked = {"X": view, "targets": table, "hide": "permute"}
    asked["cv"] = [(np.arange(200), np.arange(200))]
    found = channel_importance(Ridge(1.0), n_repeats=2, **asked)
    assert found["similarity_loss"][2] == pytest.approx(0, abs=1e-9)
    assert found["loss"][:2].min() > 0.1
    nobody = EpochsView.from_arrays(X, stimulus=table.ids)
    alone = channel_importance(Ridge(1.0), n_repeats=2, **asked | {"X": nobody})
    assert alone["similarity_loss"][2] > 0.1  # among all, it would
    again = channel_importance(Ridge(1.0), n_repeats=2, **asked)
    assert found.equals(again)
    for more in ({"random_state": 1, "n_repeats": 2}, {"n_repeats": 1}):
        other = channel_importance(Ridge(1.0), **asked, **more)
        assert not found["similarity_loss"].equals(other["similarity_loss"])


def test_an_exchange_takes_the_channels_of_the_epoch_named(view):
    epochs, order = view[:6], np.array([3, 0, 5, 1, 2, 4])
    X = np.asarray(epochs)
    want = X.copy()
    want[:, [4, 7]] = X[order][:, [4, 7]]
    np.testing.assert_array_equal(permute(epochs, np.array([4, 7]), order)[[5, 1]], want[[5, 1]])


def test_a_channel_left_out_of_training(view, setting):
    few = view.pick(["Fp1", "Oz", "O1"])
    found = channel_importance(X=few, refit=True, **setting).set_index("channel")
    assert found["similarity_loss"].idxmin() == "Fp1"


def test_bad_input(view, setting, planted):
    nameless = EpochsView.from_arrays(planted.X, stimulus=planted.y, subject=planted.subject)
    with pytest.raises(ValueError, match="channels of X have no names"):
        region_importance(X=nameless, **setting | {"cv": [(range(9), range(600, 700))]})
    with pytest.raises(ValueError, match="regions: 'back' has channels that X lacks, first 'Q1'"):
        region_importance(X=view, regions={"back": ["Oz", "Q1"]}, **setting)
    with pytest.raises(ValueError, match="regions: 'back' is empty"):
        region_importance(X=view, regions={"back": []}, **setting)
    with pytest.raises(ValueError, match="hide must be one of"):
        channel_importance(X=view, hide="noise", **setting)
    with pytest.raises(ValueError, match="n_repeats must lie in"):
        channel_importance(X=view, hide="permute", n_repeats=0, **setting)
    with pytest.raises(ValueError, match="X has one channel"):
        channel_importance(X=view.pick(["Oz"]), **setting)
    assert np.isfinite(planted.X).all()


def test_epochs_as_people_have_them_give_what_their_arrays_give():
    """Channels without data, a reference not applied, a bad channel and times between samples change nothing."""
    rng = np.random.default_rng(0)
    table = EmbeddingTable([f"image_{i:02d}" for i in range(30)], rng.normal(size=(30, 4)))
    names = ["EOG", "Fp1", "Fp2", "C3", "STI", "C4", "O1", "O2"]
    kinds = ["eog", "eeg", "eeg", "eeg", "stim", "eeg", "eeg", "eeg"]
    y = np.repeat(table.ids, 4)
    X = rng.normal(size=(len(y), 8, 20))
    X[:, 6:] += (table.lookup(y) @ rng.normal(size=(4, 40))).reshape(-1, 2, 20)
    X[:, 4] = 1e5 * np.unique(y, return_inverse=True)[1][:, None]  # the label, which is no data
    rows = pd.DataFrame({"stimulus": y, "subject": np.tile(["ana", "ana", "ben", "ben"], 30)})
    info = mne.create_info(names, 256.0, kinds)
    epochs = mne.EpochsArray(1e-6 * X, info, tmin=-0.0781, metadata=rows, verbose=False)
    epochs.set_eeg_reference("average", projection=True, verbose=False).shift_time(0.0012)
    picks = mne.pick_types(info, eeg=True)
    asked = {"targets": table, "cv": WithinSubject(test_stimuli=table.ids[:10])}
    own = EpochsView.from_arrays(
        X[:, picks], stimulus=y, subject=rows["subject"], info=mne.pick_info(info, picks)
    )
    plain = region_importance(Ridge(), own, **asked)
    assert plain["n_channels"].tolist() == [6, 2, 2, 2, 4, 4, 4]
    for given in (epochs, [epochs[:50], epochs[50:]], [epochs[k] for k in range(len(epochs))]):
        pd.testing.assert_frame_equal(region_importance(Ridge(), given, **asked), plain, atol=1e-4)
    assert channel_importance(Ridge(), epochs, **asked)["channel"].tolist() == [names[pick] for pick in picks]
