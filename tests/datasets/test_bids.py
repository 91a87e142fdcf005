"""BIDS data sets in small, written by mne-bids, against epochs that MNE makes of the same recordings by hand."""

import builtins
import contextlib
import shutil
import warnings

import mne
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from skeegclip import EpochsStore
from skeegclip.datasets import load_bids

from .recorded import NAMES, by_hand, make_raw, write_brainvision, write_edf, write_set

mne_bids = pytest.importorskip("mne_bids")
quiet = {"verbose": 0}
plain = {"sfreq": None, "band": None, "verbose": 0}
EEG = NAMES[:-1]
ONSETS = np.arange(1.0, 10.5, 1.3)  # eight events of a recording; the fourth shows nothing
WHERE = [("01", "a", "1"), ("01", "a", "2"), ("01", "b", "1"), ("02", "a", "1")]


def events_of(number):
    """What events.tsv tells: pictures in folders, one of them twice, a row without, answers among them."""
    items = [(row + number) % 4 for row in range(len(ONSETS))]
    names = [f"stimuli/set{item % 2}/{item:02d}.png" for item in items]
    names[3] = "n/a"
    table = pd.DataFrame(
        {
            "onset": ONSETS,
            "duration": 0.1,
            "trial_type": ["picture"] * 7 + ["target"],
            "sample": (ONSETS * 1000).astype(int),  # of before the recording was resampled: not to be used
            "stim_file": names,
            "category": ["face", "house"] * 4,
        }
    )
    answer = pd.DataFrame(
        {"onset": [1.5, np.nan], "trial_type": "answer", "stim_file": ["n/a", "set0/00.png"]}
    )
    return pd.concat([table, answer]).sort_values("onset", ignore_index=True)


def write_run(root, scratch, raw, subject, session, run, suffix, events):
    """Write one recording with mne-bids, and the table of its events."""
    file = scratch / f"x.{suffix}"
    if suffix == "edf":
        write_edf(file, raw)
    elif suffix == "set":
        write_set(file, raw)
    else:
        write_brainvision(file, raw)
    path = mne_bids.BIDSPath(
        subject=subject, session=session, task="pictures", run=run, datatype="eeg", root=root
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = mne.io.read_raw(file, verbose="ERROR")
        read.set_channel_types({"HEOG": "eog"}, verbose="ERROR")
        read.info["bads"], read.info["line_freq"] = raw.info["bads"], 50
        read.set_montage(raw.get_montage())
        mne_bids.write_raw_bids(read, path, overwrite=True, verbose="ERROR")
    table = path.copy().update(suffix="events", extension=".tsv")
    events.to_csv(table.fpath, sep="\t", index=False, na_rep="n/a")


@pytest.fixture(scope="module")
def raws():
    made = [make_raw(seed, n_seconds=12) for seed in range(4)]
    made[3] = made[3].reorder_channels(NAMES[::-1])
    made[3].info["bads"] = ["Pz"]
    return made


@pytest.fixture(scope="module")
def root(raws, tmp_path_factory):
    """Two people, two sessions, two runs, four files in three formats; the second person's channels run backwards."""
    place, scratch = tmp_path_factory.mktemp("bids"), tmp_path_factory.mktemp("scratch")
    for number, (where, raw, suffix) in enumerate(
        zip(WHERE, raws, ["vhdr", "edf", "set", "vhdr"], strict=True)
    ):
        write_run(place, scratch, raw, *where, suffix, events_of(number))
    for name in ("set0/00.png", "set0/02.png", "set1/01.png"):
        file = place / "stimuli" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), "red").save(file)
    return place


missing = pytest.mark.filterwarnings("ignore:images. ")
few = pytest.mark.filterwarnings("ignore:Only 7 head digitization points")


def kept(number):
    table = events_of(number)
    return table[table["stim_file"].ne("n/a") & table["onset"].notna()]


