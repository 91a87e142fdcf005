"""Loading THINGS-EEG2: the published files in, the simulated recording out."""

import os
import pickle
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import Ridge

from skeegclip import EpochsStore, EpochsView, ImageRetriever
from skeegclip.datasets import load_things_eeg2
from skeegclip.datasets._eeg2_files import subject_name
from skeegclip.datasets._manifest import find_manifest

quiet = {"verbose": 0}


@pytest.fixture
def load(things_eeg2, tmp_path):
    """Load the miniature into a store of the test's own."""
    return lambda **options: load_things_eeg2(
        things_eeg2, **{"store": tmp_path / "store", **quiet, **options}
    )


def test_what_is_loaded_is_what_was_recorded(load, simulated):
    data = load()
    assert isinstance(data.X, EpochsView)
    order = np.lexsort([simulated.split != "train", simulated.subject])  # stable: subject, training first
    np.testing.assert_array_equal(np.asarray(data.X), simulated.X[order])
    for name in ("y", "concept", "split", "subject", "repetition"):
        np.testing.assert_array_equal(data[name], simulated[name][order])
    np.testing.assert_allclose(data.times, np.arange(250) / 250)
    assert data.X.sfreq == 250
    assert list(data.X.ch_names) == simulated.info["ch_names"]
    positions = [ch["loc"][:3] for ch in data.info["chs"]]
    np.testing.assert_allclose(positions, [ch["loc"][:3] for ch in simulated.info["chs"]], atol=1e-6)


def test_pictures_and_features_come_along(load, simulated):
    data = load()
    assert data.manifest.columns.tolist() == ["id", "concept", "split", "path"]
    assert data.manifest["id"].tolist() == simulated.images.ids.tolist()
    assert data.images.ids.tolist() == simulated.images.ids.tolist()
    assert (
        np.abs(
            data.images["large_pink_wavy_cross_on_green_01"].astype(int)
            - simulated.images["large_pink_wavy_cross_on_green_01"]
        ).mean()
        < 10
    )
    np.testing.assert_allclose(data.image_embeddings.vectors, simulated.image_embeddings.normalized().vectors)
    assert data.image_embeddings.meta == {
        "source": "ViT-H-14_features_train.pt",
        "model": "ViT-H-14",
        "normalized": True,
    }
    assert data.text_embeddings.ids.tolist() == list(dict.fromkeys(simulated.concept.tolist()))
    np.testing.assert_allclose(
        data.text_embeddings.lookup(data.concept[:1]),
        simulated.text_embeddings.normalized().lookup(data.concept[:1]),
    )


def test_later_opens_read_the_store_alone(load, monkeypatch):
    first = load()
    monkeypatch.setattr("skeegclip.datasets._convert.read_recording", lambda path: pytest.fail("read again"))
    again = load()
    np.testing.assert_array_equal(np.asarray(again.X[::50]), np.asarray(first.X[::50]))
    assert load(subjects="sub-02").X.subject.tolist() == ["sub-02"] * 260


def test_subjects_are_converted_as_they_are_asked_for(load, tmp_path, capsys):
    assert set(load(subjects=2).subject) == {"sub-02"}
    assert len(EpochsStore.open(tmp_path / "store")) == 260
    both = load(subjects=["01", "sub-02"], verbose=1)
    assert "Converting sub-01" in capsys.readouterr().err
    assert set(both.subject) == {"sub-01", "sub-02"}
    assert set(load().subject) == {"sub-01", "sub-02"}


def test_the_pickles_may_go_once_they_are_converted(things_eeg2, tmp_path):
    folder = tmp_path / "mine"
    shutil.copytree(things_eeg2, folder)
    before = load_things_eeg2(folder, **quiet)
    shutil.rmtree(folder / "Preprocessed_data_250Hz")
    shutil.rmtree(folder / "image_set")
    after = load_things_eeg2(folder, **quiet)
    assert after.y.tolist() == before.y.tolist()
    assert after.images is None
    assert after.manifest["id"].tolist() == before.manifest["id"].tolist()
    np.testing.assert_array_equal(after.image_embeddings.vectors, before.image_embeddings.vectors)
    with pytest.raises(FileNotFoundError, match="sub-03 not found in"):
        load_things_eeg2(folder, subjects=3, **quiet)


def test_another_process_was_quicker(load, monkeypatch, tmp_path):
    from skeegclip.datasets import things_eeg2

    load()
    answers = iter([None])  # what this process saw before the other one wrote
    real = things_eeg2.stored_view
    monkeypatch.setattr(things_eeg2, "stored_view", lambda path: next(answers, real(path)))
    assert load(subjects=2).X.shape[0] == 260
    assert len(EpochsStore.open(tmp_path / "store")) == 520


