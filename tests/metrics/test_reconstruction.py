"""Reconstruction metrics against direct computation, with small or random networks in the published file formats."""

import contextlib
import http.client
import importlib
import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from skimage.metrics import structural_similarity

from skeegclip.metrics import _networks, reconstruction_scores
from skeegclip.metrics.reconstruction import METRICS, NETWORK_METRICS, computable

RNG = np.random.default_rng(0)
REAL = RNG.integers(0, 256, (3, 5, 5, 3), dtype=np.uint8).repeat(8, axis=1).repeat(8, axis=2)
NOISY = np.clip(REAL + RNG.normal(0, 60, REAL.shape), 0, 255).astype(np.uint8)
del RNG
PIXELS = ["PixCorr", "SSIM"]


def scores(*args, **kwargs):
    return reconstruction_scores(*args, verbose=0, n_resamples=kwargs.pop("n_resamples", 0), **kwargs)


def random_state_dict(module):
    """Weights of the shapes of a module, of a size that keeps activations finite and apart."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for key, value in module.state_dict().items():
        if value.ndim < 2:
            state[key] = torch.ones(value.shape, dtype=value.dtype)
        else:
            fan_in = value[0].numel()
            state[key] = torch.randn(value.shape, generator=generator) * (2 / fan_in) ** 0.5
    return state


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Folder of all five networks: real architectures and file names, random weights; CLIP a small one."""
    import open_clip
    from torchvision import models

    folder = tmp_path_factory.mktemp("weights")
    with torch.device("meta"):
        nets = {
            "alexnet-owt-7be5be79.pth": (models.alexnet(), "classifier"),
            "inception_v3_google-0cc3c7bd.pth": (
                models.inception_v3(aux_logits=False, init_weights=False),
                "fc",
            ),
            "efficientnet_b1-c27df63c.pth": (models.efficientnet_b1(), "classifier"),
            "swav_800ep_pretrain.pth.tar": (models.resnet50(), "fc"),
        }
    for name, (net, unused) in nets.items():
        state = {k: v for k, v in random_state_dict(net).items() if not k.startswith(unused)}
        if "swav" in name:
            state = {f"module.{k}": v for k, v in state.items()} | {
                "module.prototypes.weight": torch.zeros(2)
            }
        torch.save(state, folder / name)
    config = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 224, "layers": 1, "width": 32, "patch_size": 56, "head_width": 16},
        "text_cfg": {"context_length": 8, "vocab_size": 32, "width": 16, "heads": 1, "layers": 1},
    }
    (folder / "ViT-tiny.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder / "ViT-tiny.json")
    with torch.random.fork_rng(devices=[]):
        save_file(
            open_clip.create_model("ViT-tiny", force_quick_gelu=True).state_dict(),
            folder / "open_clip_model.safetensors",
        )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_networks, "_CLIP_MODEL", "ViT-tiny")
        yield folder


def direct_features(network, weights, pictures):
    """Features of torchvision's own networks, read off inside them; pictures resized by torch."""
    from torchvision.models import alexnet, efficientnet_b1, inception_v3, resnet50

    make, nodes = {
        "AlexNet": (alexnet, ["features.4", "features.11"]),
        "Inception-v3": (lambda: inception_v3(init_weights=False, transform_input=True), ["avgpool"]),
        "EfficientNet-B1": (efficientnet_b1, ["avgpool"]),
        "SwAV": (resnet50, ["avgpool"]),
    }[network.name]
    with torch.device("meta"):
        net = make()
    state = torch.load(weights / network.file, weights_only=True)
    net.load_state_dict({k.removeprefix("module."): v for k, v in state.items()}, strict=False, assign=True)
    found = []
    for node in nodes:
        net.get_submodule(node).register_forward_hook(
            lambda module, x, out: found.append(out.flatten(1).numpy())
        )
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    x = torch.nn.functional.interpolate(x, (network.size,) * 2, mode="bilinear", antialias=True)
    x = (x - torch.tensor(network.scaling[0])[:, None, None]) / torch.tensor(network.scaling[1])[
        :, None, None
    ]
    with torch.no_grad(), contextlib.suppress(NotImplementedError, RuntimeError):
        net.eval()(x)  # the unused head has no weights
    return found