@few
def test_rows_are_what_mne_cuts_by_hand(root, raws, tmp_path):
    with pytest.warns(
        UserWarning, match=r"images: 1 of 4 pictures are not in .*'set1/03' \(stimuli/set1/03.png\)"
    ):
        data = load_bids(root, tmp_path / "store", columns={"concept": "category"}, **plain)
    events = [kept(number) for number in range(4)]
    assert data.y.tolist() == [
        name.removeprefix("stimuli/").removesuffix(".png") for table in events for name in table["stim_file"]
    ]
    rows = data.X.rows
    for name, column in zip(("subject", "session", "run"), zip(*WHERE, strict=True), strict=True):
        expected = np.repeat(column, [len(table) for table in events])
        assert rows[name].tolist() == [f"sub-{label}" if name == "subject" else label for label in expected]
    assert set(rows["task"]) == {"pictures"}
    assert data.concept.tolist() == [value for table in events for value in table["category"]]
    for number, raw in enumerate(raws):
        one = np.flatnonzero(np.repeat(np.arange(4), 7) == number)
        fixed = raw.copy().pick(EEG).reorder_channels(EEG)
        if fixed.info["bads"]:
            fixed.interpolate_bads(verbose=False)
        expected = by_hand(fixed, events[number]["onset"])
        np.testing.assert_allclose(np.asarray(data.X[one]), expected, atol=0.03)  # of the formats' rounding
    assert data.X.ch_names == tuple(EEG)
    table = data.recordings
    assert table["recording"].tolist() == [
        f"sub-{subject}_ses-{session}_task-pictures_run-{run}" for subject, session, run in WHERE
    ]
    assert table[["n_events", "n_no_picture", "n_cut_off", "n_epochs"]].drop_duplicates().values.tolist() == [
        [10, 3, 0, 7]
    ]
    # Every picture a person saw is counted on over runs and sessions.
    frame = pd.DataFrame({"subject": data.subject, "y": data.y})
    assert data.repetition.tolist() == frame.groupby(["subject", "y"]).cumcount().tolist()
    assert set(rows["bads"][rows["subject"] == "sub-02"]) == {"Pz"}
    EpochsStore.open(tmp_path / "store").verify()


@missing
@few
def test_as_mne_bids_reads_it(root, tmp_path):
    """Filtered, from the annotations that mne-bids makes of the events."""
    data = load_bids(
        root, tmp_path / "store", subjects="02", sfreq=None, band=(1, 40), bads="interpolate", **quiet
    )
    path = mne_bids.BIDSPath("02", "a", "pictures", run="1", datatype="eeg", root=root)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        raw = mne_bids.read_raw_bids(path, verbose="ERROR").load_data()
    raw.pick(EEG).filter(1, 40, verbose=False).interpolate_bads(verbose=False)
    events, _ = mne.events_from_annotations(raw, regexp="picture|target", verbose=False)
    epochs = mne.Epochs(raw, events, tmin=-0.2, tmax=1, baseline=(None, 0), preload=True, verbose=False)
    expected = np.delete(epochs.get_data(), 3, axis=0) * 1e6
    order = [raw.ch_names.index(name) for name in data.X.ch_names]
    np.testing.assert_allclose(np.asarray(data.X), expected[:, order], atol=2e-3)


@missing
@few
def test_choosing(root, tmp_path):
    def chosen(**more):
        data = load_bids(root, tmp_path / "store", **plain, **more)
        return data.recordings["recording"].str.replace("_task-pictures", "").tolist(), data

    assert chosen(subjects=1)[0] == ["sub-01_ses-a_run-1", "sub-01_ses-a_run-2", "sub-01_ses-b_run-1"]
    assert chosen(subjects=["sub-01"], sessions="ses-b")[0] == ["sub-01_ses-b_run-1"]
    names, data = chosen(sessions="b")
    assert names == ["sub-01_ses-b_run-1"]
    assert len(data.X) == 7  # of the 21 in the store
    assert set(data.X.rows["session"]) == {"b"}
    with pytest.raises(FileNotFoundError, match="subjects: '3' is not there; there are 01, 02"):
        chosen(subjects=["01", "3"])
    with pytest.raises(FileNotFoundError, match="tasks: 'rest' is not there; there are pictures"):
        chosen(tasks="rest")
    some = load_bids(root, tmp_path / "some", subjects=2, query="trial_type == 'target'", **plain)
    assert len(some.X) == 1
    assert some.recordings["n_not_chosen"].tolist() == [9]


