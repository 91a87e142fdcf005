"""LowLevelDecoder: epochs to latents to pictures."""

import copy
import json
import pickle
from types import SimpleNamespace

import mne
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from torch import nn

from skeegclip import EpochsView, ImageTable, LowLevelDecoder
from skeegclip.generation.low_level.nets.low_level_reference import LowLevelReference
from skeegclip.generation.low_level.vae import decode, encode, load_vae

N, SHAPE = 60, (4, 8, 8)
NARROW = {"width": 4, "n_maps": 16}


@pytest.fixture(scope="module")
def data():
    """Two epochs of each of 60 pictures; the epochs tell three coarse properties of the picture."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(-1, 1, 64)
    factors = rng.standard_normal((N, 3))
    light = np.stack([a + b * ramp[:, None] + c * ramp[None] for a, b, c in factors])
    colour = light[..., None] * [1, 0.6, -0.5] + 0.1 * rng.standard_normal((N, 64, 64, 3))
    pictures = (255 / (1 + np.exp(-colour))).astype(np.uint8)
    X = np.repeat(10 * factors @ rng.standard_normal((3, 5 * 30)), 2, axis=0).reshape(-1, 5, 30)
    X = (X + rng.standard_normal(X.shape)).astype(np.float32)
    table = ImageTable([f"s{i:02d}" for i in range(N)], pictures)
    return X, np.repeat(table.ids, 2), table


@pytest.fixture(scope="module")
def vae_folder(tmp_path_factory):
    """A tiny AutoencoderKL in diffusers' format, with a shift and a scale of its latents."""
    from diffusers import AutoencoderKL

    folder = tmp_path_factory.mktemp("pipeline") / "vae"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae = AutoencoderKL(
            block_out_channels=(4, 4, 8, 8),
            norm_num_groups=4,
            layers_per_block=1,
            latent_channels=4,
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            scaling_factor=0.5,
            shift_factor=0.25,
        )
    vae.save_pretrained(folder)
    return folder


def coarse(pictures):
    """Latents without an autoencoder: the picture in 8 x 8, in three colours and light."""
    small = pictures.reshape(-1, 8, 8, 8, 8, 3).mean(axis=(2, 4)).astype(np.float32) / 127.5 - 1
    return np.moveaxis(np.concatenate([small, small.mean(-1, keepdims=True)], axis=3), 3, 1)


def make(vae=None, **params):
    defaults = {"image_size": 64, "max_epochs": 8, "batch_size": 32, "lr": 1e-2, "device": "cpu"}
    return LowLevelDecoder(vae, **{**defaults, "random_state": 0, **params})


# -- what it learns ------------------------------------------------------------------------------------


def test_the_regression_finds_what_the_epochs_tell(data):
    X, y, table = data
    latents = coarse(table.lookup(y))
    decoder = make(net_params={"n_bins": 10, "n_components": 8}).fit(X, latents)
    predicted = decoder.predict_latents(X)
    assert (predicted.shape, predicted.dtype) == ((2 * N, *SHAPE), np.float32)
    assert decoder.score(X, latents) > 0.9
    assert decoder.history_[0]["valid_loss"] < 0.2
    assert decoder.encoder_.coefficients_.shape == (50, 8)
    assert decoder.n_features_in_ == 5
    # Rows that say nothing get the mean latent.
    nothing = np.broadcast_to(X.mean(axis=0), X.shape)
    np.testing.assert_allclose(decoder.predict_latents(nothing)[0], decoder.latent_mean_, atol=1e-3)
    assert decoder.score(nothing, latents) == pytest.approx(0, abs=1e-3)
    np.testing.assert_allclose(decoder.latent_mean_, latents.mean(0), atol=1e-5)
    weight = (np.arange(2 * N) < 2).astype(float)
    assert decoder.score(X, latents, weight) == pytest.approx(decoder.score(X[:2], latents[:2]))


