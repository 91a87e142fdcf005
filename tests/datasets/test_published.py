"""What the loaders of published data sets share: links into an annex, types of channels, settings of a store."""

import hashlib
import os
import tempfile

import numpy as np
import pytest

from skeegclip import EpochsStore
from skeegclip.datasets import _preparing, load_nod

from .published import EEG, PLAIN, make_raw, write_channels
from .test_nod import ONSETS, write_nod


@pytest.fixture(scope="module")
def annexed(tmp_path_factory):
    """A data set as DataLad clones it: recordings are links that tell size and hash."""
    root = write_nod(tmp_path_factory.mktemp("nod"), "eeg")
    for file in sorted(root.rglob("*.set")):
        content = file.read_bytes()
        name = f"SHA256E-s{len(content)}--{hashlib.sha256(content).hexdigest()}.set"
        target = root / ".git" / "annex" / "objects" / "Aa" / "Bb" / name / name
        target.parent.mkdir(parents=True)
        file.rename(target)
        file.symlink_to(os.path.relpath(target, file.parent))
    return root


def test_links_are_followed_and_compared_with_what_they_tell(annexed, tmp_path):
    data = load_nod(annexed, tmp_path / "store", **PLAIN)
    assert len(data.X) == 12
    file = sorted(annexed.rglob("*_run-02_eeg.set"))[0]
    target = file.resolve()
    content = target.read_bytes()
    try:
        target.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(
            ValueError, match=r"run-02_eeg.set' is not what its publisher says: it has the sha256"
        ):
            load_nod(annexed, tmp_path / "other", **PLAIN)
        target.unlink()
        with pytest.raises(
            FileNotFoundError, match=r"run-02_eeg.set' is missing .or a link to what was not downloaded"
        ):
            load_nod(annexed, tmp_path / "third", **PLAIN)
        # What is in the store already is not looked for.
        np.testing.assert_array_equal(load_nod(annexed, tmp_path / "store", **PLAIN).X, data.X)
    finally:
        target.write_bytes(content)


def test_bad_channels_are_interpolated(annexed, tmp_path):
    data = load_nod(annexed, tmp_path / "store", **PLAIN)
    file = sorted(annexed.rglob("*_channels.tsv"))[0]
    content = file.read_bytes()
    try:
        write_channels(file, make_raw(0, [*EEG, "HEO"]), ["EEG"] * len(EEG) + ["EOG"], bads=["Fz"])
        mended = load_nod(annexed, tmp_path / "mended", **PLAIN)
    finally:
        file.write_bytes(content)
    assert mended.X.rows["bads"].tolist() == ["Fz"] * 3 + [""] * 9
    X, Y = np.asarray(data.X), np.asarray(mended.X)
    others = [0, 2, 3, 4]
    np.testing.assert_array_equal(X[:, others], Y[:, others])
    np.testing.assert_array_equal(X[3:], Y[3:])
    assert abs(X[:3, 1] - Y[:3, 1]).max() > 1


def test_settings_are_kept_and_compared(annexed, tmp_path):
    load_nod(annexed, tmp_path / "store", **PLAIN)
    with pytest.raises(ValueError, match=r"^tmax: the store .* was made with tmax=0\.5"):
        load_nod(annexed, tmp_path / "store", **(PLAIN | {"tmax": 0.6}))
    origins = EpochsStore.open(tmp_path / "store").origins
    assert [o["recording"] for o, _ in origins][:2] == [
        "sub-03_ses-ImageNet01_task-ImageNet_run-01", "sub-03_ses-ImageNet01_task-ImageNet_run-02",
    ]  # fmt: skip
    assert origins[0][0]["how"]["data"] == "NOD-EEG"
    assert [part.stop - part.start for _, part in origins] == [len(onsets) for onsets in ONSETS.values()] * 2


def test_filter_and_rate(annexed, tmp_path):
    data = load_nod(
        annexed, tmp_path / "store", sfreq=120.0, band=(1.0, 40.0), tmin=-0.2, tmax=0.8, verbose=0
    )
    assert (data.info["sfreq"], data.X.shape[2]) == (120.0, 121)
    np.testing.assert_allclose(data.times, np.arange(-24, 97) / 120)
    assert np.asarray(data.X).std() < np.asarray(load_nod(annexed, tmp_path / "plain", **PLAIN).X).std()


def test_many_epochs_are_kept_in_a_file_meanwhile(annexed, tmp_path, monkeypatch):
    whole = load_nod(annexed, tmp_path / "whole", **PLAIN)
    monkeypatch.setattr(_preparing, "_IN_MEMORY", 0)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    data = load_nod(annexed, tmp_path / "store", **PLAIN)
    np.testing.assert_array_equal(data.X, whole.X)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store", "whole"]


def test_parameters_are_checked(annexed, tmp_path):
    for wrong, name in (
        ({"dtype": "int8"}, "dtype"),
        ({"bads": "drop"}, "bads"),
        ({"images": "nowhere"}, "images"),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=name):
            load_nod(annexed, tmp_path / "store", **(PLAIN | wrong))
    assert not (tmp_path / "store").exists()
