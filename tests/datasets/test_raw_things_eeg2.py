"""The recipe from raw recordings, on small ones whose every epoch is known."""

import os
import pickle
import shutil

import numpy as np
import pandas as pd
import pytest
import scipy.linalg
from sklearn.discriminant_analysis import _cov

from skeegclip import EpochsStore
from skeegclip.datasets import preprocess_things_eeg2
from skeegclip.epochs.sites import THINGS_EEG_CHANNELS

SFREQ = 1000
N_TRAIN, N_TEST = 4, 2  # pictures
quiet = {"verbose": 0}


def response(picture, times):
    """A response that resampling must not change: slow, and 0 at both ends of the epoch (in microvolts)."""
    window = np.sin(np.pi * np.clip((times + 0.2) / 1.2, 0, 1)) ** 4
    channel = np.linspace(-1, 1, len(THINGS_EEG_CHANNELS))[:, None]
    return window * (
        20 * np.sin(2 * np.pi * 5 * times) * channel
        + 5 * picture * np.cos(2 * np.pi * 3 * times) * channel**2
    )


def write_session(folder, split, pictures, rng, *, noise=0.0, change=None):
    """Write a raw file: volts, channels in another order, one of them not wanted, targets among the pictures."""
    spacing = 1600
    order = rng.permutation(len(THINGS_EEG_CHANNELS))
    data = 1e-6 * noise * rng.standard_normal((len(order) + 2, spacing * (len(pictures) + 2)))
    data[-1] = 0
    times = np.arange(-200, 1001) / SFREQ
    onsets = spacing * (1 + np.arange(len(pictures)))
    for onset, picture in zip(onsets, pictures, strict=True):
        data[-1, onset] = picture
        if picture != 99999:
            part = slice(onset - 200, onset + 1001)
            data[: len(order), part] += 1e-6 * response(picture, times)[order]
            data[: len(order), part] += 1e-6 * 100  # an offset, which the baseline takes away
    content = {
        "raw_eeg_data": data,
        "ch_names": [*np.array(THINGS_EEG_CHANNELS)[order].tolist(), "ECG", "stim"],
        "ch_types": ["eeg"] * len(order) + ["eeg", "stim"],
        "sfreq": SFREQ,
        "highpass": 0.01,
        "lowpass": 100,
    }
    if change is not None:
        change(content)
    folder.mkdir(parents=True, exist_ok=True)
    name = {"train": "raw_eeg_training.npy", "test": "raw_eeg_test.npy"}[split]
    np.save(folder / name, content, allow_pickle=True)
    return onsets / SFREQ


TRAIN = {"01": [3, 1, 99999, 2, 1, 3, 2], "02": [4, 4, 1, 99999, 1, 3, 3]}
TEST = {"01": [2, 1, 2], "02": [1, 1, 2]}


@pytest.fixture(scope="module")
def quiet_raw(tmp_path_factory):
    """Two sessions without noise."""
    folder = tmp_path_factory.mktemp("raw")
    rng = np.random.default_rng(0)
    for session in TRAIN:
        for split, shown in (("train", TRAIN), ("test", TEST)):
            write_session(folder / "sub-01" / f"ses-{session}", split, shown[session], rng)
    return folder


@pytest.fixture(scope="module")
def noisy_raw(tmp_path_factory):
    """One session with noise."""
    folder = tmp_path_factory.mktemp("raw")
    rng = np.random.default_rng(1)
    write_session(folder / "sub-02" / "ses-01", "train", [1, 2, 2, 1, 3, 3], rng, noise=10)
    write_session(folder / "sub-02" / "ses-01", "test", [1, 2], rng, noise=10)
    return folder


@pytest.fixture
def names(tmp_path):
    """A list of pictures."""
    rows = [
        ("train", f"{k // 2 + 1:05d}_thing{k // 2}", f"thing{k // 2}_{k:02d}.jpg") for k in range(N_TRAIN)
    ]
    rows += [("test", f"{k + 1:05d}_test{k}", f"test{k}_01.jpg") for k in range(N_TEST)]
    pd.DataFrame(rows, columns=["split", "concept", "file"]).to_csv(tmp_path / "names.csv", index=False)
    return tmp_path / "names.csv"


