"""EEGEncoder's averaged weights, projector, and validation on the last batch."""

import pickle

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from skeegclip import EEGEncoder, EmbeddingTable, ImageRetriever, ZeroShotClassifier
from skeegclip._training.callbacks import KeepPasses, get_weights
from skeegclip.metrics import cosine_similarity, make_retrieval_scorer


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    table = EmbeddingTable([f"s{i:02d}" for i in range(30)], rng.standard_normal((30, 8)))
    y = np.repeat(table.ids, 3)
    X = (table.lookup(y) @ rng.standard_normal((8, 4 * 30))).reshape(-1, 4, 30)
    return (X + 0.5 * rng.standard_normal(X.shape)).astype(np.float32), y, table


def make(table, **params):
    defaults = {
        "max_epochs": 6,
        "lr": 3e-3,
        "batch_size": 32,
        "random_state": 0,
        "device": "cpu",
        "validation": 0.2,
    }
    return EEGEncoder("eegproject", targets=table, **{**defaults, **params})


class Watch(Callback):
    """The weights after every training step, and what the network holds when it is validated and at a pass's end."""

    def on_train_begin(self, net, **kwargs):
        self.steps, self.validated, self.ends = [], [], []

    def on_batch_end(self, net, training, **kwargs):
        (self.steps if training else self.validated).append(get_weights(net))

    def on_epoch_end(self, net, **kwargs):
        self.ends.append(get_weights(net))


def watched(encoder):
    return next(cb for _, cb in encoder.net_.callbacks if isinstance(cb, Watch))


def flat(weights):
    return torch.cat([v.double().flatten() for part in weights.values() for v in part.values()])


# -- averaged weights ----------------------------------------------------------------------------------


@pytest.mark.parametrize("validation", [0.2, 0])
def test_the_average_is_validated_and_kept_and_training_goes_on_as_before(data, validation):
    X, y, table = data
    plain = make(table, callbacks=[Watch()], validation=validation).fit(X, y)
    averaged = make(table, callbacks=[Watch()], validation=validation, ema=0.9).fit(X, y)
    mine, theirs = watched(averaged), watched(plain)
    # The same steps, whatever is averaged.
    for a, b in zip(mine.steps, theirs.steps, strict=True):
        assert torch.equal(flat(a), flat(b))
    average, n_steps = flat(mine.steps[0]), len(mine.steps) // 6
    expected = []
    for number, weights in enumerate(mine.steps, start=1):
        share = 1 - min(0.9, number / (9 + number))
        average = torch.lerp(average, flat(weights), share)
        if number % n_steps == 0:
            expected.append(average)
    for found, wanted in zip(mine.ends, expected, strict=True):
        torch.testing.assert_close(flat(found), wanted, rtol=1e-5, atol=1e-6)
    if validation:
        torch.testing.assert_close(flat(mine.validated[-1]), expected[-1], rtol=1e-5, atol=1e-6)
    chosen = averaged.selection_["epoch"]
    torch.testing.assert_close(flat(get_weights(averaged.net_)), expected[chosen - 1], rtol=1e-5, atol=1e-6)
    assert not np.allclose(averaged.transform(X), plain.transform(X))


