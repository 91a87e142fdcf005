"""Patch tokens: streamed, written to disk, and gone on with."""

from __future__ import annotations

import json

import numpy as np
import pytest

from skeegclip import CLIPEmbedder
from skeegclip.embeddings import _clip, load_patch_tokens
from skeegclip.embeddings._pictures import Picture


@pytest.fixture
def make(tiny_clip):
    def make(kind="vit", **params):
        tiny = tiny_clip(kind)
        return CLIPEmbedder(tiny.name, tiny.weights, **{"device": "cpu", "verbose": 0, **params})

    return make


def test_final_tokens_are_those_of_open_clips_own_output(make, tiny_clip, pictures):
    import torch

    tiny = tiny_clip()
    batches = list(make(batch_size=2).iter_patch_tokens(pictures))
    assert [len(ids) for ids, _ in batches] == [2, 2, 1]
    assert np.concatenate([ids for ids, _ in batches]).tolist() == list("01234")
    tokens = np.concatenate([tokens for _, tokens in batches])
    assert (tokens.shape, tokens.dtype) == ((5, 17, 16), np.float32)
    tiny.net.visual.output_tokens = True  # then the tower gives its normalised patches too
    try:
        with torch.no_grad():
            _, patches = tiny.net.visual(torch.stack([tiny.preprocess(picture) for picture in pictures]))
    finally:
        tiny.net.visual.output_tokens = False
    np.testing.assert_allclose(tokens[:, 1:], patches.numpy(), rtol=1e-4, atol=1e-5)
    # The class token, projected, is the vector.
    vectors = tokens[:, 0] @ tiny.net.visual.proj.detach().numpy()
    np.testing.assert_allclose(vectors, make().embed_images(pictures).vectors, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "layer", "shape"),
    [("resnet", -2, (16, 128)), ("timm-convnext", -1, (25, 64)), ("timm-vit", -1, (101, 64))],
)
def test_towers_of_all_kinds_have_tokens(kind, layer, shape, make, pictures):
    ((_, tokens),) = make(kind, layer=layer).iter_patch_tokens(pictures)
    assert tokens.shape == (5, *shape)
    patches = tokens[:, 1:] if kind == "timm-vit" else tokens
    pooled = make(kind, layer=layer).embed_images(pictures).vectors
    np.testing.assert_allclose(patches.mean(axis=1), pooled, rtol=1e-4, atol=1e-5)


def test_views_and_blur_are_those_of_the_vectors(make, pictures):
    params = {"layer": 2, "blur": 2, "foveal": True, "n_views": 3, "batch_size": 7}
    tokens = np.concatenate([tokens for _, tokens in make(**params).iter_patch_tokens(pictures)])
    pooled = make(**params).embed_images(pictures).vectors
    np.testing.assert_allclose(tokens[:, 1:].mean(axis=1), pooled, rtol=1e-4, atol=1e-5)


def test_only_a_few_batches_are_opened_ahead(make, pictures, monkeypatch):
    opened = []
    open_one = Picture.open

    def counting(self):
        opened.append(self.name)
        return open_one(self)

    monkeypatch.setattr(Picture, "open", counting)
    stream = make(batch_size=4).iter_patch_tokens([pictures[row % 5] for row in range(64)])
    assert opened == []
    next(stream)
    assert 4 <= len(opened) <= 12
    stream.close()


def test_a_list_of_layers_and_attention_pooling_are_refused(make, pictures):
    with pytest.raises(ValueError, match=r"layer must be one layer for patch tokens, got \[0, 1\]"):
        make(layer=[0, 1]).iter_patch_tokens(pictures)
    with pytest.raises(ValueError, match="pools by attention .* Use layer=-1"):
        next(make("coca").iter_patch_tokens(pictures))


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_tokens_on_disk_are_those_of_the_stream(dtype, make, pictures, tmp_path):
    embedder = make(batch_size=2, layer=1)
    embedder.save_patch_tokens(pictures, tmp_path / "tokens", ids=list("abcde"), dtype=dtype)
    ids, tokens = load_patch_tokens(tmp_path / "tokens")
    assert ids.tolist() == list("abcde")
    assert isinstance(tokens, np.memmap)
    assert tokens.dtype == dtype
    expected = np.concatenate([tokens for _, tokens in embedder.iter_patch_tokens(pictures)])
    np.testing.assert_allclose(tokens, expected, rtol=1e-3 if dtype == "float16" else 0, atol=1e-3)
    assert sorted(path.name for path in (tmp_path / "tokens").iterdir()) == ["about.json", "tokens.npy"]
    assert not (tmp_path / "tokens.partial").exists()
    with pytest.raises(FileExistsError, match="exists already. Remove it, or name another one"):
        embedder.save_patch_tokens(pictures, tmp_path / "tokens")


