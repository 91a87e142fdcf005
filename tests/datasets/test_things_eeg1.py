"""THINGS-EEG1 in miniature."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from skeegclip.datasets import load_things_eeg1

from .published import EEG, PLAIN, by_mne, make_raw
from .recorded import write_brainvision

STIMULI = ["aardvark_01b", "test_tube_03s", "baseball_bat_02s", "candelabra_13n", "test_tube_03s"]
ONSETS = np.array([524, 624, 724, 3000, 9000])  # ms


@pytest.fixture
def root(tmp_path):
    """Two people; the first, as in the data set, has neither the column of test pictures nor any of these."""
    for person, names in ((1, EEG), (49, ["X1", *EEG[::-1], "X2"])):
        folder = tmp_path / "ds003825" / f"sub-{person:02d}" / "eeg"
        folder.mkdir(parents=True)
        raw = make_raw(person, names, sfreq=1000.0)
        write_brainvision(folder / f"sub-{person:02d}_task-rsvp_eeg.vhdr", raw)
        folders = [name.rpartition("_")[0] for name in STIMULI]
        table = pd.DataFrame(
            {
                "onset": ONSETS,
                "duration": 50,
                "eventnumber": range(5),
                "object": folders,
                "stim": [
                    rf"stimuli\{folder}\{name}.jpg" for folder, name in zip(folders, STIMULI, strict=True)
                ],
                "istarget": [0, 1, 0, 0, 0],
            }
        )
        if person != 1:
            table["isteststim"] = [0, 0, 0, 1, 0]
        table.to_csv(folder / f"sub-{person:02d}_task-rsvp_events.tsv", sep="\t", index=False)
    return tmp_path / "ds003825"


def test_every_epoch_is_where_its_picture_was_shown(root, tmp_path):
    data = load_things_eeg1(root, tmp_path / "store", **PLAIN)
    expected = by_mne(make_raw(1, sfreq=1000.0), ONSETS / 1000, -0.1, 0.5)
    np.testing.assert_allclose(np.asarray(data.X)[:5], expected, atol=0.02)  # 16 bits of 0.01 uV
    # The other set-up: the channels of the first, by their names.
    other = by_mne(make_raw(49, ["X1", *EEG[::-1], "X2"], sfreq=1000.0).pick(EEG), ONSETS / 1000, -0.1, 0.5)
    assert data.X.ch_names == tuple(EEG)
    np.testing.assert_allclose(np.asarray(data.X)[5:], other, atol=0.02)


def test_rows(root, tmp_path):
    data = load_things_eeg1(root, tmp_path / "store", **PLAIN)
    assert data.y.tolist() == STIMULI * 2
    assert data.concept.tolist() == ["aardvark", "test_tube", "baseball_bat", "candelabra", "test_tube"] * 2
    assert data.split.tolist() == ["train"] * 5 + ["train", "train", "train", "test", "train"]
    assert data.subject.tolist() == ["sub-01"] * 5 + ["sub-49"] * 5
    assert data.repetition.tolist() == [0, 0, 0, 0, 1] * 2
    np.testing.assert_allclose(data.X.rows["onset"], np.tile(ONSETS / 1000, 2))
    assert data.X.rows["target"].tolist() == list("01000") * 2


def test_one_person_and_pictures(root, tmp_path):
    (root / "object_images" / "aardvark").mkdir(parents=True)
    Image.new("RGB", (4, 4), "red").save(root / "object_images" / "aardvark" / "aardvark_01b.jpg")
    data = load_things_eeg1(root, tmp_path / "store", subjects=49, channels=EEG, **PLAIN)
    assert set(data.subject) == {"sub-49"}
    assert data.images.ids.tolist() == ["aardvark_01b"]
    assert data.manifest["id"].tolist() == sorted(set(STIMULI))
    both = load_things_eeg1(root, tmp_path / "store", channels=EEG, **PLAIN)
    assert both.subject.tolist() == ["sub-49"] * 5 + ["sub-01"] * 5


def test_onsets_in_seconds_would_be_taken_as_such(root, tmp_path):
    file = root / "sub-01" / "eeg" / "sub-01_task-rsvp_events.tsv"
    table = pd.read_csv(file, sep="\t")
    table.assign(onset=table["onset"] / 1000, duration=0.05).to_csv(file, sep="\t", index=False)
    data = load_things_eeg1(root, tmp_path / "store", subjects=1, **PLAIN)
    np.testing.assert_allclose(data.X.rows["onset"], ONSETS / 1000)


def test_what_is_not_there_is_named(root, tmp_path):
    with pytest.raises(FileNotFoundError, match="sub-02 of THINGS-EEG1 not found"):
        load_things_eeg1(root, tmp_path / "store", subjects=[1, 2], **PLAIN)
    with pytest.raises(
        FileNotFoundError, match=r"recordings of THINGS-EEG1 .*such as sub-01/eeg/sub-01_task-rsvp_eeg\.vhdr"
    ):
        load_things_eeg1(tmp_path, tmp_path / "store", **PLAIN)
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        load_things_eeg1(tmp_path / "nowhere", tmp_path / "store", **PLAIN)
    (root / "sub-01" / "eeg" / "sub-01_task-rsvp_events.tsv").unlink()
    with pytest.raises(FileNotFoundError, match="sub-01_task-rsvp_events.tsv' is missing"):
        load_things_eeg1(root, tmp_path / "store", **PLAIN)
    assert not (tmp_path / "store").exists()
