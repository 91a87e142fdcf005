"""Every network of the list in an EEGEncoder: fit, copies, folds in workers, other lengths, people."""

from __future__ import annotations

import copy
import pickle

import mne
import numpy as np
import pytest
from sklearn.model_selection import GroupKFold, cross_validate

from skeegclip import EEGEncoder, EmbeddingTable, EpochsView
from skeegclip.datasets import load_faces_houses
from skeegclip.nets import list_nets

# Each in a size that takes seconds.
SMALL = {
    "atm-s": {"d_ff": 16, "n_filters": 4},
    "ridge+atm-s": {"d_ff": 16, "n_filters": 4},
    "atm-e": {"d_ff": 16, "n_features": 32},
    "atm-eegnet": {"d_ff": 16},
    "nice": {"n_filters": 4},
    "mlp": {"n_hidden_times": 16, "n_hidden_chans": 4, "n_hidden_blocks": 0},
    "eegnet": {"D": 2, "F2": 16},
    "eegconformer": {"n_filters_time": 8},
    "brain-module": {"d_ff": 16},
    "simpleconv": {"hidden_dim": 8, "depth": 2},
    "TSception": {"sfreq": 100.0},
}
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
    "brain-module",
    "simpleconv",
    "eegproject",
    "ridge+atm-s",
]
DEEP4NET = pytest.param("Deep4Net", marks=pytest.mark.slow)
BRAINDECODE = [
    "EEGNeX",
    "TSception",
    DEEP4NET,
    *(pytest.param(n, marks=pytest.mark.slow) for n in ("TIDNet", "CTNet")),
]

pytestmark = pytest.mark.filterwarnings("ignore:n_times .* is smaller than the minimum")


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    table = EmbeddingTable([f"s{i:02d}" for i in range(12)], rng.standard_normal((12, 6)))
    y = np.repeat(table.ids, 2)
    return rng.standard_normal((24, 3, 160)).astype("float32"), y, np.tile(["sub-01", "sub-10"], 12), table


def make(net, table, **params):
    encoder = EEGEncoder(
        net, net_params=SMALL.get(net), targets=table, max_epochs=1, batch_size=12, validation=0
    )
    return encoder.set_params(random_state=0, device="cpu", **params)


def test_the_list_is_complete():
    assert list_nets(3, 160, 6)["name"].tolist() == NETS


@pytest.mark.parametrize("net", NETS + BRAINDECODE)
def test_fit_copies_and_another_length(net, data, tmp_path):
    X, y, subject, table = data
    encoder = make(net, table).fit(X, y, subject=subject)
    z = encoder.transform(X, subject=subject)
    assert (z.shape, z.dtype) == ((24, 6), np.float32)
    assert np.isfinite(z).all()
    assert z.std(axis=0).max() > 0
    encoder.save(tmp_path)
    for again in (pickle.loads(pickle.dumps(encoder)), copy.deepcopy(encoder), EEGEncoder.load(tmp_path)):
        np.testing.assert_array_equal(again.transform(X, subject=subject), z)
    np.testing.assert_array_equal(
        make(net, table).fit(X, y, subject=subject).transform(X, subject=subject), z
    )
    shorter = encoder.fit(X[:, :, :130], y, subject=subject).transform(X[:, :, :130], subject=subject)
    assert shorter.shape == (24, 6)


@pytest.mark.parametrize("net", [*NETS, DEEP4NET])
def test_behind_a_linear_layer_of_each_subject(net, data):
    X, y, subject, table = data
    encoder = make(net, table, subject_layer="linear").fit(X, y, subject=subject)
    again = pickle.loads(pickle.dumps(encoder))
    own, other = (again.transform(X, subject=s) for s in ("sub-01", "sub-10"))
    assert not np.array_equal(own, other)
    mixed = again.transform(X, subject=subject)
    expected = np.where((subject == "sub-01")[:, None], own, other)
    np.testing.assert_allclose(mixed, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("net", [*NETS, DEEP4NET])
def test_folds_in_workers(net, data):
    X, y, subject, table = data
    result = cross_validate(
        make(net, table),
        X,
        y,
        groups=y,
        cv=GroupKFold(2),
        params={"subject": subject},
        n_jobs=2,
        return_estimator=True,
        error_score="raise",
    )
    for encoder, (train, _) in zip(result["estimator"], GroupKFold(2).split(X, y, y), strict=True):
        here = make(net, table).fit(X[train], y[train], subject=subject[train])
        # Workers have one thread each, and their sums another order.
        np.testing.assert_allclose(encoder.transform(X), here.transform(X), rtol=0.05, atol=0.05)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This model has only been tested on no more than 64 channels")
@pytest.mark.parametrize(
    ("n_chans", "n_times", "sfreq"), [(63, 250, 250.0), (17, 100, 100.0), (271, 201, 200.0)]
)
@pytest.mark.parametrize("net", NETS)
def test_sizes_of_public_recordings(net, n_chans, n_times, sfreq):
    rng = np.random.default_rng(0)
    info = mne.create_info(n_chans, sfreq, "eeg")
    view = EpochsView.from_arrays(10 * rng.standard_normal((6, n_chans, n_times)), info=info)
    z = EEGEncoder(net, max_epochs=1, random_state=0, device="cpu").fit_transform(view, np.eye(6))
    assert z.shape == (6, 6)
    assert np.isfinite(z).all()


@pytest.mark.parametrize("net", NETS)
def test_a_real_headband_of_four_channels(net):
    data = load_faces_houses()
    view = EpochsView.from_arrays(data.X[:40], info=data.info)
    codes = np.eye(2)[(data.y[:40] == "face").astype(int)]
    encoder = EEGEncoder(net, net_params=SMALL.get(net), max_epochs=2, batch_size=20, lr=1e-3, random_state=0)
    z = encoder.set_params(device="cpu").fit_transform(view, codes)
    assert np.isfinite(z).all()
    assert np.ptp(z, axis=0).max() > 0