def test_float16_halves_the_store(load, tmp_path, simulated):
    data = load(dtype="float16", subjects=1)
    assert (tmp_path / "store" / "epochs-00000.f16").stat().st_size == 260 * 63 * 250 * 2
    np.testing.assert_allclose(np.asarray(data.X[:5]), simulated.X[:5], rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("below", ["Preprocessed_data_250Hz", "", "whatever"])
def test_plain_and_nested_layouts(below, simulated, writers, tmp_path):
    write_recordings, write_images, _ = writers
    write_recordings(tmp_path / below, simulated)
    write_images(tmp_path / "images_set", simulated)
    assert load_things_eeg2(tmp_path, subjects=1, **quiet).X.shape == (260, 63, 250)
    shutil.rmtree(tmp_path / "skeegclip-float32")
    assert load_things_eeg2(tmp_path / below, subjects=1, **quiet).X.shape == (
        260,
        63,
        250,
    )  # images beside it


def test_the_first_publication_has_17_channels_at_100_hz(simulated, writers, tmp_path):
    write_recordings, write_images, _ = writers
    times = np.round(np.arange(-20, 80) / 100, 2)

    def write(file, content):
        data = content["preprocessed_eeg_data"][..., :100].astype(np.float64)
        np.save(file, content | {"preprocessed_eeg_data": data, "times": times}, allow_pickle=True)

    write_recordings(tmp_path, simulated, picks=slice(46, 63), write=write)
    write_images(tmp_path, simulated)
    data = load_things_eeg2(tmp_path, **quiet)
    assert data.X.shape == (520, 17, 100)
    assert data.X.ch_names[0] == "P7"
    assert data.X.sfreq == 100
    np.testing.assert_allclose(data.times, times)
    np.testing.assert_allclose(data.X[3], simulated.X[3, 46:, :100], rtol=1e-6)


# -- names of the pictures ----------------------------------------------------------------------------


def test_names_from_a_list_where_there_are_no_pictures(simulated, writers, tmp_path):
    writers[0](tmp_path, simulated)
    rows = list(dict.fromkeys(zip(simulated.split, simulated.concept, simulated.y, strict=True)))
    lists = {"test_img_concepts": [], "test_img_files": [], "train_img_concepts": [], "train_img_files": []}
    for number, (split, concept, stimulus) in enumerate(rows):
        lists[f"{split}_img_concepts"].append(f"{number + 1:05d}_{concept}")
        lists[f"{split}_img_files"].append(f"{stimulus}.jpg")
    table = pd.DataFrame(rows, columns=["split", "concept", "file"])
    table["file"] += ".jpg"

    np.save(tmp_path / "image_metadata.npy", lists, allow_pickle=True)
    table.to_csv(tmp_path / "other.csv.gz", index=False)
    for images in (None, tmp_path / "image_metadata.npy", tmp_path / "other.csv.gz"):
        data = load_things_eeg2(
            tmp_path, images=images, subjects=1, store=tmp_path / f"store-{images is None}", **quiet
        )
        assert data.manifest["id"].tolist() == simulated.images.ids.tolist()
        assert data.concept[0] == simulated.concept[0]
        assert data.images is None


def test_numbered_pictures(simulated, writers, tmp_path):
    writers[0](tmp_path, simulated)
    with pytest.raises(FileNotFoundError, match='images="numbered" to make ids of numbers'):
        load_things_eeg2(tmp_path, **quiet)
    data = load_things_eeg2(tmp_path, images="numbered", **quiet)
    assert data.y[[0, 2, -1]].tolist() == ["train_00001", "train_00002", "test_00010"]
    assert data.concept[[0, 20, -1]].tolist() == [
        "train_concept_00001",
        "train_concept_00002",
        "test_concept_00010",
    ]
    writers[1](tmp_path, simulated)
    with pytest.raises(
        ValueError, match="was made with other stimulus ids .first: 'train_00001', here 'large_pink"
    ):
        load_things_eeg2(tmp_path, **quiet)


def test_the_published_order_of_the_pictures(real_data, tmp_path):
    manifest = find_manifest(real_data / "things_images_metadata" / "images.csv.gz", [])
    assert manifest["split"].value_counts().to_dict() == {"train": 16540, "test": 200}
    assert manifest.loc[0, ["id", "concept"]].tolist() == ["aardvark_01b", "aardvark"]
    assert manifest["concept"].nunique() == 1854
    assert (manifest.groupby("split")["id"].nunique() == [200, 16540]).all()
    # The same order comes from the folders, whatever order the file system lists them in.
    for file in (
        "test_images/00003_backscratcher/backscratcher_01b.jpg",
        "test_images/00001_aircraft_carrier/aircraft_carrier_06s.jpg",
        "training_images/00002_abacus/abacus_02s.jpg",
        "training_images/00002_abacus/abacus_01b.jpg",
        "training_images/00001_aardvark/aardvark_10s.jpg",
    ):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    (tmp_path / "training_images" / "00001_aardvark" / ".DS_Store").touch()
    listed = find_manifest(tmp_path, [])
    assert listed["id"].tolist() == [
        "aardvark_10s",
        "abacus_01b",
        "abacus_02s",
        "aircraft_carrier_06s",
        "backscratcher_01b",
    ]
    positions = [manifest["id"].tolist().index(name) for name in listed["id"]]
    assert positions == sorted(positions)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (
            lambda p: (p / "x.csv").write_text("a,b\n1,2\n"),
            r"must have the columns split, concept and file, got \['a', 'b'\]",
        ),
        (
            lambda p: (p / "x.csv").write_text("split,concept,file\ntrain,c,a.jpg\ntrain,d,a.jpg\n"),
            "1 pictures whose names are not unique",
        ),
        (lambda p: (p / "x.csv").write_text("split,concept,file\nval,c,a.jpg\n"), r"has splits \['val'\]"),
        (
            lambda p: np.save(p / "x.npy", {"a": 1}, allow_pickle=True),
            "is not the image_metadata.npy of THINGS-EEG2",
        ),
        (
            lambda p: (p / "x.npy").write_bytes(pickle.dumps({"a": os.system})),
            "is refused: it asks for posix.system",
        ),
    ],
)
def test_lists_that_are_not_used(make, match, tmp_path):
    make(tmp_path)
    with pytest.raises(ValueError, match=match):
        find_manifest(next(tmp_path.iterdir()), [])