def test_epochs_are_the_responses_planted(quiet_raw, names, tmp_path):
    store = preprocess_things_eeg2(quiet_raw, tmp_path / "store", images=names, mvnn=None, **quiet)
    view = store.view()
    assert view.ch_names == THINGS_EEG_CHANNELS
    assert view.sfreq == 250
    np.testing.assert_allclose(view.times, np.arange(250) / 250, atol=1e-9)
    rows = view.rows
    number = {f"thing{k // 2}_{k:02d}": k + 1 for k in range(N_TRAIN)} | {
        f"test{k}_01": k + 1 for k in range(N_TEST)
    }
    before = np.arange(-200, 1) / SFREQ
    # MNE makes 300 samples of 1201, not of 1200, so that the end of an epoch comes 0.8 ms late.
    times = -0.2 + np.arange(50, 300) * 1.201 / 300
    for epoch, stimulus in zip(np.asarray(view), rows["stimulus"], strict=True):
        picture = number[stimulus]
        expected = response(picture, times) - response(picture, before).mean(axis=1, keepdims=True)
        np.testing.assert_allclose(epoch, expected, atol=0.5)


def test_rows_tell_what_when_and_how_often(quiet_raw, names, tmp_path):
    rows = preprocess_things_eeg2(quiet_raw, tmp_path / "store", images=names, mvnn=None, **quiet).view().rows
    first = rows[(rows["session"] == "01") & (rows["split"] == "train")]
    assert first["stimulus"].tolist() == ["thing0_00"] * 2 + ["thing0_01"] * 2 + ["thing1_02"] * 2
    assert first["concept"].tolist() == ["thing0"] * 4 + ["thing1"] * 2
    assert first["repetition"].tolist() == [0, 1] * 3
    np.testing.assert_allclose(first["onset"], [3.2, 8.0, 6.4, 11.2, 1.6, 9.6])
    second = rows[(rows["session"] == "02") & (rows["split"] == "train")]
    assert second["stimulus"].tolist() == ["thing0_00"] * 2 + ["thing1_02"] * 2 + ["thing1_03"] * 2
    assert second["repetition"].tolist() == [2, 3, 2, 3, 0, 1]
    test = rows[rows["split"] == "test"]
    assert test.groupby("stimulus")["repetition"].apply(list).to_dict() == {
        "test0_01": [0, 1, 2],
        "test1_01": [0, 1, 2],
    }
    assert (rows["subject"] == "sub-01").all()


@pytest.mark.parametrize("mode", ["epoch", pytest.param("time", marks=pytest.mark.slow)])
def test_whitening_is_learned_from_the_training_epochs_of_the_session(mode, noisy_raw, tmp_path):
    options = {"images": "numbered", **quiet}
    plain = preprocess_things_eeg2(noisy_raw, tmp_path / "plain", mvnn=None, **options).view()
    white = preprocess_things_eeg2(noisy_raw, tmp_path / "white", mvnn=mode, **options).view()
    X = np.asarray(plain.select(split="train"), dtype=np.float64)
    pictures = plain.select(split="train").stimulus
    covariances = []
    for picture in np.unique(pictures):
        data = X[pictures == picture]
        samples = (
            [epoch.T for epoch in data] if mode == "epoch" else [data[:, :, t] for t in range(data.shape[2])]
        )
        covariances.append(np.mean([_cov(s, shrinkage="auto") for s in samples], axis=0))
    whitener = scipy.linalg.fractional_matrix_power(np.mean(covariances, axis=0), -0.5)
    np.testing.assert_allclose(np.asarray(white), whitener @ np.asarray(plain), rtol=1e-3, atol=1e-3)
    assert white.stimulus[[0, -1]].tolist() == ["train_00001", "test_00002"]


def test_more_repetitions_than_the_design_are_drawn(tmp_path):
    rng = np.random.default_rng(2)
    write_session(tmp_path / "sub-01" / "ses-01", "train", [1, 1, 1, 1, 2], rng)
    write_session(tmp_path / "sub-01" / "ses-01", "test", [1], rng)
    options = {"images": "numbered", "mvnn": None, **quiet}
    onsets = []
    for seed in (0, 0, 1, 2, 3):
        store = preprocess_things_eeg2(
            tmp_path, tmp_path / f"store-{len(onsets)}", random_state=seed, **options
        )
        train = store.view().select(split="train").rows
        assert train["stimulus"].tolist() == ["train_00001", "train_00001", "train_00002"]
        onsets.append(tuple(train["onset"]))
    assert onsets[0] == onsets[1]
    assert len(set(onsets)) > 1
    assert all(first < second for first, second, _ in onsets)


