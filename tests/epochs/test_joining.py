"""Epochs of several caps in one view: every number where it belongs, and what cannot stand together refused."""

import pickle

import mne
import numpy as np
import pytest
from sklearn.model_selection import KFold

from skeegclip import EpochsStore, EpochsView
from skeegclip.preprocessing import MVNN, average_repetitions


def cap(*names, montage="colin27_1005", sfreq=100.0):
    info = mne.create_info(list(names), sfreq, "eeg")
    return info if montage is None else info.set_montage(montage)


def view_of(info, subject, n=4, seed=0, **kwargs):
    X = np.random.default_rng(seed).normal(size=(n, len(info["ch_names"]), 12))
    return EpochsView.from_arrays(
        X, subject=subject, stimulus=[f"s{k % 2}" for k in range(n)], info=info, **kwargs
    )


@pytest.fixture
def parts():
    return [
        view_of(cap("Oz", "Pz", "Cz"), "ana"),
        view_of(cap("Cz", "FCz", "Oz"), "ben", n=6, seed=1),
    ]


def test_each_number_is_in_its_row_and_channel(parts):
    both = EpochsView.join(parts)
    assert both.ch_names == ("Oz", "Pz", "Cz", "FCz")
    assert both.shape == (10, 4, 12)
    assert both.subject.tolist() == ["ana"] * 4 + ["ben"] * 6
    assert both.stimulus.tolist() == ["s0", "s1"] * 5
    by_hand = np.full((10, 4, 12), np.nan, dtype=np.float32)
    by_hand[:4, [0, 1, 2]] = parts[0]
    by_hand[4:, [2, 3, 0]] = parts[1]
    assert np.array_equal(both, by_hand, equal_nan=True)
    rows = np.random.default_rng(0).permutation(10)
    assert np.array_equal(both[rows], by_hand[rows], equal_nan=True)
    some = both.pick(["FCz", "Oz"]).crop(0.03, 0.05)[[9, 0]]
    assert np.array_equal(some, by_hand[[9, 0]][:, [3, 0], 3:6], equal_nan=True)
    for _, test in KFold(3).split(both):
        assert np.array_equal(both[test], by_hand[test], equal_nan=True)


def test_it_stays_one_of_several_caps_whatever_is_made_of_it(parts):
    both = EpochsView.join(parts)
    for made in (both[:3], both.load(), both.average("subject"), both.map(lambda X, rows: 2 * X)):
        assert made._told.mixed
    assert np.array_equal(pickle.loads(pickle.dumps(both)), both, equal_nan=True)
    means = np.asarray(average_repetitions(both, both.stimulus)[0])
    by_hand = np.asarray(both)
    assert np.allclose(
        means[0], np.mean(by_hand[[0, 2]], axis=0), equal_nan=True
    )  # of ana, who comes first, or of both


def test_epochs_of_mne_join_as_views_do(parts):
    epochs = [view.to_mne() for view in parts]
    both, of_mne = EpochsView.join(parts), EpochsView.join(epochs)
    assert of_mne.ch_names == both.ch_names
    assert of_mne.subject.tolist() == both.subject.tolist()
    assert np.allclose(of_mne, both, equal_nan=True, atol=1e-6)


def test_one_cap_in_one_order_is_no_mixture(parts):
    same = EpochsView.join([parts[0], view_of(cap("Oz", "Pz", "Cz"), "eva", seed=2)])
    assert not same._told.mixed
    MVNN().fit(same, same.stimulus)
    reordered = EpochsView.join([parts[0], parts[0].pick([2, 0, 1])])
    assert not reordered._told.mixed
    assert reordered.ch_names == ("Oz", "Pz", "Cz")
    assert np.array_equal(reordered[4:], parts[0])


def test_a_name_for_two_places_is_two_channels():
    biosemi = mne.channels.make_standard_montage("biosemi128")
    lettered = view_of(mne.create_info(biosemi.ch_names, 100.0, "eeg").set_montage(biosemi), "ben")
    both = EpochsView.join([view_of(cap("C3", "Cz"), "ana"), lettered])
    assert both.ch_names[:2] == ("C3", "Cz")
    assert [name for name in both.ch_names if name.endswith("(2)")] == ["C3 (2)"]
    assert np.array_equal(both.pick(["C3 (2)"])[4:], lettered.pick(["C3"]))