@pytest.mark.parametrize("loss", ["l2", "l1"])
def test_the_published_network_learns_too(data, loss):
    X, y, table = data
    latents = coarse(table.lookup(y))
    decoder = make(net="reference", net_params=NARROW, loss=loss).fit(X, latents)
    assert decoder.score(X, latents) > 0.3
    assert decoder.encoder_.net_.criterion_.error.__class__.__name__ == (
        "ScaledMSELoss" if loss == "l2" else "ScaledMAELoss"
    )
    assert decoder.history_[-1]["train_loss"] < decoder.history_[0]["train_loss"]


@pytest.mark.parametrize("loss", ["l2", "l1"])
def test_a_clone_of_the_networks_encoder_keeps_its_error(data, tmp_path, loss):
    X, y, table = data
    latents = coarse(table.lookup(y))
    decoder = make(net="reference", net_params=NARROW, loss=loss, max_epochs=1).fit(X, latents)
    decoder.save(tmp_path)
    for encoder in (decoder.encoder_, LowLevelDecoder.load(tmp_path, device="cpu").encoder_):
        for same in (clone(encoder), pickle.loads(pickle.dumps(encoder))):
            again = same.set_params(device="cpu").fit(X, latents.reshape(len(X), -1))
            assert again.net_.criterion_.error.__class__.__name__ == (
                "ScaledMSELoss" if loss == "l2" else "ScaledMAELoss"
            )


def test_a_network_of_ones_own(data):
    class Mean(nn.Module):
        def __init__(
            self, n_outputs=None, n_chans=None, n_times=None, sfreq=None, chs_info=None, *, latent_shape
        ):
            super().__init__()
            assert int(np.prod(latent_shape)) == n_outputs
            self.linear = nn.Linear(n_chans, n_outputs)

        def forward(self, x):
            return self.linear(x.mean(dim=2))

    X, y, table = data
    decoder = make(net=Mean, validation=0).fit(X, coarse(table.lookup(y)))
    assert decoder.predict_latents(X[:2]).shape == (2, *SHAPE)


def test_ids_pictures_and_latents_train_alike(data, vae_folder):
    X, y, table = data
    by_id = make(vae_folder, images=table).fit(X, y)
    as_array = table.lookup(y)
    vae = load_vae(vae_folder, "cpu")
    latents = np.concatenate(list(encode(vae, as_array, size=64, batch_size=50)))
    expected = by_id.predict_latents(X)
    said = np.linalg.norm(expected - expected.mean(axis=0))
    for given in (as_array, list(as_array), latents):
        decoder = make(vae_folder).fit(X, given)
        # Latents of an untrained autoencoder vary alike in most directions: which of them are the principal ones, and so
        # several per cent of what is predicted, hangs on how the kernel of the processor rounds a batch.
        assert np.linalg.norm(decoder.predict_latents(X) - expected) < 0.2 * said
    # Two epochs of a picture have one latent, to the rounding of single precision; those of two pictures differ by more.
    np.testing.assert_allclose(latents[::2], latents[1::2], atol=1e-5)
    apart = np.abs(latents[::2, None] - latents[None, ::2]).max(axis=(2, 3, 4))
    assert (apart + np.eye(N) > 1e-4).all()
    assert by_id.score(X, y) == pytest.approx(decoder.score(X, latents), rel=0.1)


def test_views_epochs_and_a_pipeline(data):
    X, y, table = data
    latents = coarse(table.lookup(y))
    plain = make().fit(X, latents).predict_latents(X)
    view = EpochsView.from_arrays(X, subject=np.repeat(["a", "b"], N))
    np.testing.assert_allclose(make().fit(view, latents).predict_latents(view), plain, atol=1e-4)
    epochs = mne.EpochsArray(X * 1e-6, mne.create_info(5, 100.0, "eeg"), verbose=False)
    np.testing.assert_allclose(make().fit(epochs, latents).predict_latents(epochs), plain, atol=1e-3)
    pipeline = make_pipeline(FunctionTransformer(), make()).fit(X, latents)
    np.testing.assert_allclose(pipeline[-1].predict_latents(X), plain)