@pytest.fixture(scope="module")
def table(weights):
    """All there is, once: the networks are the slow part."""
    mean = [REAL.mean(axis=0) / 255] * 3
    return scores(REAL, NOISY, baselines={"same": REAL, "mean": mean}, weights=weights, n_resamples=20)


@pytest.mark.slow
def test_networks_agree_with_direct_computation(weights, table):
    for network in {network.name: network for network, _, _ in NETWORK_METRICS.values()}.values():
        if network.name.startswith("CLIP"):
            continue  # below
        features = [direct_features(network, weights, pictures) for pictures in (REAL, NOISY)]
        for metric, (own, layer, kind) in NETWORK_METRICS.items():
            if own is network:
                r = np.corrcoef(features[0][layer], features[1][layer])[:3, 3:]
                assert r.std() > 1e-4, "the features tell nothing apart"
                expected = (
                    (r < np.diag(r)).sum(axis=0).mean() / 2 if kind == "two-way" else 1 - np.diag(r).mean()
                )
                assert table.loc["generated", metric] == pytest.approx(expected, abs=1e-5), metric
        # Two-way figures of three pictures are coarse: so also the features of one of them.
        module = _networks.load_network(network, weights, "cpu")
        (own,) = _networks.extract(network, module, REAL[:1], batch_size=1, name="real")
        for layer, direct in zip(own, features[0], strict=True):
            np.testing.assert_allclose(layer[0], direct[0], rtol=1e-3, atol=1e-3 * direct[0].std())


def test_clip_embeds_as_open_clip_does(weights):
    import open_clip

    net = open_clip.create_model(
        "ViT-tiny", pretrained=str(weights / "open_clip_model.safetensors"), force_quick_gelu=True
    ).eval()
    preprocess = open_clip.image_transform(224, is_train=False)
    with torch.no_grad():
        real, made = (
            net.encode_image(torch.stack([preprocess(Image.fromarray(p)) for p in pictures])).numpy()
            for pictures in (REAL, NOISY)
        )
    r = np.corrcoef(real, made)[:3, 3:]
    found = scores(REAL, NOISY, ["CLIP"], weights=weights).loc["generated", "CLIP"]
    assert found == pytest.approx((r < np.diag(r)).sum(axis=0).mean() / 2)


@pytest.mark.slow
def test_all_columns_and_baselines(table):
    assert table.index.tolist() == ["generated", "same", "mean"]
    assert table.columns.tolist()[:8] == list(METRICS)
    perfect = [1, 1, 1, 1, 1, 1, 0, 0]
    np.testing.assert_allclose(table.loc["same", list(METRICS)].astype(float), perfect, atol=1e-5)
    for metric in METRICS:
        assert table[f"{metric}_low"].le(table[metric] + 1e-9).all()
        assert table[f"{metric}_high"].ge(table[metric] - 1e-9).all()
    for metric in ("AlexNet(2)", "AlexNet(5)", "Inception", "CLIP"):
        assert table.loc["mean", metric] == pytest.approx(0.5)  # one picture for all: chance


def test_pixels_agree_with_scikit_image():
    big = [np.asarray(Image.fromarray(p).resize((425, 425), Image.Resampling.BILINEAR)) / 255 for p in REAL]
    other = np.roll(big, 1, axis=0)
    table = scores(big, other, PIXELS)
    corr = np.mean([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(big, other, strict=True)])
    assert table.loc["generated", "PixCorr"] == pytest.approx(corr, abs=1e-6)
    grey = [[p @ [0.2125, 0.7154, 0.0721] for p in pictures] for pictures in (big, other)]
    window = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    ssim = np.mean([structural_similarity(a, b, **window) for a, b in zip(*grey, strict=True)])
    assert table.loc["generated", "SSIM"] == pytest.approx(ssim, abs=1e-5)