def test_folders_that_hold_no_pictures(tmp_path):
    with pytest.raises(ValueError, match="holds neither the folders training_images/00001_aardvark"):
        find_manifest(tmp_path, [])
    with pytest.raises(FileNotFoundError, match="does not exist"):
        find_manifest(tmp_path / "none", [])


# -- errors -------------------------------------------------------------------------------------------


def test_the_expected_layout_is_shown(tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(
            FileNotFoundError, match=r"recordings not found in .*\n.*\n    Preprocessed_data_250Hz/ "
        ):
            load_things_eeg2(folder, **quiet)


def test_one_file_of_two_is_not_a_subject(things_eeg2, tmp_path):
    shutil.copytree(things_eeg2, tmp_path / "mine")
    (tmp_path / "mine" / "Preprocessed_data_250Hz" / "sub-02" / "preprocessed_eeg_test.npy").unlink()
    assert set(load_things_eeg2(tmp_path / "mine", **quiet).subject) == {"sub-01"}
    with pytest.raises(FileNotFoundError, match="sub-02 not found in .* which holds sub-01"):
        load_things_eeg2(tmp_path / "mine", subjects=[1, 2], **quiet)


def test_who_opens_the_store_of_an_interrupted_conversion_is_told(things_eeg2, tmp_path):
    shutil.copytree(things_eeg2, tmp_path / "mine")
    path = tmp_path / "mine" / "Preprocessed_data_250Hz" / "sub-02" / "preprocessed_eeg_test.npy"
    whole = path.read_bytes()
    path.write_bytes(whole[:1000])
    with pytest.raises(ValueError, match="sub-02"):
        load_things_eeg2(tmp_path / "mine", store=tmp_path / "store", **quiet)
    with pytest.warns(UserWarning, match="is unfinished: 1 more recording was"):
        assert set(EpochsStore.open(tmp_path / "store").view().subject) == {"sub-01"}
    assert set(
        load_things_eeg2(tmp_path / "mine", subjects=1, store=tmp_path / "store", **quiet).subject
    ) == {"sub-01"}
    path.write_bytes(whole)
    load_things_eeg2(tmp_path / "mine", store=tmp_path / "store", **quiet)
    assert set(EpochsStore.open(tmp_path / "store").view().subject) == {"sub-01", "sub-02"}


def test_a_subject_that_another_process_wrote_meanwhile_does_not_follow(things_eeg2, tmp_path, monkeypatch):
    from skeegclip.datasets import _convert

    store, read = tmp_path / "store", _convert.read_recording
    calls = []

    def read_while_others_write(path):
        calls.append(path)
        if len(calls) == 1:
            load_things_eeg2(things_eeg2, subjects=2, store=store, **quiet)
        return read(path)

    monkeypatch.setattr(_convert, "read_recording", read_while_others_write)
    data = load_things_eeg2(things_eeg2, store=store, **quiet)
    assert set(data.subject) == {"sub-01", "sub-02"}
    assert len(EpochsStore.open(store)) == len(data.X)  # a warning would be an error


def test_two_sets_of_recordings(things_eeg2, tmp_path):
    shutil.copytree(things_eeg2 / "Preprocessed_data_250Hz", tmp_path / "one")
    shutil.copytree(things_eeg2 / "Preprocessed_data_250Hz", tmp_path / "two")
    with pytest.raises(ValueError, match="holds recordings in .*one.*two.*Pass one of these folders"):
        load_things_eeg2(tmp_path, **quiet)


def test_attacks_are_refused_and_leave_no_store(things_eeg2, tmp_path):
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'canary'}",)

    shutil.copytree(things_eeg2, tmp_path / "mine")
    file = tmp_path / "mine" / "Preprocessed_data_250Hz" / "sub-01" / "preprocessed_eeg_test.npy"
    file.write_bytes(pickle.dumps({"preprocessed_eeg_data": np.zeros((10, 8, 63, 250)), "times": Evil()}))
    with pytest.raises(ValueError, match="is refused: it asks for posix.system"):
        load_things_eeg2(tmp_path / "mine", subjects=1, **quiet)
    assert not (tmp_path / "canary").exists()
    assert not (tmp_path / "mine" / "skeegclip-float32").exists()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda c: c.pop("times"), "lacks times; it holds 'preprocessed_eeg_data', 'ch_names'"),
        (
            lambda c: c.update(ch_names=["Oz"]),
            r"floats of shape \(n_images, n_repetitions, 1 channels, n_times\)",
        ),
        (lambda c: c.update(preprocessed_eeg_data=np.zeros((3, 4), int)), "must be floats of shape"),
        (lambda c: c.update(times=np.arange(100)), r"times has shape \(100,\), but the data have 250 times"),
        (
            lambda c: c.update(preprocessed_eeg_data=c["preprocessed_eeg_data"][:-1]),
            "10 pictures in test_images, but sub-01 saw 9",
        ),
        (
            lambda c: c.update(preprocessed_eeg_data=c["preprocessed_eeg_data"][..., :200]),
            r"training epochs have shape|training file has tmin",
        ),
        (lambda c: c.update(times=c["times"] * 2), "training file has sfreq 250.0, the test file 125.0"),
        (lambda c: c.update(preprocessed_eeg_data=np.full((10, 8, 63, 250), np.nan)), "NaN: first in epoch"),
    ],
)
def test_files_that_do_not_fit(change, match, things_eeg2, tmp_path):
    shutil.copytree(things_eeg2, tmp_path / "mine")
    file = tmp_path / "mine" / "Preprocessed_data_250Hz" / "sub-01" / "preprocessed_eeg_test.npy"
    content = pickle.loads(file.read_bytes())
    change(content)
    file.write_bytes(pickle.dumps(content))
    with pytest.raises(ValueError, match=match):
        load_things_eeg2(tmp_path / "mine", subjects=1, **quiet)


