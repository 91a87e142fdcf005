"""Where the networks of an ImageEmbedder come from: folders and a hub, all small and made here."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from skeegclip import ImageEmbedder
from skeegclip.embeddings._vision import find_vision, load_vision

pytestmark = pytest.mark.usefixtures("offline")


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    """A tiny ViT, with its weights in several files as large models have them."""
    import torch
    from transformers import ViTConfig, ViTImageProcessor, ViTModel

    folder = tmp_path_factory.mktemp("vit")
    config = ViTConfig(
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=8,
        image_size=16,
        patch_size=8,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        ViTModel(config, add_pooling_layer=False).save_pretrained(folder, max_shard_size="3KB")
    ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(folder)
    assert len(list(folder.glob("*.safetensors"))) > 1
    return folder


@pytest.fixture
def copy(saved, tmp_path):
    shutil.copytree(saved, tmp_path / "model")
    return tmp_path / "model"


def embed(pictures, model, **params):
    return ImageEmbedder(model, device="cpu", verbose=0, **params).embed_images(pictures)


def change(path, **more):
    path.write_text(json.dumps({**json.loads(path.read_text()), **more}))


def test_a_hub_repository_is_taken_from_the_hubs_cache(pictures, saved, in_hub_cache):
    in_hub_cache("me/vit", "abc123", *saved.iterdir())
    table = embed(pictures, "me/vit")
    np.testing.assert_array_equal(table.vectors, embed(pictures, saved).vectors)
    assert table.meta["weights"] == {"model": "me/vit", "commit": "abc123"}


def test_a_revision_is_pinned_and_recorded(pictures, saved, serve, to_hub, tmp_path):
    to_hub(serve(saved))
    pinned = embed(pictures, "me/vit", revision="b" * 40, cache_dir=tmp_path / "cache")
    assert pinned.meta["weights"] == {"model": "me/vit", "commit": "b" * 40}
    newest = embed(pictures, "me/vit", cache_dir=tmp_path / "cache")
    assert newest.meta["weights"]["commit"] == "0" * 40
    np.testing.assert_array_equal(pinned.vectors, newest.vectors)
    # What is in the cache of vectors needs no weights, and no network.
    for path in (tmp_path / "hub").rglob("*.safetensors"):
        path.unlink()
    to_hub("http://127.0.0.1:9")
    assert embed(pictures, "me/vit", revision="b" * 40, cache_dir=tmp_path / "cache") == pinned


def test_an_autoencoder_is_downloaded_from_the_hub(pictures, serve, to_hub, tmp_path):
    from diffusers import AutoencoderKL

    AutoencoderKL(block_out_channels=(8,), norm_num_groups=4, latent_channels=2).save_pretrained(
        tmp_path / "vae"
    )
    to_hub(serve(tmp_path / "vae"))
    table = embed(pictures, "me/vae", size=8, pool="none")
    np.testing.assert_array_equal(
        table.vectors, embed(pictures, tmp_path / "vae", size=8, pool="none").vectors
    )


@pytest.mark.parametrize("revision", [None, "v1"])
def test_without_a_hub_one_sentence_says_what_to_do(revision, pictures, tmp_path):
    with pytest.raises(OSError, match="are not on this machine and cannot be downloaded") as caught:
        embed(pictures, "facebook/dinov2-giant", revision=revision)
    text = str(caught.value)
    command = "hf download facebook/dinov2-giant" + (" --revision v1" if revision else "")
    assert f"run `{command}` where there is a network" in text
    assert str(tmp_path / "hub" / "models--facebook--dinov2-giant") in text
    assert text.endswith("or pass a folder as model=.")
    assert "\n" not in text


def test_a_repository_of_pickles_is_refused(pictures, copy, serve, to_hub):
    for path in copy.glob("*.safetensors*"):
        path.unlink()
    (copy / "pytorch_model.bin").write_bytes(b"pickle")
    to_hub(serve(copy))
    with pytest.raises(ValueError, match=r"has no model.safetensors or .*\(pickles are not read"):
        embed(pictures, "me/vit")
    with pytest.raises(FileNotFoundError, match=r"no weights in that folder \(.safetensors; pickles"):
        embed(pictures, copy)


def test_code_that_comes_with_a_model_is_not_run(pictures, copy, tmp_path):
    proof = tmp_path / "proof"
    (copy / "evil.py").write_text(f"open({str(proof)!r}, 'w').write('ran')\nclass Evil: pass\n")
    auto = dict.fromkeys(["AutoConfig", "AutoModel", "AutoImageProcessor"], "evil.Evil")
    change(copy / "config.json", auto_map=auto)
    embed(pictures, copy)  # as what it says it is
    change(copy / "config.json", model_type="evil")
    with pytest.raises(ValueError, match="without code that comes with it"):
        embed(pictures, copy)
    change(copy / "config.json", model_type="vit")
    change(copy / "preprocessor_config.json", image_processor_type="Evil", auto_map=auto)
    with pytest.raises(ValueError, match="without code that comes with it"):
        embed(pictures, copy)
    change(copy / "config.json", _class_name="Evil")
    with pytest.raises(ValueError, match="names the class 'Evil', which is no autoencoder"):
        embed(pictures, copy)
    assert not proof.exists()


@pytest.mark.parametrize(
    "config",
    [
        {"architecture": "hf-hub:me/other"},
        {"architecture": "test_vit", "model_args": {"checkpoint_path": "evil.pt"}},
    ],
    ids=str,
)
def test_weights_that_lie_elsewhere_are_not_fetched(config, copy):
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="names weights that lie elsewhere"):
        load_vision(find_vision(copy, None), "cpu")


def test_weights_that_lack_tensors_are_refused(pictures, saved, copy):
    from safetensors.numpy import load_file, save_file

    for path in copy.glob("*.safetensors*"):
        path.unlink()
    tensors = {key: value for path in saved.glob("*.safetensors") for key, value in load_file(path).items()}
    tensors.pop("embeddings.cls_token")
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match="the weights lack 1 tensors, the first being embeddings.cls_token"):
        embed(pictures, copy)


@pytest.mark.parametrize(
    ("model_type", "more", "match"),
    [
        ("bert", {"vocab_size": 10}, "BertModel does not take pictures"),
        ("vit_mae", {}, "ViTMAEModel hides patches at random"),
    ],
)
def test_networks_that_give_no_vector_of_a_picture_are_refused(model_type, more, match, copy):
    from transformers import AutoConfig, AutoModel

    config = json.loads((copy / "config.json").read_text())
    small = {
        key: config[key]
        for key in ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    }
    for path in copy.glob("*.safetensors*"):
        path.unlink()
    AutoModel.from_config(AutoConfig.for_model(model_type, **small, **more)).save_pretrained(copy)
    with pytest.raises(ValueError, match=match):
        load_vision(find_vision(copy, None), "cpu")


def test_a_name_stands_for_what_is_in_the_folder(saved, copy):
    here, there = (find_vision(folder, None).identity for folder in (saved, copy))
    assert here == there
    assert str(copy) not in json.dumps(there)
    change(copy / "preprocessor_config.json", image_mean=[0.1, 0.1, 0.1])
    assert find_vision(copy, None).identity != here


@pytest.mark.parametrize(
    ("model", "error", "match"),
    [
        (3, TypeError, "model must be a folder or the name of a hub repository, got int"),
        ("/nowhere/at/all", FileNotFoundError, "is neither a folder nor the name of a hub repository"),
        (Path("owner/name"), FileNotFoundError, "is neither a folder nor"),
    ],
)
def test_what_is_no_model_is_refused(model, error, match):
    with pytest.raises(error, match=match):
        find_vision(model, None)


def test_a_folder_without_configuration_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no config.json in that folder"):
        find_vision(tmp_path, None)
    (tmp_path / "config.json").write_text("[")
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match="its config.json cannot be read"):
        load_vision(find_vision(tmp_path, None), "cpu")