def test_a_grid_over_bins(data):
    X, y, table = data
    grid = {"net_params": [{"n_bins": 1, "n_components": 4}, {"n_bins": 10, "n_components": 4}]}
    search = GridSearchCV(make(), grid, cv=GroupKFold(2), error_score="raise")
    search.fit(X, coarse(table.lookup(y)), groups=y)
    assert search.best_params_["net_params"]["n_bins"] == 10
    assert clone(make(images=table)).images is table


# -- the autoencoder -----------------------------------------------------------------------------------


def test_latents_have_the_scale_of_diffusion_pipelines(data, vae_folder):
    _, _, table = data
    vae = load_vae(vae_folder.parent, "cpu")  # the folder of a whole pipeline
    pictures = table.lookup(table.ids[:3])
    latents = np.concatenate(list(encode(vae, pictures, size=64, batch_size=2)))
    x = torch.tensor(pictures).permute(0, 3, 1, 2) / 127.5 - 1
    expected = (vae.encode(x).latent_dist.mean - 0.25) * 0.5
    np.testing.assert_allclose(latents, expected.detach(), atol=1e-4)
    painted = np.concatenate(list(decode(vae, latents, batch_size=2)))
    raw = vae.decode(torch.tensor(latents) / 0.5 + 0.25).sample
    expected = ((raw.clamp(-1, 1) + 1) * 127.5).permute(0, 2, 3, 1).detach()
    assert painted.dtype == np.uint8
    np.testing.assert_allclose(painted, expected, atol=0.51)


def test_latents_are_standardised_where_the_autoencoder_says_so():
    class Plain(nn.Module):
        config = {"scaling_factor": 2.0, "latents_mean": [1.0, 2.0, 3.0], "latents_std": [1.0, 2.0, 4.0]}

        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

        def encode(self, x):
            return SimpleNamespace(latents=x)

        def decode(self, z):
            return SimpleNamespace(sample=z)

    vae = load_vae(Plain(), "cpu")
    pictures = np.full((1, 8, 8, 3), 255, np.uint8)
    latents = next(encode(vae, pictures, size=8, batch_size=1))
    np.testing.assert_allclose(latents[0, :, 0, 0], [0.0, -1.0, -1.0], atol=1e-6)
    np.testing.assert_array_equal(next(decode(vae, latents, batch_size=1)), pictures)


def test_pictures_of_other_sizes_are_cut_square_and_resized(vae_folder):
    vae = load_vae(vae_folder, "cpu")
    tall = np.zeros((96, 64, 3), np.uint8)
    tall[:16] = tall[80:] = 255  # outside the centre square
    odd, plain = encode(vae, [tall, np.zeros((64, 64, 3), np.uint8)], size=64, batch_size=1)
    np.testing.assert_allclose(odd, plain, atol=1e-6)
    assert next(encode(vae, [tall], size=32, batch_size=1)).shape == (1, 4, 4, 4)


def test_a_blurry_picture_is_painted(data, vae_folder, capsys):
    X, y, table = data
    decoder = make(vae_folder, images=table, verbose=1).fit(X, y)
    painted = decoder.transform(X[:5])
    assert (painted.shape, painted.dtype) == ((5, 64, 64, 3), np.uint8)
    by_hand = np.concatenate(
        list(decode(load_vae(vae_folder, "cpu"), decoder.predict_latents(X[:5]), batch_size=5))
    )
    assert np.abs(painted.astype(int) - by_hand).max() <= 1
    assert {"encoding", "painting"} <= {
        line.split(":")[0].strip("\r ") for line in capsys.readouterr().err.split("\n")
    }


