import mne
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from skeegclip import (
    EEGEncoder,
    EmbeddingTable,
    EpochsView,
    ImageRetriever,
    OnlineDecoder,
    ZeroShotClassifier,
)
from skeegclip.preprocessing import EpochScaler

N_DIMS = 30


def stream(n_stimuli, n_repetitions, seed, shared=0.5):
    """A gallery, and noisy embeddings of its images whose error has a part that all repetitions share."""
    rng = np.random.default_rng(seed)
    table = EmbeddingTable(
        [f"image_{i:03d}" for i in range(n_stimuli)], rng.standard_normal((n_stimuli, N_DIMS))
    )
    common = np.sqrt(shared) * rng.standard_normal((n_stimuli, 1, N_DIMS))
    own = np.sqrt(1 - shared) * rng.standard_normal((n_stimuli, n_repetitions, N_DIMS))
    Z = table.vectors[:, None] + 2.5 * (common + own)
    return table, Z.reshape(-1, N_DIMS), np.repeat(table.ids, n_repetitions)


@pytest.fixture(scope="module")
def held_out():
    return stream(200, 10, 0)


def online_for(table, Z, **params):
    return OnlineDecoder(ImageRetriever("passthrough", gallery=table).fit(Z), **params)


@pytest.mark.parametrize("shared", [0.05, 0.5])
def test_the_posterior_is_calibrated_on_stimuli_never_seen(shared):
    table, Z, y = stream(300, 10, 1, shared)
    online = online_for(table, Z).calibrate(Z, y)
    new_table, new_Z, new_y = stream(300, 10, 2, shared)
    online.estimator.set_params(gallery=new_table)
    replayed = online.replay(new_Z, new_y)
    for n in (1, 3, 10):
        rows = replayed[replayed["n_repetitions"] == n]
        assert rows["posterior"].mean() == pytest.approx(rows["hit"].mean(), abs=0.07)
    # Taking repetitions for independent grows far too sure where their errors are shared.
    naive = online_for(new_table, Z, temperature=online.temperature_).replay(new_Z, new_y)
    last = naive[naive["n_repetitions"] == 10]
    if shared == 0.5:
        assert last["posterior"].mean() - last["hit"].mean() > 0.1


def test_the_shared_error_is_recognised(held_out):
    low, high = (
        online_for(table, Z).calibrate(Z, y).correlation_
        for table, Z, y in (stream(200, 10, 3, shared) for shared in (0.02, 0.6))
    )
    assert low < 0.2 < 0.4 < high


def test_repetitions_may_come_singly_or_together_and_replay_agrees(held_out):
    table, Z, y = held_out
    online = online_for(table, Z, max_repetitions=10, threshold=0.9).calibrate(Z, y)
    singly = [online.update(Z[i : i + 1]) for i in range(10)]
    together = online.reset().update(Z[:10])
    np.testing.assert_array_equal(singly[-1].candidates, together.candidates)
    np.testing.assert_allclose(singly[-1].posterior, together.posterior)
    replayed = online.replay(Z, y)
    first = replayed[replayed["trial"] == 0]
    assert [result.best for result in singly] == first["best"].tolist()
    np.testing.assert_allclose([result.posterior[0] for result in singly], first["posterior"])
    assert [result.stop for result in singly] == first["stop"].tolist()
    assert online.update(Z[10:11]).n_repetitions == 11, "replay must leave the current trial alone"


def test_without_correlation_it_is_the_product_of_posteriors(held_out):
    table, Z, _ = held_out
    classifier = ZeroShotClassifier("passthrough", candidates=table, temperature=0.1).fit(Z)
    result = OnlineDecoder(classifier, temperature=0.1, n_candidates=1000).update(Z[:4])
    product = classifier.predict_proba(Z[:4]).prod(axis=0)
    order = np.argsort(-product)
    np.testing.assert_allclose(result.posterior, product[order] / product.sum(), rtol=1e-5)
    assert len(result.posterior) == 200
    assert result.posterior.sum() == pytest.approx(1)


