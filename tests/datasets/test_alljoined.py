"""Alljoined in miniature."""

import json

import numpy as np
import pytest

from skeegclip.datasets import load_alljoined

from .published import (
    EEG,
    PLAIN,
    by_mne,
    make_raw,
    write_bdf,
    write_channels,
    write_design,
    write_image_list,
    write_markers,
    write_tsv,
)  # fmt: skip
from .recorded import write_edf

RATE = 256.0
SHOWN = {  # run -> (label, value, index, seconds)
    1: [("stim_test", 16540, 1, 0.45), ("stim_test", 16739, 2, 0.67), ("behav", 3, 3, 5.9), ("stim_test", 16541, 4, 6.3)],
    5: [("stim_train", 8705, 1, 0.51), ("behav", 3, 2, 2.0), ("stim_train", 0, 3, 3.33), ("oddball", 16745, 4, 4.0),
        ("stim_train", 16539, 5, 7.7), ("behav", 1, 6, 9.0)],
}  # fmt: skip


def raw_of(session, run):
    return make_raw(10 * session + run, sfreq=RATE)


def write_million(root, sessions=("01", "02")):
    for session in sessions:
        for run, marks in SHOWN.items():
            stem = f"sub-08_ses-{session}_task-images_run-{run:02d}"
            folder = root / "sub-08" / f"ses-{session}" / "eeg"
            folder.mkdir(parents=True, exist_ok=True)
            raw = raw_of(int(session[:2]), run)
            write_edf(folder / f"{stem}_eeg.edf", raw)
            write_channels(folder / f"{stem}_channels.tsv", raw)
            write_markers(root / "sourcedata" / folder.relative_to(root) / f"{stem}_recording.json", marks)
            # The published events: rounded to samples, without training pictures, counting from 1.
            known = [mark for mark in marks if mark[0] != "stim_train"]
            write_tsv(
                folder / f"{stem}_events.tsv",
                onset=[np.floor(seconds * RATE) / RATE for *_, seconds in known],
                duration=0.0,
                trial_type=[f"{label},{value},-1,{index}" for label, value, index, _ in known],
                value=range(1, len(known) + 1),
            )
    return root


def pictures_of(run):
    return [(value, seconds) for label, value, _, seconds in SHOWN[run] if label.startswith("stim")]


def test_pictures_come_from_the_marks_and_time_from_the_events(tmp_path):
    root = write_million(tmp_path / "nm000134", ("01", "02", "02old"))
    data = load_alljoined(root, tmp_path / "store", **PLAIN)
    assert len(data.X) == 12  # ses-02old is left out
    rows = data.X.rows
    assert rows["session"].tolist() == ["01"] * 6 + ["02"] * 6
    at = 0
    for session in (1, 2):
        for run in SHOWN:
            shown = pictures_of(run)
            part = slice(at, at + len(shown))
            at += len(shown)
            assert data.y[part].tolist() == [f"{value:05d}" for value, _ in shown]
            off = (rows["onset"][part] - [seconds for _, seconds in shown]) * RATE
            if run == 1:  # as the events have it, rounded down
                assert ((off <= 0) & (off > -1)).all()
            else:  # the start is the middle of what the events leave open
                assert np.abs(off).max() < 1
            expected = by_mne(raw_of(session, run), rows["onset"][part], -0.1, 0.5)
            np.testing.assert_allclose(np.asarray(data.X)[part], expected, atol=0.01)
    assert data.split.tolist() == (["test"] * 3 + ["train"] * 3) * 2
    assert data.repetition.tolist() == [0] * 6 + [1] * 6


