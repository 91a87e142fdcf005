"""Epochs that go through the library come out as MNE itself reads them."""

from __future__ import annotations

import mne
import numpy as np
import pandas as pd
import pytest

from skeegclip import EpochsStore
from skeegclip._evaluation.cuts import as_view
from skeegclip._utils.inputs import read_epochs
from skeegclip._utils.mne_objects import joined
from skeegclip.preprocessing import MVNN, EpochScaler, PickChannels, average_repetitions

NAMES = ["Fz", "Oz", "C3", "C4", "EOG", "STI"]
KINDS = ["eeg"] * 4 + ["eog", "stim"]
SFREQ = 256.0


def recording(seconds=8, sfreq=SFREQ):
    rng = np.random.default_rng(0)
    info = mne.create_info(NAMES, sfreq, KINDS, verbose=False)
    data = np.cumsum(rng.normal(size=(6, int(seconds * sfreq))), axis=1) * 1e-6 + 2e-5
    raw = mne.io.RawArray(data, info, first_samp=100, verbose=False)
    raw.set_annotations(mne.Annotations([1.0, 3.0], [0.2, 0.2], ["blink", "blink"]))
    raw.filter(None, 25.0, verbose=False)
    return raw.set_eeg_reference("average", projection=True, verbose=False)


def cut(raw, **kwargs):
    n = 8
    events = np.column_stack([350 + 150 * np.arange(n), np.zeros(n, int), np.tile([3, 7], n // 2)])
    table = pd.DataFrame({"subject": list("aabbaabb"), "stimulus": list("wxyzwxyz")})
    settings = {
        "tmin": -0.1,
        "tmax": 0.3,
        "baseline": (None, 0),
        "proj": False,
        "preload": True,
        "metadata": table,
    }
    return mne.Epochs(raw, events, {"face/old": 3, "house": 7}, **(settings | kwargs), verbose=False)


def emptied(raw):
    epochs = cut(raw)
    epochs.drop([0, 2, 4, 6], verbose=False)
    epochs.event_id = {"face/old": 3, "house": 7}  # a condition that no epoch is left of
    return epochs


def not_loaded(raw, **kwargs):
    epochs = cut(raw, preload=False, **kwargs)
    epochs.drop_bad(verbose=False)
    return epochs


def magnetometers(raw):
    """Real places of sensors, and projectors that MNE computes."""
    info = mne.pick_info(mne.channels.read_meg_canonical_info("neuromag"), range(0, 306, 14))
    assert set(info.get_channel_types()) == {"mag", "grad"}
    rng = np.random.default_rng(1)
    events = np.column_stack([np.arange(6), np.zeros(6, int), [1, 1, 2, 2, 1, 2]])
    data = (rng.normal(size=(6, len(info["chs"]), 40)) + rng.normal(size=(6, 1, 40))) * 1e-13
    epochs = mne.EpochsArray(data, info, events, -0.05, {"1": 1, "2": 2}, verbose=False)
    return epochs.add_proj(
        mne.compute_proj_epochs(epochs, n_mag=1, n_grad=1, n_eeg=0, verbose=False), verbose=False
    )


CASES = {
    "reference not applied": cut,
    "reference applied": lambda raw: cut(raw, proj=True),
    "projectors delayed": lambda raw: cut(raw, proj="delayed"),
    "not in memory": lambda raw: not_loaded(raw, proj="delayed"),
    "decimated": lambda raw: not_loaded(raw, decim=3),
    "rejected": lambda raw: cut(raw, reject={"eeg": 4.1e-5}),
    "condition gone": emptied,
    "rows twice": lambda raw: cut(raw)[[0, 0, 1, 5, 5, 2]],
    "out of order": lambda raw: cut(raw)[[5, 2, 1, 0]],
    "times between samples": lambda raw: cut(raw).shift_time(0.00123),
    "resampled": lambda raw: cut(raw, tmin=-0.07).resample(100.0, verbose=False),
    "no metadata": lambda raw: cut(raw, metadata=None),
    "signal-space projectors": magnetometers,
    "signal-space projectors applied": lambda raw: magnetometers(raw).apply_proj(verbose=False),
}


@pytest.fixture(scope="module")
def raw():
    return recording()


@pytest.fixture(params=list(CASES))
def epochs(request, raw):
    return CASES[request.param](raw)


def is_same(made, epochs):
    """All that is not data."""
    np.testing.assert_array_equal(made.events, epochs.events)
    np.testing.assert_array_equal(made.times, epochs.times)
    np.testing.assert_array_equal(made.selection, epochs.selection)
    assert (made.event_id, made.baseline, made.drop_log) == (
        epochs.event_id,
        epochs.baseline,
        epochs.drop_log,
    )
    assert [proj["active"] for proj in made.info["projs"]] == [
        proj["active"] for proj in epochs.info["projs"]
    ]
    assert (made.metadata is None) == (epochs.metadata is None)
    if epochs.metadata is not None:
        pd.testing.assert_frame_equal(made.metadata, epochs.metadata)


def test_views_and_stores_give_back_what_they_were_given(epochs, tmp_path):
    data = epochs.get_data(picks="data", verbose=False)
    for view in (as_view(epochs), EpochsStore.create(tmp_path / "store", epochs).view()):
        back = view.to_mne()
        np.testing.assert_allclose(back.get_data(), data, rtol=1e-5, atol=1e-6 * data.std())
        np.testing.assert_allclose(back.times, epochs.times, rtol=0, atol=1e-12)
        assert [p["active"] for p in back.info["projs"]] == [p["active"] for p in epochs.info["projs"]]


@pytest.mark.parametrize("step", [EpochScaler(), MVNN()], ids=["scaler", "mvnn"])
def test_steps_change_data_channels_and_nothing_else(epochs, step):
    before, loaded = epochs.get_data(verbose=False), epochs.preload
    made = step.fit_transform(epochs)
    is_same(made, epochs)
    read = read_epochs(epochs)
    np.testing.assert_allclose(
        read_epochs(made).X, np.asarray(step.transform(read.X, subject=read.subject)), rtol=1e-4, atol=1e-4
    )
    others = mne.pick_types(epochs.info, meg=False, eog=True, stim=True)
    np.testing.assert_array_equal(made.get_data()[:, others], before[:, others])
    np.testing.assert_array_equal(epochs.get_data(verbose=False), before)
    assert epochs.preload == loaded
    assert made.filename is None


def test_the_scaler_scales_what_mne_reads(epochs):
    data = epochs.get_data(picks="data", verbose=False)
    expected = (data - data.mean(axis=(0, 2), keepdims=True)) / data.std(axis=(0, 2), keepdims=True)
    np.testing.assert_allclose(
        read_epochs(EpochScaler().fit_transform(epochs)).X, expected, rtol=1e-4, atol=1e-4
    )


def test_channels_are_picked_and_nothing_else(epochs):
    wanted = [epochs.ch_names[3], epochs.ch_names[1]]
    made = PickChannels(wanted).fit_transform(epochs)
    assert made.ch_names == wanted
    np.testing.assert_array_equal(made.get_data(), epochs.get_data(verbose=False)[:, [3, 1]])
    np.testing.assert_array_equal(made.times, epochs.times)
    assert made.event_id == epochs.event_id


def test_means_are_means(epochs):
    y = np.array(list("aabcabcc"))[: len(epochs)]
    made, names, _ = average_repetitions(epochs, y, subject="all" if epochs.metadata is None else None)
    who = np.full(len(y), "all") if epochs.metadata is None else epochs.metadata["subject"].to_numpy()
    data = epochs.get_data(verbose=False)
    first = {pair: row for row, pair in reversed([*enumerate(zip(who, y, strict=True))])}
    pairs = sorted(first, key=first.get)
    expected = [data[(who == person) & (y == name)].mean(axis=0) for person, name in pairs]
    np.testing.assert_allclose(made.get_data(), expected, rtol=1e-9, atol=1e-20)
    assert names.tolist() == [name for _, name in pairs]
    np.testing.assert_array_equal(made.events, epochs.events[[first[pair] for pair in pairs]])
    np.testing.assert_array_equal(made.times, epochs.times)
    assert made.baseline == epochs.baseline


def test_lists_become_one_by_the_names_of_events(raw):
    a, b = cut(raw), cut(raw)[[1, 1, 0]]
    b.event_id = {"house": 3, "face/old": 7}  # the other way round
    b.events[:, 2] = 10 - b.events[:, 2]
    both = joined([a, b])
    np.testing.assert_allclose(
        both.get_data(), np.concatenate([a.get_data("eeg"), b.get_data("eeg")]), rtol=1e-6, atol=1e-12
    )
    assert [next(iter(both[k].event_id)) for k in range(8, 11)] == ["house", "house", "face/old"]
    assert both.metadata["stimulus"].tolist() == [*"wxyzwxyz", "x", "x", "w"]
    means, names, subject = average_repetitions([a, b], both.metadata["stimulus"])
    assert ("".join(names), "".join(subject)) == ("wxyz", "aabb")
    assert means.metadata["stimulus"].tolist() == [*"wxyz"]
    np.testing.assert_allclose(means.get_data()[1], both.get_data()[[1, 5, 8, 9]].mean(axis=0), rtol=1e-9)


@pytest.mark.parametrize("wrong", ["channels", "times"])
def test_lists_that_do_not_fit_are_refused(raw, wrong):
    other = cut(raw).pick(["Fz", "Oz"]) if wrong == "channels" else cut(raw, tmax=0.2)
    with pytest.raises(ValueError, match="X"):
        joined([cut(raw), other])
