"""The network does not know the unit of the epochs: what it is fed has a typical spread of one."""

from __future__ import annotations

import copy
import pickle

import mne
import numpy as np
import pytest
import torch

from skeegclip import EEGEncoder, EmbeddingTable, EpochsStore, EpochsView
from skeegclip._utils.spread import typical_spread
from skeegclip.datasets import make_things_like

SMALL = {
    "atm-s": {"d_ff": 16, "n_filters": 4},
    "ridge+atm-s": {"d_ff": 16, "n_filters": 4},
    "atm-e": {"d_ff": 16, "n_features": 32},
    "atm-eegnet": {"d_ff": 16},
    "brain-module": {"d_ff": 16},
    "nice": {"n_filters": 4},
    "mlp": {"n_hidden_times": 16, "n_hidden_chans": 4, "n_hidden_blocks": 0},
    "eegnet": {"D": 2, "F2": 16},
    "eegconformer": {"n_filters_time": 8},
    "simpleconv": {"hidden_dim": 8, "depth": 2},
    "TSception": {"sfreq": 100.0},
}
# Asking the list for them would build each, whenever tests are collected; test_every_net.py asks whether they are all.
NETS = [
    "atm-s",
    "atm-e",
    "atm-eegnet",
    "nice",
    "eegnet",
    "eegconformer",
    "eegitnet",
    "shallow",
    "atcnet",
    "mlp",
]
NETS += ["brain-module", "simpleconv", "eegproject", "ridge+atm-s"]
BRAINDECODE = [
    pytest.param(name, marks=pytest.mark.slow)
    for name in ("Deep4Net", "EEGNeX", "TIDNet", "CTNet", "TSception")
]

pytestmark = pytest.mark.filterwarnings("ignore:n_times .* is smaller than the minimum")


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    table = EmbeddingTable([f"s{i:02d}" for i in range(12)], rng.standard_normal((12, 6)))
    X = 10 * rng.standard_normal((24, 3, 120)).astype("float32")
    return X, np.repeat(table.ids, 2), np.tile(["sub-01", "sub-10"], 12), table


def make(net, table, **params):
    encoder = EEGEncoder(net, net_params=SMALL.get(net), targets=table, max_epochs=2, batch_size=12)
    return encoder.set_params(validation=0.2, random_state=0, device="cpu").set_params(**params)


@pytest.mark.parametrize("net", NETS + BRAINDECODE)
def test_a_factor_of_two_to_any_power_changes_no_bit(net, data):
    X, y, subject, table = data
    z = make(net, table).fit(X, y, subject=subject).transform(X, subject=subject)
    assert z.std(axis=0).min() > 0
    for factor in (2.0**-3, 2.0**10):
        scaled = (factor * X).astype("float32")
        encoder = make(net, table).fit(scaled, y, subject=subject)
        np.testing.assert_array_equal(encoder.transform(scaled, subject=subject), z)


@pytest.mark.parametrize("subject_layer", ["token", "linear", "none"])
@pytest.mark.parametrize("factor", [0.1, 1000.0])
def test_any_other_factor_changes_only_rounding(factor, subject_layer, data):
    X, y, subject, table = data
    rows = [
        make("atm-s", table, subject_layer=subject_layer).fit(f * X, y, subject=subject) for f in (1, factor)
    ]
    a, b = (row.transform(f * X, subject=subject) for row, f in zip(rows, (1, factor), strict=True))
    np.testing.assert_allclose(b, a, rtol=1e-2, atol=1e-2 * a.std())


def test_the_spread_is_that_of_the_training_epochs(data):
    X, y, subject, table = data
    encoder = make("eegproject", table, validation="last-batch")
    held = np.where(np.arange(24) < 12, 1.0, 100.0)[:, None, None].astype("float32")  # the last batch
    spread = encoder.fit(held * X, y).fitted_.spec.net_params["input_spread"]
    assert spread == typical_spread(X[:12])
    assert spread == pytest.approx(10, rel=0.1)


def test_epochs_from_disk_are_fed_as_arrays_are(data, tmp_path):
    X, y, subject, table = data
    info = mne.create_info(["Cz", "Pz", "Oz"], 250.0, "eeg")
    view = EpochsView.from_arrays(X, subject=subject, info=info)
    stored = EpochsStore.create(tmp_path / "store", view).view()
    there = make("atm-s", table).fit(stored, y).transform(stored)
    np.testing.assert_array_equal(there, make("atm-s", table).fit(view, y).transform(view))


