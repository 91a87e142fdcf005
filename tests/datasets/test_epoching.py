"""Cutting a recording in pieces, against MNE on the whole of it."""

import mne
import numpy as np
import pandas as pd
import pytest

from skeegclip.datasets import _epoching
from skeegclip.datasets._epoching import Window, cut_raw

KINDS = ["eeg", "eeg", "mag", "grad", "stim", "eog"]


@pytest.fixture
def raw():
    rng = np.random.default_rng(0)
    info = mne.create_info(["A", "B", "M", "G", "S", "E"], 250.0, KINDS)
    data = rng.normal(size=(6, 250 * 40)).cumsum(axis=1)  # drifts, so that filter and baseline matter
    return mne.io.RawArray(data * 1e-6, info, first_samp=123, verbose="ERROR")


def by_mne(raw, onsets, window):
    raw = raw.copy().pick(["eeg", "meg"])
    if window.band is not None:
        raw.filter(*window.band, verbose="ERROR")
    samples = np.round(np.sort(onsets) * 250).astype(int) + raw.first_samp
    events = np.column_stack([samples, np.zeros_like(samples), np.ones_like(samples)])
    epochs = mne.Epochs(
        raw, events, tmin=window.tmin, tmax=window.tmax, preload=True, verbose="ERROR",
        baseline=(None, 0) if window.tmin < 0 else None, event_repeated="error",
    )  # fmt: skip
    if window.sfreq is not None:
        epochs.resample(window.sfreq, verbose="ERROR")
    return epochs, epochs.get_data(copy=False) * np.array([1e6, 1e6, 1e15, 1e13])[:, None]


@pytest.mark.parametrize("at_once", [2**26, 8 * 4 * 700])
@pytest.mark.parametrize(
    "window",
    [
        Window(-0.2, 0.8),
        Window(0.0, 0.5),
        Window(-0.2, 0.8, sfreq=120.0),
        Window(-0.1, 0.6, band=(1.0, 40.0)),
        Window(-0.1, 0.6, sfreq=100.0, band=(None, 40.0)),
    ],
)
def test_pieces_are_what_mne_makes_of_the_whole(raw, window, at_once, monkeypatch):
    monkeypatch.setattr(_epoching, "_AT_ONCE", at_once)
    onsets = np.random.default_rng(1).permutation(np.arange(0.3, 38.5, 0.1))
    rows = pd.DataFrame({"stimulus": [f"{onset:.1f}" for onset in onsets]})
    cut = cut_raw(raw, onsets, rows, window, "it")
    blocks = list(cut.blocks)
    X = np.concatenate(blocks)
    epochs, expected = by_mne(raw, onsets, window)
    assert X.dtype == np.float32
    assert len(blocks) > 1 or at_once == 2**26
    np.testing.assert_allclose(X, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    assert (cut.info["ch_names"], cut.info["sfreq"]) == (epochs.ch_names, epochs.info["sfreq"])
    assert (cut.tmin, cut.n_times) == (pytest.approx(epochs.times[0]), len(epochs.times))
    assert cut.rows["stimulus"].tolist() == [f"{onset:.1f}" for onset in np.sort(onsets)]
    np.testing.assert_array_equal(cut.rows["onset"], np.sort(onsets))


def test_pictures_at_the_ends_are_left_out_with_a_warning(raw):
    rows = pd.DataFrame({"stimulus": ["early", "first", "last", "late"]})
    with pytest.warns(UserWarning, match="it: 2 of 4 pictures .* too near to an end"):
        cut = cut_raw(raw, [0.19, 0.2, 40 - 0.8 - 1 / 250, 40 - 0.8], rows, Window(-0.2, 0.8), "it")
    assert cut.rows["stimulus"].tolist() == ["first", "last"]
    assert [len(block) for block in cut.blocks] == [2]


def test_bad_channels_are_read_and_no_mark_stays(raw):
    raw.info["bads"] = ["B"]
    cut = cut_raw(raw, [1.0], pd.DataFrame({"stimulus": ["a"]}), Window(-0.1, 0.5), "it")
    assert (cut.info["ch_names"], cut.info["bads"]) == (["A", "B", "M", "G"], [])


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ((0.1, 0.5), "tmin"),
        ((-0.1, 0.0), "tmax"),
        ((-0.1, 0.5, 0.0), "sfreq"),
        ((-0.1, 0.5, None, 40.0), "band"),
        ((-0.1, 0.5, None, (0.0, 40.0)), "band"),
    ],
)
def test_windows_that_are_none_are_refused(values, named):
    with pytest.raises((ValueError, TypeError), match=named):
        Window(*values)