def test_it_stops_when_sure_or_out_of_repetitions(held_out):
    table, Z, _ = held_out
    vague = online_for(table, Z, temperature=10.0, max_repetitions=2)
    assert [(r.sure, r.stop) for r in (vague.update(Z[:1]), vague.update(Z[1:2]))] == [
        (False, False),
        (False, True),
    ]
    keen = online_for(table, Z, temperature=1e-4).update(Z[:1])
    assert keen.sure
    assert keen.stop
    assert keen.posterior[0] >= 0.95
    assert keen.candidates.shape == (5,)
    assert (np.diff(keen.posterior) <= 0).all()


@pytest.mark.filterwarnings("ignore:X has a standard deviation")
def test_pipelines_frozen_estimators_views_and_epochs_agree():
    rng = np.random.default_rng(5)
    table = EmbeddingTable([f"i{i}" for i in range(40)], rng.standard_normal((40, 5)))
    y = np.repeat(table.ids, 2)
    X = 10 * (table.lookup(y) @ rng.standard_normal((5, 40))).reshape(-1, 4, 10).astype(np.float32)
    pipeline = make_pipeline(EpochScaler(), ImageRetriever(Ridge(), targets=table)).fit(X, y)
    expected = OnlineDecoder(pipeline, temperature=0.1).update(X[:3])
    epochs = mne.EpochsArray(X * 1e-6, mne.create_info(4, 100.0, "eeg"), verbose=False)
    for estimator, data in (
        (FrozenEstimator(pipeline), X),
        (pipeline, EpochsView.from_arrays(X)),
        (pipeline, epochs),
    ):
        result = OnlineDecoder(estimator, temperature=0.1).update(data[:3])
        assert result.candidates.tolist() == expected.candidates.tolist()
        np.testing.assert_allclose(result.posterior, expected.posterior, rtol=1e-3)
    OnlineDecoder(pipeline).calibrate(X, y, candidates=table.subset(table.ids))
    assert pipeline[-1].gallery is None, "the user's estimator must be left alone"


def test_people_are_parted_and_concepts_name_the_truth(held_out):
    table, Z, y = held_out
    online = online_for(table, Z, temperature=0.1)
    subject = np.tile(["a", "b"], len(y) // 2)
    assert online.replay(Z, y, subject=subject)["n_repetitions"].max() == 5
    names = table.mean_by(lambda stimulus: "concept_" + stimulus[-1])
    classifier = ZeroShotClassifier("passthrough", candidates=names, concepts=lambda s: "concept_" + s[-1])
    replayed = OnlineDecoder(classifier.fit(Z), temperature=0.1).replay(Z, y)
    assert 0.1 < replayed["hit"].mean() < 1


def test_a_posterior_needs_calibration(held_out):
    table, Z, _ = held_out
    with pytest.raises(NotFittedError, match=r"Call calibrate\(\)"):
        online_for(table, Z).update(Z[:1])
    with pytest.raises(NotFittedError):
        OnlineDecoder(ImageRetriever("passthrough", gallery=table), temperature=1.0).update(Z[:1])


def test_calibration_refuses_what_it_cannot_use(held_out):
    table, Z, y = held_out
    online = online_for(table, Z)
    with pytest.raises(ValueError, match="no stimulus was repeated"):
        online.calibrate(Z[::10], y[::10])
    with pytest.raises(KeyError, match="195 labels are not among the 5 candidates"):
        online.calibrate(Z, y, candidates=table.subset(table.ids[:5]))
    with pytest.raises(ValueError, match="y must hold one label per epoch"):
        online.calibrate(Z, y[:-1])
    with pytest.raises(TypeError, match="candidates"):
        online.calibrate(Z, y, candidates=["image_000"])


def test_decoders_that_cannot_stream_are_refused(held_out):
    table, Z, _ = held_out
    with pytest.raises(TypeError, match="must be a fitted ZeroShotClassifier or ImageRetriever"):
        OnlineDecoder(Ridge(), temperature=1.0).update(Z[:1])
    hubs = ImageRetriever("passthrough", gallery=table, hubness="csls").fit(Z)
    with pytest.raises(ValueError, match="a stream has no test epochs to be looked at together .csls"):
        OnlineDecoder(hubs, temperature=1.0).update(Z[:1])


def test_candidates_may_change_between_trials_only(held_out):
    table, Z, _ = held_out
    online = online_for(table, Z, temperature=0.1)
    online.update(Z[:1])
    online.estimator.set_params(gallery=table.subset(table.ids[:50]))
    with pytest.raises(ValueError, match=r"Call reset\(\)"):
        online.update(Z[:1])
    assert online.reset().update(Z[:1]).n_repetitions == 1


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("threshold", 0, ValueError),
        ("threshold", "high", TypeError),
        ("max_repetitions", 0, ValueError),
        ("temperature", 0.0, ValueError),
        ("correlation", 1.5, ValueError),
        ("n_candidates", 2.5, TypeError),
    ],
)
def test_parameters_are_checked(held_out, name, value, error):
    table, Z, _ = held_out
    with pytest.raises(error, match=name):
        online_for(table, Z, **{"temperature": 1.0, name: value}).update(Z[:1])


