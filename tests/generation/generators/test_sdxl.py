"""SDXLGenerator from files to pictures, on a very small pipeline saved in the real formats."""

import gc
import json
import pickle
import shutil

import numpy as np
import pytest
from sklearn.base import clone

from skeegclip.generation import SDXLGenerator
from skeegclip.generation.generators import _pipeline

RNG = np.random.default_rng(0)
Z = 3 * RNG.standard_normal((3, 1024))
LOW = RNG.integers(0, 256, (3, 20, 30, 3), dtype=np.uint8)
del RNG
CAPTIONS = ["a dog", "a boat on the sea", "two cups"]


def distance(a, b):
    return np.abs(a.astype(int) - b.astype(int)).max(axis=(1, 2, 3))


@pytest.fixture(scope="module")
def generator(tiny_sdxl):
    return SDXLGenerator(
        weights=tiny_sdxl / "sdxl", ip_adapter=tiny_sdxl, size=64, batch_size=2, device="cpu", verbose=0
    )


@pytest.fixture(scope="module")
def painted(generator):
    return generator.generate(Z, random_state=0)


def test_pictures(painted, generator):
    assert painted.shape == (3, 64, 64, 3)
    assert painted.dtype == np.uint8
    assert painted.std() > 5
    np.testing.assert_array_equal(generator.generate(Z, random_state=0), painted)


def test_a_picture_does_not_depend_on_its_batch(generator, painted):
    for batch_size in (1, 3):
        other = clone(generator).set_params(batch_size=batch_size).generate(Z, random_state=0)
        assert distance(other, painted).max() <= 1
    assert distance(generator.generate(Z[:1], random_state=0), painted[:1]).max() <= 1
    reordered = generator.generate(
        Z[[2, 0]], random_state=np.array(_seeds(3))[[2, 0]]
    )  # the seeds go with the rows
    assert distance(reordered, painted[[2, 0]]).max() <= 1


def _seeds(n):
    from skeegclip.generation.generators.base import row_seeds

    return row_seeds(0, n)


def test_each_embedding_guides_its_own_picture_only(generator, painted):
    other = Z.copy()
    other[1] = -Z[1]
    changed = distance(generator.generate(other, random_state=0), painted)
    assert changed[1] > 5
    assert max(changed[0], changed[2]) <= 1
    unguided = clone(generator).set_params(ip_adapter_scale=0.0)
    same = unguided.generate(np.stack([Z, -Z]).reshape(6, -1), random_state=[1, 2, 3] * 2)
    assert distance(same[:3], same[3:]).max() <= 1  # of 255: they stand in different batches


def test_captions_guide(generator, painted):
    told = generator.generate(Z, captions=CAPTIONS, random_state=0)
    assert distance(told, painted).min() > 0
    other = generator.generate(Z, captions=[*CAPTIONS[:2], "a red car"], random_state=0)
    assert (distance(other, told) > 0).tolist() == [False, False, True]


def test_low_level_pictures_are_where_painting_begins(generator, painted):
    started = generator.generate(Z, LOW, random_state=0)
    assert started.shape == painted.shape
    other = LOW.copy()
    other[0] = 255 - other[0]
    changed = distance(generator.generate(Z, other, random_state=0), started)
    assert changed[0] > 10
    assert max(changed[1:]) <= 1
    little, much = (
        clone(generator).set_params(n_steps=10, strength=strength) for strength in (0.1, 1.0)
    )  # the more it is changed, the less of it is left
    effect = [
        np.abs(g.generate(Z, LOW, random_state=0).astype(int) - g.generate(Z, other, random_state=0))[
            0
        ].mean()
        for g in (little, much)
    ]
    assert effect[0] > 3 * effect[1]
    assert distance(generator.generate(Z, LOW / 255, random_state=0), started).max() <= 1


def test_guidance(generator):
    base = clone(generator).set_params(model="sdxl-base", n_steps=3, batch_size=3)
    guided = base.generate(Z, captions=CAPTIONS, random_state=0)
    weaker = clone(base).set_params(guidance_scale=2.0)
    assert distance(weaker.generate(Z, captions=CAPTIONS, random_state=0), guided).min() > 1
    avoiding = clone(base).set_params(negative_prompt="blur").generate(Z, captions=CAPTIONS, random_state=0)
    assert distance(avoiding, guided).min() > 0
    alone = clone(base).set_params(batch_size=1).generate(Z, captions=CAPTIONS, random_state=0)
    assert distance(alone, guided).max() <= 1
    assert base.generate(Z, LOW, CAPTIONS, random_state=0).shape == (3, 64, 64, 3)


