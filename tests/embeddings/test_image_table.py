import os
import pickle

import numpy as np
import pytest
from PIL import Image
from sklearn.base import BaseEstimator, clone

from skeegclip import ImageTable


@pytest.fixture
def pictures():
    return np.random.default_rng(0).integers(0, 256, (3, 8, 6, 3), dtype=np.uint8)


@pytest.fixture
def files(pictures, tmp_path):
    paths = []
    for number, picture in enumerate(pictures):
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(picture).save(paths[-1])
    return paths


def test_arrays_and_files_give_the_same_pictures(pictures, files):
    for images in (pictures, list(pictures), files, [files[0], pictures[1], str(files[2])]):
        table = ImageTable(["a", "b", "c"], images)
        np.testing.assert_array_equal(table["b"], pictures[1])
        np.testing.assert_array_equal(table.lookup(["c", "a"]), pictures[[2, 0]])
        np.testing.assert_array_equal(table.subset(["c"])["c"], pictures[2])
        assert (list(table), len(table), "a" in table, "z" in table) == (["a", "b", "c"], 3, True, False)


def test_files_are_opened_only_when_needed(files):
    table = ImageTable(["a", "b", "c"], files)
    elsewhere = pickle.dumps(table)
    files[1].unlink()
    for each in (table, pickle.loads(elsewhere), table.subset(["b"])):
        with pytest.raises(FileNotFoundError):
            each["b"]


def test_a_subset_names_each_picture_once(pictures, files):
    for images in (pictures, files):
        with pytest.raises(ValueError, match="ids must be unique, got 1 repeated \\('a'\\)"):
            ImageTable(["a", "b", "c"], images).subset(["a", "b", "a"])


def test_a_missing_file_is_told_at_once_with_its_id(files):
    files[1].unlink()
    with pytest.raises(FileNotFoundError, match=r"images\['b'\] is '.*1.png', and there is no such file"):
        ImageTable(["a", "b", "c"], files)


def test_a_folder_of_pictures(tmp_path, pictures):
    (tmp_path / "cats").mkdir()
    Image.fromarray(pictures[0]).save(tmp_path / "dog.2.png")
    Image.fromarray(pictures[1]).save(tmp_path / "cats" / "cat_01.PNG")
    for name in ("._dog.2.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"none")
    table = ImageTable.from_folder(str(tmp_path))
    assert table.ids.tolist() == ["cat_01", "dog.2"]
    np.testing.assert_array_equal(table["dog.2"], pictures[0])
    Image.fromarray(pictures[2]).save(tmp_path / "cat_01.bmp")
    with pytest.raises(ValueError, match=r"names of the files\) must be unique, got 1 repeated \('cat_01'\)"):
        ImageTable.from_folder(tmp_path)


def test_a_folder_without_pictures(tmp_path):
    with pytest.raises(ValueError, match="folder='.*' holds no picture"):
        ImageTable.from_folder(tmp_path)
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        ImageTable.from_folder(tmp_path / "none")


def test_tables_are_immutable_shared_and_picklable(pictures, files):
    table = ImageTable(["a", "b", "c"], pictures)
    with pytest.raises(ValueError, match="read-only"):
        table["a"][0] = 0
    with pytest.raises(AttributeError, match="immutable"):
        table.x = 1

    class Holder(BaseEstimator):
        def __init__(self, images=None):
            self.images = images

    assert clone(Holder(table)).images is table
    for each in (table, ImageTable(["a", "b", "c"], files)):
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(each))["c"], pictures[2])


def test_skops_writes_and_reads_a_table(pictures, files, tmp_path):
    skops = pytest.importorskip("skops.io")
    listed = ImageTable(["a", "b", "c"], list(pictures))
    for table in (ImageTable(["a", "b", "c"], pictures), listed, ImageTable(["a", "b", "c"], files)):
        content = skops.dumps({"images": table})
        again = skops.loads(content, trusted=skops.get_untrusted_types(data=content))["images"]
        assert again.ids.tolist() == ["a", "b", "c"]
        np.testing.assert_array_equal(again["c"], table["c"])
        with pytest.raises(AttributeError, match="immutable"):
            again.ids = []


@pytest.mark.parametrize(
    ("images", "error", "match"),
    [
        (np.zeros((2, 4, 4, 3)), TypeError, "must be uint8"),
        (np.zeros((2, 4, 4), dtype=np.uint8), ValueError, r"\(n, height, width, 3\)"),
        (np.zeros((3, 4, 4, 3), dtype=np.uint8), ValueError, r"one picture per id \(2\), got 3"),
        ([np.zeros((4, 4, 3), dtype=np.uint8)], ValueError, r"one picture per id \(2\), got 1"),
        ([None, None], TypeError, r"images\['a'\] must be a uint8 array .* or a path, got NoneType"),
    ],
)
def test_bad_pictures_are_refused(images, error, match):
    with pytest.raises(error, match=match):
        ImageTable(["a", "b"], images)


def test_unknown_ids_and_unequal_sizes_are_refused(pictures):
    table = ImageTable(["a", "b"], [pictures[0], pictures[1][:4]])
    with pytest.raises(ValueError, match="differ in size"):
        table.lookup(["a", "b"])
    with pytest.raises(KeyError, match="1 of 1 ids are not in the table"):
        table["z"]


def test_a_picture_too_large_to_open_is_refused(tmp_path, monkeypatch):
    Image.new("RGB", (40, 40)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)
    with pytest.raises(ValueError, match=r"bomb.png is not read: .* exceeds limit"):
        ImageTable(["a"], [tmp_path / "bomb.png"])["a"]


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    for name in ("pipe.png", "folder.png"):
        with pytest.raises(ValueError, match=rf"{name} is no picture but a folder or a pipe"):
            ImageTable(["a"], [tmp_path / name])["a"]
        with pytest.raises(ValueError, match=rf"{name} is no picture"):
            ImageTable(["a", "b"], [tmp_path / name] * 2).lookup(["b"])