@missing
@few
def test_an_interrupted_conversion_goes_on_and_notices_changes(root, tmp_path):
    place = tmp_path / "bids"
    shutil.copytree(root, place)
    data = load_bids(place, tmp_path / "store", subjects="01", sessions="b", **plain)
    data = load_bids(place, tmp_path / "store", **plain)
    assert len(data.X) == 28
    assert data.X.rows["session"].tolist()[:7] == ["b"] * 7  # in the order in which they were written
    with pytest.raises(ValueError, match="tmax: the store .* was made with tmax=1.0"):
        load_bids(place, tmp_path / "store", tmax=0.5, **plain)
    table = place / "sub-02" / "ses-a" / "eeg" / "sub-02_ses-a_task-pictures_run-1_events.tsv"
    table.write_text(table.read_text().replace("set0/00.png", "set0/02.png"))
    with pytest.raises(ValueError, match="sub-02_ses-a_task-pictures_run-1"):
        load_bids(place, tmp_path / "store", **plain)


@pytest.mark.filterwarnings("ignore:images")
def test_breaks_that_the_file_tells_and_events_do_not(raws, tmp_path):
    """mne-bids puts the events in place of the file's marks; what was stopped and went on is still known."""
    write_run(tmp_path / "bids", tmp_path, raws[0], "01", None, None, "vhdr", events_of(0))
    marks = tmp_path / "bids" / "sub-01" / "eeg" / "sub-01_task-pictures_eeg.vmrk"
    at = int(ONSETS[5] * 500) + 1 + 50  # a tenth of a second after the sixth
    marks.write_text(
        marks.read_text(encoding="utf-8").rstrip() + f"\nMk2=New Segment,,{at},1,0,20170714000001000000\n"
    )
    with pytest.warns(UserWarning, match="1 of 7 pictures of sub-01_task-pictures: their epochs reach"):
        data = load_bids(tmp_path / "bids", tmp_path / "store", **plain)
    assert not np.isclose(data.X.rows["onset"], ONSETS[5]).any()
    assert len(data.X) == 6


