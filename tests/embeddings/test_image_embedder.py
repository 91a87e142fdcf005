"""ImageEmbedder against the models' own calls in transformers and diffusers."""

from __future__ import annotations

import json
import pickle
import shutil
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter
from sklearn.base import clone

from skeegclip import EmbeddingTable, ImageEmbedder
from skeegclip.embeddings import _loaded, _towers, load_patch_tokens
from skeegclip.embeddings._views import views

N_BLOCKS = 3
_VIT = {"hidden_size": 16, "num_hidden_layers": N_BLOCKS, "num_attention_heads": 2, "intermediate_size": 16}
_VIT |= {"image_size": 32, "patch_size": 8}
_CROP = {"size": {"shortest_edge": 36}, "crop_size": {"height": 32, "width": 32}}
_SQUASH = {"size": {"height": 32, "width": 32}}
_STAGES = {"depths": [1, 1], "hidden_sizes": [8, 16]}
# Kind: configuration, its settings, processor, its settings, tokens before those of the patches, last normalisation.
KINDS: dict[str, tuple[str, dict, str, dict, int, str | None]] = {
    "dinov2": ("Dinov2Config", _VIT, "BitImageProcessor", _CROP, 1, "layernorm"),
    "dinov3": (
        "DINOv3ViTConfig",
        {**_VIT, "num_register_tokens": 2},
        "DINOv3ViTImageProcessor",
        _SQUASH,
        3,
        "norm",
    ),
    "siglip": ("SiglipVisionConfig", _VIT, "SiglipImageProcessor", _SQUASH, 0, "post_layernorm"),
    "vit": ("ViTConfig", _VIT, "ViTImageProcessor", _SQUASH, 1, "layernorm"),
    "convnext": (
        "ConvNextConfig",
        {**_STAGES, "num_stages": 2},
        "ConvNextImageProcessor",
        {"size": {"shortest_edge": 32}},
        0,
        None,
    ),
}
WITH_CLASS = ["dinov2", "dinov3", "vit"]


@dataclass(frozen=True)
class Tiny:
    """A saved model, and what transformers itself makes of the folder."""

    folder: Path
    net: Any
    processor: Any

    def __call__(self, pictures, processing=None, **params):
        import torch

        pixels = self.processor(pictures, return_tensors="pt", **(processing or {}))["pixel_values"]
        with torch.no_grad():
            return self.net(pixels, output_hidden_states=True, **params)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """From a kind in KINDS to a Tiny, with weights that are far from those of a start."""
    made: dict[str, Tiny] = {}

    def make(kind="dinov2"):
        import torch
        import transformers

        if kind not in made:
            folder = tmp_path_factory.mktemp(kind)
            config, settings, processor, processing, *_ = KINDS[kind]
            with torch.random.fork_rng():
                torch.manual_seed(0)
                net = transformers.AutoModel.from_config(getattr(transformers, config)(**settings))
                for parameter in net.parameters():
                    parameter.data += 0.3 * torch.randn_like(parameter)
            net.save_pretrained(folder)
            getattr(transformers, processor)(**processing).save_pretrained(folder)
            net = transformers.AutoModel.from_pretrained(folder).eval()
            made[kind] = Tiny(folder, net, transformers.AutoImageProcessor.from_pretrained(folder))
        return made[kind]

    return make


@pytest.fixture
def make(tiny):
    def make(kind="dinov2", **params):
        return ImageEmbedder(
            tiny(kind).folder, **{"device": "cpu", "verbose": 0, "precision": "float32", **params}
        )

    return make


@pytest.fixture
def count(monkeypatch):
    """How many pictures have gone through a network."""
    batches: list[int] = []
    encode = _towers.ImageModel.encode_pixels

    def counting(self, pixels, read, precision):
        batches.append(len(pixels))
        return encode(self, pixels, read, precision)

    monkeypatch.setattr(_towers.ImageModel, "encode_pixels", counting)
    return batches


def pooled(states, pool, n_prefix):
    if states.ndim == 4:
        states = states.flatten(2).transpose(1, 2)
    pools = {"mean": states[:, n_prefix:].mean(1), "cls": states[:, 0], "none": states.flatten(1)}
    return pools[pool].numpy()