def test_another_preprocessing_does_not_fit_the_store(things_eeg2, simulated, writers, tmp_path, load):
    load(subjects=1)
    writers[0](tmp_path / "other", simulated, picks=slice(0, 17))
    with pytest.raises(ValueError, match="sub-02: 17 channels at 250 Hz with 250 times do not fit the store"):
        load_things_eeg2(
            tmp_path / "other", subjects=2, store=tmp_path / "store", images=things_eeg2, **quiet
        )


@pytest.mark.parametrize(
    ("given", "name"),
    [(1, "sub-01"), ("8", "sub-08"), ("sub-10", "sub-10"), (np.int64(3), "sub-03"), ("sub-003", "sub-03")],
)
def test_names_of_subjects(given, name):
    assert subject_name(given) == name


@pytest.mark.parametrize("given", ["ana", True, 1.5, "sub-", -1])
def test_no_names_of_subjects(given):
    with pytest.raises(ValueError, match="subjects must be numbers or names"):
        subject_name(given)


def test_bad_dtype(load):
    with pytest.raises(ValueError, match="dtype must be one of 'float32', 'float16', got 'float64'"):
        load(dtype="float64")


# -- features -----------------------------------------------------------------------------------------


def test_raw_features_say_so(things_eeg2, simulated, writers, tmp_path):
    shutil.copytree(things_eeg2, tmp_path / "mine")
    writers[2](tmp_path / "mine", simulated, unit=False)
    data = load_things_eeg2(tmp_path / "mine", subjects=1, **quiet)
    assert data.image_embeddings.meta["normalized"] is False
    np.testing.assert_allclose(data.image_embeddings.vectors, simulated.image_embeddings.vectors)