def test_the_tiny_autoencoder_is_loaded_by_its_class(data, tmp_path):
    from diffusers import AutoencoderTiny

    X, y, table = data
    AutoencoderTiny(
        encoder_block_out_channels=(4,) * 4,
        decoder_block_out_channels=(4,) * 4,
        num_encoder_blocks=(1,) * 4,
        num_decoder_blocks=(1,) * 4,
    ).save_pretrained(tmp_path)
    decoder = make(str(tmp_path), images=table).fit(X, y)
    assert decoder.latent_shape_ == SHAPE
    assert decoder.transform(X[:2]).shape == (2, 64, 64, 3)


def test_real_weights_make_a_blurry_version_of_the_picture(data, real_data):
    """The autoencoder of FLUX.2 in small (TAEF2). It has blocks that diffusers' AutoencoderTiny lacks: given as a module."""
    X, _, table = data
    vae = _taef2(real_data / "taef2")
    X, pictures = X[:48], table.lookup(table.ids[:24])
    latents = np.concatenate(list(encode(load_vae(vae, "cpu"), pictures, size=64, batch_size=20)))
    back = np.concatenate(list(decode(vae, latents, batch_size=20)))
    error = np.mean((back.astype(float) - pictures) ** 2)
    assert 10 * np.log10(255**2 / error) > 20  # noisy pictures; it smooths them
    decoder = make(vae).fit(X, np.repeat(latents, 2, axis=0))
    painted = decoder.transform(X[::2])

    def likeness(a):
        return np.corrcoef(a.astype(float).ravel(), pictures.astype(float).ravel())[0, 1]

    assert likeness(painted) > 0.9 > 0.3 > likeness(painted[::-1])


def _taef2(folder):
    if not folder.is_dir():
        pytest.skip("real data has no folder taef2/")

    class Block(nn.Module):
        def __init__(self, pooled):
            super().__init__()
            convs = [nn.Conv2d(64, 64, 3, padding=1) for _ in range(3)]
            self.conv = nn.Sequential(convs[0], nn.ReLU(), convs[1], nn.ReLU(), convs[2])
            if pooled:
                norm = nn.GroupNorm(4, 256)
                self.pool = nn.Sequential(
                    nn.Conv2d(64, 256, 1, bias=False), norm, nn.ReLU(), nn.Conv2d(256, 64, 1, bias=False)
                )

        def forward(self, x):
            if hasattr(self, "pool"):
                x = x + self.pool(x)
            return torch.relu(self.conv(x) + x)

    class Clamp(nn.Module):
        def forward(self, x):
            return torch.tanh(x / 3) * 3

    def down():
        return nn.Conv2d(64, 64, 3, padding=1, stride=2, bias=False)

    def up():
        return [nn.Upsample(scale_factor=2), nn.Conv2d(64, 64, 3, padding=1, bias=False)]

    encoder = [nn.Conv2d(3, 64, 3, padding=1), Block(False)]
    for pooled in (False, False, True):
        encoder += [down(), *(Block(pooled) for _ in range(3))]
    decoder = [Clamp(), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU()]
    for pooled in (True, False, False):
        decoder += [*(Block(pooled) for _ in range(3)), *up()]

    class Autoencoder(nn.Module):
        config = {"scaling_factor": 1.0}

        def __init__(self):
            super().__init__()
            self.encoder = nn.Sequential(*encoder, nn.Conv2d(64, 32, 3, padding=1))
            self.decoder = nn.Sequential(*decoder, Block(False), nn.Conv2d(64, 3, 3, padding=1))

        def encode(self, x):
            return SimpleNamespace(latents=self.encoder((x + 1) / 2))

        def decode(self, z):
            return SimpleNamespace(sample=self.decoder(z) * 2 - 1)

    vae = Autoencoder()
    for part in ("encoder", "decoder"):
        state = torch.load(folder / f"taef2_{part}.pth", weights_only=True)
        getattr(vae, part).load_state_dict(state)
    return vae


# -- the published network -----------------------------------------------------------------------------


