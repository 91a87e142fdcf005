"""The fit of an encoder: what is held out, chosen and kept, and what cannot act."""

import gc
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback
from torch import nn

from skeegclip import EEGEncoder, EmbeddingTable, ImageRetriever, ZeroShotClassifier
from skeegclip._training.callbacks import get_weights
from skeegclip.generation import LowLevelDecoder


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    table = EmbeddingTable([f"s{i:02d}" for i in range(20)], rng.standard_normal((20, 6)))
    y = np.repeat(table.ids, 2)
    X = 5 * (table.lookup(y) @ rng.standard_normal((6, 4 * 10))).reshape(-1, 4, 10)
    return X.astype(np.float32), y, table


@pytest.fixture
def make(data):
    def make(net="eegproject", **params):
        defaults = {"max_epochs": 4, "lr": 3e-3, "batch_size": 16, "random_state": 0, "validation": 0.2}
        return EEGEncoder(net, **{"targets": data[2], "device": "cpu", **defaults, **params})

    return make


class Watch(Callback):
    def on_train_begin(self, net, X, **kwargs):
        self.train, self.weights = X, []

    def on_epoch_begin(self, net, dataset_train, dataset_valid, **kwargs):
        self.valid = dataset_valid

    def on_epoch_end(self, net, **kwargs):
        self.weights.append(get_weights(net))


def flat(weights):
    return torch.cat([value.double().flatten() for part in weights.values() for value in part.values()])


# -- what is held out and kept -------------------------------------------------------------------------


def test_held_out_stimuli_are_not_trained_on(data, make):
    X, y, table = data
    watch = Watch()
    encoder = make(callbacks=[watch]).fit(X, y)
    train, valid = y[watch.train.rows], y[watch.valid.rows]
    assert not set(train) & set(valid)
    assert len(set(valid)) == encoder.selection_["n_stimuli_held_out"] == 4
    assert sorted([*watch.train.rows, *watch.valid.rows]) == list(range(len(y)))


def test_the_weights_kept_are_those_of_the_pass_that_is_named(data, make):
    watch, mixed_up = Watch(), np.random.default_rng(0).permutation(data[1])  # the more is learned, the worse
    encoder = make(callbacks=[watch], max_epochs=8, lr=0.01).fit(data[0], mixed_up)
    chosen = [row["epoch"] for row in encoder.history_ if row["chosen"]]
    losses = [row["valid_loss"] for row in encoder.history_]
    assert chosen == [encoder.selection_["epoch"]] == [np.argmin(losses) + 1]
    assert chosen[0] < 8, "the test needs a best pass that is not the last"
    assert torch.equal(flat(get_weights(encoder.net_)), flat(watch.weights[chosen[0] - 1]))


def test_without_validation_the_last_weights_are_kept(data, make):
    watch = Watch()
    encoder = make(callbacks=[watch], validation=0).fit(data[0], data[1])
    assert encoder.selection_ == {"rule": "last", "epoch": 4, "n_stimuli_held_out": 0}
    assert torch.equal(flat(get_weights(encoder.net_)), flat(watch.weights[-1]))


def test_patience_counts_passes_without_a_lower_loss(data, make):
    encoder = make(max_epochs=40, lr=0.1, patience=3).fit(data[0], data[1])
    losses = [row["valid_loss"] for row in encoder.history_]
    assert len(losses) < 40
    assert len(losses) - 1 - np.argmin(losses) == 3
    for end in range(4, len(losses)):  # nowhere before had it been so long
        assert end - 1 - np.argmin(losses[:end]) < 3


def test_history_holds_numbers_of_passes_only(data, make):
    encoder = make().fit(data[0], data[1])
    assert {*encoder.history_[0]} == {"epoch", "train_loss", "valid_loss", "valid_top1", "dur", "chosen"}
    assert [row["epoch"] for row in encoder.history_] == [1, 2, 3, 4]


def test_what_training_needed_is_let_go(data, make):
    encoder = make().fit(data[0], data[1])
    assert encoder.net_.train_split is None
    assert not encoder.net_.optimizer_.state
    assert all(p.grad is None for p in encoder.net_.module_.parameters())
    assert not encoder.net_.module_.training


def test_a_warm_start_goes_on_and_a_cold_one_does_not(data, make):
    X, y, _ = data
    first = make(validation=0, warm_start=True).fit(X, y)
    loss = first.history_[-1]["train_loss"]
    assert first.fit(X, y).history_[0]["train_loss"] < 1.1 * loss
    cold = make(validation=0).fit(X, y)
    assert cold.history_[0]["train_loss"] == cold.fit(X, y).history_[0]["train_loss"]
    with pytest.raises(ValueError, match="warm_start=True, but the network of the last fit has other shapes"):
        first.fit(X[:, :3], y)


def test_one_epoch_is_too_few(data, make):
    with pytest.raises(ValueError, match="n_samples=1"):
        make().fit(data[0][:1], data[1][:1])


def test_a_network_that_fails_leaves_the_encoder_as_it_was(data, make):
    X, y, _ = data
    fitted = make().fit(X, y)
    before = fitted.transform(X)

    class Broken(nn.Module):
        def __init__(self, n_outputs, n_chans, n_times):
            super().__init__()
            self.map = nn.Linear(n_chans, n_outputs)

        def forward(self, x):
            raise ArithmeticError("broken")

    with pytest.raises(ArithmeticError, match="broken"):
        fitted.set_params(net=Broken).fit(X, y)
    fitted.set_params(net="eegproject")
    np.testing.assert_array_equal(fitted.transform(X), before)


