"""The skorch net of an encoder: what it records, shows, and refuses."""

import math

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from torch import nn

from skeegclip._training.build import make_net
from skeegclip._training.loader import EpochsDataset
from skeegclip._training.net import batches, embed, evaluating, top1
from skeegclip._training.spec import NetSpec
from skeegclip._training.targets import Targets
from skeegclip._utils.company import up_to_rounding

N_CHANS, N_TIMES, N_DIMS = 3, 8, 4


class Linear(nn.Module):
    def __init__(self, n_outputs, n_chans, n_times):
        super().__init__()
        self.map = nn.Linear(n_chans * n_times, n_outputs)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x):
        return self.dropout(self.map(x.flatten(1)))


class Spoken(Linear):
    """Takes a subject, and answers with its code."""

    def forward(self, x, subject):
        return self.map(x.flatten(1)) * 0 + subject[:, None]


class Sequence(Linear):
    def forward(self, x):
        return x


SIZES = {"n_outputs": N_DIMS, "n_chans": N_CHANS, "n_times": N_TIMES}
LOSS = {"loss_weight": 0.0, "target_variance": 1.0}


@pytest.fixture
def world():
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((10, N_DIMS)).astype(np.float32)
    stimulus = np.arange(30) % 10
    X = rng.standard_normal((30, N_CHANS, N_TIMES)).astype(np.float32)
    targets = Targets(vectors, stimulus)
    train, valid = (
        EpochsDataset(X, np.arange(30) % 3 - 1, targets, r, "cpu") for r in (np.arange(23), np.arange(23, 30))
    )
    return X, targets, train, valid


def net_of(cls=Linear, criterion=LOSS, **params):
    defaults = {"device": "cpu", "precision": "float32", "lr": 0.01, "batch_size": 8, "max_epochs": 2}
    torch.manual_seed(0)
    return make_net(NetSpec(cls, SIZES, criterion), **{**defaults, **params})


def test_the_loss_of_a_pass_is_that_of_its_epochs_not_of_its_batches(world):
    """23 epochs make batches of 8, 8 and 7: the mean over batches would weigh those of the last more."""
    _, targets, train, valid = world
    losses, sizes = [], []

    class Watch(Callback):
        def on_batch_end(self, net, training, loss, y_pred, **kwargs):
            if training:
                losses.append(loss.item())
                sizes.append(len(y_pred))

    net = net_of(valid=valid, callbacks=[Watch()], max_epochs=1)
    net.fit_passes(train)
    assert sizes == [8, 8, 7]
    assert net.history[0, "train_loss"] == pytest.approx(np.average(losses, weights=sizes), rel=1e-6)
    net.module_.eval()
    z = embed(net, valid.X[valid.rows], np.full(7, -1)).numpy()
    expected = np.mean((z - targets.vectors[targets.stimulus[valid.rows]]) ** 2)
    assert net.history[0, "valid_loss"] == pytest.approx(expected, rel=1e-5)
    assert net.history[0, "train_batch_count"] == 3


def test_a_pass_weighs_its_batches_by_the_weights_of_their_epochs(world):
    X, targets, _, _ = world
    weight = np.linspace(0.1, 3, 30).astype(np.float32)
    weighted = Targets(targets.vectors, targets.stimulus, weight=weight)
    valid = EpochsDataset(X, np.full(30, -1), weighted, np.arange(30), "cpu")
    net = net_of(valid=valid, max_epochs=1)
    net.fit_passes(valid)
    z = embed(net, X, np.full(30, -1)).numpy()
    error = ((z - targets.vectors[targets.stimulus]) ** 2).mean(1)
    assert net.history[0, "valid_loss"] == pytest.approx(np.average(error, weights=weight), rel=1e-5)


def test_batches_are_shown_as_skorch_shows_them(world):
    X, targets, train, valid = world
    seen = []

    class Watch(Callback):
        def on_batch_begin(self, net, batch, training, **kwargs):
            seen.append((batch, training))

    net_of(valid=valid, callbacks=[Watch()], max_epochs=1).fit_passes(train)
    assert [training for _, training in seen] == [True] * 3 + [False]
    (inputs, y), _ = seen[-1]
    np.testing.assert_array_equal(inputs["x"].numpy(), X[23:])
    np.testing.assert_array_equal(y.numpy(), targets.vectors[targets.stimulus[23:]])