def test_a_stopped_run_goes_on(make, pictures, tmp_path, monkeypatch):
    encode = _clip.ClipModel.encode_pixels
    seen = []

    def interrupted(self, pixels, read, precision):
        if len(seen) == 3:
            raise KeyboardInterrupt
        seen.append(len(pixels))
        return encode(self, pixels, read, precision)

    def counting(self, pixels, read, precision):
        seen.append(len(pixels))
        return encode(self, pixels, read, precision)

    monkeypatch.setattr(_clip.ClipModel, "encode_pixels", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make(batch_size=1).save_patch_tokens(pictures, tmp_path / "tokens")
    assert not (tmp_path / "tokens").exists()
    monkeypatch.setattr(_clip.ClipModel, "encode_pixels", counting)
    make(batch_size=1).save_patch_tokens(pictures, tmp_path / "tokens")
    assert len(seen) == 5
    _, tokens = load_patch_tokens(tmp_path / "tokens")
    expected = np.concatenate([tokens for _, tokens in make(batch_size=1).iter_patch_tokens(pictures)])
    np.testing.assert_allclose(tokens, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("change", ["layer", "pictures", "dtype"])
def test_what_is_left_of_another_run_is_not_gone_on_with(change, make, pictures, tmp_path, monkeypatch):
    encode = _clip.ClipModel.encode_pixels
    calls = []

    def interrupted(self, pixels, read, precision):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return encode(self, pixels, read, precision)

    monkeypatch.setattr(_clip.ClipModel, "encode_pixels", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make(batch_size=1).save_patch_tokens(pictures, tmp_path / "tokens")
    assert (tmp_path / "tokens.partial").exists()
    embedder = make(layer=0) if change == "layer" else make()
    images = pictures[::-1] if change == "pictures" else pictures
    dtype = "float32" if change == "dtype" else "float16"
    embedder.save_patch_tokens(images, tmp_path / "tokens", dtype=dtype)
    _, tokens = load_patch_tokens(tmp_path / "tokens")
    ((_, expected),) = embedder.iter_patch_tokens(images)
    np.testing.assert_allclose(tokens, expected, rtol=1e-3, atol=1e-3)
    assert tokens.dtype == dtype


def test_tokens_that_float16_cannot_hold_are_refused(make, pictures, tmp_path, monkeypatch):
    encode = _clip.ClipModel.encode_pixels
    monkeypatch.setattr(_clip.ClipModel, "encode_pixels", lambda *args: 1e6 * (1 + np.abs(encode(*args))))
    with pytest.raises(ValueError, match="cannot hold the tokens of '0' .* Use \"float32\""):
        make().save_patch_tokens(pictures, tmp_path / "tokens")
    make().save_patch_tokens(pictures, tmp_path / "tokens", dtype="float32")
    with pytest.raises(ValueError, match="dtype must be one of 'float16', 'float32'"):
        make().save_patch_tokens(pictures, tmp_path / "others", dtype="float64")


def test_folders_that_hold_no_tokens_are_refused(make, pictures, tmp_path):
    with pytest.raises(FileNotFoundError):
        load_patch_tokens(tmp_path)
    make().save_patch_tokens(pictures, tmp_path / "tokens")
    about = tmp_path / "tokens" / "about.json"
    whole = about.read_text()
    short = json.loads(whole)
    short["ids"] = short["ids"][:2]
    for text in ("{}", "junk", whole.replace("-1", "-2"), json.dumps(short), "[]"):
        about.write_text(text)
        with pytest.raises(ValueError, match="does not hold patch tokens"):
            load_patch_tokens(tmp_path / "tokens")
    about.write_text(whole)
    (tmp_path / "tokens" / "tokens.npy").write_bytes(b"junk")
    with pytest.raises(ValueError, match="does not hold patch tokens"):
        load_patch_tokens(tmp_path / "tokens")
