"""CLIPEmbedder against open_clip's own calls."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone

from skeegclip import CLIPEmbedder, EmbeddingTable, ImageTable
from skeegclip.embeddings import _cache, _clip, _loaded
from skeegclip.embeddings._views import views

KINDS = ["vit", "resnet", "timm-vit", "timm-convnext", "coca"]


@pytest.fixture
def make(tiny_clip):
    def make(kind="vit", **params):
        tiny = tiny_clip(kind)
        params = {"device": "cpu", "verbose": 0, **params}
        return CLIPEmbedder(tiny.name, tiny.weights, **params)

    return make


@pytest.fixture
def count(monkeypatch):
    """How many pictures the network has seen, and in which batches."""
    seen = []
    encode = _clip.ClipModel.encode_pixels

    def counting(self, pixels, read, precision):
        seen.append(len(pixels))
        return encode(self, pixels, read, precision)

    monkeypatch.setattr(_clip.ClipModel, "encode_pixels", counting)

    def total():
        return sum(seen)

    total.batches = seen
    return total


@pytest.mark.parametrize("kind", KINDS)
def test_final_vectors_are_those_of_encode_image(kind, make, tiny_clip, pictures):
    expected = tiny_clip(kind).encode(pictures)
    table = make(kind).embed_images(pictures)
    np.testing.assert_allclose(table.vectors, expected, rtol=1e-5, atol=1e-6)
    assert np.abs(np.linalg.norm(table.vectors, axis=1) - 1).min() > 0.01  # not scaled
    assert table.ids.tolist() == ["0", "1", "2", "3", "4"]
    assert table.meta["normalized"] is False


@pytest.mark.parametrize("kind", KINDS)
def test_texts_are_those_of_encode_text(kind, make, tiny_clip):
    import open_clip
    import torch

    tiny = tiny_clip(kind)
    with torch.no_grad():
        tokens = open_clip.get_tokenizer(tiny.name)(["This picture is cat", "This picture is dog"])
        expected = tiny.net.encode_text(tokens, normalize=False).numpy()
    table = make(kind).embed_texts(["cat", "dog"])
    np.testing.assert_allclose(table.vectors, expected, rtol=1e-5, atol=1e-6)
    assert table.ids.tolist() == ["cat", "dog"]
    assert table.meta["template"] == ["This picture is {}"]


def test_several_templates_point_where_clips_own_classifier_points(make, tiny_clip):
    import open_clip

    tiny = tiny_clip()
    names, templates = ["cat", "dog", "owl"], ["a photo of a {}", "art of {}", "{}"]
    classifier = open_clip.build_zero_shot_classifier(
        tiny.net, open_clip.get_tokenizer(tiny.name), names, templates
    )
    table = make().embed_texts(names, template=templates)
    np.testing.assert_allclose(table.normalized().vectors, classifier.numpy().T, atol=1e-6)
    lengths = [np.linalg.norm(make().embed_texts(names, template=t).vectors, axis=1) for t in templates]
    np.testing.assert_allclose(np.linalg.norm(table.vectors, axis=1), np.mean(lengths, axis=0), rtol=1e-5)


def test_batches_do_not_matter(make, pictures):
    whole = make().embed_images(pictures).vectors
    one_by_one = make(batch_size=1).embed_images(pictures).vectors
    alone = make().embed_images(pictures[3:4]).vectors
    np.testing.assert_allclose(one_by_one, whole, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(alone[0], whole[3], rtol=1e-5, atol=1e-6)


def test_views_do_not_depend_on_batch_order_or_the_form_of_the_picture(make, pictures, tmp_path):
    embedder = make(n_views=6, batch_size=4)
    whole = embedder.embed_images(pictures).vectors
    backwards = embedder.embed_images(pictures[::-1]).vectors[::-1]
    np.testing.assert_allclose(backwards, whole, rtol=1e-5, atol=1e-6)
    pictures[0].save(tmp_path / "a.png")
    for form in (tmp_path / "a.png", np.asarray(pictures[0]), np.asarray(pictures[0]) / 255):
        np.testing.assert_allclose(embedder.embed_images([form]).vectors[0], whole[0], rtol=1e-5, atol=1e-6)
    other = make(n_views=6, random_state=1).embed_images(pictures).vectors
    assert np.abs(other - whole).max() > 1e-3


def test_views_are_averaged(make, pictures):
    embedder = make(n_views=3)
    clip = embedder._load(embedder._recipe())
    spoilt = views(clip.shape(pictures[0]), 3, 0)
    expected = make().embed_images(spoilt).vectors.mean(axis=0)
    np.testing.assert_allclose(embedder.embed_images(pictures[:1]).vectors[0], expected, rtol=1e-4, atol=1e-6)


def test_views_count_in_the_size_of_a_batch(make, pictures, count):
    make(n_views=3, batch_size=7).embed_images(pictures)
    assert count.batches == [6, 6, 3]
    make(n_views=3, batch_size=1).embed_images(pictures[:2])
    assert count.batches[3:] == [3, 3]


def test_blur_is_that_of_the_models_input(make, tiny_clip, pictures):
    from PIL import ImageFilter

    small = [picture.resize((32, 32)) for picture in pictures]  # already of the model's size
    expected = tiny_clip().encode([picture.filter(ImageFilter.GaussianBlur(2)) for picture in small])
    np.testing.assert_allclose(make(blur=2).embed_images(small).vectors, expected, rtol=1e-5, atol=1e-6)
    foveal = make(blur=2, foveal=True).embed_images(small).vectors
    plain = make().embed_images(small).vectors
    assert 0.01 < np.abs(foveal - plain).mean() < np.abs(expected - plain).mean()


def test_all_forms_of_pictures_give_the_same(make, pictures, tmp_path):
    folder = tmp_path / "set"
    for row, name in enumerate(["b/x.png", "a/z.PNG", "a/y.png"]):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pictures[row].save(folder / name)
    (folder / "notes.txt").write_text("not a picture")
    (folder / "a" / "._y.png").write_text("what another system leaves behind")
    table = make().embed_images(folder)
    assert table.ids.tolist() == ["y", "z", "x"]
    paths = [folder / "b/x.png", str(folder / "a/z.PNG")]
    arrays = [np.asarray(picture) for picture in pictures[:2]]
    for images, ids in [
        (paths, None),
        (ImageTable(["x", "z"], paths), None),
        ({"x": arrays[0], "z": pictures[1]}, None),
        ([arrays[0], paths[1]], ["x", "z"]),
    ]:
        again = make().embed_images(images, ids)
        np.testing.assert_array_equal(again.vectors, table.lookup(["x", "z"]))
        assert again.ids.tolist() == ["x", "z"]
    square = np.stack([np.asarray(picture.resize((20, 20))) for picture in pictures])
    tabled = make().embed_images(ImageTable(list("abcde"), square))
    np.testing.assert_array_equal(make().embed_images(square, list("abcde")).vectors, tabled.vectors)


def test_bfloat16_is_near_float32(make, pictures):
    exact = make().embed_images(pictures)
    rough = make(precision="bfloat16").embed_images(pictures)
    assert rough.vectors.dtype == np.float32
    difference = np.abs(rough.vectors - exact.vectors).max()
    assert 0 < difference < 0.05 * np.abs(exact.vectors).max()
    assert (rough.meta["precision"], exact.meta["precision"]) == ("bfloat16", "float32")


def test_cached_vectors_are_the_same_and_cost_no_network(make, pictures, tmp_path, count):
    plain = make().embed_images(pictures)
    before = count()
    first = make(cache_dir=tmp_path).embed_images(pictures[:3])
    assert count() == before + 3
    again = make(cache_dir=tmp_path).embed_images(pictures)  # two are new
    assert count() == before + 5
    np.testing.assert_allclose(again.vectors, plain.vectors, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(again.vectors[:3], first.vectors)
    assert again.meta == plain.meta
    renamed = make(cache_dir=tmp_path).embed_images(pictures[::-1], ids=list("edcba"))
    np.testing.assert_array_equal(renamed.vectors[::-1], again.vectors)
    assert count() == before + 5


def test_equal_pictures_are_computed_once(make, pictures, tmp_path, count):
    images = [pictures[0], pictures[1], pictures[0].copy()]
    table = make(cache_dir=tmp_path).embed_images(images)
    assert count() == 2
    np.testing.assert_array_equal(table.vectors[0], table.vectors[2])


@pytest.mark.parametrize(
    "change",
    [
        {"layer": -1},
        {"layer": [-1, "final"]},
        {"layer": -1, "pool": "cls"},
        {"blur": 1.0},
        {"blur": 2.0},
        {"blur": 2.0, "foveal": True},
        {"n_views": 2},
        {"n_views": 4},
        {"n_views": 4, "random_state": 1},
        {"precision": "bfloat16"},
    ],
    ids=str,
)
def test_whatever_changes_a_vector_has_a_cache_of_its_own(change, make, pictures, tmp_path, count):
    # All settings share the folder; each must come out as without a cache.
    for params in ({}, {"layer": -1}, {"n_views": 4}, {"blur": 2.0}):
        make(cache_dir=tmp_path, **params).embed_images(pictures)
    expected = make(**change).embed_images(pictures)
    cached = make(cache_dir=tmp_path, **change).embed_images(pictures)
    np.testing.assert_allclose(cached.vectors, expected.vectors, rtol=1e-5, atol=1e-6)


def test_other_weights_and_models_have_caches_of_their_own(make, tiny_clip, pictures, tmp_path):
    import torch

    tiny = tiny_clip()
    state = torch.load(tiny.weights, weights_only=True)
    state["visual.proj"] *= 2
    path = tmp_path / "other.pt"
    torch.save(state, path)
    params = {"device": "cpu", "verbose": 0, "cache_dir": tmp_path / "cache"}
    ours = make(cache_dir=tmp_path / "cache").embed_images(pictures)
    other = CLIPEmbedder(tiny.name, path, **params).embed_images(pictures)
    np.testing.assert_allclose(other.vectors, 2 * ours.vectors, rtol=1e-5)
    # The same file with another content, and the same content in another file.
    torch.save(torch.load(tiny.weights, weights_only=True), path)
    changed = CLIPEmbedder(tiny.name, path, **params).embed_images(pictures)
    np.testing.assert_allclose(changed.vectors, ours.vectors, rtol=1e-5)


def test_texts_are_cached_sentence_by_sentence(make, tmp_path, monkeypatch):
    embedder = make(cache_dir=tmp_path)
    first = embedder.embed_texts(["cat", "dog"], template=["{}", "a {}"])

    def fail(*args):
        raise AssertionError("computed again")

    monkeypatch.setattr(_clip.ClipModel, "encode_texts", fail)
    assert make(cache_dir=tmp_path).embed_texts(["cat", "dog"], template=["{}", "a {}"]) == first
    make(cache_dir=tmp_path, layer=-1, blur=3).embed_texts(["a cat"], template="{}")  # pictures' settings
    with pytest.raises(AssertionError, match="computed again"):
        make(cache_dir=tmp_path).embed_texts(["owl"])


def test_an_interrupted_run_goes_on_where_it_stopped(make, pictures, tmp_path, count, monkeypatch):
    encode = _clip.ClipModel.encode_pixels

    def interrupted(self, pixels, read, precision):
        if count() == 3:
            raise KeyboardInterrupt
        return encode(self, pixels, read, precision)

    monkeypatch.setattr(_clip.ClipModel, "encode_pixels", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make(cache_dir=tmp_path, batch_size=1).embed_images(pictures)
    assert not [t for t in threading.enumerate() if t.name.startswith("skeegclip-pictures")]
    monkeypatch.setattr(_clip.ClipModel, "encode_pixels", encode)
    table = make(cache_dir=tmp_path).embed_images(pictures)
    assert count() == 5
    np.testing.assert_allclose(table.vectors, make().embed_images(pictures).vectors, rtol=1e-5, atol=1e-6)


def test_a_picture_that_cannot_be_read_leaves_the_others_in_the_cache(make, pictures, tmp_path, count):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\nand then nothing")
    images = [*pictures, broken]
    with pytest.raises(ValueError, match=r"images\[5\] \('.*broken\.png'\) cannot be read as a picture"):
        make(cache_dir=tmp_path / "cache", batch_size=1).embed_images(images)
    Image.new("RGB", (8, 8)).save(broken)
    before = count()
    make(cache_dir=tmp_path / "cache", batch_size=1).embed_images(images)
    assert count() - before < 6


def test_a_damaged_cache_file_is_computed_again(make, pictures, tmp_path, count):
    expected = make(cache_dir=tmp_path).embed_images(pictures)
    (file,) = tmp_path.rglob("*.safetensors")
    whole = file.read_bytes()
    before = count()
    flipped = bytearray(whole)
    flipped[-1] ^= 1  # in the last vector: a table that can be read, of other vectors
    for damaged in (b"", whole[: len(whole) // 2], bytes(flipped), b"junk" * 100):
        file.write_bytes(damaged)
        with pytest.warns(UserWarning, match="is damaged; what it held is computed again"):
            table = make(cache_dir=tmp_path).embed_images(pictures)
        np.testing.assert_array_equal(table.vectors, expected.vectors)
    assert count() == before + 4 * len(pictures)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert make(cache_dir=tmp_path).embed_images(pictures) == expected


def test_vectors_that_are_not_finite_are_refused_and_not_kept(make, pictures, tmp_path, monkeypatch):
    encode = _clip.ClipModel.encode_pixels

    def spoilt(self, pixels, read, precision):
        vectors = encode(self, pixels, read, precision)
        vectors[2] = np.nan
        return vectors

    monkeypatch.setattr(_clip.ClipModel, "encode_pixels", spoilt)
    with pytest.raises(ValueError, match=r"images\[2\] has a vector with NaN or inf") as caught:
        make(cache_dir=tmp_path, batch_size=3).embed_images(pictures)
    assert not list(tmp_path.rglob("*.safetensors"))
    # No thread goes on loading, even while the error, and with it every frame, is held.
    assert caught.value is not None
    assert not [t for t in threading.enumerate() if t.name.startswith("skeegclip-pictures")]


@pytest.mark.slow
def test_two_processes_share_a_cache(make, tiny_clip, pictures, tmp_path):
    rng = np.random.default_rng(1)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(60):
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(folder / f"{number:02}.png")
    tiny = tiny_clip()
    program = f"""