@pytest.mark.parametrize("watched", [False, True])
def test_losses_of_batches_are_read_for_whoever_asks(world, watched):
    net = net_of(watched=watched, max_epochs=1)
    net.fit_passes(world[2])
    rows = net.history[0]["batches"]
    assert [row["train_batch_size"] for row in rows] == ([8, 8, 7] if watched else [])
    assert all(row["train_loss"] > 0 for row in rows)
    assert net.history[0, "train_batch_count"] == 3


def test_training_lowers_the_loss_and_ends_after_so_many_passes(world):
    net = net_of(max_epochs=12)
    net.fit_passes(world[2])
    losses = net.history[:, "train_loss"]
    assert len(losses) == 12
    assert np.mean(losses[-3:]) < np.mean(losses[:3])


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_a_loss_that_is_not_finite_ends_it(world, bad):
    net = net_of()

    class Spoil(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 2:
                with torch.no_grad():
                    net.module_.map.weight.fill_(bad)

    net.callbacks_.append(("spoil", Spoil()))
    with pytest.raises(ValueError, match=r"train loss became (inf|nan) in pass 2. Lower lr \(now 0.01\)"):
        net.fit_passes(world[2])


def test_networks_that_take_a_subject_get_it(world):
    X = world[0]
    codes = np.arange(30) % 3 - 1
    z = embed(net_of(Spoken, optimizer=None), X, codes, batch_size=7)
    np.testing.assert_array_equal(z[:, 0].numpy(), codes)
    assert not net_of().takes_subject_


def test_a_network_with_a_vector_per_time_is_refused(world):
    with pytest.raises(ValueError, match=r"net must map .* got output shape \(n_epochs, 3, 8\)"):
        embed(net_of(Sequence, optimizer=None), world[0], np.full(30, -1))


def test_embeddings_do_not_depend_on_the_batches_they_come_in(world):
    X, codes = world[0], np.full(30, -1)
    net = net_of()
    net.module_.train()  # embedding is not training, whatever went before
    whole = embed(net, X, codes)
    torch.testing.assert_close(embed(net, X, codes, batch_size=4), whole)
    assert not net.module_.training
    assert [len(part["x"]) for part in batches(net, X, codes, 12)] == [12, 12, 6]
    with evaluating(net):
        assert not net.infer({"x": torch.from_numpy(X), "subject": None}).requires_grad


@pytest.mark.parametrize(
    ("n", "sizes"), [(1, [16]), (17, [24]), (25, [48]), (48, [48]), (50, [48, 16]), (500, [48] * 10 + [24])]
)
def test_epochs_are_embedded_in_blocks_of_few_sizes(world, n, sizes):
    """One and 20 and 500 epochs are multiplied by kernels that sum in other orders; these sizes are summed alike."""
    X = np.resize(world[0], (n, *world[0].shape[1:]))
    net, seen = net_of(), []
    net.module_.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    z = embed(net, X, np.full(n, -1))
    assert seen == sizes
    torch.testing.assert_close(z, net.module_(torch.from_numpy(X)).detach())
    seen.clear()
    with up_to_rounding():
        assert len(embed(net, X, np.full(n, -1), 100)) == n
    assert seen == [100] * (n // 100) + [n % 100] * (n % 100 > 0)


def test_top1_counts_rows_whose_own_stimulus_is_nearest():
    vectors = np.array([[1, 0], [0, 5], [-1, -1]], dtype=np.float32)
    targets = Targets(vectors, np.array([0, 0, 1, 2, 2]))
    X = np.zeros((5, 1, 1), dtype=np.float32)
    z = torch.tensor([[9.0, 1], [-1, 9], [0.1, 1], [-1, -2], [1, 0]])
    data = EpochsDataset(X, np.zeros(5, dtype=int), targets, np.arange(5), "cpu")
    assert top1(z, data, nn.Identity()) == pytest.approx(3 / 5)
    # The gallery are the stimuli of this set alone: without the third the last row is right by default.
    some = EpochsDataset(X, np.zeros(5, dtype=int), targets, np.array([0, 2]), "cpu")
    assert top1(torch.tensor([[-1.0, -0.9], [-0.9, -1]]), some, nn.Identity()) == 0.0
    turned = nn.Linear(2, 2, bias=False)
    turned.weight.data = torch.tensor([[0.0, 1], [1, 0]])
    assert top1(z[:, [1, 0]], data, turned) == pytest.approx(3 / 5)