def test_every_form_of_picture_gives_the_same(tmp_path):
    paths = []
    for i, picture in enumerate(NOISY):
        paths.append(tmp_path / f"{i}.png")
        Image.fromarray(picture).save(paths[-1])
    forms = [NOISY, list(NOISY), NOISY / 255, (NOISY / 255).astype(np.float32), paths]
    forms += [[str(p) for p in paths], [Image.fromarray(p) for p in NOISY]]
    forms += [[Image.fromarray(NOISY[0]), NOISY[1] / 255, paths[2]]]
    tables = [scores(REAL, form, PIXELS) for form in forms]
    for table in tables[1:]:
        np.testing.assert_allclose(table, tables[0], atol=1e-6)
    alpha = np.concatenate([NOISY, np.full((3, 40, 40, 1), 7, np.uint8)], axis=3)
    np.testing.assert_allclose(scores(REAL, alpha, PIXELS), tables[0], atol=1e-6)


def test_sizes_may_differ_and_the_centre_square_counts():
    wide = [np.pad(p, ((0, 0), (8, 8), (0, 0))) for p in REAL]
    np.testing.assert_allclose(scores(REAL, wide, PIXELS).loc["generated"], 1, atol=1e-6)
    large = [np.asarray(Image.fromarray(p).resize((425, 425), Image.Resampling.BILINEAR)) for p in REAL]
    assert scores(REAL, large, PIXELS).loc["generated"].min() > 0.98
    assert scores(REAL, REAL[:, :, :, 0], PIXELS).loc["generated", "PixCorr"] < 0.9  # grey pictures


def test_several_pictures_a_stimulus_are_averaged(weights):
    metrics = ["PixCorr", "AlexNet(5)"]
    singles = [scores(REAL, made, metrics, weights=weights).loc["generated"] for made in (NOISY, REAL)]
    both = scores(REAL, np.stack([NOISY, REAL], axis=1), metrics, weights=weights).loc["generated"]
    np.testing.assert_allclose(both, np.mean(singles, axis=0), atol=1e-6)
    uneven = [[NOISY[0], REAL[0]], NOISY[1], NOISY[2:3]]
    per_row = [scores(REAL[[i, 0]], [made, REAL[0]], ["PixCorr"]) for i, made in enumerate(uneven)]
    mean = np.mean([2 * table.loc["generated", "PixCorr"] - 1 for table in per_row])
    assert scores(REAL, uneven, ["PixCorr"]).loc["generated", "PixCorr"] == pytest.approx(mean)


def test_rows_of_one_stimulus_are_no_distractors(weights):
    rows = [0, 0, 1, 2]
    twice = scores(REAL[rows], REAL[rows], ["AlexNet(2)"], weights=weights, stimulus=["a", "a", "b", "c"])
    assert twice.loc["generated", "AlexNet(2)"] == 1.0
    blind = scores(REAL[rows], REAL[rows], ["AlexNet(2)"], weights=weights)
    assert blind.loc["generated", "AlexNet(2)"] == pytest.approx(
        1 - 2 / 4 * 0.5 / 3
    )  # two of four tie with one


def test_a_picture_of_one_colour_correlates_with_nothing():
    grey = np.full((3, 50, 50, 3), 77, np.uint8)
    assert scores(REAL, grey, ["PixCorr"]).loc["generated", "PixCorr"] == 0


