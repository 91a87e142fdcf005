"""Loading THINGS-MEG from small files in the published formats."""

import builtins
import shutil

import mne
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from skeegclip.datasets import load_things_meg

quiet = {"verbose": 0}
N_CHANS, N_TIMES, SFREQ = 6, 281, 200.0
TIMES = -0.1 + np.arange(N_TIMES) / SFREQ
# Six concepts of three pictures; one more picture of the first two concepts is shown four times: the test set.
TRAIN = [
    f"{concept}_{k:02d}s" for concept in ("ant", "bee", "cow", "dog", "elk", "fox_terrier") for k in (1, 2, 3)
]
TEST = ["ant_14s", "bee_13n"]
NUMBERS = {name: number for number, name in enumerate(sorted(TRAIN + TEST), start=1)}


@pytest.fixture(scope="module")
def trials():
    """What is shown, in an order of presentation: sessions, runs, catch trials among them."""
    rng = np.random.default_rng(0)
    shown = rng.permutation(TRAIN + 4 * TEST + 4 * ["catch"]).tolist()
    path = {name: f"images_meg/{name.rpartition('_')[0]}/{name}.jpg" for name in TRAIN}
    path |= {name: f"images_test_meg/{name}.jpg" for name in TEST} | {"catch": "images_catch_meg/catch_7.jpg"}
    return pd.DataFrame(
        {
            "trial_type": ["catch" if n == "catch" else "test" if n in TEST else "exp" for n in shown],
            "session_nr": np.repeat([1, 2], 15),
            "run_nr": np.tile(np.repeat([1, 2, 3], 5), 2),
            "things_image_nr": [NUMBERS.get(n, np.nan) for n in shown],
            "image_path": [path[n] for n in shown],
            "name": shown,
        }
    )


@pytest.fixture(scope="module")
def scores():
    return np.random.default_rng(1).standard_normal((30, N_CHANS, N_TIMES)).astype(np.float32)


