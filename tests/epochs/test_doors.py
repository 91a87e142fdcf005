"""Every form of the same recording gives the same numbers: data channels alone, in display units, by whatever door."""

import logging
import warnings
from pathlib import Path

import mne
import numpy as np
import pandas as pd
import pytest
from mne.defaults import DEFAULTS
from sklearn.base import BaseEstimator
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from skeegclip import EpochsStore, EpochsView, ZeroShotClassifier
from skeegclip._utils.validation import check_epochs
from skeegclip.preprocessing import EpochScaler, average_repetitions

N = 12
Y = np.tile(["cat", "dog", "owl"], N // 3)
EVENTS = np.column_stack([np.arange(N), np.zeros(N, int), np.tile([1, 2, 3], N // 3)])
NAMES = {"cat": 1, "dog": 2, "owl": 3}
RECORDINGS = {
    "eeg": ["eeg", "eog", "eeg", "stim", "misc", "ecg", "eeg"],
    "stim first": ["stim", "eeg", "eeg", "syst"],
    "meg": ["mag", "grad", "ref_meg", "stim", "grad", "eeg"],
    "invasive": ["seeg", "ecog", "dbs", "emg", "exci"],
    "csd": ["csd", "eog", "csd"],
    "fnirs": ["hbo", "hbr", "stim"],
    "optical density": ["fnirs_od", "fnirs_od", "resp"],
}
DATA = {"eeg", "mag", "grad", "seeg", "ecog", "dbs", "csd", "hbo", "hbr", "fnirs_od"}


class Reader(BaseEstimator):
    """The least estimator that can stand at the door."""


def make(kinds, seed=0):
    """Epochs in SI units, and what must be read of them."""
    rng = np.random.default_rng(seed)
    shown = 10 * rng.normal(size=(N, len(kinds), 50))
    label = [kind not in DATA for kind in kinds]
    shown[:, label] = EVENTS[:, 2][:, None, None] * (np.arange(50) == 10)  # the answer
    scale = np.array([DEFAULTS["scalings"][kind] if kind in DATA else 1.0 for kind in kinds])
    info = mne.create_info([f"{kind}{i}" for i, kind in enumerate(kinds)], 100.0, kinds, verbose=False)
    data = shown / scale[:, None]
    epochs = mne.EpochsArray(data, info, EVENTS, event_id=NAMES, tmin=-0.1, verbose=False)
    return epochs, shown[:, [kind in DATA for kind in kinds]]


def windows(epochs, factor=1.0):
    from braindecode.datasets import BaseConcatDataset, WindowsDataset

    columns = {"i_window_in_trial": 0, "i_start_in_trial": 0, "i_stop_in_trial": 50, "target": 0}
    parts = []
    for part in (epochs[:5], epochs[5:]):
        part = part.copy()
        part._data *= factor
        part.metadata = pd.DataFrame(columns, index=range(len(part)))
        parts.append(WindowsDataset(part))
    return BaseConcatDataset(parts)


def sliced(dataset):
    from skorch.helper import SliceDataset

    return SliceDataset(dataset)


def subset(dataset):
    from torch.utils.data import Subset

    return Subset(dataset, range(N))


def stored(X, tmp):
    return EpochsStore.create(tmp / "store", X, {"stimulus": Y}).view()


FORMS = {
    "Epochs": lambda epochs, tmp: epochs,
    "list": lambda epochs, tmp: [epochs[:4], epochs[4:]],
    "one by one": lambda epochs, tmp: [epochs[i] for i in range(N)],
    "view": lambda epochs, tmp: EpochsView.from_epochs(epochs),
    "view of a list": lambda epochs, tmp: EpochsView.from_epochs([epochs[:4], epochs[4:]]),
    "from_arrays": lambda epochs, tmp: EpochsView.from_arrays(epochs),
    "windows": lambda epochs, tmp: windows(epochs),
    "SliceDataset": lambda epochs, tmp: sliced(windows(epochs)),
    "Subset": lambda epochs, tmp: subset(windows(epochs)),
    "view of windows": lambda epochs, tmp: EpochsView.from_epochs(windows(epochs)),
    "store": lambda epochs, tmp: stored(epochs, tmp),
    "store of a list": lambda epochs, tmp: stored([epochs[:4], epochs[4:]], tmp),
    "store of windows": lambda epochs, tmp: stored(windows(epochs), tmp),
    "store of a slice": lambda epochs, tmp: stored(sliced(windows(epochs)), tmp),
    "store of a view": lambda epochs, tmp: stored(EpochsView.from_epochs(epochs), tmp),
}


@pytest.mark.parametrize("form", list(FORMS))
@pytest.mark.parametrize("recording", list(RECORDINGS))
@pytest.mark.filterwarnings("ignore:.*fast epoch access")
def test_every_door_gives_the_same_numbers(recording, form, tmp_path):
    kinds = RECORDINGS[recording]
    epochs, expected = make(kinds)
    read = check_epochs(Reader(), FORMS[form](epochs, tmp_path), reset=True)
    np.testing.assert_allclose(np.asarray(read.X), expected, rtol=1e-5, atol=1e-5)
    assert read.stated.ch_types == tuple(kind for kind in kinds if kind in DATA)
    assert read.sfreq == 100.0
    assert len(read.chs_info) == len(read.ch_names)


@pytest.mark.filterwarnings("ignore:.*fast epoch access")
def test_windows_that_were_scaled_are_not_scaled_again():
    epochs, expected = make(RECORDINGS["eeg"])
    for factor, found in ((1e6, expected), (1e5, expected / 10)):  # microvolts, and what somebody normalised
        read = check_epochs(Reader(), windows(epochs, factor), reset=True)
        np.testing.assert_allclose(read.X, found, rtol=1e-5)


@pytest.mark.parametrize("form", list(FORMS))
@pytest.mark.filterwarnings("ignore:.*fast epoch access")
def test_the_label_is_not_in_X(form, tmp_path):
    epochs, _ = make(RECORDINGS["eeg"])
    X = FORMS[form](epochs, tmp_path)
    train, test = np.arange(0, N, 2), np.arange(1, N, 2)
    if form in ("windows", "list", "one by one"):
        pick = (lambda rows: subset_of(X, rows)) if form == "windows" else lambda rows: epochs[rows]
    else:
        pick = subset_of if form == "Subset" else None
        pick = (lambda rows: subset_of(X, rows)) if pick else (lambda rows: X[rows])
    model = make_pipeline(EpochScaler(), ZeroShotClassifier(Ridge()))
    # With the stimulus channel in X it is .96 and more.
    assert model.fit(pick(train), Y[train]).score(pick(test), Y[test]) < 0.9


def subset_of(dataset, rows):
    from torch.utils.data import Subset

    return Subset(dataset, rows)


def test_what_is_left_out_is_logged_in_fit(caplog, tmp_path):
    epochs, _ = make(RECORDINGS["eeg"])
    text = "4 channels that hold no data of the brain are left out: eog1 (eog), stim3 (stim), misc4 (misc), ecg5 (ecg)"
    fitted = ZeroShotClassifier(Ridge())
    for action, times in (
        (lambda: fitted.fit(epochs, Y), 1),
        (lambda: fitted.predict(epochs), 0),
        (lambda: EpochsView.from_epochs(epochs), 1),
        (lambda: EpochsStore.create(tmp_path, epochs, {"stimulus": Y}), 1),
    ):
        caplog.clear()
        with caplog.at_level(logging.INFO, logger="skeegclip"):
            action()
        assert [text in record.getMessage() for record in caplog.records if record.name == "skeegclip"] == [
            True
        ] * times


def test_an_array_with_an_info_is_read_by_the_types_there(tmp_path):
    epochs, expected = make(RECORDINGS["eeg"])
    X = epochs.get_data(units={"eeg": "uV"})
    view = EpochsView.from_arrays(X, info=epochs.info, tmin=-0.1)
    np.testing.assert_allclose(np.asarray(view), expected, rtol=1e-5)
    assert view.ch_names == ("eeg0", "eeg2", "eeg6")
    assert view.info.ch_names == list(view.ch_names)
    np.testing.assert_allclose(np.asarray(view.pick(["eeg6"])), expected[:, 2:], rtol=1e-5)
    store = EpochsStore.create(tmp_path, X, {"stimulus": Y}, info=epochs.info)
    store.append(X, {"stimulus": Y})  # all channels are kept on disk
    assert store.shape == (2 * N, 7, 50)
    np.testing.assert_allclose(np.asarray(store.view()[:N]), expected, rtol=1e-5)


def test_channels_that_were_never_given_a_type_are_read():
    info = mne.create_info(3, 100.0)  # misc, by default
    X = np.random.default_rng(0).normal(size=(4, 3, 20))
    view = EpochsView.from_arrays(X, info=info)
    assert view.shape == (4, 3, 20)
    assert view._told.ch_types is None


@pytest.mark.filterwarnings("ignore:.*fast epoch access")
def test_windows_whose_channels_a_transform_has_picked_are_refused():
    dataset = windows(make(RECORDINGS["eeg"])[0])
    dataset.transform = lambda x: x[1:]
    with pytest.raises(ValueError, match=r"windows have 6 channels and their recording 7.*'eog1' is 'eog'"):
        check_epochs(Reader(), dataset, reset=True)


# -- channels marked as bad ------------------------------------------------------------------------------


def with_bads(*bads):
    epochs, expected = make(["eeg"] * 4, seed=1)
    epochs.info["bads"] = list(bads)
    return epochs, expected


@pytest.mark.parametrize("form", list(FORMS))
@pytest.mark.filterwarnings("ignore:.*fast epoch access")
def test_bad_channels_are_read_with_a_warning(form, tmp_path):
    epochs, expected = with_bads("eeg1")
    X = FORMS[form](epochs, tmp_path)
    reader = Reader()
    with pytest.warns(
        UserWarning, match=r"1 channels are marked as bad \(eeg1\) and are read like all others"
    ):
        read = check_epochs(reader, X, reset=True)
    np.testing.assert_allclose(np.asarray(read.X), expected, rtol=1e-5, atol=1e-5)
    check_epochs(reader, X, reset=False)  # said once
    if form == "Epochs":
        with pytest.warns(UserWarning, match=r"1 channels are marked as bad \(eeg3\)"):
            check_epochs(reader, with_bads("eeg1", "eeg3")[0], reset=False)


def test_lists_whose_bads_differ_are_read():
    (one, expected), (two, _) = with_bads("eeg0"), with_bads("eeg2")
    with pytest.warns(UserWarning, match=r"2 channels are marked as bad \(eeg0, eeg2\)"):
        read = check_epochs(Reader(), [one, two], reset=True)
    np.testing.assert_allclose(read.X, np.concatenate([expected, expected]), rtol=1e-5)


def test_bads_change_nothing_else():
    epochs, _ = with_bads("eeg1")
    view = EpochsView.from_epochs(epochs, stimulus=Y)
    assert view.shape[1] == 4
    assert view.pick(["eeg0", "eeg2"])._told.bads == ()
    assert view.info["bads"] == ["eeg1"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_epochs(Reader(), view.pick(["eeg0"]), reset=True)
    assert average_repetitions(epochs, Y)[0].info["bads"] == ["eeg1"]


# -- from_epochs -----------------------------------------------------------------------------------------


def test_views_of_epochs_keep_names_times_rate_and_columns():
    epochs, expected = make(RECORDINGS["eeg"])
    epochs.metadata = pd.DataFrame({"subject": [7.0] * N, "block": range(N)})
    for view in (EpochsView.from_epochs(epochs), EpochsView.from_arrays(epochs)):
        np.testing.assert_allclose(np.asarray(view), expected, rtol=1e-5)
        np.testing.assert_allclose(view.times, epochs.times, atol=1e-12)
        assert (view.sfreq, view.tmin) == (100.0, -0.1)
        assert view.rows.to_dict("list") == {
            "subject": ["7"] * N,
            "block": list(range(N)),
            "stimulus": Y.tolist(),
        }
    own = EpochsView.from_arrays(
        epochs, subject="ana", stimulus=Y[::-1], rows=pd.DataFrame({"block": [0] * N})
    )
    assert (set(own.subject), own.stimulus.tolist(), set(own.rows["block"])) == (
        {"ana"},
        Y[::-1].tolist(),
        {0},
    )
    again = EpochsView.from_arrays(own[2:5])
    assert (again.ch_names, again.tmin, again.stimulus.tolist()) == (
        own.ch_names,
        own.tmin,
        own.stimulus[2:5].tolist(),
    )


def test_what_views_of_epochs_refuse():
    epochs, _ = make(RECORDINGS["eeg"])
    with pytest.raises(ValueError, match="info and tmin are for arrays: EpochsArray carries its own"):
        EpochsView.from_arrays(epochs, info=epochs.info)
    with pytest.raises(TypeError, match="epochs must be mne.Epochs or a list of them, got ndarray"):
        EpochsView.from_epochs(epochs.get_data())


# -- stimuli from the names of events --------------------------------------------------------------------


def doors_of(epochs, tmp):
    yield EpochsView.from_epochs(epochs)
    yield EpochsStore.create(tmp / "store", epochs).view()


def test_event_names_fill_what_metadata_lack(tmp_path):
    epochs, _ = make(["eeg"] * 2)
    for number, (metadata, expected) in enumerate(
        [
            (None, Y.tolist()),
            ({"subject": "s1"}, Y.tolist()),
            ({"stimulus": [f"p{i}" for i in range(N)]}, [f"p{i}" for i in range(N)]),
            ({"stimulus": ["p0", None, np.nan, *["p"] * (N - 3)]}, ["p0", "dog", "owl", *["p"] * (N - 3)]),
            ({"stimulus": [0.0, np.nan, *[3.0] * (N - 2)]}, ["0", "dog", *["3"] * (N - 2)]),
        ]
    ):
        epochs.metadata = None if metadata is None else pd.DataFrame(metadata, index=range(N))
        for view in doors_of(epochs, tmp_path / str(number)):
            assert view.stimulus.tolist() == expected


def test_event_names_serve_where_some_of_a_list_have_metadata(tmp_path):
    epochs, _ = make(["eeg"] * 2)
    first, second = epochs[:4].copy(), epochs[4:]
    first.metadata = pd.DataFrame({"stimulus": list("abcd")})
    for view in doors_of([first, second], tmp_path):
        assert view.stimulus.tolist() == [*"abcd", *Y[4:]]


def test_one_event_for_all_names_no_stimulus(tmp_path):
    epochs, _ = make(["eeg"] * 2)
    epochs = mne.EpochsArray(epochs.get_data(), epochs.info, verbose=False)
    epochs.metadata = pd.DataFrame({"subject": ["s1"] * N})
    for view in doors_of(epochs, tmp_path):
        assert view.stimulus is None


@pytest.mark.filterwarnings("ignore:.*fast epoch access")
def test_windows_whose_targets_are_channels_are_read():
    from braindecode.datasets import WindowsDataset

    epochs, expected = make(["eeg", "misc", "eeg"])
    columns = {"i_window_in_trial": 0, "i_start_in_trial": 0, "i_stop_in_trial": 50, "target": 0}
    epochs.metadata = pd.DataFrame(columns, index=range(N))
    read = check_epochs(Reader(), WindowsDataset(epochs, targets_from="channels"), reset=True)
    np.testing.assert_allclose(read.X, expected, rtol=1e-5, atol=1e-5)


def test_the_snippet_in_troubleshooting_runs_with_bad_channels():
    page = (Path(__file__).parents[2] / "docs" / "troubleshooting.rst").read_text(encoding="utf-8")
    line = next(line.strip() for line in page.splitlines() if line.strip().startswith("view = EpochsView."))
    epochs, expected = with_bads("eeg1")
    found = {"EpochsView": EpochsView, "epochs": epochs}
    exec(line, found)
    np.testing.assert_allclose(np.asarray(found["view"]), expected, rtol=1e-5)
    assert found["view"].ch_names == tuple(epochs.ch_names)
