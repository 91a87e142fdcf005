"""Where weights come from: tags, files, folders and a hub, all small and made here."""

from __future__ import annotations

import json
import pickle
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from skeegclip import CLIPEmbedder
from skeegclip.embeddings._weights import find_weights

pytestmark = pytest.mark.usefixtures("offline")

PREPROCESS = {
    "mean": (0.5, 0.4, 0.3),
    "std": (0.3, 0.2, 0.25),
    "interpolation": "bilinear",
    "resize_mode": "squash",
}


@pytest.fixture
def publish(monkeypatch, tiny_clip):
    """Make open_clip believe that the tiny model has published weights."""
    import open_clip

    def publish(**tags):
        entries = {tag: {"url": "", "hf_hub": "", **about} for tag, about in tags.items()}
        monkeypatch.setitem(open_clip.pretrained._PRETRAINED, tiny_clip().name, entries)

    return publish


def embed(pictures, model, pretrained="laion2b_s32b_b79k", **params):
    return CLIPEmbedder(model, pretrained, device="cpu", verbose=0, **params).embed_images(pictures)


def by_open_clip(pictures, *args, **params):
    """What open_clip itself makes of the same arguments."""
    import open_clip
    import torch

    net, _, preprocess = open_clip.create_model_and_transforms(*args, **params)
    with torch.no_grad():
        batch = torch.stack([preprocess(picture) for picture in pictures])
        return net.eval().encode_image(batch, normalize=False).numpy()


def assert_same(table, expected):
    np.testing.assert_allclose(table.vectors, expected, rtol=1e-5, atol=1e-6)


def test_a_folder_brings_its_own_preprocessing(clip_folder, pictures, tiny_clip):
    table = embed(pictures, f"local-dir:{clip_folder}")
    assert_same(table, by_open_clip(pictures, f"local-dir:{clip_folder}"))
    assert np.abs(table.vectors - tiny_clip().encode(pictures)).max() > 1e-3
    texts = CLIPEmbedder(f"local-dir:{clip_folder}", device="cpu", verbose=0).embed_texts(["cat"])
    assert texts.n_dims == 8


def test_a_safetensors_file_is_read(tiny_clip, pictures, tmp_path):
    import safetensors.torch

    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(tiny_clip().net.state_dict(), path)
    assert_same(embed(pictures, tiny_clip().name, path), tiny_clip().encode(pictures))


def test_a_tag_is_taken_from_the_hubs_cache_with_its_preprocessing(
    tiny_clip, pictures, publish, in_hub_cache, clip_folder
):
    publish(good_tag={"hf_hub": "me/tiny/", **PREPROCESS})
    in_hub_cache("me/tiny", "abc123", clip_folder / "open_clip_pytorch_model.bin")
    table = embed(pictures, tiny_clip().name, "good_tag")
    assert_same(table, by_open_clip(pictures, tiny_clip().name, "good_tag"))
    assert np.abs(table.vectors - tiny_clip().encode(pictures)).max() > 1e-3
    # Spelled otherwise it is the same tag, for open_clip and for the cache.
    assert (
        find_weights(tiny_clip().name, "Good-Tag").identity
        == find_weights(tiny_clip().name, "good_tag").identity
    )


def test_a_hub_repository_is_taken_from_the_hubs_cache(pictures, in_hub_cache, clip_folder):
    in_hub_cache("me/clip", "abc123", *clip_folder.iterdir())
    table = embed(pictures, "hf-hub:me/clip")
    assert_same(table, by_open_clip(pictures, "hf-hub:me/clip"))
    assert table.meta["weights"] == {"model": "hf-hub:me/clip", "commit": "abc123"}
    assert CLIPEmbedder("hf-hub:me/clip", device="cpu", verbose=0).embed_texts(["cat"]).n_dims == 8


def test_openais_activation_follows_the_tag(tiny_clip, pictures, publish, in_hub_cache, clip_folder):
    publish(openai={"hf_hub": "me/tiny/", "quick_gelu": True})
    in_hub_cache("me/tiny", "abc123", clip_folder / "open_clip_pytorch_model.bin")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = embed(pictures, tiny_clip().name, "openai")
    assert_same(table, by_open_clip(pictures, tiny_clip().name, "openai", force_quick_gelu=True))
    assert np.abs(table.vectors - tiny_clip().encode(pictures)).max() > 1e-4


def test_a_file_is_prepared_for_as_the_published_weights_agree(tiny_clip, pictures, publish):
    tiny = tiny_clip()
    publish(one=PREPROCESS, other=PREPROCESS)
    named = {f"image_{key}": value for key, value in PREPROCESS.items()}
    expected = by_open_clip(pictures, tiny.name, tiny.weights, **named)
    assert_same(embed(pictures, tiny.name, tiny.weights), expected)
    publish(one=PREPROCESS, other={**PREPROCESS, "resize_mode": "shortest"})
    assert_same(embed(pictures, tiny.name, tiny.weights), tiny.encode(pictures))


def test_a_name_stands_for_what_is_in_the_file(tiny_clip, tmp_path):
    tiny = tiny_clip()
    shutil.copy(tiny.weights, tmp_path / "moved.pt")
    here, there = (find_weights(tiny.name, path).identity for path in (tiny.weights, tmp_path / "moved.pt"))
    assert here == there
    assert "moved" not in json.dumps(there)
    with open(tmp_path / "moved.pt", "ab") as file:
        file.write(b"x")
    assert find_weights(tiny.name, tmp_path / "moved.pt").identity != here