def test_guided_as_diffusers_guides(generator, tiny_sdxl):
    """One row, by diffusers' own call: classifier-free guidance with zeros for no picture."""
    import torch
    from diffusers import StableDiffusionXLPipeline

    pipeline = StableDiffusionXLPipeline.from_pretrained(tiny_sdxl / "sdxl", add_watermarker=False)
    pipeline.load_ip_adapter(
        str(tiny_sdxl),
        subfolder="",
        weight_name="ip-adapter_sdxl_vit-h.safetensors",
        image_encoder_folder=None,
    )
    embedding = torch.from_numpy(Z[:1, None].astype(np.float32))
    direct = pipeline(
        "a dog",
        ip_adapter_image_embeds=[torch.cat([torch.zeros_like(embedding), embedding])],
        num_inference_steps=3,
        guidance_scale=5.0,
        height=64,
        width=64,
        generator=torch.Generator().manual_seed(9),
        output_type="np",
    ).images
    ours = (
        clone(generator)
        .set_params(model="sdxl-base", n_steps=3)
        .generate(Z[:1], captions=["a dog"], random_state=[9])
    )
    assert distance(ours, np.round(255 * direct)).max() <= 1


def test_clones_share_and_pickles_leave_out_what_is_loaded(generator, painted, monkeypatch):
    monkeypatch.setattr(_pipeline, "_build", lambda *args: pytest.fail("loaded again"))
    np.testing.assert_array_equal(clone(generator).generate(Z, random_state=0), painted)
    assert len(pickle.dumps(generator)) < 5000
    copied = pickle.loads(pickle.dumps(generator))
    np.testing.assert_array_equal(copied.generate(Z, random_state=0), painted)
    assert "_loaded" not in vars(clone(generator))


def test_what_nobody_holds_is_freed(generator):
    other = clone(generator).set_params(dtype="bfloat16")
    assert other.generate(Z[:1], random_state=0).shape == (1, 64, 64, 3)
    assert {source.dtype for source in _pipeline._LOADED} == {"float32", "bfloat16"}
    del other
    gc.collect()
    assert {source.dtype for source in _pipeline._LOADED} == {"float32"}


def test_half_precision_files_alone_are_found(generator, painted, tiny_sdxl, tmp_path):
    import torch
    from diffusers import StableDiffusionXLPipeline

    pipeline = StableDiffusionXLPipeline.from_pretrained(tiny_sdxl / "sdxl", add_watermarker=False)
    pipeline.to(torch.float16).save_pretrained(tmp_path, variant="fp16")
    names = [path.name for path in (tmp_path / "unet").iterdir()]
    assert "diffusion_pytorch_model.fp16.safetensors" in names
    half = clone(generator).set_params(weights=tmp_path, batch_size=3).generate(Z, random_state=0)
    assert distance(half, painted).max() < 40


def test_the_form_for_pictures_takes_the_adapter_s_file_too(generator, painted, tiny_sdxl):
    file = tiny_sdxl / "ip-adapter_sdxl_vit-h.safetensors"
    by_file = clone(generator).set_params(ip_adapter=file, weights=str(tiny_sdxl / "sdxl"))
    np.testing.assert_array_equal(by_file.generate(Z, random_state=0), painted)


def test_absent_weights_say_what_to_download_where(tiny_sdxl, tmp_path):
    def refused(match, **params):
        given = {"weights": tiny_sdxl / "sdxl", "ip_adapter": tiny_sdxl} | params
        with pytest.raises(FileNotFoundError, match=match):
            SDXLGenerator(device="cpu", **given).generate(Z)

    refused(
        "Download the model from the Hugging Face hub into a folder.*pass weights=folder", weights=tmp_path
    )
    refused("ip_adapter: there is no file .* Download sdxl_models/", ip_adapter=tmp_path / "x")
    empty = {"cache_dir": tmp_path, "local_files_only": True}
    refused("weights: stabilityai/sdxl-turbo is not there", weights=None, **empty)
    refused("ip_adapter: .* of h94/IP-Adapter is not in the cache", ip_adapter=None, **empty)


