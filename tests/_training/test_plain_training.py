"""The opponent of the benchmarks computes what skeegclip computes: function, loss, learning curve, accuracies."""

from __future__ import annotations

import importlib
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from skeegclip import EEGEncoder, EmbeddingTable
from skeegclip._utils.spread import typical_spread
from skeegclip.losses import ClipLoss
from skeegclip.metrics import cosine_similarity, n_way_accuracy

_FOLDER = Path(__file__).parents[2] / "examples" / "benchmarks"


@pytest.fixture(scope="module")
def plain():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(_FOLDER))
        module = importlib.import_module("plain_training")
        module.plain_state = importlib.import_module("layer_by_layer").plain_state
        yield module


class Watch(Callback):
    """Note the weights at the start, and the rows of every batch, told by their first sample."""

    def on_train_begin(self, net, **kwargs):
        self.state = {k: v.clone() for k, v in net.module_.state_dict().items()}
        self.batches = []

    def on_epoch_begin(self, net, **kwargs):
        self.batches.append([])

    def on_batch_begin(self, net, batch, training, **kwargs):
        assert training
        self.batches[-1].append(batch[0]["x"][:, 0, 0].tolist())


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(48, 8, 100)).astype(np.float32)
    X += np.linspace(-1, 1, 48, dtype=np.float32)[:, None, None]
    return X, np.repeat(np.arange(24), 2), rng.normal(size=(24, 16)).astype(np.float32)


def _no_dropout(name):
    if name == "atm-s":
        return {"dropout": 0.0, "conv_dropout": 0.0, "head_dropout": 0.0}, {
            "dropout": 0.0,
            "conv_dropout": 0.0,
        }
    return {"conv_dropout": 0.0, "head_dropout": 0.0}, {"dropout": 0.0}


@pytest.mark.parametrize("name", ["atm-s", "nice"])
def test_learning_curve_is_that_of_the_plain_script(plain, data, name):
    X, image, vectors = data
    X = (X / typical_spread(X)).astype("float32")  # which the network is fed in any case
    ours_off, plain_off = _no_dropout(name)
    table = EmbeddingTable([f"{i:02d}" for i in range(24)], vectors)
    watch = Watch()
    encoder = EEGEncoder(
        name, net_params=ours_off, targets=table, validation=0, batch_size=16, max_epochs=4, lr=1e-3,
        precision="float32", device="cpu", callbacks=[watch], random_state=0,
    ).fit(X, table.ids[image])  # fmt: skip
    watch = next(cb for _, cb in encoder.net_.callbacks if isinstance(cb, Watch))

    net, criterion, optimizer = plain.make_training(name, 16, 8, 100, lr=1e-3, **plain_off)
    net.load_state_dict(plain.plain_state(watch.state))
    row = {first: i for i, first in enumerate(X[:, 0, 0].tolist())}
    batches = [[[row[first] for first in batch] for batch in batches] for batches in watch.batches]
    assert sorted(sum(batches[0], [])) == list(range(48))
    losses = plain.train(
        net, criterion, optimizer, plain.EpochsAndImages(X, image, vectors), n_passes=4, batches=batches
    )
    assert losses[-1] < losses[0] - 0.1
    curve = [pass_["train_loss"] for pass_ in encoder.history_]
    np.testing.assert_allclose(curve, losses, rtol=2e-5)
    assert encoder.temperature_ == pytest.approx(1 / criterion.log_scale.exp().item(), rel=1e-5)
    # Adam scales gradients that are nearly zero up to full steps, so that weights differ more than losses do.
    z = net.eval()(torch.from_numpy(X)).detach().numpy()
    assert np.diag(cosine_similarity(encoder.transform(X), z)).min() > 0.9999


@pytest.mark.parametrize("repeated", [False, True])
def test_loss_and_gradient_are_ours(plain, repeated):
    generator = torch.Generator().manual_seed(0)
    image = torch.arange(12) // (2 if repeated else 1)
    target = torch.randn(12, 8, generator=generator)[image]
    gradients = []
    for criterion, extra in ((ClipLoss(), [image]), (plain.PlainClipLoss(), [])):
        z = torch.randn(12, 8, generator=torch.Generator().manual_seed(1)).requires_grad_()
        loss = criterion(z, target, *extra)
        loss.backward()
        gradients.append([loss.detach(), z.grad, criterion.log_scale.grad])
    torch.testing.assert_close(*gradients)


def test_evaluation_is_a_sample_of_the_exact_figures(plain):
    rng = np.random.default_rng(0)
    gallery = rng.normal(size=(30, 6)).astype(np.float32)
    X = (gallery + rng.normal(size=gallery.shape)).astype(np.float32)
    dataset = plain.EpochsAndImages(X, range(30), gallery)
    random.seed(0)
    rounds = [
        plain.evaluate(torch.nn.Identity(), dataset, torch.from_numpy(gallery), [2, 10, 30])
        for _ in range(20)
    ]
    similarity = cosine_similarity(X, gallery)
    for n_way in (2, 10, 30):
        drawn = [accuracy[n_way] for accuracy in rounds]
        exact = n_way_accuracy(similarity, np.arange(30), n_way)
        assert np.mean(drawn) == pytest.approx(exact, abs=0.03)
        assert n_way < 30 or set(drawn) == {exact}