def assert_same(table, expected):
    vectors = table.vectors if isinstance(table, EmbeddingTable) else table
    assert vectors.shape == expected.shape
    np.testing.assert_allclose(vectors, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_final_is_the_models_own_output(kind, make, tiny, pictures):
    expected = tiny(kind)(pictures).last_hidden_state
    n_prefix = KINDS[kind][4]
    for pool in ("mean", "none", *(["cls"] if kind in WITH_CLASS else [])):
        assert_same(make(kind, pool=pool).embed_images(pictures), pooled(expected, pool, n_prefix))


@pytest.mark.parametrize("kind", KINDS)
def test_a_block_is_the_hidden_state_after_it(kind, make, tiny, pictures):
    import torch

    own = tiny(kind)(pictures)
    *_, n_prefix, norm = KINDS[kind]
    n_blocks = len(own.hidden_states) - 1
    for block in range(n_blocks - 1):
        assert_same(
            make(kind, layer=block).embed_images(pictures),
            pooled(own.hidden_states[block + 1], "mean", n_prefix),
        )
    # The last one is not normalised, and the normalisation makes "final" of it.
    tokens = make(kind, layer=-1, pool="none").embed_images(pictures).vectors
    expected = own.last_hidden_state
    if norm is not None:
        with torch.no_grad():
            tokens = getattr(tiny(kind).net, norm)(torch.tensor(tokens).reshape(expected.shape)).numpy()
        assert np.abs(tokens - own.hidden_states[-1].numpy()).max() > 0.1 or kind != "siglip"
    else:
        tokens = (
            tokens.reshape(len(expected), -1, expected.shape[1]).transpose(0, 2, 1).reshape(expected.shape)
        )
    assert_same(tokens.reshape(len(tokens), -1), expected.numpy().reshape(len(tokens), -1))


def test_a_fraction_counts_blocks_passed_and_a_list_joins_its_layers(make, tiny, pictures):
    states = tiny()(pictures).hidden_states
    assert_same(make(layer=0.667).embed_images(pictures), pooled(states[2], "mean", 1))  # 2 of 3 blocks
    own = tiny()(pictures).last_hidden_state
    mixed = make(layer=["final", 0, 0.667], pool="cls").embed_images(pictures)
    assert_same(
        mixed, np.concatenate([pooled(each, "cls", 1) for each in (own, states[1], states[2])], axis=1)
    )


def test_blocks_after_the_last_one_wanted_do_not_run(make, tiny, pictures):
    embedder = make(layer=0)
    embedder.embed_images(pictures)
    net, ran = embedder._model.loaded.net, []
    hooks = [
        each.register_forward_hook(lambda *_, k=k: ran.append(k)) for k, each in enumerate(net.encoder.layer)
    ]
    embedder.embed_images(pictures)
    make(layer=[1, "final"]).embed_images(pictures[:1])
    for hook in hooks:
        hook.remove()
    assert ran == [0, 0, 1, 2]
    assert not any(module._forward_hooks for module in net.encoder.layer)


@pytest.mark.parametrize(
    ("kind", "processing", "params"),
    [
        ("dinov2", {"size": {"shortest_edge": 54}, "crop_size": {"height": 48, "width": 48}}, {}),
        ("dinov3", {"size": {"height": 48, "width": 48}}, {}),
        ("siglip", {"size": {"height": 48, "width": 48}}, {"interpolate_pos_encoding": True}),
        ("vit", {"size": {"height": 48, "width": 48}}, {"interpolate_pos_encoding": True}),
        ("convnext", {"size": {"shortest_edge": 48}}, {}),
    ],
)
def test_other_sizes_interpolate_positions_as_the_model_does(kind, processing, params, make, tiny, pictures):
    own = tiny(kind)(pictures, processing, **params)
    table = make(kind, layer=["final", 0], size=48).embed_images(pictures)
    each = [
        pooled(states, "mean", KINDS[kind][4]) for states in (own.last_hidden_state, own.hidden_states[1])
    ]
    assert_same(table, np.concatenate(each, axis=1))
    assert np.abs(table.vectors - make(kind, layer=["final", 0]).embed_images(pictures).vectors).max() > 1e-2


def test_blur_and_views_are_those_of_the_models_input(make, tiny, pictures):
    small = [picture.resize((32, 32)) for picture in pictures]
    soft = [picture.filter(ImageFilter.GaussianBlur(2)) for picture in small]
    blurred = make("vit", blur=2).embed_images(small)
    assert_same(blurred, pooled(tiny("vit")(soft).last_hidden_state, "mean", 1))
    embedder = make("vit", n_views=3, batch_size=4)
    averaged = embedder.embed_images(small)
    spoilt = [tiny("vit")(views(picture, 3, 0)).last_hidden_state for picture in small]
    assert_same(averaged, np.stack([pooled(each, "mean", 1).mean(axis=0) for each in spoilt]))
    assert_same(embedder.embed_images(small[3:]), averaged.vectors[3:])


def test_blur_of_a_processor_that_scales_first_is_off_by_rounding_alone(make, pictures):
    plain, hardly = (make("dinov3", blur=blur).embed_images(pictures).vectors for blur in (None, 1e-6))
    assert 0 < np.abs(plain - hardly).max() < 0.05 * np.abs(plain).max()


@pytest.fixture(scope="module")
def vae_folder(tmp_path_factory):
    import torch
    from diffusers import AutoencoderKL

    folder = tmp_path_factory.mktemp("vae")
    blocks = {"down_block_types": ["DownEncoderBlock2D"] * 2, "up_block_types": ["UpDecoderBlock2D"] * 2}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae = AutoencoderKL(
            block_out_channels=(8, 8), norm_num_groups=4, latent_channels=2, sample_size=16, **blocks
        )
    vae.save_pretrained(folder)
    return folder


def test_an_autoencoders_latents_are_its_own(vae_folder, pictures, tmp_path):
    import torch
    from diffusers import AutoencoderKL

    vae = AutoencoderKL.from_pretrained(vae_folder).eval()
    small = [picture.resize((16, 16)) for picture in pictures]
    pixels = (
        torch.from_numpy(np.stack([np.asarray(picture) for picture in small])).permute(0, 3, 1, 2) / 127.5 - 1
    )
    with torch.no_grad():
        latents = vae.encode(pixels).latent_dist.mode().numpy() * vae.config.scaling_factor
    params = {"device": "cpu", "verbose": 0, "precision": "float32"}
    table = ImageEmbedder(vae_folder, pool="none", **params).embed_images(small)
    assert_same(table.vectors.reshape(latents.shape), latents)
    assert_same(ImageEmbedder(vae_folder, **params).embed_images(small), latents.mean(axis=(2, 3)))
    ImageEmbedder(vae_folder, **params).save_patch_tokens(small, tmp_path / "tokens", dtype="float32")
    tokens = load_patch_tokens(tmp_path / "tokens")[1]
    assert_same(np.array(tokens), latents.reshape(len(latents), 2, -1).transpose(0, 2, 1))
    larger = ImageEmbedder(vae_folder, pool="none", size=32, blur=1, **params).embed_images(pictures)
    assert larger.n_dims == 2 * 16 * 16
    for wrong, match in [({"layer": 0}, "for an autoencoder"), ({"pool": "cls"}, "no class token")]:
        with pytest.raises(ValueError, match=match):
            ImageEmbedder(vae_folder, **wrong, **params).embed_images(small)


def test_a_model_of_pictures_and_texts_gives_its_image_tower(tmp_path, tiny, pictures):
    import torch
    from transformers import AutoModel, SiglipConfig

    text = {
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 8,
        "vocab_size": 10,
    }
    config = SiglipConfig(text_config={**text, "projection_size": 16}, vision_config=_VIT)
    AutoModel.from_config(config).save_pretrained(tmp_path)
    tiny("siglip").processor.save_pretrained(tmp_path)
    net = AutoModel.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        own = net.vision_model(tiny("siglip").processor(pictures, return_tensors="pt")["pixel_values"])
    table = ImageEmbedder(tmp_path, device="cpu", verbose=0).embed_images(pictures)
    assert_same(table, own.last_hidden_state.mean(1).numpy())


def test_a_model_of_timm_goes_through_timms_transform(tmp_path, pictures):
    import timm
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = timm.create_model("test_vit").eval()
    timm.models.save_for_hf(net, tmp_path, safe_serialization=True)
    config = json.loads((tmp_path / "config.json").read_text())
    config.pop("model_args", None)  # names the number of classes, which transformers sets too
    (tmp_path / "config.json").write_text(json.dumps(config))
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(net))
    with torch.no_grad():
        batch = torch.stack([transform(picture) for picture in pictures])
        final, states = net.forward_features(batch), net.forward_intermediates(batch, intermediates_only=True)
    params = {"device": "cpu", "verbose": 0}
    assert_same(ImageEmbedder(tmp_path, **params).embed_images(pictures), pooled(final, "mean", 1))
    middle = ImageEmbedder(tmp_path, layer=1, **params).embed_images(pictures)
    assert_same(middle, pooled(states[1], "mean", 0))
    with pytest.raises(ValueError, match="size must be None for a model of timm"):
        ImageEmbedder(tmp_path, size=32, **params).embed_images(pictures)