def test_files_that_are_no_such_adapter_are_refused(tiny_sdxl, tmp_path):
    import torch
    from safetensors.torch import load_file, save_file

    def refused(match):
        generator = SDXLGenerator(weights=tiny_sdxl / "sdxl", ip_adapter=tmp_path, device="cpu")
        with pytest.raises(ValueError, match=match):
            generator.generate(Z)

    path = tmp_path / "ip-adapter_sdxl_vit-h.safetensors"
    path.write_bytes(b"<html>")
    refused("is not a readable safetensors file")
    save_file({"image_proj.latents": torch.zeros(1)}, path)
    refused("is not an IP-Adapter for one embedding per picture")
    state = load_file(tiny_sdxl / "ip-adapter_sdxl_vit-h.safetensors")
    save_file({k: v[:, :3].contiguous() if "to_k_ip" in k else v for k, v in state.items()}, path)
    refused("do not fit the UNet")


def test_embeddings_that_cannot_be_meant(generator):
    with pytest.raises(ValueError, match="embeddings have 256 dimensions, but this generator takes 1024"):
        generator.generate(Z[:, :256])
    unit = Z / np.linalg.norm(Z, axis=1, keepdims=True)
    with pytest.warns(UserWarning, match="embeddings have length 1, but the IP-Adapter was trained"):
        generator.generate(unit[:1])


@pytest.mark.parametrize(
    ("params", "error", "match"),
    [
        ({"model": "sdxl"}, ValueError, "model must be one of 'sdxl-turbo', 'sdxl-base', got 'sdxl'"),
        ({"n_steps": 0}, ValueError, "n_steps must lie in"),
        ({"size": 100}, ValueError, "size must be a multiple of 8, got 100"),
        ({"strength": 0.0}, ValueError, r"strength must lie in \(0, 1\]"),
        ({"strength": 0.2}, ValueError, r"n_steps \* strength must be at least 1, got 4 \* 0.2"),
        ({"guidance_scale": -1}, ValueError, "guidance_scale must lie in"),
        ({"ip_adapter_scale": "1"}, TypeError, "ip_adapter_scale must be a number"),
        ({"batch_size": 0}, ValueError, "batch_size must lie in"),
        ({"dtype": "half"}, ValueError, "dtype must be one of"),
        ({"offload": "cpu"}, ValueError, "offload must be one of None, 'model', 'sequential'"),
        ({"offload": "model", "device": "cpu"}, ValueError, "offload='model' moves weights to a GPU"),
        ({"device": "gpu"}, ValueError, 'device must be "auto" or a torch device'),
    ],
)
def test_bad_parameters_are_refused(params, error, match):
    with pytest.raises(error, match=match):
        SDXLGenerator(**params).generate(Z)


@pytest.mark.parametrize(
    ("offload", "method"), [("model", "model"), ("sequential", "sequential"), (None, None)]
)
def test_weights_are_offloaded_for_the_form_in_use(offload, method, monkeypatch):
    calls = []

    class Pipeline:
        components = {}

        def __init__(self, name="text", **components):
            self.name = name

        def enable_model_cpu_offload(self, device):
            calls.append((self.name, "model", device))

        def enable_sequential_cpu_offload(self, device):
            calls.append((self.name, "sequential", device))

        def set_progress_bar_config(self, disable):
            pass

    monkeypatch.setattr(
        "diffusers.StableDiffusionXLImg2ImgPipeline", lambda add_watermarker: Pipeline("image"), raising=False
    )
    source = _pipeline.Source("here", None, "float16", "cuda:0", offload, None, False)
    loaded = _pipeline.Loaded(Pipeline(), 1024, source)
    for name in ("text", "text", "image", "text"):
        assert loaded.form(name).name == name
    used = ["text", "image", "text"] if offload else []
    assert calls == [(name, method, "cuda:0") for name in used]


def test_code_that_comes_with_a_strangers_pipeline_is_not_run(tiny_sdxl, tmp_path, monkeypatch):
    """Asked for as diffusers finds it: a module in the folder of a part, which the index names."""
    folder, marker = tmp_path / "sdxl", tmp_path / "marker"
    shutil.copytree(tiny_sdxl / "sdxl", folder)
    (folder / "unet" / "evil.py").write_text(f"open({str(marker)!r}, 'w').write('ran')\nclass Evil: pass\n")
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps({**index, "unet": ["evil", "Evil"]}))
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked on the terminal"))
    generator = SDXLGenerator(weights=folder, ip_adapter=tiny_sdxl, device="cpu", verbose=0)
    with pytest.raises(FileNotFoundError, match="is not there to load"):
        generator.generate(np.zeros((1, 4), dtype=np.float32) + 1)
    assert not marker.exists()
