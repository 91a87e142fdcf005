"""Attention between channels: what is returned, for whom, and from which layer."""

import mne
import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError

from skeegclip import EEGEncoder, EpochsView
from skeegclip._utils.spread import typical_spread


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = 3 * rng.standard_normal((150, 5, 40), dtype="float32")
    return X, rng.standard_normal((150, 6)), np.tile(["ana", "ben", "ana"], 50)


def make(net="atm-s", **net_params):
    small = {"kernel_length": 5, "pool_length": 6, "pool_stride": 2, "d_ff": 16, "n_filters": 8}
    params = {**small, **net_params} if net == "atm-s" else net_params
    return EEGEncoder(net, net_params=params, max_epochs=1, random_state=0, device="cpu", validation=0)


@pytest.fixture(scope="module")
def encoder(data):
    X, Y, subject = data
    return make(depth=2).fit(X, Y, subject=subject)


def by_hand(net, x, subject, layer):
    """Attention of one epoch, straight from its definition."""
    module = net.module_
    with torch.no_grad():
        own = module.subject(torch.tensor([subject]), 1)
        tokens = torch.cat([own, module.embedding(torch.tensor(x)) + module.positions])[None]
        for before in module.layers[:layer]:
            tokens = before(tokens)
        attention = module.layers[layer].attention
        q, k, _ = attention.qkv(tokens)[0].chunk(3, -1)
        heads = [slice(10 * h, 10 * (h + 1)) for h in range(4)]
        a = torch.stack([torch.softmax(q[:, h] @ k[:, h].T / 10**0.5, -1) for h in heads])[:, 1:, 1:]
        return (a / a.sum(-1, keepdim=True)).numpy()


@pytest.mark.parametrize("layer", [0, 1, -1])
def test_it_is_the_softmax_among_channels(data, encoder, layer):
    X, _, subject = data
    a = encoder.attention(X, subject=subject, layer=layer)
    assert (a.shape, a.dtype) == ((150, 4, 5, 5), np.float32)
    np.testing.assert_allclose(a.sum(-1), 1, rtol=1e-5)
    spread = np.float32(typical_spread(X))  # what the network is fed has a spread of one
    for row, code in ((0, 0), (1, 1), (149, 0)):  # across batches of 128
        np.testing.assert_allclose(
            a[row], by_hand(encoder.net_, X[row] / spread, code, layer % 2), rtol=1e-4, atol=1e-6
        )


def test_the_subject_counts_however_it_is_given(data, encoder):
    X, _, subject = data
    view = EpochsView.from_arrays(X, subject=subject)
    known, unknown = encoder.attention(view), encoder.attention(X)
    np.testing.assert_array_equal(known, encoder.attention(X, subject=subject))
    # The first layer's channels look at each other before they have heard of the subject; the second's after.
    assert not np.allclose(known, unknown)
    np.testing.assert_allclose(
        encoder.attention(view, layer=0), encoder.attention(X, layer=0), rtol=1e-4, atol=1e-6
    )


def test_it_changes_nothing(data, encoder):
    X = data[0]
    z = encoder.transform(X)
    encoder.attention(X[:3])
    np.testing.assert_array_equal(encoder.transform(X), z)
    assert not encoder.net_.module_.layers[-1].attention._forward_pre_hooks
    np.testing.assert_array_equal(encoder.attention(X[:3]), encoder.attention(X[:3].copy()))


def test_channels_that_say_the_same_are_looked_at_alike(data):
    # Two equal tokens get equal shares: without positions two equal channels have them.
    X, Y, _ = data
    X = X.copy()
    X[:, 3] = X[:, 1]
    a = make(positional_encoding="none").fit(X, Y).attention(X)
    np.testing.assert_allclose(a[..., 1], a[..., 3], rtol=1e-5)
    np.testing.assert_allclose(a[..., 1, :], a[..., 3, :], rtol=1e-5)


@pytest.mark.parametrize("net", ["nice", "eegproject"])
@pytest.mark.filterwarnings("ignore:Epochs of n_times")
def test_networks_without_attention(data, net):
    X, Y, _ = data
    with pytest.raises(TypeError, match="has no attention between channels. Use net='atm-s'"):
        make(net).fit(X, Y).attention(X)


@pytest.mark.filterwarnings("ignore:Epochs of n_times")
def test_atm_without_attention_between_channels(data):
    X, Y, _ = data
    with pytest.raises(TypeError, match="ATM has no attention between channels"):
        make(attention=False).fit(X, Y).attention(X)
    # As many filters as channels: the shapes would fit.
    with pytest.raises(TypeError, match="tokens of this ATM are filters, not channels"):
        make(conv_position="before", n_filters=5).fit(X, Y).attention(X)


def test_behind_a_layer_of_each_subject(data):
    X, Y, subject = data
    encoder = make().set_params(subject_layer="linear").fit(X, Y, subject=subject)
    assert encoder.attention(X, subject=subject).shape == (150, 4, 5, 5)


def test_bad_requests(data, encoder):
    X, Y, _ = data
    with pytest.raises(ValueError, match=r"layer must lie in \[-2, 1\], got 2"):
        encoder.attention(X, layer=2)
    with pytest.raises(TypeError, match="layer must be an int"):
        encoder.attention(X, layer="last")
    with pytest.raises(ValueError, match="X has 20 times"):
        encoder.attention(X[:, :, :20])
    with pytest.raises(NotFittedError):
        make().attention(X)


def test_epochs_of_mne(data, encoder):
    X, Y, _ = data
    info = mne.create_info(["O1", "Oz", "O2", "Pz", "Cz"], 100.0, "eeg")
    epochs = mne.EpochsArray(1e-6 * X[:4], info, verbose=False)
    np.testing.assert_allclose(encoder.attention(epochs), encoder.attention(X[:4]), rtol=1e-4, atol=1e-6)


def test_attention_of_a_batch_that_goes_through_in_parts(data, encoder, monkeypatch):
    X, _, subject = data
    whole = encoder.attention(X, subject=subject)
    monkeypatch.setattr("skeegclip.nets.atm._PART", 1000)
    np.testing.assert_allclose(encoder.attention(X, subject=subject), whole, rtol=1e-5)
