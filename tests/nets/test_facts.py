"""What epochs tell of themselves reaches networks that ask for it at every call; the oracle is the model's own call."""

from __future__ import annotations

import json
import pickle
import warnings

import mne
import numpy as np
import pytest
import torch

from skeegclip import EEGEncoder, EpochsView
from skeegclip.nets.build import build_net
from skeegclip.nets.facts import facts_of_forward
from skeegclip.nets.registry import get_net

NAMES = ["Oz", "Cz", "P3", "Fp1"]
LABRAM = {"patch_size": 20, "embed_dim": 16, "num_layers": 1, "num_heads": 2, "conv_out_channels": 4}
LUNA = {"patch_size": 20, "embed_dim": 16, "num_queries": 2, "depth": 1, "num_heads": 2}


def info_of(names=NAMES, montage=True, sfreq=200.0):
    info = mne.create_info(list(names), sfreq, "eeg")
    if montage:
        places = {name: [0.01 * i, 0.02 - 0.003 * i**2, 0.05] for i, name in enumerate(NAMES)}
        info.set_montage(mne.channels.make_dig_montage(places, coord_frame="head"), on_missing="ignore")
    return info


def params_of(info, **params):
    return {"n_outputs": 5, "n_chans": 4, "n_times": 40, "sfreq": 200.0, "chs_info": info["chs"], **params}


def built(name, info, **params):
    torch.manual_seed(0)
    net = build_net(get_net(name)[0], params_of(info, **params)).eval()
    with torch.no_grad():  # heads and positions start near zero, where nothing could be told apart
        for parameter in net.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return net


def own(name, net, info, **params):
    """The model as braindecode builds and calls it, with the same weights."""
    with warnings.catch_warnings(action="ignore"):
        model = get_net(name)[0](**params_of(info, **params)).eval()
    model.load_state_dict(net.state_dict())
    return model


@pytest.fixture
def x():
    return torch.from_numpy(np.random.default_rng(0).standard_normal((3, 4, 40)).astype("float32"))


@torch.no_grad()
def test_labram_is_told_the_names(x):
    info = info_of()
    net = built("Labram", info, **LABRAM)
    model = own("Labram", net, info, **LABRAM)
    torch.testing.assert_close(net(x), model(x, ch_names=NAMES), rtol=0, atol=1e-6)
    # Other names are other embeddings; the same channels in another order are the same embedding.
    assert (net(x) - model(x, ch_names=["F3", *NAMES[1:]])).abs().max() > 1e-3
    order = [2, 0, 3, 1]
    other = build_net(type(net), params_of(info_of([NAMES[i] for i in order]), **LABRAM)).eval()
    other.load_state_dict(net.state_dict())
    torch.testing.assert_close(other(x[:, order]), net(x), rtol=0, atol=1e-5)
    # What the caller gives goes first.
    torch.testing.assert_close(net(x, ch_names=["F3", *NAMES[1:]]), model(x, ch_names=["F3", *NAMES[1:]]))


@torch.no_grad()
def test_luna_is_told_the_places(x):
    info = info_of()
    net = built("LUNA", info, **LUNA)
    places = torch.tensor(np.array([ch["loc"][:3] for ch in info["chs"]]), dtype=torch.float32).repeat(
        3, 1, 1
    )
    model = own("LUNA", net, info_of(montage=False), **LUNA)
    torch.testing.assert_close(net(x), model(x, channel_locations=places), rtol=0, atol=1e-6)
    assert (net(x) - model(x, channel_locations=places[:, [1, 0, 2, 3]])).abs().max() > 1e-4


class Asks(torch.nn.Module):
    """A network of one's own that is told nothing when it is built."""

    def __init__(self, n_outputs, n_chans, n_times):
        super().__init__()
        self.map = torch.nn.Linear(n_chans * n_times, n_outputs)
        self.heard = None

    def forward(self, x, *, ch_names=None, sfreq=None, channel_locations=None, chs_info=None):
        self.heard = (ch_names, sfreq, channel_locations, chs_info)
        return self.map(x.flatten(1))


def view_of(info, n_times=40, n_epochs=12):
    X = 10 * np.random.default_rng(0).standard_normal((n_epochs, len(info["ch_names"]), n_times))
    return EpochsView.from_arrays(X.astype("float32"), info=info)


def encoder_of(net, **params):
    return EEGEncoder(net, max_epochs=2, batch_size=6, validation=0, random_state=0, device="cpu", **params)


def test_a_network_of_ones_own_hears_what_is_known(tmp_path):
    assert facts_of_forward(Asks) == {"ch_names", "sfreq", "chs_info"}
    info = info_of()
    encoder = encoder_of(Asks).fit(view_of(info), np.eye(12))
    encoder.save(tmp_path)
    again = EEGEncoder.load(tmp_path, net=Asks)
    np.testing.assert_array_equal(again.transform(view_of(info)), encoder.transform(view_of(info)))
    for fitted in (encoder, again):
        names, sfreq, places, chs_info = fitted.net_.module_.heard
        assert (names, sfreq, [ch["ch_name"] for ch in chs_info]) == (NAMES, 200.0, NAMES)
        # The last batch, of 12 epochs filled to 16.
        assert places.shape == (16, 4, 3)
        np.testing.assert_allclose(places[5], [ch["loc"][:3] for ch in info["chs"]], atol=1e-7)
    # Of an array nothing is known but what net_params say.
    X = np.asarray(view_of(info))
    encoder = encoder_of(Asks, net_params={"sfreq": 100.0}).fit(X, np.eye(12))
    assert encoder.net_.module_.heard == (None, 100.0, None, None)