@pytest.mark.filterwarnings("ignore:images")
def test_meg_in_fif(tmp_path):
    """Splits, a first sample that is not 0, EEG beside MEG, a calibration file, a room without people."""
    rng = np.random.default_rng(3)
    names = ["MEG0111", "MEG0112", "EEG001", "STI101"]
    info = mne.create_info(names, 500.0, ["mag", "grad", "eeg", "stim"], verbose=False)
    info["line_freq"] = 50
    data = rng.standard_normal((4, 6000)) * [[1e-13], [1e-11], [1e-5], [0]]
    raw = mne.io.RawArray(data, info, first_samp=4000, verbose=False).set_meas_date(1_500_000_000.0)
    for subject, task in (("01", "pictures"), ("01", "rest"), ("emptyroom", "noise")):
        session = "20170714" if subject == "emptyroom" else None
        path = mne_bids.BIDSPath(
            subject=subject, session=session, task=task, datatype="meg", root=tmp_path / "bids"
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mne_bids.write_raw_bids(raw, path, format="FIF", allow_preload=True, verbose="ERROR")
    folder = tmp_path / "bids" / "sub-01" / "meg"
    shutil.copy(folder / "sub-01_task-rest_meg.fif", folder / "sub-01_acq-crosstalk_meg.fif")
    events_of(0).to_csv(folder / "sub-01_task-pictures_events.tsv", sep="\t", index=False, na_rep="n/a")
    loaded = load_bids(tmp_path / "bids", tmp_path / "store", **plain)
    assert loaded.X.ch_names == ("MEG0111", "MEG0112")
    expected = by_hand(raw, kept(0)["onset"], picks=names[:2]) * np.array([1, 1e-2])[:, None]
    np.testing.assert_allclose(np.asarray(loaded.X), expected, rtol=1e-4, atol=2e-2)
    assert loaded.recordings[["recording", "n_epochs"]].values.tolist() == [
        ["sub-01_task-pictures", 7],
        ["sub-01_task-rest", 0],
    ]


def test_refusals(root, raws, tmp_path):
    store = tmp_path / "store"

    def load(place=root, **more):
        load_bids(place, store, **{**plain, **more})

    (tmp_path / "empty").mkdir()
    for message, call in {
        "root: .* is not a folder": lambda: load(tmp_path / "none"),
        "holds no recording of EEG, MEG or iEEG in BIDS": lambda: load(tmp_path / "empty"),
        "holds no recording of meg": lambda: load(datatype="meg"),
        r"no events.tsv has the column 'picture'; that of .* has \['onset', 'duration', 'trial_type'": lambda: (
            load(stimulus="picture")
        ),
        "no event that is taken names a picture in the column 'stim_file', with this query": lambda: load(
            query="trial_type == 'answer'"
        ),
        "images: .* is not a folder": lambda: load(images=tmp_path / "none"),
        r"lacks the columns \['kind'\]": lambda: load(columns=["kind"]),
    }.items():
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            call()
    assert not store.exists()


@pytest.mark.filterwarnings("ignore:images")
def test_recordings_with_other_channels_are_refused(raws, tmp_path):
    for subject, names in (("01", NAMES), ("02", [name for name in NAMES if name != "Oz"])):
        write_run(
            tmp_path / "bids", tmp_path, raws[0].copy().pick(names), subject, None, None, "vhdr", events_of(0)
        )
    with pytest.raises(ValueError, match="sub-02_task-pictures .*'Oz'"):
        load_bids(tmp_path / "bids", tmp_path / "store", **plain)
    with pytest.warns(UserWarning, match="is unfinished: 1 more recording"):
        assert len(EpochsStore.open(tmp_path / "store")) == 7  # the first is whole
    data = load_bids(tmp_path / "bids", tmp_path / "both", channels=["O1", "O2", "Pz"], **plain)
    assert data.X.shape == (14, 3, 601)


def test_without_mne_bids(root, tmp_path, monkeypatch):
    real = builtins.__import__

    def hidden(name, *args, **kwargs):
        if name == "mne_bids":
            raise ImportError("hidden")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", hidden)
    with pytest.raises(
        ImportError, match="load_bids reads recordings with the package mne-bids, which is not installed"
    ):
        load_bids(root, tmp_path / "store", **quiet)


@missing
@few
@pytest.mark.parametrize("change", ["event more", "column", "bad channel", "recording"])
def test_a_source_that_changed_is_not_passed_over(root, tmp_path, change):
    place = tmp_path / "bids"
    shutil.copytree(root, place)
    params = {"subjects": "02", "columns": ["category"], **plain}
    load_bids(place, tmp_path / "store", **params)
    load_bids(place, tmp_path / "store", **params)
    stem = place / "sub-02" / "ses-a" / "eeg" / "sub-02_ses-a_task-pictures_run-1"
    file = stem.with_name(
        stem.name + {"bad channel": "_channels.tsv", "recording": "_eeg.eeg"}.get(change, "_events.tsv")
    )
    if change == "recording":
        file.write_bytes(file.read_bytes()[:-7000])
    else:
        table = pd.read_csv(file, sep="\t", dtype=str, keep_default_na=False)
        if change == "event more":
            table.loc[len(table)] = table.iloc[0].replace(table.iloc[0]["onset"], "10.9")
        elif change == "column":
            table["category"] = table["category"].replace("face", "body")
        else:
            table.loc[table["name"] == "Oz", "status"] = "bad"
        table.to_csv(file, sep="\t", index=False)
    with pytest.raises(ValueError, match="not what (it was|they were) when .*Pass out= another folder"):
        load_bids(place, tmp_path / "store", **params)


@missing
@few
def test_a_number_that_may_be_two_people(raws, tmp_path):
    for subject in ("1", "01", "2"):
        write_run(tmp_path / "bids", tmp_path, raws[0], subject, "a", "1", "vhdr", events_of(0))
    with pytest.raises(ValueError, match=r"subjects: 1 may be any of \['01', '1'\]. Name it as text"):
        load_bids(tmp_path / "bids", tmp_path / "store", subjects=[1, 2], **plain)
    data = load_bids(tmp_path / "bids", tmp_path / "store", subjects=["1", 2], **plain)
    assert set(data.subject) == {"sub-1", "sub-2"}
    data = load_bids(tmp_path / "bids", tmp_path / "store", **plain)
    assert set(data.subject) == {"sub-01", "sub-1", "sub-2"}
    assert (data.repetition[data.subject == "sub-01"] < 3).all()


@missing
@few
def test_a_store_inside_the_data_and_files_of_others(root, tmp_path):
    place = tmp_path / "bids"
    shutil.copytree(root, place)
    other = place / "derivatives" / "store"
    other.mkdir(parents=True)
    (other / "notes.txt").write_text("mine")
    with contextlib.suppress(ValueError, FileExistsError):
        load_bids(place, other, subjects="02", **plain)
    data = load_bids(place, place / "derivatives" / "new", subjects="02", **plain)
    assert (other / "notes.txt").read_text() == "mine"
    before = len(data.X)
    assert len(load_bids(place, place / "derivatives" / "new", subjects="02", **plain).X) == before
    assert (place / "sub-01").is_dir()