def test_the_published_network_has_its_size():
    with torch.device("meta"):
        net = LowLevelReference(4 * 64 * 64, 63, 250, latent_shape=(4, 64, 64))
        out = net(torch.zeros(2, 63, 250))
    # The published count, 143,333,269, has one more: a temperature that no forward pass reads.
    assert sum(p.numel() for p in net.parameters()) == 143_333_268
    assert out.shape == (2, 4 * 64 * 64)


def test_the_published_network_has_its_names(real_data):
    published = json.loads((real_data / "reference_state_dicts.json").read_text())["encoder_low_level"]
    published.pop("logit_scale")
    with torch.device("meta"):
        net = LowLevelReference(4 * 64 * 64, 63, 250, latent_shape=(4, 64, 64))
    assert {key: list(value.shape) for key, value in net.state_dict().items()} == published


# -- how it travels ------------------------------------------------------------------------------------


@pytest.mark.parametrize("net", ["linear", "reference"])
def test_saved_and_pickled_decoders_give_the_same_pictures(data, vae_folder, tmp_path, net):
    X, y, table = data
    decoder = make(
        vae_folder, images=table, net=net, net_params=NARROW if net == "reference" else None, max_epochs=1
    )
    painted = decoder.fit(X, y).transform(X[:3])
    decoder.save(tmp_path / "low")
    loaded = LowLevelDecoder.load(tmp_path / "low", vae=str(vae_folder), device="cpu")
    assert loaded.vae == str(vae_folder)
    assert loaded.history_ == decoder.history_
    for other in (loaded, pickle.loads(pickle.dumps(decoder)), copy.deepcopy(decoder)):
        assert np.abs(other.transform(X[:3]).astype(int) - painted).max() <= 1
    assert len(pickle.dumps(decoder)) < len(pickle.dumps(decoder.set_params(vae=load_vae(vae_folder, "cpu"))))


@pytest.mark.parametrize(("n", "shape"), [(40, (4, 5)), (40, (2, 10)), (40, (20, 1)), (12, (4, 30))])
def test_few_pictures_are_learned_from_in_closed_form(n, shape, rng):
    """With all components kept it is the ridge regression of the latents themselves: 40 pictures and 20 features, say."""
    X, latents = (
        rng.normal(size=(n, *shape)),
        rng.normal(size=(n, 4, 5, 6)) * [[[[2.0]], [[1]], [[3]], [[1]]]],
    )
    decoder = LowLevelDecoder(net_params={"n_bins": 50, "n_components": n}, random_state=0).fit(X, latents)
    inputs, mean = StandardScaler().fit(X.reshape(n, -1)), latents.mean(axis=0)
    ridge = Ridge(decoder.encoder_.selection_["penalty"])
    scale = (latents - mean).std(axis=(0, 2, 3))[:, None, None]
    ridge.fit(inputs.transform(X.reshape(n, -1)), ((latents - mean) / scale).reshape(n, -1))
    fresh = rng.normal(size=(7, *shape))
    expected = ridge.predict(inputs.transform(fresh.reshape(7, -1))).reshape(7, 4, 5, 6) * scale + mean
    np.testing.assert_allclose(decoder.predict_latents(fresh), expected, atol=1e-4)


def test_an_autoencoder_given_as_a_module_is_given_again(data, vae_folder, tmp_path):
    X, y, table = data
    vae = load_vae(vae_folder, "cpu")
    decoder = make(vae, images=table).fit(X, y)
    decoder.save(tmp_path)
    with pytest.raises(ValueError, match=r"of your own as vae, .* load\(folder, vae=\.\.\.\)"):
        LowLevelDecoder.load(tmp_path)
    again = LowLevelDecoder.load(tmp_path, vae=vae, device="cpu")
    np.testing.assert_allclose(again.transform(X[:2]), decoder.transform(X[:2]), atol=1)


