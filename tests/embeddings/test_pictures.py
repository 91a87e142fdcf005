"""Pictures of every kind are read as a person sees them; what cannot be read is named."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from skeegclip import ImageTable
from skeegclip._utils.pictures import read_picture
from skeegclip.embeddings._pictures import Picture, pixel_digest, read_pictures


def read(images, ids=None):
    keys, pictures = read_pictures(images, ids)
    return keys.tolist(), [np.asarray(picture.open()) for picture in pictures]


@pytest.fixture
def colours():
    return np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)


def test_grey_pictures_have_three_equal_channels(colours):
    grey = colours[..., 0]
    expected = np.repeat(grey[..., None], 3, axis=2)
    for image in (grey, grey[..., None], Image.fromarray(grey), grey / 255):
        np.testing.assert_array_equal(read([image])[1][0], expected)


def test_sixteen_bits_are_scaled_not_cut_off(colours, tmp_path):
    wide = colours[..., 0].astype(np.uint16) * 257
    Image.fromarray(wide).save(tmp_path / "wide.png")
    np.testing.assert_array_equal(read([tmp_path / "wide.png"])[1][0][..., 1], colours[..., 0])


def test_transparent_parts_are_white(colours):
    alpha = np.zeros((6, 9, 1), dtype=np.uint8)
    alpha[:3] = 255
    picture = np.concatenate([colours, alpha], axis=2)
    for image in (picture, Image.fromarray(picture)):
        seen = read([image])[1][0]
        np.testing.assert_array_equal(seen[:3], colours[:3])
        assert (seen[3:] == 255).all()


def test_palettes_are_read_as_colours(colours, tmp_path):
    flat = np.repeat(np.repeat(colours[:2, :2], 4, axis=0), 4, axis=1)
    palette = Image.fromarray(flat).convert("P", palette=Image.Palette.ADAPTIVE, colors=4)
    palette.save(tmp_path / "palette.gif")
    np.testing.assert_array_equal(read([tmp_path / "palette.gif"])[1][0], flat)
    palette.save(tmp_path / "see_through.png", transparency=bytes([255, 255, 255, 0]))
    seen = read([tmp_path / "see_through.png"])[1][0]
    assert (seen == 255).all(axis=2).sum() >= 16


def test_cmyk_is_converted(colours, tmp_path):
    cmyk = Image.fromarray(colours).convert("CMYK")
    cmyk.save(tmp_path / "print.tif")
    np.testing.assert_array_equal(read([tmp_path / "print.tif"])[1][0], np.asarray(cmyk.convert("RGB")))


def test_pictures_are_turned_upright(colours, tmp_path):
    picture = Image.fromarray(colours)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise
    picture.save(tmp_path / "turned.png", exif=exif)
    upright = np.rot90(colours, k=-1)
    np.testing.assert_array_equal(read([tmp_path / "turned.png"])[1][0], upright)
    with Image.open(tmp_path / "turned.png") as opened:
        np.testing.assert_array_equal(read([opened])[1][0], upright)
    # And wherever else the library opens pictures.
    np.testing.assert_array_equal(ImageTable(["a"], [tmp_path / "turned.png"])["a"], upright)
    np.testing.assert_allclose(read_picture(tmp_path / "turned.png", "picture"), upright / 255, rtol=1e-6)


def test_one_pixel_is_a_picture():
    assert read([np.full((1, 1, 3), 7, dtype=np.uint8)])[1][0].tolist() == [[[7, 7, 7]]]


def test_floats_are_rounded_to_grey_levels(colours):
    values = colours / 255
    for dtype in (np.float16, np.float32, np.float64):
        seen = read([values.astype(dtype)])[1][0]
        assert np.abs(seen.astype(int) - colours).max() <= (1 if dtype == np.float16 else 0)
    np.testing.assert_array_equal(read([values * (1 + 1e-6)])[1][0], colours)


def test_tensors_are_arrays(colours):
    import torch

    np.testing.assert_array_equal(read(torch.from_numpy(colours)[None])[1][0], colours)


@pytest.mark.parametrize(
    ("images", "error", "match"),
    [
        ([np.full((4, 4, 3), 255.0)], ValueError, r"images\[0\] is float and must lie in \[0, 1\], got values from 255"),
        ([np.full((4, 4, 3), np.nan)], ValueError, r"got values from nan to nan"),
        ([np.zeros((4, 4, 3), dtype=int)], TypeError, r"images\[0\] must be uint8 in 0..255 or float .* got int64"),
        ([np.zeros((3, 4, 4), dtype=np.uint8), np.zeros((3, 8, 8))], ValueError, r"got \(3, 8, 8\). Put the channels last"),
        ([np.zeros((4, 0, 3), dtype=np.uint8)], ValueError, r"got \(4, 0, 3\)"),
        (np.zeros((2, 3, 8, 8)), ValueError, r"images\[0\] must have shape .* got \(3, 8, 8\)"),
        (np.zeros((4, 4)), ValueError, r"images must have shape .* One picture is images\[None\]"),
        ([], ValueError, "images is empty"),
        (3, TypeError, "images must be a folder, an ImageTable, .* got int"),
        ([None], TypeError, r"images\[0\] must be a path, a PIL image or an array, got NoneType"),
        (Image.new("RGB", (2, 2)), TypeError, r"got one PIL image. Pass \[image\]"),
        ([Image.new("F", (2, 2))], ValueError, "mode 'F' has no fixed range"),
        (["nowhere.png"], FileNotFoundError, r"images\[0\] is 'nowhere.png', and there is no such file"),
        ("nowhere", FileNotFoundError, "images='nowhere' is not a folder"),
    ],
)  # fmt: skip
def test_what_is_no_picture_is_refused(images, error, match):
    with pytest.raises(error, match=match):
        read(images)


def test_files_that_cannot_be_read_are_named(colours, tmp_path):
    (tmp_path / "text.jpg").write_text("not a picture")
    Image.fromarray(np.tile(colours, (40, 40, 1))).save(tmp_path / "cut.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:2000])
    for name in ("text.jpg", "cut.jpg"):
        with pytest.raises(ValueError, match=rf"{name}'\) cannot be read as a picture \(.*\). Replace it"):
            read([tmp_path / name])


def test_folders_without_pictures_and_repeated_stems_are_refused(colours, tmp_path):
    with pytest.raises(ValueError, match="holds no picture"):
        read(tmp_path)
    for name in ("a/x.png", "b/x.jpg"):
        (tmp_path / name).parent.mkdir()
        Image.fromarray(colours).save(tmp_path / name)
    with pytest.raises(
        ValueError, match=r"ids \(stems of the file names\) must be unique, got 1 repeated \('x'\)"
    ):
        read(tmp_path)
    assert read(tmp_path, ["first", "second"])[0] == ["first", "second"]


@pytest.mark.parametrize(
    ("ids", "error", "match"),
    [
        (["a", "a"], ValueError, "ids must be unique"),
        (["a"], ValueError, r"one id per picture \(2\), got 1"),
        ([1, 2], TypeError, "ids must hold strings"),
    ],
)
def test_wrong_ids_are_refused(ids, error, match, colours):
    with pytest.raises(error, match=match):
        read([colours, colours], ids)


def test_tables_bring_their_own_ids(colours):
    table = ImageTable(["x", "y"], np.stack([colours, colours]))
    assert read(table)[0] == ["x", "y"]
    with pytest.raises(ValueError, match="ids must be None where images is a table"):
        read(table, ["a", "b"])


def test_digests_name_contents(colours, tmp_path):
    Image.fromarray(colours).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes())
    a, b = (Picture(str(tmp_path / name), name).digest() for name in ("a.png", "b.png"))
    assert a == b
    pixels = {Picture(each, "").digest() for each in (colours, colours / 255, Image.fromarray(colours))}
    assert len(pixels) == 1
    assert a not in pixels
    assert pixel_digest(colours) != pixel_digest(colours.reshape(9, 6, 3))


def test_a_table_is_not_changed_through_the_arrays_it_was_made_of(tmp_path):
    rng = np.random.default_rng(0)
    pictures = rng.integers(1, 256, (3, 4, 4, 3), dtype=np.uint8)
    view = pictures.view()
    view.flags.writeable = False  # read-only, but of an array that is not
    kept = pictures.copy()
    tables = [ImageTable(list("abc"), given) for given in (pictures, list(pictures), view)]
    pictures[:] = 0
    for table in tables:
        np.testing.assert_array_equal(table.lookup(list("abc")), kept)
        with pytest.raises(ValueError, match="read-only"):
            table["a"][:] = 0
    frozen = kept.copy()
    frozen.flags.writeable = False
    assert np.shares_memory(ImageTable(list("abc"), frozen)["a"], frozen)  # nobody can change it: not copied
    np.save(tmp_path / "pictures.npy", kept)
    mapped = np.load(tmp_path / "pictures.npy", mmap_mode="r")
    assert np.shares_memory(ImageTable(list("abc"), mapped)["b"], mapped)