def test_intervals_are_seeded():
    real, noisy = REAL[[0, 1, 2] * 8], NOISY[[0, 1, 2] * 8]  # of few pictures nothing is drawn
    tables = [scores(real, noisy, ["PixCorr"], n_resamples=50, random_state=seed) for seed in (0, 0, 1)]
    assert tables[0].equals(tables[1])
    assert not tables[0].equals(tables[2])


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        (
            {"generated": NOISY[:2]},
            ValueError,
            "generated must hold one picture .* for each of the 3 of real, got 2",
        ),
        ({"baselines": {"x": NOISY[:2]}}, ValueError, r"baselines\['x'\] must hold one picture"),
        ({"baselines": {"generated": NOISY}}, ValueError, "is the name of the first row"),
        ({"generated": NOISY.astype(float)}, ValueError, r"must lie in 0..1, got 0..255. Divide by 255"),
        ({"generated": NOISY.astype(int)}, TypeError, "must be uint8 in 0..255 or float in 0..1, got int64"),
        ({"generated": np.full(REAL.shape, np.nan)}, ValueError, "must lie in 0..1, got nan"),
        ({"generated": NOISY.transpose(0, 3, 1, 2)}, ValueError, r"\(3, 40, 40\). Put the channels last"),
        ({"generated": dict(enumerate(NOISY))}, TypeError, "Pass table.lookup"),
        ({"generated": "pictures/"}, TypeError, "must be an array or list of pictures, got str"),
        ({"generated": [NOISY[0], [], NOISY[2]]}, ValueError, r"generated\[1\] holds no picture"),
        ({"real": []}, ValueError, "real holds no picture"),
        ({"real": REAL[:1], "generated": NOISY[:1]}, ValueError, "at least 2 stimuli"),
        ({"metrics": ["ssim"]}, ValueError, "metrics must be one of 'PixCorr', 'SSIM'"),
        ({"metrics": "SSIM"}, ValueError, "metrics must be one of 'all', got 'SSIM'"),
        ({"metrics": []}, ValueError, "metrics must name at least one"),
        ({"stimulus": ["a"]}, ValueError, r"stimulus must have shape \(3,\)"),
        ({"n_resamples": -1}, ValueError, "n_resamples must lie in"),
        ({"batch_size": 0}, ValueError, "batch_size must lie in"),
    ],
)
def test_bad_input_is_refused(change, error, match):
    with pytest.raises(error, match=match):
        reconstruction_scores(**{"real": REAL, "generated": NOISY, "metrics": PIXELS, "verbose": 0} | change)