def test_there_is_no_fit_and_it_says_what_to_call():
    online = OnlineDecoder(ImageRetriever("passthrough"))
    for name, hint in (("fit", "call calibrate"), ("predict", r"Call update\(epochs\)"), ("score", "replay")):
        assert not hasattr(online, name)
        with pytest.raises(
            AttributeError, match=f"'OnlineDecoder' object has no attribute '{name}': .*{hint}"
        ):
            getattr(online, name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'$"):
        _ = online.nothing
    assert repr(clone(online)) == repr(online)


def test_a_temperature_that_is_given_is_not_calibrated():
    table = EmbeddingTable([f"i{i}" for i in range(10)], np.random.default_rng(0).normal(size=(10, 4)))
    y = np.repeat(table.ids, 4)
    Z = table.lookup(y) + np.random.default_rng(1).normal(size=(40, 4))
    retriever = ImageRetriever("passthrough", gallery=table).fit(Z)
    with pytest.warns(UserWarning, match="calibrate cannot act: temperature=0.1 is used"):
        OnlineDecoder(retriever, temperature=0.1).calibrate(Z, y)
    with pytest.warns(UserWarning, match="correlation=0.3 cannot act: calibrate finds one"):
        OnlineDecoder(retriever, correlation=0.3).calibrate(Z, y)


def test_one_epoch_is_embedded_without_company():
    rng = np.random.default_rng(0)
    table = EmbeddingTable([f"i{i}" for i in range(8)], rng.standard_normal((8, 5)))
    X = 10 * rng.standard_normal((8, 4, 60)).astype(np.float32)
    encoder = EEGEncoder("eegproject", max_epochs=1, validation=0, device="cpu", random_state=0)
    retriever = ImageRetriever(encoder, targets=table).fit(X, table.ids)
    sizes = []
    retriever.encoder_.net_.module_.register_forward_pre_hook(
        lambda module, inputs: sizes.append(len(inputs[0]))
    )
    online = OnlineDecoder(retriever, temperature=0.1)
    singly = [online.update(X[i : i + 1]) for i in range(3)][-1]
    together = online.reset().update(X[:3])
    retriever.embed(X[:1])
    assert sizes == [1, 1, 1, 3, 16]
    np.testing.assert_allclose(singly.posterior, together.posterior, rtol=1e-4)


def test_one_epoch_needs_no_axis_of_its_own():
    rng = np.random.default_rng(5)
    table = EmbeddingTable([f"i{i}" for i in range(8)], rng.standard_normal((8, 5)))
    X = 10 * rng.standard_normal((8, 4, 10)).astype(np.float32)
    pipeline = make_pipeline(EpochScaler(), ImageRetriever(Ridge(), targets=table)).fit(X, table.ids)
    passthrough = ImageRetriever("passthrough", targets=table).fit(table.vectors, table.ids)
    plain = ImageRetriever(Ridge(), targets=table).fit(X, table.ids)
    for estimator, rows in (
        (pipeline, X), (FrozenEstimator(pipeline), X), (plain, X), (plain, X.reshape(8, -1)), (passthrough, table.vectors),
    ):  # fmt: skip
        online = OnlineDecoder(estimator, temperature=0.1)
        expected = online.update(rows[:1])
        found = online.reset().update(rows[0])
        assert found.n_repetitions == 1
        np.testing.assert_array_equal(found.posterior, expected.posterior)
        assert online.reset().update(rows[:4]).n_repetitions == 4
    with pytest.raises(ValueError, match="X"):
        OnlineDecoder(pipeline, temperature=0.1).update(X[0, :3])
