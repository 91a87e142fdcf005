"""Raw files in several formats and tables of what was shown, against epochs that MNE makes of the same files by hand."""

import mne
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from skeegclip import EpochsStore
from skeegclip.datasets import load_recordings

from .recorded import NAMES, by_hand, make_raw, write_brainvision, write_edf, write_set

quiet = {"verbose": 0}
plain = {"sfreq": None, "band": None, "verbose": 0}
ONSETS = np.arange(1.0, 36, 1.3)
EEG = NAMES[:-1]


def shown(onsets=ONSETS, **more):
    """Nine pictures in turn."""
    files = [f"p{row % 9}.jpg" for row in range(len(onsets))]
    return pd.DataFrame({"onset": onsets, "stim_file": files, **more})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One recording of EEG channels in four formats."""
    place, raw = tmp_path_factory.mktemp("raw"), make_raw().pick(EEG)
    write_edf(place / "ana.edf", raw)
    write_set(place / "ana.set", raw)
    write_brainvision(place / "ana.vhdr", raw)
    raw.save(place / "ana_raw.fif", verbose=False)
    return place


@pytest.mark.parametrize("name", ["ana.edf", "ana.set", "ana.vhdr", "ana_raw.fif"])
def test_rows_are_what_mne_cuts_by_hand(folder, tmp_path, name):
    events = shown()
    data = load_recordings({"ana": folder / name}, events, tmp_path / "store", **plain)
    expected = by_hand(mne.io.read_raw(folder / name, preload=True, verbose=False), ONSETS)
    np.testing.assert_allclose(np.asarray(data.X), expected, atol=1e-4)
    np.testing.assert_allclose(data.times, np.arange(-100, 501) / 500, atol=1e-12)
    # Whatever the format, it is the recording that was written, to its rounding.
    np.testing.assert_allclose(np.asarray(data.X), by_hand(make_raw().pick(EEG), ONSETS), atol=0.03)
    assert data.X.ch_names == tuple(EEG)
    assert data.y.tolist() == [f"p{row % 9}" for row in range(len(ONSETS))]
    assert data.repetition.tolist() == [row // 9 for row in range(len(ONSETS))]
    assert set(data.subject) == {"ana"}
    np.testing.assert_allclose(data.X.rows["onset"], ONSETS)


def test_filtered_as_mne_filters_and_in_groups_of_channels(folder, tmp_path, monkeypatch):
    raw = mne.io.read_raw(folder / "ana_raw.fif", preload=True, verbose=False).filter(1, 30, verbose=False)
    expected = by_hand(raw, ONSETS, baseline=(-0.1, 0.05))
    some = {"band": (1, 30), "sfreq": None, "baseline": (-0.1, 0.05), "dtype": "float16", **quiet}
    whole = load_recordings({"ana": folder / "ana_raw.fif"}, shown(), tmp_path / "whole", **some)
    np.testing.assert_allclose(np.asarray(whole.X), expected, rtol=1e-3, atol=1e-3)
    monkeypatch.setattr("skeegclip.datasets._preparing._AT_ONCE", 3 * 8 * raw.n_times)
    parts = load_recordings({"ana": folder / "ana_raw.fif"}, shown(), tmp_path / "parts", **some)
    np.testing.assert_allclose(np.asarray(parts.X), np.asarray(whole.X), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("recorded", "sfreq"), [(500, 250), (512, 120), (1017.252625, 250), (1000, 120)])
def test_resampled_epochs_are_at_their_times(tmp_path, recorded, sfreq):
    """Sines are known between the samples too: no drift, no jitter of onsets, no edge within an epoch."""
    times = np.arange(int(16 * recorded)) / recorded
    waves = [[(3, 10, 0), (11, 8, 1)], [(7, 12, 2), (27, 5, 3)]]

    def wave(some, t):
        return sum(size * np.sin(2 * np.pi * hertz * t + phase) for hertz, size, phase in some)

    info = mne.create_info(["O1", "O2"], recorded, "eeg", verbose=False)
    data = 1e-6 * np.array([wave(some, times) for some in waves])
    mne.io.RawArray(data, info, first_samp=777, verbose=False).save(tmp_path / "sines_raw.fif", verbose=False)
    onsets = np.arange(0.21, 14.9, 0.777)  # the first and the last epoch are near the ends
    onsets[-1] = times[-1] - 1.01
    some = {"sfreq": sfreq, "band": None, "baseline": None, **quiet}
    view = load_recordings({"x": tmp_path / "sines_raw.fif"}, shown(onsets), tmp_path / "store", **some).X
    assert view.shape == (len(onsets), 2, round(1.2 * sfreq) + 1)
    assert view.sfreq == sfreq
    at = np.round(onsets * recorded)[:, None] / recorded + view.times
    expected = np.stack([wave(some, at) for some in waves], axis=1)
    inner = slice(1, -1)  # beyond the recording nothing is known
    np.testing.assert_allclose(np.asarray(view)[inner], expected[inner], atol=0.03)


def test_what_is_cut_off_is_counted(tmp_path):
    raw = make_raw(first_samp=5000).pick(EEG)
    marks = mne.Annotations([10.0, 20.0], [1.0, 0.0], ["BAD_jump", "boundary"])
    raw.set_annotations(marks).save(tmp_path / "x_raw.fif", verbose=False)
    # Around the bad second 10..11 and the break at 20 s, to the sample; the first and last that fit; two that do not.
    good = [0.2, 8.998, 11.2, 18.998, 20.2, 38.998]
    lost = [0.198, 9.0, 11.198, 19.0, 20.198, 39.0]
    onsets = np.sort(good + lost)
    with pytest.warns(UserWarning, match="6 of 12 pictures of x: their epochs reach beyond the recording"):
        data = load_recordings({"x": tmp_path / "x_raw.fif"}, shown(onsets), tmp_path / "store", **plain)
    np.testing.assert_allclose(data.X.rows["onset"], good)
    assert data.recordings[["n_events", "n_cut_off", "n_epochs"]].values.tolist() == [[12, 6, 6]]
    read = mne.io.read_raw(tmp_path / "x_raw.fif", preload=True, verbose=False)
    np.testing.assert_allclose(np.asarray(data.X), by_hand(read, good), atol=1e-4)
    # MNE knows nothing of EEGLAB's break; of the bad second it says the same.
    events = np.column_stack([np.round(onsets * 500).astype(int) + 5000, *np.ones((2, 12), int)])
    cut = mne.Epochs(read, events, tmin=-0.2, tmax=1, reject_by_annotation=True, preload=True, verbose=False)
    assert set(cut.selection) - {*np.flatnonzero(np.isin(onsets, good))} == {
        *np.flatnonzero(np.isin(onsets, [19.0, 20.198]))
    }


def test_filters_do_not_reach_across_a_break(tmp_path):
    raw = make_raw(n_seconds=60).pick(EEG)
    raw.apply_function(lambda x: np.where(np.arange(len(x)) < 15000, x, x + 500e-6), verbose=False)
    write_set(tmp_path / "x.set", raw, [("boundary", 15000.5)])
    second = mne.io.RawArray(raw.get_data(start=15000), raw.info, verbose=False)
    expected = by_hand(second.filter(1, 30, verbose=False), [0.5, 2.0])
    onsets = [2.0, 4, 30.5, 32.0]
    data = load_recordings(
        {"x": tmp_path / "x.set"}, shown(onsets), tmp_path / "store", band=(1, 30), sfreq=None, **quiet
    )
    np.testing.assert_allclose(np.asarray(data.X)[2:], expected, atol=1e-2)


def test_onsets_in_other_units_are_refused(folder, tmp_path):
    for factor in (1000, 500):
        with pytest.raises(
            ValueError, match="ana: no more than . of 27 epochs .* neither samples nor milliseconds"
        ):
            load_recordings({"ana": folder / "ana.edf"}, shown(ONSETS * factor), tmp_path / "store", **plain)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(("unit", "factor"), [("mV", 1e3), ("uV", 1e6)])
def test_units_that_a_file_names_are_heeded(tmp_path, unit, factor):
    write_edf(tmp_path / "x.edf", make_raw().pick(EEG), unit, factor)
    data = load_recordings({"x": tmp_path / "x.edf"}, shown(), tmp_path / "store", **plain)
    step = 1e3 / factor * 1e3 / 65535  # microvolts at most: whole units are the ends of the range
    np.testing.assert_allclose(
        np.asarray(data.X), by_hand(make_raw().pick(EEG), ONSETS), atol=2 * step + 0.01
    )


def test_a_file_that_names_no_unit_is_refused_until_told(tmp_path):
    write_edf(tmp_path / "x.edf", make_raw().pick(EEG), "", 1e6)
    with pytest.raises(
        ValueError, match=r"x has a standard deviation of .* far too large: .* \(n/a\). Say how"
    ):
        load_recordings({"x": tmp_path / "x.edf"}, shown(), tmp_path / "store", **plain)
    assert not (tmp_path / "store").exists()

    def to_volts(raw):
        return raw.load_data().apply_function(lambda x: 1e-6 * x, verbose=False)

    data = load_recordings({"x": tmp_path / "x.edf"}, shown(), tmp_path / "store", prepare=to_volts, **plain)
    np.testing.assert_allclose(np.asarray(data.X), by_hand(make_raw().pick(EEG), ONSETS), atol=0.02)


def test_a_name_that_is_no_eeg_is_warned_of(tmp_path):
    write_edf(tmp_path / "x.edf", make_raw())
    with pytest.warns(UserWarning, match="by their names HEOG hold no data of the brain"):
        data = load_recordings({"x": tmp_path / "x.edf"}, shown(), tmp_path / "store", **plain)
    assert "HEOG" in data.X.ch_names
    retyped = {"prepare": lambda raw: raw.set_channel_types({"HEOG": "eog"}), **plain}
    data = load_recordings({"x": tmp_path / "x.edf"}, shown(), tmp_path / "other", **retyped)
    assert data.X.ch_names == tuple(EEG)


@pytest.mark.filterwarnings("ignore:Only 7 head digitization points")
def test_bad_channels(tmp_path):
    raw = make_raw()
    raw.info["bads"] = ["Pz", "HEOG"]
    raw.save(tmp_path / "ana_raw.fif", verbose=False)
    make_raw(1).save(tmp_path / "ben_raw.fif", verbose=False)
    files = {"ana": tmp_path / "ana_raw.fif", "ben": tmp_path / "ben_raw.fif"}
    events = pd.concat([shown(subject="ana"), shown(subject="ben")])
    data = load_recordings(files, events, tmp_path / "store", **plain)
    repaired = raw.copy().pick(EEG).interpolate_bads(verbose=False)
    ana = data.X.select(subject="ana")
    np.testing.assert_allclose(np.asarray(ana), by_hand(repaired, ONSETS), atol=1e-3)
    assert np.abs(np.asarray(ana) - by_hand(raw, ONSETS)).max() > 1
    assert set(ana.rows["bads"]) == {"Pz"}
    assert set(data.X.select(subject="ben").rows["bads"]) == {""}
    assert data.info["bads"] == []
    with pytest.warns(UserWarning, match="Pz of ana are marked as bad: their numbers are kept"):
        kept = load_recordings(files, events, tmp_path / "kept", bads="keep", **plain)
    np.testing.assert_allclose(np.asarray(kept.X.select(subject="ana")), by_hand(raw, ONSETS), atol=1e-4)
    without = load_recordings(files, events, tmp_path / "without", channels=["Oz", "O1"], **plain)
    np.testing.assert_allclose(
        np.asarray(without.X.select(subject="ben")),
        by_hand(make_raw(1), ONSETS, picks=["O1", "Oz"])[:, ::-1] * 1e-9,
        atol=1e-4,
    )


def test_bad_channels_without_positions(tmp_path):
    raw = make_raw().set_montage(None)
    raw.info["bads"] = ["Pz"]
    raw.save(tmp_path / "ana_raw.fif", verbose=False)
    with pytest.raises(ValueError, match="Pz of ana are marked as bad, but 7 channels have no positions"):
        load_recordings({"ana": tmp_path / "ana_raw.fif"}, shown(), tmp_path / "store", **plain)


def test_bad_sensors_without_a_head(tmp_path):
    info = mne.create_info(["M1", "M2", "M3"], 500.0, "mag", verbose=False)
    for row, ch in enumerate(info["chs"]):
        ch["loc"][:3] = 0.1 * np.eye(3)[row]
    info["bads"] = ["M2"]
    raw = mne.io.RawArray(1e-13 * np.random.default_rng(0).standard_normal((3, 3000)), info, verbose=False)
    raw.save(tmp_path / "x_raw.fif", verbose=False)
    with pytest.raises(
        ValueError, match=r"bads: M2 of x cannot be made of the other channels .* Pass bads='keep'"
    ):
        load_recordings({"x": tmp_path / "x_raw.fif"}, shown([1.0, 3.0]), tmp_path / "store", **plain)
    assert not (tmp_path / "store").exists()


def test_marks_in_the_order_of_a_table(tmp_path):
    """A log without times: the n-th mark is the n-th line; lines without a picture count too."""
    raw = make_raw().pick(EEG)
    samples = np.round(ONSETS * 500).astype(int)
    marks = [("Stimulus", "S  1", s + 1) for s in samples] + [("Response", "R  1", s + 200) for s in samples]
    write_brainvision(tmp_path / "ana.vhdr", raw, sorted(marks, key=lambda mark: mark[2]))
    log = shown().drop(columns="onset")
    log.loc[3, "stim_file"] = "n/a"
    log.to_csv(tmp_path / "log.csv", index=False)
    data = load_recordings(
        {"ana": tmp_path / "ana.vhdr"},
        tmp_path / "log.csv",
        tmp_path / "store",
        marks="Stimulus/S  1",
        **plain,
    )
    keep = np.arange(len(ONSETS)) != 3
    assert data.y.tolist() == [f"p{row % 9}" for row in np.flatnonzero(keep)]
    np.testing.assert_allclose(np.asarray(data.X), by_hand(raw, ONSETS[keep]), atol=0.02)
    assert data.recordings["n_no_picture"].tolist() == [1]
    log[:-1].to_csv(tmp_path / "log.csv", index=False)
    with pytest.raises(ValueError, match="ana has 27 marks 'Stimulus/S  1', but 26 rows of events"):
        load_recordings(
            {"ana": tmp_path / "ana.vhdr"},
            tmp_path / "log.csv",
            tmp_path / "o",
            marks="Stimulus/S  1",
            **plain,
        )
    with pytest.raises(
        ValueError, match=r"none of \['S  1'\] among its annotations: 'Stimulus/S  1' \(27\), "
    ):
        load_recordings({"ana": tmp_path / "ana.vhdr"}, log, tmp_path / "o", marks="S  1", **plain)


def triggers(raw, codes, length=5):
    """Add a trigger channel."""
    values = np.zeros((1, raw.n_times))
    for onset, code in zip(np.round(ONSETS * 500).astype(int), codes, strict=False):
        values[0, onset : onset + length] = code
    stim = mne.io.RawArray(
        values, mne.create_info(["STI"], 500.0, "stim", verbose=False), raw.first_samp, verbose=False
    )
    return raw.copy().add_channels([stim], force_update_info=True)


def test_codes_of_a_trigger_channel(tmp_path):
    raw = triggers(make_raw(first_samp=3000), [10 + row % 3 for row in range(27)])
    raw.save(tmp_path / "x_raw.fif", verbose=False)
    pictures = {10: "a.jpg", 12: "b.jpg", 99: "never.jpg"}
    data = load_recordings({"x": tmp_path / "x_raw.fif"}, pictures, tmp_path / "store", **plain)
    keep = np.arange(27) % 3 != 1
    assert data.y.tolist() == ["a", "b"] * 9
    np.testing.assert_allclose(np.asarray(data.X), by_hand(raw, ONSETS[keep]), atol=1e-4)
    assert "STI" not in data.X.ch_names
    with pytest.raises(ValueError, match=r"none of \[3\] among its codes: 10 \(9\), 11 \(9\), 12 \(9\)"):
        load_recordings({"x": tmp_path / "x_raw.fif"}, {3: "a.jpg"}, tmp_path / "o", **plain)


def test_codes_that_fall_are_not_lost_in_silence(tmp_path):
    raw = triggers(make_raw(), [12] * 27)
    where = raw.ch_names.index("STI")
    first = int(ONSETS[4] * 500)
    raw._data[where, first + 5 : first + 10] = 10  # straight after a 12, without a zero
    raw.save(tmp_path / "x_raw.fif", verbose=False)
    with pytest.raises(ValueError, match="1 of 1 codes follow a larger one without a zero between"):
        load_recordings({"x": tmp_path / "x_raw.fif"}, {10: "a.jpg"}, tmp_path / "store", **plain)


def test_several_people_sessions_and_channel_orders(tmp_path):
    raws = {name: make_raw(seed, n_seconds=12) for seed, name in enumerate(["ana1", "ana2", "ben1"])}
    raws["ben1"] = raws["ben1"].copy().reorder_channels(NAMES[::-1])
    for name, raw in raws.items():
        raw.save(tmp_path / f"{name}_raw.fif", verbose=False)
    onsets = [1.0, 3.0, 5.0]
    events = pd.concat([shown(onsets, file=f"{name}_raw.fif", kind=["x", "y", ""]) for name in raws])
    files = {"ana": [tmp_path / "ana1_raw.fif", tmp_path / "ana2_raw.fif"], "ben": tmp_path / "ben1_raw.fif"}
    data = load_recordings(files, events, tmp_path / "store", columns={"concept": "kind"}, **plain)
    assert data.subject.tolist() == ["ana"] * 6 + ["ben"] * 3
    assert data.X.rows["run"].tolist() == ["1"] * 3 + ["2"] * 3 + [""] * 3
    assert data.repetition.tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 0]
    assert data.concept.tolist() == ["x", "y", ""] * 3
    expected = [by_hand(raw.copy().pick(EEG).reorder_channels(EEG), onsets) for raw in raws.values()]
    np.testing.assert_allclose(np.asarray(data.X), np.concatenate(expected), atol=1e-4)
    # The same by a table of files, and a person at a time; what is there is not read again.
    table = pd.DataFrame({"file": ["ana1_raw.fif", "ana2_raw.fif"], "subject": "ana", "run": [1, 2]})
    table.to_csv(tmp_path / "files.csv", index=False)
    again = load_recordings(
        tmp_path / "files.csv", events[:6], tmp_path / "store", columns={"concept": "kind"}, **plain
    )
    assert again.X.shape[0] == 6
    assert len(EpochsStore.open(tmp_path / "store")) == 9
    with pytest.raises(ValueError, match="events of ana_run-1 are not what they were"):
        load_recordings(
            tmp_path / "files.csv", events[:6].replace("p1.jpg", "p7.jpg"), tmp_path / "store",
            columns={"concept": "kind"}, **plain,
        )  # fmt: skip
    with pytest.raises(ValueError, match="band: the store .* was made with band="):
        load_recordings(
            files, events, tmp_path / "store", columns={"concept": "kind"}, sfreq=None, band=(1, 40), **quiet
        )


def test_pictures_are_found_and_missing_ones_told_before_anything_is_converted(folder, tmp_path):
    (tmp_path / "pictures" / "faces").mkdir(parents=True)
    for name in ("faces/01.png", "cat.jpg", "dog.v2.JPG"):
        Image.new("RGB", (8, 8), "red").save(tmp_path / "pictures" / name, format="PNG")
    written = [
        "faces/01.png",
        "cat",
        "dog.v2.JPG",
        "faces\\01.png",
        "stimuli/cat.jpg",
        "C:\\their\\cat.jpg",
        "gone.png",
    ]
    events = pd.DataFrame({"onset": ONSETS[:7], "stim_file": written})
    with pytest.warns(UserWarning, match=r"images: 1 of 4 pictures are not in .*: 'gone' \(gone.png\)"):
        data = load_recordings(
            {"a": folder / "ana.edf"}, events, tmp_path / "store", images=tmp_path / "pictures", **plain
        )
    assert data.y.tolist() == ["faces/01", "cat", "dog.v2", "faces/01", "cat", "cat", "gone"]
    assert data.repetition.tolist() == [0, 0, 0, 1, 1, 2, 0]
    assert data.manifest["id"].tolist() == ["cat", "dog.v2", "faces/01", "gone"]
    assert [bool(path) for path in data.manifest["path"]] == [True, True, True, False]
    assert data.images.ids.tolist() == ["cat", "dog.v2", "faces/01"]
    assert data.images["faces/01"].shape == (8, 8, 3)
    for pair in (["a.png", "a.jpg"], ["C:\\faces\\01.png", "C:\\houses\\01.png"]):
        events = pd.DataFrame({"onset": [1.0, 3.0], "stim_file": pair})
        with pytest.raises(ValueError, match="would have one id"):
            load_recordings({"a": folder / "ana.edf"}, events, tmp_path / "other", **plain)


def test_epochs_of_a_kind_of_channel(tmp_path):
    """A recording of MEG and EEG at once, in their units."""
    rng = np.random.default_rng(5)
    info = mne.create_info(["MEG0111", "MEG0112", "EEG001"], 500.0, ["mag", "grad", "eeg"], verbose=False)
    data = rng.standard_normal((3, 5000)) * [[1e-13], [1e-11], [1e-5]]
    raw = mne.io.RawArray(data, info, verbose=False)
    raw.save(tmp_path / "x_raw.fif", verbose=False)
    onsets = [1.0, 3.0]
    meg = load_recordings(
        {"x": tmp_path / "x_raw.fif"}, shown(onsets), tmp_path / "meg", datatype="meg", **plain
    )
    expected = by_hand(raw, onsets, picks=["MEG0111", "MEG0112"]) * np.array([1, 1e-2])[:, None]  # fT, fT/cm
    np.testing.assert_allclose(np.asarray(meg.X), expected, rtol=1e-4, atol=1e-3)
    eeg = load_recordings(
        {"x": tmp_path / "x_raw.fif"}, shown(onsets), tmp_path / "eeg", datatype="eeg", **plain
    )
    np.testing.assert_allclose(np.asarray(eeg.X), by_hand(raw, onsets), atol=1e-4)


def test_refusals(folder, tmp_path):
    ana, store = {"ana": folder / "ana.edf"}, tmp_path / "store"

    def load(files=ana, events=None, **more):
        load_recordings(files, shown() if events is None else events, store, **{**plain, **more})

    for message, call in {
        "files: there is no ": lambda: load({"ana": folder / "none.edf"}),
        "files must map each subject": lambda: load([folder / "ana.edf"]),
        r"files: the table lacks the columns \['subject'\]": lambda: load(
            pd.DataFrame({"file": ["ana.edf"]})
        ),
        "is the name of several recordings": lambda: load(
            pd.DataFrame({"file": [str(folder / "ana.edf")] * 2, "subject": "ana"})
        ),
        "events lacks the column 'stim_file'": lambda: load(
            events=pd.DataFrame({"onset": [1.0], "image": ["a"]})
        ),
        r"events of ana lacks the columns \['onset'\]": lambda: load(
            events=pd.DataFrame({"stim_file": ["a"]})
        ),
        "nothing tells which of 2 recordings": lambda: load(ana | {"ben": folder / "ana.set"}),
        "no row belongs to ana": lambda: load(events=shown(subject="ben")),
        "shows 'p0.jpg' and 'p1.jpg' at one time, 2 s": lambda: load(events=shown([2.0, 2.0])),
        "query: 'nothing > 1' cannot be asked": lambda: load(query="nothing > 1"),
        "none that is taken names a picture": lambda: load(query="onset > 1000"),
        "marks: ana has no trigger channel": lambda: load(events={1: "a.jpg"}),
        "marks must be texts of annotations, or whole": lambda: load(events={1: "a.jpg", "b": "b.jpg"}),
        "marks must be None where events is a mapping": lambda: load(events={1: "a.jpg"}, marks=1),
        "channels: ana lacks A1": lambda: load(channels=["A1"]),
        "has no channel of type": lambda: load(datatype="meg"),
        "sfreq: ana was recorded at 500 Hz, which holds nothing for 1000 Hz": lambda: load(sfreq=1000),
        "baseline must lie within the epoch": lambda: load(baseline=(-1, 0)),
        "band must be increasing": lambda: load(band=(40, 1)),
        "bads must be one of": lambda: load(bads="drop"),
        r"columns: \['run'\] are made by the loader": lambda: load(columns=["run"]),
        "images: .* is not a folder": lambda: load(images=tmp_path / "none"),
        "prepare must return the Raw of ana with all its samples": lambda: load(
            prepare=lambda raw: raw.crop(0, 9)
        ),
    }.items():
        with pytest.raises((ValueError, TypeError, FileNotFoundError), match=message):
            call()
    assert not store.exists()


def test_queries_know_numbers_from_text(folder, tmp_path):
    events = shown(
        trial_type=["go"] * 20 + ["stop"] * 7, rt=["n/a", *np.linspace(0.1, 1, 26).round(3).astype(str)]
    )
    query = "trial_type == 'go' and rt > 0.5"
    data = load_recordings({"ana": folder / "ana.edf"}, events, tmp_path / "store", query=query, **plain)
    rt = pd.to_numeric(events["rt"], errors="coerce")
    keep = (events["trial_type"] == "go") & (rt > 0.5)
    np.testing.assert_allclose(data.X.rows["onset"], ONSETS[keep])
    assert data.recordings["n_not_chosen"].tolist() == [int((~keep).sum())]


def test_an_interrupted_run_goes_on(tmp_path):
    for seed, name in enumerate("abc"):
        make_raw(seed, n_seconds=8).pick(EEG).save(tmp_path / f"{name}_raw.fif", verbose=False)
    files = {name: tmp_path / f"{name}_raw.fif" for name in "abc"}
    events = pd.concat([shown([1.0, 3.0], subject=name) for name in "abc"])
    read = []

    def stops_at_c(raw):
        read.append(raw.filenames[0].name)
        if len(read) == 3:
            raise KeyboardInterrupt
        return raw

    with pytest.raises(KeyboardInterrupt):
        load_recordings(files, events, tmp_path / "store", prepare=stops_at_c, **plain)
    with pytest.warns(UserWarning, match="is unfinished"):
        assert len(EpochsStore.open(tmp_path / "store")) == 4
    data = load_recordings(files, events, tmp_path / "store", prepare=stops_at_c, **plain)
    assert read == ["a_raw.fif", "b_raw.fif", "c_raw.fif", "c_raw.fif"]
    expected = [by_hand(make_raw(seed, n_seconds=8), [1.0, 3.0]) for seed in range(3)]
    np.testing.assert_allclose(np.asarray(data.X), np.concatenate(expected), atol=1e-4)


def test_rows_of_nobody_are_told(tmp_path):
    make_raw(0, n_seconds=8).pick(EEG).save(tmp_path / "a_raw.fif", verbose=False)
    events = pd.concat([shown([1.0, 3.0], subject="1"), shown([5.0], subject="01")])
    with pytest.warns(UserWarning, match="1 of 3 rows belong to none of the 1 recordings .*'01'"):
        data = load_recordings({1: tmp_path / "a_raw.fif"}, events, tmp_path / "store", **plain)
    assert len(data.X) == 2


def test_pictures_of_two_folders_on_another_computer(tmp_path):
    make_raw(0, n_seconds=8).pick(EEG).save(tmp_path / "a_raw.fif", verbose=False)
    events = shown([1.0, 3.0]).assign(stim_file=["C:/train/faces/01.png", "C:/test/faces/01.png"])
    with pytest.raises(ValueError, match="would have one id, '01'"):
        load_recordings({"ana": tmp_path / "a_raw.fif"}, events, tmp_path / "store", **plain)


def test_recordings_at_other_rates_come_to_one(tmp_path):
    """Two runs of one person; without a common rate they are refused, and the first stays."""
    raws = [make_raw(seed, n_seconds=10, sfreq=sfreq).pick(EEG) for seed, sfreq in ((0, 500.0), (1, 300.0))]
    for number, raw in enumerate(raws):
        raw.save(tmp_path / f"{number}_raw.fif", verbose=False)
    files = {"ana": [tmp_path / "0_raw.fif", tmp_path / "1_raw.fif"]}
    events = pd.concat([shown([1.0, 3.0], run="1"), shown([1.5, 4.0], run="2")])
    with pytest.raises(ValueError, match="at 300 Hz, and the store .* at 500 Hz"):
        load_recordings(files, events, tmp_path / "store", **plain)
    with pytest.warns(UserWarning, match="is unfinished"):
        assert len(EpochsStore.open(tmp_path / "store")) == 2
    data = load_recordings(files, events, tmp_path / "other", band=None, sfreq=100.0, tmax=0.8, verbose=0)
    assert data.X.shape == (4, 7, 101)
    for raw, rows, onsets in zip(raws, (slice(0, 2), slice(2, 4)), ([1.0, 3.0], [1.5, 4.0]), strict=True):
        whole = raw.copy().resample(100.0, method="polyphase", verbose=False)
        expected = by_hand(whole, onsets, tmax=0.8)
        found = np.asarray(data.X)[rows]
        assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.999  # a sample later: 0
        np.testing.assert_allclose(found.std(), expected.std(), rtol=0.01)