import open_clip, sys
from pathlib import Path
from skeegclip import CLIPEmbedder
from skeegclip.embeddings import _cache
_cache._SECONDS_BETWEEN_FILES = 0
open_clip.add_model_config({str(Path(tiny.weights).with_suffix(".json"))!r})
embedder = CLIPEmbedder({tiny.name!r}, {tiny.weights!r}, device="cpu", verbose=0, batch_size=2,
                        cache_dir={str(tmp_path / "cache")!r})
embedder.embed_images({str(folder)!r}).save(sys.argv[1])
"""
    out = [tmp_path / "0.safetensors", tmp_path / "1.safetensors"]
    running = [subprocess.Popen([sys.executable, "-W", "error", "-c", program, str(path)]) for path in out]
    assert [process.wait(timeout=120) for process in running] == [0, 0]
    expected = make().embed_images(folder)
    for path in out:
        table = EmbeddingTable.load(path)
        np.testing.assert_allclose(table.vectors, expected.vectors, rtol=1e-5, atol=1e-6)
        assert table.ids.tolist() == expected.ids.tolist()


def test_embedders_are_cloned_and_pickled_without_weights(make, pictures):
    embedder = make(layer=[0, 0.5], blur=3)
    table = embedder.embed_images(pictures)
    content = pickle.dumps(embedder)
    assert len(content) < 2000
    assert pickle.loads(content).embed_images(pictures) == table
    assert clone(embedder).get_params() == embedder.get_params()
    assert "layer=[0, 0.5]" in repr(embedder)


def test_weights_are_loaded_once_and_freed(make, pictures):
    import gc

    final, middle = make(), make(layer=1)
    final.embed_images(pictures)
    middle.embed_images(pictures)
    assert middle._model is final._model
    # Threads of one process wait for the load instead of loading again.
    found = []
    threads = [threading.Thread(target=lambda: found.append(make().embed_images(pictures))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert found[0] == found[1] == found[2]
    del final, middle
    gc.collect()
    assert len(_loaded._LOADED) == 0


def test_parameters_may_change_after_the_first_use(make, tiny_clip, pictures):
    embedder = make()
    embedder.embed_images(pictures)
    convnext = tiny_clip("timm-convnext")
    embedder.set_params(model=convnext.name, pretrained=convnext.weights, layer=0)
    assert embedder.embed_images(pictures).n_dims == 24


def test_nothing_global_is_touched(make, pictures):
    import torch

    before = np.random.get_state()[1].copy(), torch.get_rng_state(), torch.is_grad_enabled()  # noqa: NPY002
    make(n_views=4).embed_images(pictures)
    np.testing.assert_array_equal(np.random.get_state()[1], before[0])  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[1])
    assert torch.is_grad_enabled() == before[2]


def test_the_bar_counts_what_is_left(make, pictures, tmp_path, capsys):
    make(cache_dir=tmp_path).embed_images(pictures[:2])
    assert capsys.readouterr().err == ""
    make(cache_dir=tmp_path, verbose=1).embed_images(pictures)
    assert "5/5" in capsys.readouterr().err
    make(cache_dir=tmp_path, verbose=1).embed_images(pictures)
    assert capsys.readouterr().err == ""  # nothing to do, nothing to show


@pytest.mark.parametrize(
    ("params", "error", "match"),
    [
        ({"pool": "max"}, ValueError, "pool must be one of 'mean', 'cls', got 'max'"),
        ({"blur": 0}, ValueError, "blur must lie in"),
        ({"blur": "foveal"}, TypeError, "blur must be a number or None"),
        ({"foveal": True}, ValueError, "foveal=True needs a blur"),
        ({"n_views": 0}, ValueError, "n_views must lie in"),
        ({"batch_size": 1.5}, TypeError, "batch_size must be an int"),
        ({"precision": "fp16"}, ValueError, "precision must be one of"),
        ({"device": "gpu"}, ValueError, "device must be"),
        ({"cache_dir": 3}, TypeError, "cache_dir must be a path or None, got int"),
        ({"random_state": "x", "n_views": 2}, ValueError, "random_state must be None"),
        ({"layer": 4}, ValueError, r"layer must lie in \[-4, 3\]: this image tower has 4 blocks, got 4"),
    ],
    ids=str,
)
def test_wrong_parameters_are_refused(params, error, match, make, pictures):
    with pytest.raises(error, match=match):
        make(**params).embed_images(pictures)


@pytest.mark.parametrize(
    ("texts", "params", "error", "match"),
    [
        ("cat", {}, TypeError, r"texts must be a list of str, got one str. Pass \['cat'\]"),
        (["cat", 3], {}, TypeError, "got 3 of type int in it"),
        ([], {}, ValueError, "texts is empty"),
        (["cat", "cat"], {}, ValueError, "ids must be unique, got 1 repeated"),
        (["cat"], {"ids": ["a", "b"]}, ValueError, r"one id per text \(1\), got 2"),
        (
            ["cat"],
            {"template": "cat"},
            ValueError,
            r"template must have one {}, where the text goes, got 'cat'",
        ),
        (["cat"], {"template": "{} or {}"}, ValueError, "template must have one {}"),
        (["cat"], {"template": []}, ValueError, "template is an empty list"),
        (["cat"], {"template": [None]}, TypeError, "template must be a str or a list of str, got NoneType"),
    ],
    ids=str,
)
def test_wrong_texts_are_refused(texts, params, error, match):
    with pytest.raises(error, match=match):
        CLIPEmbedder().embed_texts(texts, **params)


def test_braces_in_a_text_mean_nothing(make):
    assert make().embed_texts(["{0.__class__} {}"]).ids.tolist() == ["{0.__class__} {}"]


def test_files_are_written_a_few_seconds_apart(make, pictures, tmp_path, monkeypatch):
    make(cache_dir=tmp_path / "few", batch_size=1).embed_images(pictures)
    assert len(list(tmp_path.rglob("*.safetensors"))) == 1
    monkeypatch.setattr(_cache, "_SECONDS_BETWEEN_FILES", 0)
    make(cache_dir=tmp_path / "many", batch_size=1).embed_images(pictures)
    assert len(list((tmp_path / "many").rglob("*.safetensors"))) == len(pictures)