def test_two_fits_are_equal_and_global_generators_untouched(data):
    X, y, table = data
    latents = coarse(table.lookup(y))
    before = torch.get_rng_state()
    for params in ({}, {"net": "reference", "net_params": NARROW, "max_epochs": 1}):
        one, two = (make(**params).fit(X, latents).predict_latents(X[:4]) for _ in range(2))
        np.testing.assert_array_equal(one, two)
    assert torch.equal(torch.get_rng_state(), before)


# -- what it refuses -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"net": "light"}, ValueError, r"net must be one of 'linear', 'reference', got 'light'"),
        ({"net": 3}, TypeError, r"net must be a name or an nn\.Module class, got 3"),
        (
            {"net_params": {"bins": 3}},
            ValueError,
            r"net=\"linear\" has no parameter 'bins'; it takes n_bins, n_components",
        ),
        ({"net_params": {"n_bins": 0}}, ValueError, r"n_bins must lie in \[1, inf\]"),
        ({"loss": "l1"}, ValueError, r"it goes with loss=\"l2\""),
        ({"loss": "mse"}, ValueError, r"loss must be one of 'l2', 'l1'"),
        ({"image_size": 4}, ValueError, r"image_size must lie in \[8, 8192\]"),
        ({"vae_batch_size": 0}, ValueError, r"vae_batch_size must lie in \[1, inf\]"),
        ({"net": "reference", "net_params": {"n_maps": 5}}, ValueError, r"n_maps must be a multiple of 4"),
        ({"net": "reference", "lr": 0}, ValueError, r"lr must lie in \(0, inf\]"),
        ({"images": [1]}, TypeError, r"images must be an ImageTable"),
    ],
)
def test_parameters_that_are_refused(data, params, error, message):
    X, y, table = data
    decoder = make(**params)
    with pytest.raises(error, match=message):
        decoder.fit(X, coarse(table.lookup(y)))
    assert not hasattr(decoder, "encoder_")
    assert not hasattr(decoder, "latent_mean_")


def test_inputs_that_are_refused(data, vae_folder, tmp_path):
    X, y, table = data
    latents = coarse(table.lookup(y))
    with pytest.raises(NotFittedError):
        make().transform(X)
    with pytest.raises(ValueError, match=r"images is None, but y holds stimulus ids"):
        make().fit(X, y)
    with pytest.raises(KeyError, match=r"images has no picture of stimulus 'other'"):
        make(vae_folder, images=table).fit(X, ["other", *y[1:]])
    with pytest.raises(ValueError, match=r"latents must be floats of shape .*got shape \(120, 256\)"):
        make().fit(X, latents.reshape(2 * N, -1))
    with pytest.raises(ValueError, match=r"floats are read as latents.*must be uint8"):
        make().fit(X, table.lookup(y) / 255)
    with pytest.raises(ValueError, match=r"y: latents hold NaN"):
        make().fit(X, np.where(latents > 0, latents, np.nan))
    with pytest.raises(ValueError, match=r"X has 120, y has 119"):
        make().fit(X, latents[1:])
    with pytest.raises(ValueError, match=r"n_samples=1"):
        make().fit(X, np.repeat(latents[:1], 2 * N, axis=0))
    with pytest.raises(ValueError, match=r"X has 29 times, but LinearLatents was fitted on 30"):
        make().fit(X, latents).transform(X[:, :, 1:])
    X_bad = np.where(np.arange(2 * N)[:, None, None] == 3, np.nan, X)
    with pytest.raises(ValueError, match=r"Input X contains NaN: first in epoch 3"):
        make().fit(X_bad, latents)
    with pytest.raises(ValueError, match=r"square latents whose side is a power of two"):
        make(net="reference").fit(X, latents[:, :, :6])
    with pytest.raises(OSError, match=r"could not be loaded: neither a folder in diffusers' format"):
        make(tmp_path, images=table).fit(X, y)
    with pytest.raises(
        TypeError, match=r"vae must be a name, a folder, or an autoencoder of diffusers.*got dict"
    ):
        make({}, images=table).fit(X, y)