def test_tokens_are_written_and_read(make, tiny, pictures, tmp_path):
    make(layer=1, batch_size=2).save_patch_tokens(pictures, tmp_path / "tokens", dtype="float32")
    ids, tokens = load_patch_tokens(tmp_path / "tokens")
    assert ids.tolist() == list("01234")
    assert_same(np.array(tokens), tiny()(pictures).hidden_states[2].numpy())


def test_cached_vectors_cost_no_network_and_a_stopped_run_goes_on(
    make, pictures, tmp_path, count, monkeypatch
):
    encode = _towers.ImageModel.encode_pixels

    def interrupted(self, pixels, read, precision):
        if sum(count) >= 4:
            raise KeyboardInterrupt
        return encode(self, pixels, read, precision)

    embedder = make(layer=0.667, batch_size=2, cache_dir=tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(_towers.ImageModel, "encode_pixels", interrupted)
        with pytest.raises(KeyboardInterrupt):
            embedder.embed_images(pictures)
    assert count == [2, 2]
    table = embedder.embed_images(pictures)
    assert count == [2, 2, 1]
    assert embedder.embed_images(pictures) == table == make(layer=0.667, batch_size=2).embed_images(pictures)
    assert sum(count) == 10


@pytest.mark.parametrize(
    "change",
    [{"layer": 0}, {"pool": "cls"}, {"size": 48}, {"blur": 1}, {"n_views": 2}, {"precision": "bfloat16"}],
    ids=str,
)
def test_whatever_changes_a_vector_has_a_cache_of_its_own(change, make, pictures, tmp_path, count):
    first = make(cache_dir=tmp_path).embed_images(pictures[:2])
    other = make(cache_dir=tmp_path, **change).embed_images(pictures[:2])
    assert len(count) == 2
    assert first != other


def test_a_table_records_its_recipe(make, pictures, tmp_path, clip_folder):
    from skeegclip import CLIPEmbedder

    table = make(layer=0.667, size=48, blur=1, cache_dir=tmp_path / "cache").embed_images(pictures)
    table.save(tmp_path / "table.safetensors")
    loaded = EmbeddingTable.load(tmp_path / "table.safetensors")
    assert loaded == table
    assert loaded.meta == table.meta
    about = {
        key: loaded.meta[key] for key in ("kind", "layer", "pooling", "size", "blur", "foveal", "normalized")
    }
    assert about == {
        "kind": "image",
        "layer": [0.667],
        "pooling": "mean",
        "size": 48,
        "blur": 1.0,
        "foveal": False,
        "normalized": False,
    }
    assert len(loaded.meta["weights"]["sha256"]) == 3  # configuration, processor, weights
    # One folder serves both kinds of embedders.
    clip = CLIPEmbedder(f"local-dir:{clip_folder}", device="cpu", verbose=0, cache_dir=tmp_path / "cache")
    assert clip.embed_images(pictures) == clip.embed_images(pictures)
    assert len(list((tmp_path / "cache").glob("*/settings.json"))) == 2


def test_weights_are_loaded_once_for_all_sizes_and_threads(make, pictures):
    import gc

    sizes, found = [make(layer=0), make(layer=1, size=48), make()], {}
    expected = [embedder.embed_images(pictures) for embedder in sizes]
    assert len({id(embedder._model.loaded) for embedder in sizes}) == 1

    def embed(k, embedder):
        found[k] = [embedder.embed_images(pictures) for _ in range(3)]

    threads = [threading.Thread(target=embed, args=(k, sizes[k])) for k in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k in range(3):
        assert all(table == expected[k] for table in found[k])
    content = pickle.dumps(sizes[0])
    assert len(content) < 2000
    assert pickle.loads(content).embed_images(pictures) == expected[0]
    assert clone(sizes[1]).get_params() == sizes[1].get_params()
    del sizes, threads
    gc.collect()
    assert not _loaded._LOADED


@pytest.mark.parametrize(
    ("params", "error", "match"),
    [
        ({"pool": "max"}, ValueError, "pool must be one of 'mean', 'cls', 'none'"),
        ({"size": 0}, ValueError, "size must"),
        ({"size": 48.5}, (TypeError, ValueError), "size must"),
        ({"layer": 3}, ValueError, r"layer must lie in \[-3, 2\]"),
        ({"revision": "main"}, ValueError, "revision must be None where model is a folder"),
        ({"revision": 1}, TypeError, "revision must be a commit"),
        ({"foveal": True}, ValueError, "foveal=True needs a blur"),
    ],
)
def test_wrong_parameters_are_refused(params, error, match, make, pictures):
    with pytest.raises(error, match=match):
        make(**params).embed_images(pictures)


def test_a_network_without_class_token_says_so(make, pictures):
    with pytest.raises(ValueError, match='pool="cls", but this network has no class token'):
        make("siglip", pool="cls").embed_images(pictures)


def test_a_processor_that_gives_no_squares_is_refused(tiny, pictures, tmp_path):
    shutil.copytree(tiny().folder, tmp_path / "model")
    path = tmp_path / "model" / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "do_center_crop": False}))
    with pytest.raises(ValueError, match="BitImageProcessor, gives pixels .* not one square"):
        ImageEmbedder(tmp_path / "model", device="cpu", verbose=0).embed_images(pictures)


def test_nothing_global_is_touched(make, pictures):
    import torch

    state = torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make("dinov3").embed_images([np.asarray(pictures[0]), Image.new("L", (9, 9))])
    assert torch.equal(state, torch.get_rng_state())
    assert torch.is_grad_enabled()