def test_a_resumed_run_with_averaging_ends_bit_equal(data, tmp_path):
    X, y, table = data

    class Stop(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 4:
                raise KeyboardInterrupt

    run = {"ema": 0.9, "checkpoint_dir": tmp_path}
    with pytest.raises(KeyboardInterrupt):
        make(table, callbacks=[Stop()], **run).fit(X, y)
    assert len(list(tmp_path.iterdir())) == 1
    resumed = make(table, **run).fit(X, y)
    np.testing.assert_array_equal(resumed.transform(X), make(table, ema=0.9).fit(X, y).transform(X))
    assert not list(tmp_path.iterdir())


# -- projector -----------------------------------------------------------------------------------------


def test_embeddings_lie_in_the_projected_space(data):
    X, y, table = data
    encoder = make(table, projector=5, max_epochs=40).fit(X, y)
    z = encoder.transform(X)
    assert z.shape == (90, 5)
    weight = encoder.net_.criterion_.project.weight.detach().numpy()
    np.testing.assert_allclose(encoder.project(table.vectors), table.vectors @ weight.T, rtol=1e-5)
    similarity = cosine_similarity(z, encoder.project(table.vectors))
    top1 = np.mean(table.ids[similarity.argmax(axis=1)] == y)
    assert encoder.score(X, y) == pytest.approx(top1)
    assert top1 > 0.8
    assert "valid_top1" in encoder.history_[-1]
    first = make(table, projector=5, max_epochs=1).fit(X, y).net_.criterion_.project.weight.detach().numpy()
    assert not np.allclose(first, weight)  # it is learned

    retriever = ImageRetriever(make(table, projector=5, max_epochs=40)).fit(X, y)
    assert retriever.score(X, y) == pytest.approx(top1)
    assert make_retrieval_scorer()(encoder, X, y) == pytest.approx(top1)
    named = ZeroShotClassifier(make(table, projector=5, max_epochs=40)).fit(X, y)
    assert named.score(X, y) == pytest.approx(top1)


def test_a_projector_travels(data, tmp_path):
    X, y, table = data
    encoder = make(table, projector=5, ema=0.9).fit(X, y)
    again = pickle.loads(pickle.dumps(encoder))
    encoder.save(tmp_path)
    loaded = EEGEncoder.load(tmp_path, device="cpu")
    for other in (again, loaded):
        np.testing.assert_array_equal(other.project(table.vectors), encoder.project(table.vectors))
        np.testing.assert_allclose(other.transform(X), encoder.transform(X), rtol=1e-5, atol=1e-6)
        assert other.score(X, y) == encoder.score(X, y)


def test_without_a_projector_vectors_stay_as_they_are(data):
    X, y, table = data
    encoder = make(table, max_epochs=1).fit(X, y)
    assert encoder.project(table.vectors) is table.vectors


# -- validation on the last batch ----------------------------------------------------------------------


def test_the_last_batch_is_held_out_whatever_it_shows(data):
    X, y, table = data
    encoder = make(table, validation="last-batch", batch_size=31).fit(X, y)
    chosen = encoder.selection_
    # 31 epochs: ten pictures, and one look at another picture that is trained on too.
    assert (chosen["rule"], chosen["n_stimuli_held_out"]) == ("last-batch", 10)
    best = min(encoder.history_, key=lambda row: row["valid_loss"])
    assert chosen["epoch"] == best["epoch"]
    by_hand = make(table, validation=0, batch_size=31, max_epochs=chosen["epoch"]).fit(X[:-31], y[:-31])
    # The MSE's scale apart, the same training: the loss of the default is the CLIP loss alone.
    np.testing.assert_allclose(encoder.transform(X), by_hand.transform(X), rtol=1e-3, atol=1e-4)


# -- weights of every pass -----------------------------------------------------------------------------


def test_every_pass_is_kept(data, tmp_path):
    X, y, table = data
    encoder = make(table, callbacks=[Watch(), ("passes", KeepPasses(tmp_path))], ema=0.9).fit(X, y)
    keeper = dict(encoder.net_.callbacks)["passes"]
    files = keeper.passes()
    assert len(files) == 6
    for path, weights in zip(files, watched(encoder).ends, strict=True):
        assert torch.equal(flat(torch.load(path, weights_only=True)), flat(weights))
    again = make(table, callbacks=[("passes", KeepPasses(tmp_path))]).fit(X, y)
    assert dict(again.net_.callbacks)["passes"].folder_ != keeper.folder_


# -- bad input -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"ema": 1.0}, ValueError, "ema must lie in"),
        ({"ema": 0}, ValueError, "ema must lie in"),
        ({"projector": 0}, ValueError, "projector must lie in"),
        ({"projector": 5, "loss_weight": 0.9}, ValueError, "projector needs loss_weight=1"),
        ({"validation": "last"}, ValueError, "validation must be one of 'last-batch'"),
        (
            {"validation": "last-batch", "batch_size": 89},
            ValueError,
            "holds out the last batch_size=89 of 90 epochs",
        ),
    ],
)
def test_bad_parameters(data, params, error, message):
    X, y, table = data
    with pytest.raises(error, match=message):
        make(table, **params).fit(X, y)


def test_vectors_of_the_wrong_width(data):
    X, y, table = data
    encoder = make(table, projector=5, max_epochs=1).fit(X, y)
    with pytest.raises(ValueError, match=r"vectors must have shape \(n, 8\)"):
        encoder.project(np.zeros((3, 5)))