# -- options that cannot act ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"patience": 5, "validation": 0}, r"patience=5 cannot act: nothing is held out \(validation=0"),
        ({"patience": 5, "validation": 0.01}, "patience=5 cannot act"),
        ({"loss_weight": 0, "temperature": 0.5}, "temperature=0.5 cannot act: it belongs to the CLIP loss"),
        ({"loss_weight": 0, "normalize": "image"}, "normalize='image' cannot act"),
        ({"loss_weight": 0, "same_stimulus": "mask"}, "same_stimulus='mask' cannot act"),
        ({"loss_weight": 0, "temperature_mode": "raw"}, "temperature_mode='raw' cannot act"),
        ({"unknown_subject": "mean"}, "unknown_subject='mean' cannot act: no epoch has a subject"),
    ],
)
def test_what_was_given_and_cannot_act_says_so(data, make, params, message):
    with pytest.warns(UserWarning, match=message) as said:
        made = make(max_epochs=1, **params).fit(data[0], data[1])
    assert len(said) == 1
    assert said[0].filename == __file__
    # It is true: without it the weights are the same.
    name = "patience" if "patience" in params else [*params][-1]
    rest = {key: value for key, value in params.items() if key != name}
    same = make(max_epochs=1, **rest).fit(data[0], data[1])
    np.testing.assert_array_equal(made.transform(data[0]), same.transform(data[0]))


def test_a_subject_option_without_a_place_for_subjects(data, make):
    X, y, _ = data
    who = np.tile(["ann", "bob"], 20)
    for params, why in (({"subject_layer": "none"}, "subject_layer is 'none'"), ({}, "no token of subjects")):
        with pytest.warns(UserWarning, match=f"unknown_subject='mean' cannot act: .*{why}"):
            make(max_epochs=1, unknown_subject="mean", **params).fit(X, y, subject=who)
    long = np.repeat(X, 25, axis=2)
    make("atm-s", max_epochs=1, unknown_subject="mean").fit(long, y, subject=who)


def test_texts_without_a_weight(data, make):
    with pytest.warns(UserWarning, match="text_targets=EmbeddingTable cannot act: text_weight is 0"):
        make(max_epochs=1, text_targets=data[2]).fit(data[0], data[1])


def test_patience_in_a_classifier_of_labels(data):
    X, y, _ = data
    encoder = EEGEncoder("eegproject", max_epochs=1, patience=2, device="cpu", random_state=0)
    with pytest.warns(UserWarning, match="patience=2 cannot act: .*codes of classes"):
        ZeroShotClassifier(encoder).fit(X, y)


def test_defaults_say_nothing(data):
    X, y, table = data
    EEGEncoder(max_epochs=1, device="cpu").fit(np.repeat(X, 25, axis=2), table.lookup(y))
    ZeroShotClassifier(EEGEncoder("eegproject", max_epochs=1, device="cpu")).fit(X, y)
    latents = np.random.default_rng(0).standard_normal((40, 4, 8, 8))
    LowLevelDecoder(net="reference", max_epochs=1, device="cpu").fit(X[:6], latents[:6])


# -- entries of parameters that are dicts --------------------------------------------------------------


def test_a_grid_reaches_into_the_arguments_of_the_network(data, make):
    X, y, _ = data
    given = {"dropout": 0.1}
    retriever = ImageRetriever(make(net_params=given, max_epochs=1))
    grid = {
        "encoder__net_params__dropout": [0.2, 0.7],
        "encoder__optimizer_params__weight_decay": [0.0, 0.5],
    }
    search = GridSearchCV(retriever, grid, cv=2, error_score="raise").fit(X, y)
    assert len(search.cv_results_["params"]) == 4
    best = search.best_estimator_.encoder_
    assert best.net_params == {"dropout": search.best_params_["encoder__net_params__dropout"]}
    drops = {m.p for m in best.net_.module_.modules() if isinstance(m, nn.Dropout)}
    assert best.net_params["dropout"] in drops
    assert given == {"dropout": 0.1}


def test_entries_are_added_to_what_there_is(make):
    encoder = make(net_params={"a": 1}).set_params(net_params__b=2, lr=0.5)
    assert (encoder.net_params, encoder.lr) == ({"a": 1, "b": 2}, 0.5)
    assert encoder.set_params(net_params={"c": 3}, net_params__d=4).net_params == {"c": 3, "d": 4}
    assert make().set_params(optimizer_params__weight_decay=1).optimizer_params == {"weight_decay": 1}
    with pytest.raises(ValueError, match="Invalid parameter 'nett_params'"):
        encoder.set_params(nett_params__b=1)


def test_a_misspelt_entry_is_named_when_the_network_is_built(data, make):
    with pytest.raises(ValueError, match="net_params: EEGProject has no parameter 'droput'"):
        make().set_params(net_params__droput=0.1).fit(data[0], data[1])


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="memory, files and threads are read from /proc"
)
def test_many_fits_grow_neither_memory_nor_files_nor_threads(data, make, tmp_path):
    """300 fits were measured to keep 0.1 MB together; the weights alone of these 60 have 3 MB."""
    X, y = np.tile(data[0], 50), data[1]

    def fits(n):
        for _ in range(n):
            make(max_epochs=1, checkpoint_dir=tmp_path).fit(X, y).predict(X[:2])
        gc.collect()
        told = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return int(told["RssAnon"].split()[0]), len(os.listdir("/proc/self/fd")), int(told["Threads"])

    before = fits(20)
    after = fits(60)
    weights = sum(p.numel() for p in make(max_epochs=1).fit(X, y).net_.module_.parameters())
    assert 60 * 4 * weights > 2.5e6
    assert after[0] - before[0] < 1000  # kB
    assert after[1:] == before[1:]
    assert list(tmp_path.iterdir()) == []