def test_meg_stands_beside_eeg():
    helmet = mne.pick_info(mne.channels.read_meg_canonical_info("ctf275", verbose=False), range(5))
    with helmet._unlock():
        helmet["sfreq"] = 100.0
    both = EpochsView.join([view_of(cap("Oz", "Pz"), "ana"), view_of(helmet, "ben")])
    assert both._told.ch_types == ("eeg", "eeg") + ("mag",) * 5
    assert both._told.mixed


def test_a_name_for_two_types_is_two_channels_also_where_all_names_are_alike():
    eeg, meg = mne.create_info(["1", "2"], 100.0, "eeg"), mne.create_info(["1", "2"], 100.0, "mag")
    both = EpochsView.join([view_of(eeg, "ana"), view_of(meg, "ben")])
    assert both.ch_names == ("1", "2", "1 (2)", "2 (2)")
    assert both._told.ch_types == ("eeg", "eeg", "mag", "mag")
    assert both._told.mixed
    assert np.isnan(np.asarray(both)[:4, 2:]).all()


def test_a_bad_channel_is_told_by_its_name_in_the_view():
    info = cap("W", "Cz", montage=None)
    elsewhere = cap("Cz", "W", "Oz", montage=None)
    info["chs"][0]["loc"][:3], elsewhere["chs"][1]["loc"][:3] = [0.09, 0, 0.04], [-0.09, 0, 0.04]
    elsewhere["bads"] = ["W"]
    both = EpochsView.join([view_of(info, "ana"), view_of(elsewhere, "ben")])
    assert both.ch_names == ("W", "Cz", "W (2)", "Oz")
    assert both._told.bads == ("W (2)",)


def test_stores_of_several_caps_are_read_as_they_are_used(parts, tmp_path):
    for name, view in zip("ab", parts, strict=True):
        EpochsStore.create(tmp_path / name, view)
    stored = EpochsView.join([EpochsStore.open(tmp_path / name).view() for name in "ab"])
    both = EpochsView.join(parts)
    assert np.array_equal(stored, both, equal_nan=True)
    assert (
        stored.content_key()
        == EpochsView.join([EpochsStore.open(tmp_path / n).view() for n in "ab"]).content_key()
    )
    assert stored[::2].content_key() != stored.content_key()


@pytest.mark.parametrize("other", ["rate", "times", "start", "unit", "names"])
def test_what_cannot_stand_together_is_refused(parts, other):
    wrong, message = {
        "rate": (view_of(cap("Oz", sfreq=200.0), "eva"), "sampling rate of 200 Hz"),
        "times": (parts[1].crop(0.0, 0.05), "epochs of 6 times"),
        "start": (view_of(cap("Oz"), "eva", tmin=-0.2), "begins at -0.2 s"),
        "unit": (parts[1].map(lambda X, rows: 1e-6 * X), "smaller by a factor"),
        "names": (
            EpochsView.from_arrays(
                np.random.default_rng(0).normal(size=(1, 9, 12)), subject="eva", stimulus="s0"
            ),
            "not all of them name",
        ),
    }[other]
    first = view_of(cap("Oz", "Pz", "Cz"), "ana", tmin=0.0)
    with pytest.raises(ValueError, match=message):
        EpochsView.join([first, wrong])


def test_units_are_compared_with_those_of_the_first_of_that_type():
    meg = view_of(mne.create_info(["M1", "M2"], 100.0, "mag"), "ana")
    eeg = view_of(cap("Oz", "Pz"), "ben", seed=1)
    assert EpochsView.join([meg.map(lambda X, rows: 1e6 * X), eeg]).shape == (8, 4, 12)
    with pytest.raises(ValueError, match="smaller by a factor"):
        EpochsView.join([meg, eeg, view_of(cap("Cz"), "eva").map(lambda X, rows: 1e-6 * X)])


def test_what_needs_one_set_of_channels_says_what_to_do(parts, tmp_path):
    both = EpochsView.join(parts)
    for call in (
        lambda: MVNN().fit(both, both.stimulus),
        lambda: EpochsStore.create(tmp_path / "store", both),
        lambda: both.to_mne(),
    ):
        with pytest.raises(ValueError, match="several caps.*InterpolateChannels"):
            call()
    assert not (tmp_path / "store").exists()
    with pytest.raises(TypeError, match="list of views"):
        EpochsView.join(both)
    with pytest.raises(TypeError, match=r"EpochsView.join\(X\)"):
        MVNN().fit(parts)