def test_an_interrupted_run_goes_on(quiet_raw, names, tmp_path, monkeypatch):
    import skeegclip.datasets.raw_things_eeg2 as recipe

    whole = preprocess_things_eeg2(quiet_raw, tmp_path / "whole", images=names, mvnn=None, **quiet).view()
    original, calls = recipe.epoch_file, []

    def stopped(path, *args):
        calls.append(path)
        if "ses-02" in str(path):
            raise KeyboardInterrupt
        return original(path, *args)

    monkeypatch.setattr(recipe, "epoch_file", stopped)
    with pytest.raises(KeyboardInterrupt):
        preprocess_things_eeg2(quiet_raw, tmp_path / "store", images=names, mvnn=None, **quiet)
    with pytest.warns(UserWarning, match="is unfinished: 1 more recording"):
        EpochsStore.open(tmp_path / "store")
    monkeypatch.setattr(recipe, "epoch_file", lambda path, *args: calls.append(path) or original(path, *args))
    calls.clear()
    again = preprocess_things_eeg2(quiet_raw, tmp_path / "store", images=names, mvnn=None, **quiet).view()
    assert {path.parent.name for path in calls} == {"ses-02"}
    EpochsStore.open(tmp_path / "store")  # a warning would be an error
    np.testing.assert_array_equal(np.asarray(again), np.asarray(whole))
    pd.testing.assert_frame_equal(again.rows, whole.rows)


def test_other_epochs(quiet_raw, names, tmp_path):
    options = {"images": names, "mvnn": None, **quiet}
    store = preprocess_things_eeg2(
        quiet_raw, tmp_path / "a", tmax=0.8, sfreq=100, window=(-0.2, 0.8), **options
    )
    assert store.view().shape == (18, 63, 100)
    np.testing.assert_allclose(store.view().tmin, -0.2)
    fast = preprocess_things_eeg2(quiet_raw, tmp_path / "b", sfreq=1000, dtype="float16", **options)
    assert fast.view().shape == (18, 63, 1000)


def test_the_folder_that_fetching_makes(quiet_raw, names, tmp_path, capsys):
    shutil.copytree(quiet_raw, tmp_path / "things" / "raw_data")
    store = preprocess_things_eeg2(
        tmp_path / "things", tmp_path / "store", subjects=1, images=names, mvnn=None
    )
    assert len(store) == 18
    assert "sub-01 ses-01" in capsys.readouterr().err


# -- errors -------------------------------------------------------------------------------------------


def test_missing_files_show_the_layout(quiet_raw, tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"recordings not found in .*\n.*\n    sub-01/\n        ses-01/"
    ):
        preprocess_things_eeg2(tmp_path, tmp_path / "store", **quiet)
    with pytest.raises(FileNotFoundError, match="sub-03 not found"):
        preprocess_things_eeg2(quiet_raw, tmp_path / "store", subjects=[1, 3], **quiet)
    with pytest.raises(FileNotFoundError, match='images="numbered" to make ids of numbers'):
        preprocess_things_eeg2(quiet_raw, tmp_path / "store", **quiet)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda c: c.pop("sfreq"), "lacks sfreq; it holds 'raw_eeg_data'"),
        (lambda c: c.update(ch_names=["EEG"] * 64 + ["stim"]), "lacks the channels Fp1, Fp2"),
        (lambda c: c["raw_eeg_data"].__setitem__(-1, 0), "has no event of a picture"),
        (lambda c: c["raw_eeg_data"].__setitem__((-1, 20), 1), "1 pictures were shown too near to an end"),
        (
            lambda c: c["raw_eeg_data"].__setitem__((-1, 1600), 201),
            "shows picture 201, but there are 200 test pictures",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:Channel names are not unique:RuntimeWarning")
def test_raw_files_that_do_not_fit(change, match, tmp_path):
    rng = np.random.default_rng(3)
    write_session(tmp_path / "sub-01" / "ses-01", "train", [1, 1], rng)
    write_session(tmp_path / "sub-01" / "ses-01", "test", [1, 2], rng, change=change)
    with pytest.raises(ValueError, match=match):
        preprocess_things_eeg2(tmp_path, tmp_path / "store", images="numbered", **quiet)
    assert not (tmp_path / "store").exists()


def test_attacks_are_refused(quiet_raw, tmp_path):
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'canary'}",)

    shutil.copytree(quiet_raw, tmp_path / "raw")
    (tmp_path / "raw" / "sub-01" / "ses-01" / "raw_eeg_test.npy").write_bytes(pickle.dumps({"sfreq": Evil()}))
    with pytest.raises(ValueError, match="is refused: it asks for"):
        preprocess_things_eeg2(tmp_path / "raw", tmp_path / "store", images="numbered", **quiet)
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"mvnn": "epochs"}, "mvnn must be one of 'epoch', 'time', None"),
        ({"dtype": "int16"}, "dtype must be one of"),
        ({"tmin": 0.1}, "tmin must lie in"),
        ({"sfreq": 0}, "sfreq must lie in"),
        ({"window": (3, 4)}, r"window: no time lies in \(3, 4\); epochs span -0.2 to 0.996"),
    ],
)
def test_bad_parameters(options, match, quiet_raw, tmp_path):
    with pytest.raises(ValueError, match=match):
        preprocess_things_eeg2(quiet_raw, tmp_path / "store", images="numbered", **quiet, **options)