def test_absent_weights_say_what_to_download_where(tmp_path, monkeypatch, offline):
    with pytest.raises(
        FileNotFoundError,
        match=r"has no file alexnet-owt-7be5be79.pth, the weights of AlexNet. Download https://.*/alexnet-owt",
    ):
        scores(REAL, NOISY, ["PixCorr", "AlexNet(2)"], weights=tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", no_route)
    with pytest.raises(FileNotFoundError, match=r"those of SwAV are not in the cache.*pass weights=folder"):
        scores(REAL, NOISY, ["SwAV"])
    with pytest.raises(FileNotFoundError, match=r"those of CLIP ViT-L/14 .*open_clip_model.safetensors"):
        scores(REAL, NOISY, ["CLIP"])


def test_all_is_what_there_are_weights_for_and_the_rest_is_told(weights, tmp_path):
    for name in ("alexnet-owt-7be5be79.pth", "open_clip_model.safetensors"):
        (tmp_path / name).write_bytes((weights / name).read_bytes())
    with pytest.warns(
        UserWarning, match=r"Inception, EffNet-B, SwAV left out, .*swav_800ep\S+ into a folder"
    ) as told:
        table = scores(REAL, NOISY, weights=tmp_path)
    assert len(told) == 1
    assert table.columns.tolist() == ["PixCorr", "SSIM", "AlexNet(2)", "AlexNet(5)", "CLIP"]


@pytest.mark.parametrize(
    "failure", [RuntimeError("invalid hash value"), http.client.IncompleteRead(b""), OSError("no route")]
)
def test_what_a_download_fails_of_leaves_its_metrics_out(failure, tmp_path, monkeypatch, offline):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def fails(*args, **kwargs):
        raise failure

    monkeypatch.setattr(torch.hub, "download_url_to_file", fails)
    with pytest.warns(UserWarning, match=r"AlexNet\(2\), AlexNet\(5\), .*SwAV.* left out"):
        assert computable("all", None) == ["PixCorr", "SSIM"]


def test_nothing_is_painted_for_metrics_that_cannot_be_computed(tmp_path):
    assert computable(["SSIM"], tmp_path) == ["SSIM"]
    with pytest.raises(FileNotFoundError, match="no file alexnet"):
        computable(["AlexNet(2)"], tmp_path)


def no_route(*args, **kwargs):
    raise OSError("no route to host")


def test_caches_are_used_and_each_network_is_built_once(
    weights, tmp_path, monkeypatch, offline, in_hub_cache
):
    checkpoints = tmp_path / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    name = "alexnet-owt-7be5be79.pth"
    (checkpoints / name).write_bytes((weights / name).read_bytes())
    in_hub_cache("timm/vit_large_patch14_clip_224.openai", "0" * 40, weights / "open_clip_model.safetensors")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", no_route)
    built = []
    for owner, maker in (("torchvision.models", "alexnet"), ("open_clip", "create_model")):
        make = getattr(importlib.import_module(owner), maker)
        monkeypatch.setattr(
            f"{owner}.{maker}",
            lambda *args, make=make, maker=maker, **kwargs: (built.append(maker), make(*args, **kwargs))[1],
        )
    wanted = computable(["AlexNet(5)", "CLIP"], None)  # as a report asks before it paints
    cached = scores(REAL, NOISY, wanted)
    assert built == ["alexnet", "create_model"]
    assert cached.equals(scores(REAL, NOISY, wanted, weights=weights))


def test_downloaded_weights_are_kept_and_have_to_be_what_their_name_says(
    weights, tmp_path, monkeypatch, serve
):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for network in (_networks.SWAV, _networks.ALEXNET):
        near = replace(network, url=f"{serve(weights)}/{network.file}")
        if network is _networks.ALEXNET:
            # Random weights, or the page on which a hotel asks for a password.
            with pytest.raises(FileNotFoundError, match=r"\(invalid hash value .*pass weights=folder"):
                _networks.find_weights(near, None)
        else:
            path = _networks.find_weights(near, None)
            assert path.read_bytes() == (weights / network.file).read_bytes()
    assert [file.name for file in (tmp_path / "hub" / "checkpoints").iterdir()] == [_networks.SWAV.file]


def test_files_that_are_not_the_weights_are_refused(weights, tmp_path):
    name = "alexnet-owt-7be5be79.pth"
    (tmp_path / name).write_bytes(b"<html>404</html>")
    with pytest.raises(ValueError, match="cannot be read as weights"):
        scores(REAL, NOISY, ["AlexNet(2)"], weights=tmp_path)
    state = torch.load(weights / name, weights_only=True)
    torch.save({k: v for k, v in state.items() if k != "features.3.weight"}, tmp_path / name)
    with pytest.raises(ValueError, match=r"lacks 1 tensors of AlexNet \(first: 'features.3.weight'\)"):
        scores(REAL, NOISY, ["AlexNet(2)"], weights=tmp_path)
    torch.save(state | {"features.3.weight": torch.zeros(2)}, tmp_path / name)
    with pytest.raises(ValueError, match="does not fit AlexNet"):
        scores(REAL, NOISY, ["AlexNet(2)"], weights=tmp_path)
    (tmp_path / "open_clip_model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="cannot be read as CLIP"):
        scores(REAL, NOISY, ["CLIP"], weights=tmp_path)


def test_pickles_are_not_run(tmp_path):
    class Harmful:
        def __reduce__(self):
            return (open, (str(tmp_path / "touched"), "w"))

    (tmp_path / "alexnet-owt-7be5be79.pth").write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(ValueError, match="cannot be read as weights"):
        scores(REAL, NOISY, ["AlexNet(2)"], weights=tmp_path)
    assert not (tmp_path / "touched").exists()