def test_a_text_for_each_picture(things_eeg2, tmp_path):
    shutil.copytree(things_eeg2, tmp_path / "mine")
    path = tmp_path / "mine" / "ViT-H-14_features_train.pt"
    content = torch.load(path, weights_only=True)
    torch.save(content | {"text_features": content["text_features"].repeat_interleave(3, dim=0)}, path)
    data = load_things_eeg2(tmp_path / "mine", subjects=1, **quiet)
    expected = load_things_eeg2(things_eeg2, subjects=1, store=tmp_path / "store", **quiet)
    assert data.text_embeddings == expected.text_embeddings


def test_one_of_several_models(things_eeg2, tmp_path):
    shutil.copytree(things_eeg2, tmp_path / "mine")
    for split in ("train", "test"):
        path = tmp_path / "mine" / f"ViT-H-14_features_{split}.pt"
        shutil.copy(path, path.with_name(f"RN50_features_{split}.pt"))
    with pytest.raises(ValueError, match="several models, RN50, ViT-H-14. Choose one: features='RN50'"):
        load_things_eeg2(tmp_path / "mine", subjects=1, **quiet)
    data = load_things_eeg2(tmp_path / "mine", subjects=1, features="ViT-H-14", **quiet)
    assert data.image_embeddings.meta["model"] == "ViT-H-14"
    with pytest.raises(FileNotFoundError, match="no file ViT-L_features_train.pt"):
        load_things_eeg2(tmp_path / "mine", subjects=1, features="ViT-L", **quiet)
    for split in ("train", "test"):
        (tmp_path / "mine" / f"ViT-H-14_features_{split}.pt").unlink()
        (tmp_path / "mine" / f"RN50_features_{split}.pt").unlink()
    assert load_things_eeg2(tmp_path / "mine", subjects=1, **quiet).image_embeddings is None


class _Evil:
    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return os.system, (f"touch {self.canary}",)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (
            lambda path, canary: torch.save({"img_features": _Evil(canary)}, path),
            "is refused, damaged, or holds more than tensors",
        ),
        (
            lambda path, canary: path.write_bytes(pickle.dumps(_Evil(canary))),
            "is refused, damaged, or holds more than tensors",
        ),
        (lambda path, canary: path.write_bytes(path.read_bytes()[:-500]), "is refused, damaged"),
        (
            lambda path, canary: torch.save({"a": torch.zeros(3)}, path),
            r"must hold the tensors .* got \['a'\]",
        ),
        (lambda path, canary: torch.save(torch.zeros(3), path), "must hold the tensors .* got Tensor"),
        (
            lambda path, canary: torch.save(
                {"img_features": torch.zeros(9, 4), "text_features": torch.zeros(10, 4)}, path
            ),
            r"img_features .* shape \(9, 4\), but must have 10 \(pictures\) rows",
        ),
        (lambda path, canary: path.unlink(), "is missing beside its training half"),
    ],
)
def test_feature_files_that_are_refused(make, match, things_eeg2, tmp_path):
    shutil.copytree(things_eeg2, tmp_path / "mine")
    make(tmp_path / "mine" / "ViT-H-14_features_test.pt", tmp_path / "canary")
    with pytest.raises((ValueError, FileNotFoundError), match=match):
        load_things_eeg2(tmp_path / "mine", subjects=1, **quiet)
    assert not (tmp_path / "canary").exists()


# -- what it is for -----------------------------------------------------------------------------------


def test_what_is_loaded_can_be_decoded(load):
    """Rows that belonged to other pictures could not be."""
    data = load(subjects=1)
    train, test = (data.X.crop(0.05, 0.5).select(split=split).average() for split in ("train", "test"))
    gallery = data.image_embeddings.subset(test.stimulus)
    ridge = ImageRetriever(Ridge(1e4), targets=data.image_embeddings, gallery=gallery).fit(
        train, train.stimulus
    )
    assert ridge.rank(test, test.stimulus).mean() < 3  # of 10 pictures; chance is 5.5