def test_names_of_things_eeg2(tmp_path):
    root = write_million(tmp_path / "nm000134", ("01",))
    train = [(f"concept{n // 10:04d}", f"concept{n // 10:04d}_{n % 10:02d}b") for n in range(16540)]
    test = [(f"held{n:03d}", f"held{n:03d}_01b") for n in range(200)]
    write_image_list(tmp_path / "image_metadata.npy", train, test)
    data = load_alljoined(root, tmp_path / "store", images=tmp_path / "image_metadata.npy", **PLAIN)
    assert data.y.tolist() == [
        "held000_01b",
        "held199_01b",
        "held001_01b",
        train[8705][1],
        train[0][1],
        train[16539][1],
    ]
    assert data.concept.tolist() == [
        "held000",
        "held199",
        "held001",
        "concept0870",
        "concept0000",
        "concept1653",
    ]
    with pytest.raises(ValueError, match=r"^images: the store .* was made with images='by name'"):
        load_alljoined(root, tmp_path / "store", **PLAIN)


def test_marks_that_tell_another_time_are_refused(tmp_path):
    root = write_million(tmp_path / "nm000134", ("01",))
    file = root / "sourcedata/sub-08/ses-01/eeg/sub-08_ses-01_task-images_run-05_recording.json"
    content = json.loads(file.read_text())
    moved = dict(content["Markers"][5], startDatetime="2025-02-05T11:18:09.200000-08:00")
    file.write_text(json.dumps({"Markers": [*content["Markers"][:5], moved]}))
    with pytest.raises(
        ValueError, match="do not tell one start of the recording .3 marks are in both, 0.20. s apart"
    ):
        load_alljoined(root, tmp_path / "store", **PLAIN)
    file.write_text(
        json.dumps({"Markers": [mark for mark in content["Markers"] if mark["label"] == "stim_train"]})
    )
    with pytest.raises(ValueError, match="0 marks are in both"):
        load_alljoined(root, tmp_path / "store", **PLAIN)
    # Where the events have pictures, marks are not needed (as of sub-20, whose marks are of other times).
    write_markers(file.with_name(file.name.replace("run-05", "run-01")), [("behav", 3, 3, 77.0)])
    file.write_text(json.dumps(content))
    assert len(load_alljoined(root, tmp_path / "store", **PLAIN).X) == 6


def test_the_first_one_shows_pictures_of_nsd(tmp_path):
    root, onsets, values = tmp_path / "nm000133", [2.24, 3.05, 3.84], [99, 11, 960]
    for session in ("01", "02"):
        folder = root / "sub-02" / f"ses-{session}" / "eeg"
        folder.mkdir(parents=True)
        write_bdf(folder / f"sub-02_ses-{session}_task-images_eeg.bdf", make_raw(int(session), sfreq=512.0))
        trial_type = [f"image/{value}" for value in values]
        write_tsv(
            folder / f"sub-02_ses-{session}_task-images_events.tsv",
            onset=onsets, duration=0.0, trial_type=trial_type, value=values, sample=0,
        )  # fmt: skip
    write_channels(root / "task-images_channels.tsv", make_raw(0), bads=["Pz"])
    shared = np.arange(1000)[None] * 7 + 3
    own = np.stack([np.arange(10000) * 2 + 1, np.arange(10000) * 3 + 2])
    write_design(root / "code/1_preprocessing/final_dataset/nsd_expdesign.mat", shared, own)
    with pytest.warns(UserWarning, match="Pz of sub-02_ses-01_task-images are marked as bad"):
        data = load_alljoined(root, tmp_path / "store", bads="keep", **PLAIN)
    # Numbers count from 1 in the events and in NSD's design; ids from 0. Odd sessions: the second person's own.
    assert data.y.tolist() == [
        *(f"nsd{3 * (value - 1) + 2 - 1:05d}" for value in values),
        *(f"nsd{7 * (value - 1) + 3 - 1:05d}" for value in values),
    ]
    assert data.X.rows["shared"].tolist() == list("000111")
    assert set(data.X.rows["bads"]) == {"Pz"}
    expected = by_mne(make_raw(1, sfreq=512.0), onsets, -0.1, 0.5)
    np.testing.assert_allclose(np.asarray(data.X)[:3], expected, atol=1e-3)
    assert data.X.ch_names == tuple(EEG)