def write_epochs(path, trials, data, *, metadata=True, split_size="2GB", bads=()):
    """Write a file as the publishers do: z-scores where MNE expects tesla, catch trials as event 999999."""
    info = mne.create_info([f"M{k}" for k in range(data.shape[1])], SFREQ, "mag", verbose=False)
    codes = [NUMBERS.get(name, 999999) for name in trials["name"]]
    events = np.column_stack([1200 * np.arange(len(trials)), np.zeros(len(trials), int), codes])
    table = trials.drop(columns="name") if metadata else None
    epochs = mne.EpochsArray(data, info, events, tmin=-0.1, metadata=table, verbose=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    epochs.save(path, split_size=split_size, overwrite=True, verbose=False)


@pytest.fixture(scope="module")
def things_meg(trials, scores, tmp_path_factory):
    """Two subjects; the second saw the same in reverse."""
    folder = tmp_path_factory.mktemp("things-meg")
    place = folder / "derivatives" / "preprocessed"
    write_epochs(place / "preprocessed_P1-epo.fif", trials, scores)
    write_epochs(place / "preprocessed_P2-epo.fif", trials[::-1].reset_index(drop=True), scores[::-1])
    return folder


@pytest.fixture
def kept(trials):
    """Trials that must remain: no catch, no training picture of a test concept."""
    concept = trials["name"].str.rpartition("_")[0]
    test = trials["name"].isin(TEST)
    return np.flatnonzero((test | ~concept.isin(["ant", "bee"])) & (trials["name"] != "catch"))


def test_what_is_loaded_is_what_was_saved(things_meg, trials, scores, kept, tmp_path):
    data = load_things_meg(things_meg, store=tmp_path / "store", **quiet)
    assert data.X.shape == (2 * len(kept), N_CHANS, 201)
    first, second = data.X.select(subject="sub-01"), data.X.select(subject="sub-02")
    np.testing.assert_allclose(np.asarray(first), scores[kept][:, :, 20:221], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.asarray(second), scores[kept[::-1]][:, :, 20:221], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(data.times, np.linspace(0, 1, 201), atol=1e-9)
    rows = first.rows
    assert rows["stimulus"].tolist() == trials["name"].iloc[kept].tolist()
    assert rows["session"].tolist() == trials["session_nr"].iloc[kept].astype(str).tolist()
    assert rows["run"].tolist() == trials["run_nr"].iloc[kept].astype(str).tolist()
    assert data.X.sfreq == 200
    assert data.X.info.get_channel_types() == ["mag"] * N_CHANS


def test_the_split_shares_no_concept(things_meg, tmp_path):
    data = load_things_meg(things_meg, subjects=1, store=tmp_path / "store", **quiet)
    train, test = data.split == "train", data.split == "test"
    assert set(data.y[test]) == set(TEST)
    assert set(data.concept[test]) == {"ant", "bee"}
    assert set(data.concept[train]) == {"cow", "dog", "elk", "fox_terrier"}
    assert train.sum() == 12
    assert sorted(data.repetition[data.y == "ant_14s"]) == [0, 1, 2, 3]
    assert (data.repetition[train] == 0).all()
    assert data.manifest["id"].tolist() == sorted(data.y[train]) + sorted(TEST)
    assert data.images is None


def test_parts_are_read_without_metadata_by_number(trials, scores, kept, tmp_path):
    scores = np.tile(scores, (1, 16, 1))  # MNE splits files of at least a megabyte
    write_epochs(tmp_path / "preprocessed_P1-epo.fif", trials, scores, metadata=False, split_size="1.3MB")
    assert (tmp_path / "preprocessed_P1-epo-3.fif").is_file()
    with pytest.raises(
        ValueError, match="has no metadata with a column 'image_path'. Pass images= the file image_paths.csv"
    ):
        load_things_meg(tmp_path, **quiet)
    listed = "\n".join(f"{name.rpartition('_')[0]}/{name}.jpg" for name in sorted(TRAIN + TEST))
    (tmp_path / "image_paths.csv").write_text(listed)
    data = load_things_meg(tmp_path, images=tmp_path / "image_paths.csv", **quiet)
    assert data.y.tolist() == trials["name"].iloc[kept].tolist()
    np.testing.assert_allclose(np.asarray(data.X), scores[kept][:, :, 20:221], rtol=1e-5, atol=1e-6)
    assert set(data.X.rows["session"]) == {""}


def test_tesla_become_femtotesla(trials, scores, kept, tmp_path):
    write_epochs(tmp_path / "preprocessed_P1-epo.fif", trials, 1e-13 * scores)
    data = load_things_meg(tmp_path, **quiet)
    np.testing.assert_allclose(np.asarray(data.X), 100 * scores[kept][:, :, 20:221], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("unit", [1.0, 1e-13], ids=["z-scores", "tesla"])
def test_a_recording_is_read_as_mne_reads_it(trials, kept, tmp_path, unit):
    """With reference sensors, other channels and a projector that is not applied, in parts."""
    kinds = ["ref_meg", "mag", "misc", "mag", "eog", "mag", "mag", "stim"]
    info = mne.create_info([f"C{k}" for k in range(8)], SFREQ, kinds, verbose=False)
    mags = [name for name, kind in zip(info["ch_names"], kinds, strict=True) if kind == "mag"]
    vector = {"nrow": 1, "ncol": 4, "row_names": None, "col_names": mags, "data": np.full((1, 4), 0.5)}
    with info._unlock():
        info["projs"] = [mne.Projection(active=False, data=vector, desc="PCA-v1", kind=1)]
    rng = np.random.default_rng(4)
    data = unit * (rng.standard_normal((len(trials), 8, N_TIMES)) + 0.3)
    codes = [NUMBERS.get(name, 999999) for name in trials["name"]]
    events = np.column_stack([1200 * np.arange(len(trials)), np.zeros(len(trials), int), codes])
    table = trials.drop(columns="name")
    epochs = mne.EpochsArray(data, info, events, -0.1, metadata=table, proj=False, verbose=False)
    path = tmp_path / "preprocessed_P1-epo.fif"
    epochs.save(path, verbose=False)
    loaded = load_things_meg(tmp_path, window=(-0.05, 0.6), **quiet)
    read = mne.read_epochs(path, verbose=False)[kept].crop(-0.05, 0.6)
    expected = read.get_data("mag", units="T" if unit == 1 else "fT")
    np.testing.assert_allclose(np.asarray(loaded.X), expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    assert np.abs(expected - data[kept][:, [1, 3, 5, 6], 10:141] * (1 if unit == 1 else 1e15)).max() > 0.1
    np.testing.assert_allclose(loaded.times, read.times, atol=1e-12)
    assert loaded.info["projs"][0]["active"]  # the data say what was done to them
    assert loaded.X.ch_names == tuple(mags)
    pd.testing.assert_series_equal(
        loaded.X.rows["run"], read.metadata["run_nr"].astype(str).reset_index(drop=True), check_names=False
    )


def test_window(things_meg, scores, kept, tmp_path):
    data = load_things_meg(things_meg, subjects=1, window=(-0.1, 0.05), store=tmp_path / "store", **quiet)
    np.testing.assert_allclose(data.times, TIMES[:31], atol=1e-9)
    np.testing.assert_allclose(data.X[3], scores[kept[3]][:, :31], rtol=1e-5, atol=1e-6)
    with pytest.raises(
        ValueError, match="window: no time of .* lies in .2, 3.; its epochs span -0.1 to 1.3 s"
    ):
        load_things_meg(things_meg, subjects=1, window=(2, 3), store=tmp_path / "other", **quiet)


def test_pictures_of_things(things_meg, tmp_path):
    for name in TRAIN + TEST:
        (tmp_path / "things" / name.rpartition("_")[0]).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), "red").save(tmp_path / "things" / name.rpartition("_")[0] / f"{name}.jpg")
    data = load_things_meg(things_meg, images=tmp_path / "things", store=tmp_path / "store", **quiet)
    assert data.images.ids.tolist() == data.manifest["id"].tolist()
    assert data.images["ant_14s"].shape == (8, 8, 3)


def test_later_opens_need_the_store_alone(things_meg, tmp_path):
    shutil.copytree(things_meg, tmp_path / "mine")
    before = load_things_meg(tmp_path / "mine", **quiet)
    shutil.rmtree(tmp_path / "mine" / "derivatives")
    after = load_things_meg(tmp_path / "mine", subjects=2, **quiet)
    assert after.y.tolist() == before.y[before.subject == "sub-02"].tolist()


def test_errors(things_meg, trials, scores, tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"recordings not found in .*\n.*\n    derivatives/preprocessed/ "
    ):
        load_things_meg(tmp_path, **quiet)
    with pytest.raises(FileNotFoundError, match="sub-03 not found"):
        load_things_meg(things_meg, subjects=[1, 3], store=tmp_path / "store", **quiet)
    with pytest.raises(FileNotFoundError, match="images: .* does not exist"):
        load_things_meg(things_meg, images=tmp_path / "none", **quiet)
    with pytest.raises(ValueError, match="source must be one of 'epochs', 'bids'"):
        load_things_meg(things_meg, source="raw", **quiet)
    (tmp_path / "preprocessed_P1-epo.fif").write_bytes(b"not a fif file" * 100)
    with pytest.raises(ValueError, match="or a part of it is missing or damaged"):
        load_things_meg(tmp_path, **quiet)
    write_epochs(tmp_path / "preprocessed_P1-epo.fif", trials, scores, metadata=False)
    (tmp_path / "list.csv").write_text("ant/ant_01s.jpg\n")
    with pytest.raises(ValueError, match="shows picture number 20, but images= lists 1 pictures"):
        load_things_meg(tmp_path, images=tmp_path / "list.csv", **quiet)
    (tmp_path / "list.csv").write_text("1,2\n")
    with pytest.raises(ValueError, match="must list one picture a line"):
        load_things_meg(tmp_path, images=tmp_path / "list.csv", **quiet)


# -- BIDS ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bids(trials, tmp_path_factory):
    """The same trials as raw recordings: noise with a step after each picture, at 1200 Hz."""
    mne_bids = pytest.importorskip("mne_bids")
    root = tmp_path_factory.mktemp("ds004212")
    names = ["MLF1", "MRO11-1609", "MLF2", "MLF3", "UPPT001"]
    info = mne.create_info(names, 1200.0, ["mag"] * 4 + ["stim"], verbose=False)
    info["line_freq"] = 60
    rng = np.random.default_rng(2)
    raws = {}
    for (session, run), some in trials.groupby(["session_nr", "run_nr"]):
        onsets = 600 + 2000 * np.arange(len(some))
        data = 1e-13 * rng.standard_normal((5, 2000 * len(some) + 1500))
        data[4] = 0
        raw = mne.io.RawArray(data, info, first_samp=700, verbose=False)  # as where a recording was cut
        raw.set_meas_date(1_500_000_000.0)
        vector = {
            "nrow": 1,
            "ncol": 2,
            "row_names": None,
            "col_names": ["MLF1", "MLF2"],
            "data": np.full((1, 2), 0.7),
        }
        raw.add_proj(mne.Projection(active=False, data=vector, desc="PCA-v1", kind=1), verbose=False)
        events = np.column_stack([onsets + 700, np.zeros_like(onsets), np.full_like(onsets, 64)])
        place = mne_bids.BIDSPath(
            subject="BIGMEG1",
            session=f"{session:02d}",
            task="main",
            run=f"{run:02d}",
            datatype="meg",
            root=root,
        )
        mne_bids.write_raw_bids(
            raw,
            place,
            events=events,
            event_id={"picture": 64},
            allow_preload=True,
            format="FIF",
            verbose="ERROR",
        )
        raws[session, run] = raw, onsets
    (root / "sourcedata").mkdir()
    trials.drop(columns="name").to_csv(root / "sourcedata" / "sample_attributes_P1.csv", index=False)
    return root, raws


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
def test_raw_recordings_in_bids(bids, trials, kept, tmp_path):
    root, raws = bids
    data = load_things_meg(root, source="bids", store=tmp_path / "store", **quiet)
    assert data.y.tolist() == trials["name"].iloc[kept].tolist()
    assert data.X.ch_names == ("MLF1", "MLF2", "MLF3")  # the broken one is left out
    assert data.X.sfreq == 200
    assert data.X.shape[2] == 201
    # The recipe written out, on one trial of the second session.
    number = int(np.flatnonzero(trials["session_nr"].iloc[kept] == 2)[0])
    trial = trials.iloc[kept[number]]
    raw, onsets = raws[trial["session_nr"], trial["run_nr"]]
    here = trials[(trials["session_nr"] == trial["session_nr"]) & (trials["run_nr"] == trial["run_nr"])]
    onset = onsets[here.index.get_loc(kept[number])]
    filtered = raw.copy().pick(["MLF1", "MLF2", "MLF3"]).filter(0.1, 40, verbose=False).get_data()
    epoch = filtered[:, onset - 120 : onset + 1561]
    before = epoch[:, :121]
    epoch = (epoch - before.mean(axis=1, keepdims=True)) / before.std(axis=1, keepdims=True)
    np.testing.assert_allclose(data.X[number], epoch[:, 120:1321:6], rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
def test_trials_are_where_mne_bids_finds_them(bids, trials, kept, tmp_path):
    mne_bids = pytest.importorskip("mne_bids")
    root, _ = bids
    found = []
    for session, run in sorted({*zip(trials["session_nr"], trials["run_nr"], strict=True)}):
        place = mne_bids.BIDSPath(
            "BIGMEG1", f"{session:02d}", "main", run=f"{run:02d}", datatype="meg", root=root
        )
        raw = mne_bids.read_raw_bids(place, verbose="ERROR").load_data(verbose="ERROR")
        events, codes = mne.events_from_annotations(raw, verbose="ERROR")
        raw.pick(["MLF1", "MLF2", "MLF3"]).filter(0.1, 40, verbose="ERROR")
        cut = {
            "tmin": -0.1,
            "tmax": 1.3,
            "baseline": None,
            "proj": False,
            "preload": True,
            "verbose": "ERROR",
        }
        whole = mne.Epochs(raw, events, codes["picture"], **cut).crop(tmax=0).get_data()
        thin = mne.Epochs(raw, events, codes["picture"], decim=6, **cut)
        mean, std = whole.mean(axis=2, keepdims=True), whole.std(axis=2, keepdims=True)
        found.append((thin.crop(0, 1).get_data() - mean) / std)
    data = load_things_meg(root, source="bids", store=tmp_path / "store", **quiet)
    np.testing.assert_allclose(np.asarray(data.X), np.concatenate(found)[kept], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(data.times, thin.times, atol=1e-9)


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
def test_bids_data_sets_that_do_not_fit(bids, trials, tmp_path):
    root, _ = bids
    shutil.copytree(root, tmp_path / "mine")
    table = tmp_path / "mine" / "sourcedata" / "sample_attributes_P1.csv"
    trials.iloc[1:].to_csv(table, index=False)
    with pytest.raises(ValueError, match="its events file has 5 trials, but sample_attributes lists 4"):
        load_things_meg(tmp_path / "mine", source="bids", **quiet)
    trials.drop(columns="image_path").to_csv(table, index=False)
    with pytest.raises(ValueError, match=r"lacks the columns \['image_path'\]"):
        load_things_meg(tmp_path / "mine", source="bids", **quiet)
    table.unlink()
    with pytest.raises(FileNotFoundError, match="which tells what was shown, is missing"):
        load_things_meg(tmp_path / "mine", source="bids", **quiet)
    assert not (tmp_path / "mine" / "skeegclip-float32").exists()


def test_bids_without_mne_bids(tmp_path, monkeypatch):
    (tmp_path / "sub-BIGMEG1").mkdir()
    real = builtins.__import__

    def hidden(name, *args, **kwargs):
        if name == "mne_bids":
            raise ImportError("hidden")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", hidden)
    with pytest.raises(
        ImportError, match="with the package mne-bids, which is not installed. Run `pip install mne-bids`"
    ):
        load_things_meg(tmp_path, source="bids", **quiet)