def test_labram_in_an_encoder(tmp_path):
    info, Y = info_of(), np.random.default_rng(1).standard_normal((12, 5))
    view = view_of(info)
    encoder = encoder_of("Labram", net_params=LABRAM).fit(view, Y, subject=["a", "b"] * 6)
    z = encoder.transform(view)
    params = dict(encoder.fitted_.spec.net_params)
    divisor, factor = params.pop("input_spread"), params.pop("output_spread")
    model = own("Labram", encoder.net_.module_, info, **LABRAM)
    with torch.no_grad():
        by_hand = factor * model(torch.from_numpy(np.asarray(view)) / divisor, ch_names=NAMES)
    np.testing.assert_allclose(z, by_hand, rtol=0, atol=1e-6 * np.abs(z).max())
    assert np.ptp(z, axis=0).min() > 0
    encoder.save(tmp_path)
    for again in (EEGEncoder.load(tmp_path), pickle.loads(pickle.dumps(encoder))):
        np.testing.assert_array_equal(again.transform(view), z)
    # Arrays: names by hand. Another fit, so behind a layer of each subject.
    by_hand = encoder_of("Labram", net_params={**LABRAM, "ch_names": NAMES}, subject_layer="linear")
    named = encoder_of("Labram", net_params=LABRAM, subject_layer="linear")
    subject = ["a", "b"] * 6
    np.testing.assert_array_equal(
        by_hand.fit(np.asarray(view), Y, subject=subject).transform(np.asarray(view), subject=subject),
        named.fit(view, Y, subject=subject).transform(view, subject=subject),
    )


@pytest.mark.parametrize(
    ("name", "params", "info", "n_times", "remedy"),
    [
        ("Labram", LABRAM, None, 40, "pass epochs that carry names .*, or use net='InterpolatedLaBraM'"),
        ("Labram", LABRAM, info_of([*NAMES[:3], "E17"]), 40, "'E17'.* pick those that it knows, or use net="),
        ("Labram", LABRAM, info_of(), 50, r"patches of 20 samples: crop or resample .* \(40 or 60\)"),
        ("InterpolatedLaBraM", {"num_heads": 2}, info_of(), 250, r"of 200 samples.* \(200 or 400\)"),
        ("LUNA", LUNA, info_of(montage=False), 40, "not finite. It needs names and places .*set_montage"),
        (
            "EEGDINO",
            {},
            view_of(mne.create_info(20, 200.0, "eeg")).info,
            200,
            "Set n_channel_embeddings in its",
        ),
        ("BENDR", {}, info_of(), 250, "use net='InterpolatedBENDR', which interpolates"),
        ("SleepStagerBlanco2020", {}, info_of(NAMES[:3]), 100, "Set n_groups in its net_params"),
        ("SensingDynamics", {}, info_of(), 40, "It takes another number of channels: pick them"),
        (
            "SignalJEPA_PostLocal",
            {},
            info_of(),
            100,
            "It needs at least 152 samples at this rate: cut longer",
        ),
    ],
)
def test_what_is_missing_is_told_in_a_sentence(name, params, info, n_times, remedy):
    n_chans = 4 if info is None else len(info["ch_names"])
    X = np.zeros((12, n_chans, n_times), "float32") if info is None else view_of(info, n_times)
    with pytest.raises(ValueError, match=f"net='{name}' cannot take epochs .*{remedy}") as caught:
        encoder_of(name, net_params=params).fit(X, np.eye(12))
    assert "\n" not in str(caught.value)


def test_enough_samples_are_enough():
    info = info_of()
    with pytest.raises(ValueError, match="It needs at least") as caught:
        build_net(get_net("SignalJEPA_PostLocal")[0], params_of(info, n_times=100))
    enough = int(str(caught.value).partition("at least ")[2].split()[0])
    build_net(get_net("SignalJEPA_PostLocal")[0], params_of(info, n_times=enough))
    with pytest.raises(ValueError, match=f"It needs at least {enough} samples"):
        build_net(get_net("SignalJEPA_PostLocal")[0], params_of(info, n_times=enough - 1))


@pytest.fixture
def bank(tmp_path, monkeypatch):
    """The file of places that REVE fetches, as made here."""
    places = {name: [0.1 * i, 0.02, -0.01 * i] for i, name in enumerate(NAMES)}
    (tmp_path / "reve_positions.json").write_text(json.dumps(places))
    monkeypatch.setenv("REVE_POSITIONS_PATH", str(tmp_path))
    return torch.tensor(list(places.values()))


REVE = {
    "embed_dim": 16,
    "depth": 1,
    "heads": 2,
    "head_dim": 8,
    "patch_size": 20,
    "patch_overlap": 2,
    "freqs": 2,
}


@torch.no_grad()
def test_reve_with_its_file_and_names_that_it_does_not_know(bank, x):
    info = info_of()
    net = built("REVE", info, **REVE)
    model = own("REVE", net, info, **REVE)
    torch.testing.assert_close(net(x), model(x, pos=bank.repeat(3, 1, 1)), rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match="rename those that it does not know"):
        built("REVE", info_of([*NAMES[:3], "E17"]), **REVE)


def test_a_vocabulary_that_cannot_be_fetched_is_no_other_order(monkeypatch):
    import braindecode.models.steegformer as module

    def refuse():
        raise OSError("no network in tests")

    monkeypatch.setattr(module, "_channel_index", refuse)
    small = {"embed_dim": 16, "depth": 1, "num_heads": 2}
    with pytest.raises(ValueError, match="connect this machine once, or set chan_pos_idx in its net_params"):
        built("STEEGFormer", info_of(), **small)
    built("STEEGFormer", info_of(), chan_pos_idx=[7, 2, 11, 4], **small)