def test_vectors_in_the_cache_need_no_weights(
    tiny_clip, pictures, publish, in_hub_cache, clip_folder, tmp_path
):
    publish(good_tag={"hf_hub": "me/tiny/"})
    snapshot = in_hub_cache("me/tiny", "abc123", clip_folder / "open_clip_pytorch_model.bin")
    table = embed(pictures, tiny_clip().name, "good_tag", cache_dir=tmp_path / "cache")
    shutil.rmtree(snapshot)
    assert embed(pictures, tiny_clip().name, "good_tag", cache_dir=tmp_path / "cache") == table


@pytest.mark.parametrize(
    ("model", "command"),
    [
        ("ViT-H-14", "hf download laion/CLIP-ViT-H-14-laion2B-s32B-b79K open_clip_model.safetensors"),
        ("hf-hub:laion/CLIP-ViT-H-14-laion2B-s32B-b79K", "hf download laion/CLIP-ViT-H-14-laion2B-s32B-b79K"),
    ],
)
def test_without_a_hub_one_sentence_says_what_to_do(model, command, pictures, tmp_path):
    with pytest.raises(OSError, match="are not on this machine and cannot be downloaded") as caught:
        embed(pictures, model)
    text = str(caught.value)
    assert f"run `{command}` where there is a network" in text
    assert str(tmp_path / "hub" / "models--laion--CLIP-ViT-H-14-laion2B-s32B-b79K") in text
    assert "or pass a weights file as pretrained=." in text
    assert "\n" not in text


def test_without_its_address_one_sentence_says_what_to_do(tiny_clip, pictures, publish):
    publish(old={"url": "http://127.0.0.1:9/weights.pt"})
    with pytest.raises(
        OSError, match=r"download http://127.0.0.1:9/weights.pt where there is a network and pass"
    ):
        embed(pictures, tiny_clip().name, "old")


@pytest.fixture
def server(serve, clip_folder):
    return serve(clip_folder)


@pytest.fixture
def hub(server, to_hub):
    """The hub's client talks to our server."""
    to_hub(server)


def test_weights_are_downloaded_from_the_hub(hub, pictures, clip_folder, tiny_clip, publish, tmp_path):
    table = embed(pictures, "hf-hub:me/clip")
    assert_same(table, by_open_clip(pictures, f"local-dir:{clip_folder}"))
    assert table.meta["weights"]["commit"] == "0" * 40
    publish(good_tag={"hf_hub": "me/tiny/"})  # has no safetensors there: the .bin is taken
    assert_same(embed(pictures, tiny_clip().name, "good_tag"), tiny_clip().encode(pictures))
    assert list((tmp_path / "hub" / "models--me--tiny").rglob("open_clip_pytorch_model.bin"))


def test_weights_belong_to_the_configuration_in_the_cache(hub, pictures, in_hub_cache, clip_folder):
    # The repository has moved on since its configuration was fetched: its weights of that time are taken.
    snapshot = in_hub_cache("me/clip", "a" * 40, clip_folder / "open_clip_config.json")
    table = embed(pictures, "hf-hub:me/clip")
    assert table.meta["weights"]["commit"] == "a" * 40
    assert (snapshot / "open_clip_pytorch_model.bin").exists()


def test_weights_are_downloaded_from_an_address(server, pictures, tiny_clip, publish):
    publish(old={"url": f"{server}/open_clip_pytorch_model.bin"})
    assert_same(embed(pictures, tiny_clip().name, "old"), tiny_clip().encode(pictures))


class _Attack:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_file_cannot_run_code(tiny_clip, pictures, tmp_path):
    path, proof = tmp_path / "evil.pt", tmp_path / "proof"
    path.write_bytes(pickle.dumps({"state_dict": _Attack(proof)}))
    with pytest.raises(ValueError, match=r"evil.pt does not hold weights of .* that can be loaded safely"):
        embed(pictures, tiny_clip().name, path)
    assert not proof.exists()


def test_files_of_other_kinds_are_refused(tiny_clip, pictures, tmp_path):
    import torch

    tiny, other = tiny_clip(), tiny_clip("timm-convnext")
    whole = Path(tiny.weights).read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    with warnings.catch_warnings():  # as OpenAI's own files still are
        warnings.simplefilter("ignore", FutureWarning)
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / "script.pt")
    for path in (other.weights, *sorted(tmp_path.glob("*.*"))):
        with pytest.raises(
            ValueError, match="does not hold weights of .*Name the model that the file belongs to"
        ):
            embed(pictures, tiny.name, path)


@pytest.mark.parametrize(
    ("model", "pretrained", "error", "match"),
    [
        (
            "ViT-H14",
            "x",
            ValueError,
            r"model must be one of open_clip.list_models\(\).* Did you mean 'ViT-H-14'",
        ),
        (3, "x", TypeError, "model must be the name of an open_clip model, got int"),
        ("ViT-H-14", "laion", ValueError, r"a tag of ViT-H-14 \(laion2b_s32b_b79k, .*got 'laion'"),
        ("ViT-H-14", "nowhere.pt", ValueError, "pretrained must be a weights file, or a tag"),
        ("ViT-H-14", None, ValueError, "got None"),
        ("local-dir:nowhere", "x", FileNotFoundError, "there is no open_clip_config.json in that folder"),
    ],
)
def test_unknown_models_and_weights_are_refused(model, pretrained, error, match, pictures):
    with pytest.raises(error, match=match):
        embed(pictures, model, pretrained)


def test_a_folder_without_weights_is_refused(clip_folder, pictures, tmp_path):
    shutil.copy(clip_folder / "open_clip_config.json", tmp_path)
    with pytest.raises(FileNotFoundError, match="there are no weights in that folder"):
        embed(pictures, f"local-dir:{tmp_path}")


def test_a_missing_open_clip_is_told_of(pictures, monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(ImportError, match="CLIPEmbedder needs open_clip, .* a torchvision that pairs"):
        embed(pictures, "ViT-H-14")