def test_copies_and_what_learns_on_keep_the_spread(data, tmp_path):
    X, y, subject, table = data
    X = 300 * X
    encoder = make("atm-s", table).fit(X, y, subject=subject)
    z = encoder.transform(X, subject=subject)
    encoder.save(tmp_path)
    for again in (pickle.loads(pickle.dumps(encoder)), copy.deepcopy(encoder), EEGEncoder.load(tmp_path)):
        np.testing.assert_array_equal(again.transform(X, subject=subject), z)
    before = encoder.fitted_.spec.net_params["input_spread"]
    calibrated = copy.deepcopy(encoder).calibrate(X, y, subject="new", max_epochs=2)
    np.testing.assert_array_equal(calibrated.transform(X, subject=subject), z)
    # Fitted on, the weights meet the scale that they know.
    encoder.set_params(warm_start=True, lr=1e-12, max_epochs=1).fit(5 * X, y, subject=subject)
    assert encoder.fitted_.spec.net_params["input_spread"] == before
    encoder.set_params(warm_start=False).fit(5 * X, y, subject=subject)
    assert encoder.fitted_.spec.net_params["input_spread"] == pytest.approx(5 * before)


def test_a_folder_of_an_encoder_that_was_fed_epochs_as_they_are_still_reads(data, tmp_path):
    import json

    from skeegclip._utils.folders.manifest import sealed

    X, y, subject, table = data
    encoder = make("eegproject", table).fit(X, y)
    encoder.save(tmp_path)
    said = json.loads((tmp_path / "skeegclip.json").read_text())
    spread = said["content"]["facts"]["net_params"].pop("input_spread")
    (tmp_path / "skeegclip.json").write_text(json.dumps(sealed(said)))
    z = EEGEncoder.load(tmp_path).transform(X / np.float32(spread))
    np.testing.assert_allclose(z, encoder.transform(X), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(12, 1, 60), (12, 3, 1), (12, 3, 60)])
def test_one_channel_one_sample_or_nothing_but_a_constant(shape):
    Y = np.random.default_rng(0).standard_normal((12, 4))
    for X in (np.zeros(shape), np.full(shape, 7.0), np.random.default_rng(1).standard_normal(shape)):
        z = EEGEncoder("eegproject", max_epochs=1, random_state=0, device="cpu").fit(X, Y).transform(X)
        assert np.isfinite(z).all()


def test_augmentations_act_in_the_unit_of_the_epochs(data):
    from braindecode.augmentation import Transform

    X, y, _, table = data
    seen = []

    class Look(Transform):
        @staticmethod
        def operation(x, y):
            seen.append(float(x.std()))
            return x, y

    make("eegproject", table, augment=Look(probability=1.0), max_epochs=1).fit(X, y)
    assert seen == pytest.approx([10, 10], rel=0.1)


def test_a_network_of_ones_own_is_fed_unit_spread(data):
    X, y, _, table = data
    seen = []

    class Own(torch.nn.Module):
        def __init__(self, n_outputs=None, n_chans=None, n_times=None):
            super().__init__()
            self.linear = torch.nn.Linear(n_chans * n_times, n_outputs)

        def forward(self, x):
            seen.append(float(x.std()))
            return self.linear(x.flatten(1))

    encoder = make(Own, table, max_epochs=1).fit(1e3 * X, y)
    encoder.transform(1e3 * X)
    assert seen == pytest.approx(np.ones(len(seen)), rel=0.1)


# -- the targets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("net", ["eegproject", "nice", BRAINDECODE[0]])
@pytest.mark.parametrize("loss_weight", [0.0, 0.5])
def test_embeddings_are_as_long_as_the_targets_where_the_error_counts(net, loss_weight, data):
    X, y, _, table = data
    found = []
    for factor in (1.0, 2.0**-6, 2.0**10):
        scaled = EmbeddingTable(table.ids, factor * table.vectors)
        encoder = make(net, scaled, loss_weight=loss_weight, lr=1e-3, max_epochs=5).fit(X, y)
        found.append(encoder.transform(X) / np.float32(factor))
    for z in found[1:]:
        np.testing.assert_array_equal(z, found[0])
    if net != "Deep4Net":  # whose embeddings begin at zero
        assert 0.5 < found[0].std() / table.vectors.std() < 2


def test_unit_vectors_are_regressed_as_well_as_long_ones():
    rng = np.random.default_rng(0)
    hidden = rng.standard_normal((150, 4))
    X = (hidden @ rng.standard_normal((4, 90))).reshape(150, 3, 30)
    Y = hidden @ rng.standard_normal((4, 32))
    Y /= np.linalg.norm(Y, axis=1, keepdims=True)
    fit, new = np.arange(120), np.arange(120, 150)
    encoder = EEGEncoder("eegproject", loss_weight=0.1, max_epochs=30, lr=1e-3, batch_size=30, validation=0)
    z = encoder.set_params(random_state=0, device="cpu").fit(X[fit], Y[fit]).transform(X[new])
    assert np.mean((z - Y[new]) ** 2) < 0.5 * np.var(Y[new], axis=0).mean()


