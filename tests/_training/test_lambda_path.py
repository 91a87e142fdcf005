"""The networks of a row of lambdas."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from skeegclip import EEGEncoder, EmbeddingTable
from skeegclip._training.callbacks import get_weights
from skeegclip._training.lambda_path import fit_path, moved
from skeegclip._utils.validation import check_epochs


class Linear(nn.Module):
    """One linear map, for which the least squared error has a closed form."""

    def __init__(self, n_outputs, n_chans, n_times):
        super().__init__()
        self.map = nn.Linear(n_chans * n_times, n_outputs)

    def forward(self, x):
        return self.map(x.flatten(1))


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((200, 4)) + 3
    table = EmbeddingTable([f"s{i:03d}" for i in range(200)], vectors)
    X = (vectors - 3) @ rng.standard_normal((4, 12)) + 0.5 * rng.standard_normal((200, 12))
    return X.reshape(200, 3, 4).astype(np.float32), table.ids, table


def walk(data, net, loss_weights, share, **params):
    X, y, table = data
    defaults = {"lr": 1e-2, "batch_size": 32, "max_epochs": 20, "validation": 0.1, "random_state": 0}
    encoder = EEGEncoder(net, targets=table, device="cpu", **{**defaults, **params})
    read = check_epochs(encoder, X, reset=True)
    return encoder, read, fit_path(encoder, read, y, loss_weights=loss_weights, share=share)


@pytest.mark.slow
def test_the_end_of_the_path_of_a_linear_network_is_least_squares(data):
    X, y, table = data
    params = {"optimizer_params": {"weight_decay": 0.0}, "lr_scheduler": "cosine", "max_epochs": 60}
    encoder, _, (nets, held) = walk(data, Linear, [1.0, 0.5, 0.0], 1.0, **params)
    train = np.setdiff1d(np.arange(len(X)), held.rows)
    design = np.column_stack([X.reshape(len(X), -1), np.ones(len(X))])
    coef = np.linalg.lstsq(design[train], table.lookup(y)[train], rcond=None)[0]
    encoder.fitted_ = nets[-1]
    apart = np.abs(encoder.transform(X) - design @ coef).mean() / table.vectors.std()
    assert apart < 0.05
    error = (
        np.mean((design[held.rows] @ coef - table.lookup(y[held.rows])) ** 2) / table.vectors.var(0).mean()
    )
    assert held.error[-1] == pytest.approx(error, abs=0.02)
    assert held.error[0] > 2 * held.error[-1]


def test_what_is_held_out_is_scored_as_the_encoder_scores_it(data):
    X, y, table = data
    encoder, _, (nets, held) = walk(data, "eegproject", [1.0, 0.5], 0.2)
    assert len(held.rows) == 20
    for net, top1, error in zip(nets, held.top1, held.error, strict=True):
        encoder.fitted_ = net
        assert encoder.score(X[held.rows], y[held.rows]) == pytest.approx(top1)
        apart = encoder.transform(X[held.rows]) - table.lookup(y[held.rows])
        assert error == pytest.approx(np.mean(apart**2) / table.vectors.var(axis=0).mean(), rel=1e-4)
        chosen = next(row for row in net.history if row["chosen"])
        assert chosen["valid_top1"] == pytest.approx(top1)


def test_the_first_is_a_plain_fit_and_is_not_changed_by_those_after_it(data):
    X, y, _ = data
    encoder, _, (nets, _) = walk(data, "eegproject", [0.9, 0.5, 0.0], 0.1, max_epochs=4)
    plain = copy.copy(encoder).set_params(loss_weight=0.9).fit(X, y)
    ours, theirs = (get_weights(net)["module_"] for net in (nets[0].net, plain.net_))
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert [len(net.history) for net in nets] == [4, 1, 1]


def test_embeddings_are_moved_to_where_the_squared_error_is_least(data):
    """For lambda = 0 the number and the vector are those of a regression on the embeddings."""
    from skeegclip._training.loader import EpochsDataset
    from skeegclip._training.targets import read_targets

    X, y, table = data
    encoder, read, (nets, _) = walk(data, "eegproject", [1.0], 0.1, max_epochs=3)
    targets = read_targets(y, len(X), table=table, owner="test")
    dataset = EpochsDataset(read.X, np.full(len(X), -1), targets, np.arange(len(X)), "cpu")
    params = moved(nets[0], 0.0, dataset, len(X))
    encoder.fitted_ = nets[0]
    z, t = encoder.transform(X).astype(float), table.lookup(y)
    centred = z - z.mean(0)
    by = np.sum(centred * t) / np.sum(centred**2)
    least = np.mean((by * centred + t.mean(0) - t) ** 2)
    got = np.mean((params["output_spread"] * z + params["output_offset"] - t) ** 2)
    assert got == pytest.approx(least, rel=0.02)
    assert np.mean((z - t) ** 2) > 2 * least


def test_weightless_epochs_are_not_held_out(data):
    X, y, _ = data
    encoder, read, _ = walk(data, "eegproject", [1.0], 0.1, max_epochs=1)
    weight = np.ones(len(X))
    weight[::2] = 0
    _, held = fit_path(encoder, read, y, weight, loss_weights=[1.0, 0.0], share=0.1)
    assert len(held.rows) == 10
    assert (held.rows % 2 == 1).all()


class _Killed(Exception):
    pass


def test_a_killed_path_goes_on_where_it_was(data, tmp_path):
    from skorch.callbacks import Callback

    X, y, _ = data
    passes = []

    class Count(Callback):
        def __init__(self, until):
            self.until = until

        def on_epoch_end(self, net, **kwargs):
            passes.append(net.criterion_.loss_weight)
            self.until -= 1
            if self.until < 0:
                raise _Killed

    def go(until):
        encoder = EEGEncoder(
            "eegproject", targets=data[2], max_epochs=4, batch_size=32, validation=0.1, lr=1e-2
        )
        encoder.set_params(
            random_state=0, device="cpu", checkpoint_dir=tmp_path, callbacks=[("count", Count(until))]
        )
        read = check_epochs(encoder, X, reset=True)
        nets, _ = fit_path(encoder, read, y, loss_weights=[1.0, 0.5, 0.0], share=0.5)
        return [get_weights(net.net)["module_"] for net in nets]

    whole = go(100)
    assert len(passes) == 4 + 2 + 2
    assert not list(tmp_path.iterdir())
    passes.clear()
    with pytest.raises(_Killed):
        go(5)
    assert len(passes) == 6
    passes.clear()
    again = go(100)
    assert passes == [0.5, 0.0, 0.0], "the pass that was not finished, and those after it"
    for ours, theirs in zip(again, whole, strict=True):
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert not list(tmp_path.iterdir())