def test_what_has_a_length_of_its_own_keeps_it(data):
    X, y, _, table = data
    z = make("mlp", table, loss_weight=0.5).fit(X, y).transform(X)
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), 1, rtol=1e-5)

    class Ones(torch.nn.Module):
        def __init__(self, n_outputs=None, n_chans=None, n_times=None):
            super().__init__()
            self.one = torch.nn.Parameter(torch.ones(n_outputs))

        def forward(self, x):
            return self.one.expand(len(x), -1)

    z = (
        make(Ones, EmbeddingTable(table.ids, 100 * table.vectors), loss_weight=0.0, lr=1e-9)
        .fit(X, y)
        .transform(X)
    )
    np.testing.assert_allclose(z, 1, rtol=1e-5)


# -- the token -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def people():
    return make_things_like(
        n_subjects=3,
        n_train_concepts=20,
        n_images_per_concept=2,
        n_test_concepts=12,
        n_train_repetitions=1,
        n_test_repetitions=1,
        n_dims=32,
        duration=0.8,
        random_state=1,
        snr=3,
    )


def moved(a, b):
    """How far embeddings are moved, relative to their spread over pictures."""
    return np.linalg.norm(a - b, axis=1).mean() / np.linalg.norm(a - a.mean(0), axis=1).mean()


def trained(people, factor, **params):
    X = (factor * people.X).astype("float32")
    encoder = EEGEncoder("atm-s", targets=people.image_embeddings, max_epochs=4, batch_size=64, lr=1e-3)
    encoder.set_params(random_state=0, device="cpu", **params)
    rows = (people.split == "train") & (people.subject != "sub-03")
    return X, encoder.fit(X[rows], people.y[rows], subject=people.subject[rows])


@pytest.mark.parametrize("unknown", ["shared", pytest.param("mean", marks=pytest.mark.slow)])
def test_the_token_acts_and_acts_alike_in_any_unit(people, unknown):
    effects = []
    for factor in (1, 0.1, 1000):
        X, encoder = trained(people, factor, unknown_subject=unknown)
        own = X[(people.split == "test") & (people.subject == "sub-01")]
        z, other, new = (encoder.transform(own, subject=s) for s in ("sub-01", "sub-02", "sub-09"))
        effects.append([moved(z, other), moved(z, new)])
    assert np.min(effects) > 0.01
    np.testing.assert_allclose(effects[1:], [effects[0]] * 2, rtol=0.1)


@pytest.mark.slow
def test_a_token_is_calibrated_alike_in_any_unit(people):
    rows = (people.split == "train") & (people.subject == "sub-03")
    found = []
    for factor in (1, 2**10):
        X, encoder = trained(people, factor, max_epochs=2)
        before = encoder.transform(X[rows])
        encoder.calibrate(X[rows], people.y[rows], subject="sub-03", max_epochs=2)
        after = encoder.transform(X[rows], subject="sub-03")
        found.append((encoder.selection_["calibrated"]["sub-03"]["epoch"], moved(before, after)))
    assert found[0] == found[1]
    assert (found[0][0] > 0) == (found[0][1] > 0.001)


def test_a_warm_start_goes_on_in_the_unit_that_its_weights_know(data):
    X, y, subject, table = data
    encoder = make("eegproject", table, warm_start=True).fit(X, y)
    z = encoder.transform(X)
    with pytest.raises(
        ValueError, match=r"warm_start=True\) was fitted with.*by a factor of 1.0e\+03.*by 1e3"
    ):
        encoder.fit(X / 1000, y)
    np.testing.assert_array_equal(encoder.transform(X), z)  # as it was before
    encoder.set_params(warm_start=False).fit(X / 1000, y)


def test_a_warm_start_goes_on_with_the_channels_that_its_weights_know(data):
    X, y, _, table = data
    epochs = mne.EpochsArray(
        1e-6 * X.astype(float), mne.create_info(["Fz", "Cz", "Pz"], 100.0, "eeg"), verbose=False
    )
    encoder = make("eegproject", table, warm_start=True).fit(epochs, y)
    with pytest.raises(ValueError, match="'Pz' in place 0, but EEGEncoder.*'Fz' there"):
        encoder.fit(epochs.copy().reorder_channels(["Pz", "Cz", "Fz"]), y)
