"""Several tables of targets, weights that change, and a map of each person behind the network: fits, and all around them."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import normalize
from skorch.callbacks import Callback

import skeegclip
from skeegclip import EEGEncoder, EmbeddingTable, EnsembleEncoder, ImageRetriever, ZeroShotClassifier
from skeegclip.embeddings import join_tables

PEOPLE = [f"p{i}" for i in range(4)]
N_LAYERS, N_DIMS, N_TRAIN, N_TEST = 5, 24, 120, 60


class Planted:
    """People whose epochs hold the same pictures, each as layers of another depth show them."""

    def __init__(self, seed=0):
        rng = np.random.default_rng(seed)
        n = N_TRAIN + N_TEST
        common = rng.normal(size=(n, N_DIMS))
        layers = [normalize(common + rng.normal(size=(n, N_DIMS))) for _ in range(N_LAYERS)]
        depth = np.linspace(0.5, N_LAYERS - 1.5, len(PEOPLE))
        self.weights = softmax(-((np.arange(N_LAYERS) - depth[:, None]) ** 2) / 1.3, axis=1)
        self.ids = np.array([f"i{k:03d}" for k in range(n)])
        self.tables = {f"layer {k}": EmbeddingTable(self.ids, vectors) for k, vectors in enumerate(layers)}
        response = rng.normal(size=(N_DIMS, 6 * 20))
        seen = [normalize(np.tensordot(own, layers, 1)) @ response for own in self.weights]
        X = np.array(seen).reshape(len(PEOPLE), n, 6, 20)
        X += X.std() * rng.normal(size=X.shape)
        self.train, self.test = (self._flat(X, slice(N_TRAIN)), self._flat(X, slice(N_TRAIN, n)))
        self.gallery = self.ids[N_TRAIN:]

    def _flat(self, X, rows):
        part = X[:, rows].astype("float32")
        return (
            part.reshape(-1, *part.shape[2:]),
            np.tile(self.ids[rows], len(PEOPLE)),
            np.repeat(PEOPLE, part.shape[1]),
        )


@pytest.fixture(scope="module")
def planted():
    return Planted()


def make(targets, **params):
    params = {"max_epochs": 2, "batch_size": 64, "lr": 1e-3, "random_state": 0, "validation": 0.1, **params}
    return EEGEncoder("eegproject", targets=targets, device="cpu", **params)


def fit(encoder, data, **more):
    X, y, subject = data
    return encoder.fit(X, y, subject=subject, **more)


def accuracy(encoder, planted):
    tables = encoder.targets
    table = tables if hasattr(tables, "lookup") else join_tables(tables.values())
    X, y, subject = planted.test
    retriever = ImageRetriever(encoder, gallery=table.subset(planted.gallery))
    return fit(retriever, planted.train).score(X, y, subject=subject)


@pytest.mark.slow
def test_each_persons_depth_is_found_and_helps():
    gains, found = [], []
    for seed in range(3):
        planted = Planted(seed)
        long = {"max_epochs": 30, "subject_layer": "linear", "random_state": seed}
        encoder = make(planted.tables, **long)
        best = max(accuracy(make(table, **long), planted) for table in planted.tables.values())
        gains.append(accuracy(encoder, planted) - best)
        learned = fit(encoder, planted.train).layer_weights_
        found.append(np.corrcoef(learned[:-1].ravel(), planted.weights.ravel())[0, 1])
    assert min(found) > 0.9
    assert min(gains) > 0.03


def test_weights_are_those_of_subjects_and_at_last_everybodys(planted):
    encoder = fit(make(planted.tables), planted.train)
    weights = encoder.layer_weights_
    assert weights.shape == (len(PEOPLE) + 1, N_LAYERS)
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-6)
    assert np.ptp(weights, axis=0).max() > 0.01  # not all alike
    vectors = join_tables(planted.tables.values()).vectors
    mixture = sum(w * normalize(t.vectors) for w, t in zip(weights[-1], planted.tables.values(), strict=True))
    np.testing.assert_allclose(encoder.project(vectors), mixture, rtol=1e-4, atol=1e-6)
    with pytest.raises(AttributeError, match="this encoder has one"):
        fit(make(planted.tables["layer 0"]), planted.train).layer_weights_  # noqa: B018


def test_a_list_and_a_dict_are_one_and_order_does_not_matter_to_ids(planted):
    tables = list(planted.tables.values())
    turned = [tables[0], *(table.subset(table.ids[::-1]) for table in tables[1:])]
    embedded = [
        fit(make(given), planted.train).transform(planted.test[0])
        for given in (planted.tables, tables, tuple(turned))
    ]
    assert np.array_equal(embedded[0], embedded[1])
    assert np.array_equal(embedded[0], embedded[2])


def test_never_by_ones_own_weights(planted):
    encoder = fit(make(planted.tables, layer_mixing=0), planted.train)
    assert np.ptp(encoder.layer_weights_, axis=0).max() == 0
    with pytest.warns(UserWarning, match="layer_mixing=0.5 cannot act: no subject"):
        fit(make(planted.tables, layer_mixing=0.5, subject_layer="none"), planted.train)
    with pytest.warns(UserWarning, match="targets is one table"):
        fit(make(planted.tables["layer 0"], layer_mixing=0.5), planted.train)


VARIANTS = {
    "mixing": {"targets": "several", "mmd_weight": (1, 0)},
    "projector": {"targets": "several", "projector": 8},
    "latent": {
        "subject_layer": "latent",
        "net_params": {"n_latents": 12},
        "loss_weight": (1, 0.5),
        "mmd_weight": 0.2,
    },
}


def variant(name, planted, **more):
    params = dict(VARIANTS[name])
    targets = planted.tables if params.pop("targets", None) else planted.tables["layer 2"]
    return make(targets, **{**params, **more})


class Stop(Callback):
    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == 4:
            raise RuntimeError("killed")


@pytest.mark.parametrize("name", VARIANTS)
def test_files_pickles_clones_and_resumed_runs(name, planted, tmp_path):
    X, _, subject = planted.test
    encoder = fit(variant(name, planted, max_epochs=5), planted.train)
    z = encoder.transform(X, subject=subject)
    encoder.save(tmp_path / "saved")
    vectors = (
        join_tables(planted.tables.values()).vectors
        if name != "latent"
        else planted.tables["layer 2"].vectors
    )
    for other in (skeegclip.load(tmp_path / "saved", device="cpu"), pickle.loads(pickle.dumps(encoder))):
        assert np.array_equal(other.transform(X, subject=subject), z)
        assert np.array_equal(other.project(vectors), encoder.project(vectors))
    assert np.array_equal(fit(clone(encoder), planted.train).transform(X, subject=subject), z)
    runs = tmp_path / "runs"
    with pytest.raises(RuntimeError, match="killed"):
        fit(variant(name, planted, max_epochs=5, checkpoint_dir=runs, callbacks=[Stop()]), planted.train)
    resumed = fit(variant(name, planted, max_epochs=5, checkpoint_dir=runs), planted.train)
    assert np.array_equal(resumed.transform(X, subject=subject), z)


@pytest.mark.parametrize("name", VARIANTS)
def test_somebody_new(name, planted):
    X, y, subject = planted.test
    encoder = fit(variant(name, planted, max_epochs=3, subject_layer="latent"), planted.train)
    before = encoder.transform(X, subject=subject)
    weights = getattr(encoder, "layer_weights_", None)
    encoder.calibrate(X[:60], y[:60], subject="p1b", max_epochs=3)
    assert encoder.subjects_.tolist() == ["p0", "p1", "p1b", "p2", "p3"]
    # To rounding: where in memory the larger table lies decides with some kernels on how products are summed.
    np.testing.assert_allclose(encoder.transform(X, subject=subject), before, rtol=0, atol=1e-5)
    if weights is not None:
        assert np.array_equal(np.delete(encoder.layer_weights_, 2, axis=0), weights)
        assert np.array_equal(encoder.layer_weights_[2], weights[-1])


def test_a_search_over_layers_and_schedules(planted):
    X, y, subject = planted.train
    several = list(planted.tables.values())
    grid = [
        {"targets": [several, several[:2], several[2]], "subject_layer": ["none"]},
        {"mmd_weight": [(1, 0), np.array([0.9, 0.2, 0])], "subject_layer": ["none"]},
    ]
    search = GridSearchCV(make(several[2], max_epochs=1), grid, cv=2).fit(X, y)
    assert search.best_score_ > 0
    assert len(search.cv_results_["params"]) == 5


def test_a_row_of_weight_zero_is_none(planted):
    X, y, subject = planted.train
    weight = np.ones(len(X))
    weight[::3] = 0
    kept = weight > 0
    for name in VARIANTS:
        weighed = variant(name, planted, validation=0).fit(X, y, subject=subject, sample_weight=weight)
        fewer = variant(name, planted, validation=0).fit(
            X[kept], y[kept], subject=subject[kept], sample_weight=weight[kept]
        )
        assert np.array_equal(weighed.transform(X[:9]), fewer.transform(X[:9])), name


def test_going_on_from_the_last_fit(planted):
    encoder = fit(make(planted.tables, warm_start=True, max_epochs=4), planted.train)
    first = encoder.layer_weights_
    encoder.set_params(lr=1e-9)
    np.testing.assert_allclose(fit(encoder, planted.train).layer_weights_, first, atol=1e-4)
    encoder.set_params(targets=list(planted.tables.values())[:2])
    with pytest.raises(ValueError, match="warm_start=True, but the network of the last fit has other shapes"):
        fit(encoder, planted.train)


def test_naming_and_ensembles_use_the_mixture(planted):
    X, y, subject = planted.train
    several = list(planted.tables.values())
    encoder = make(several, max_epochs=15, subject_layer="linear")
    namer = ZeroShotClassifier(encoder).fit(X, y, subject=subject)
    found = namer.encoder_
    assert found.layer_weights_.shape == (5, 5)
    z = found.transform(X[:50], subject=subject[:50])
    gallery = normalize(found.project(join_tables(several).lookup(namer.classes_)))
    expected = namer.classes_[(normalize(z) @ gallery.T).argmax(1)]
    assert np.array_equal(namer.predict(X[:50], subject=subject[:50]), expected)
    ensemble = EnsembleEncoder(
        [("mixed", clone(encoder)), ("one", make(several[0], max_epochs=15))], n_seeds=1
    )
    retriever = ImageRetriever(ensemble).fit(X, y, subject=subject)
    assert retriever.score(X, y, subject=subject) > 0.3


def test_losses_on_what_is_held_out_are_those_of_the_last_weights(planted):
    def losses(**params):
        encoder = make(
            planted.tables["layer 0"], lr=1e-12, max_epochs=4, net_params={"dropout": 0.0}, **params
        )
        return [(row["train_loss"], row["valid_loss"]) for row in fit(encoder, planted.train).history_]

    plain, faded = losses(mmd_weight=0), losses(mmd_weight=(1, 0))
    # With nothing learned, what is held out costs the same in every pass, with or without a start by MMD.
    np.testing.assert_allclose([valid for _, valid in faded], plain[0][1], rtol=1e-5)
    train = np.array([train for train, _ in faded])
    assert train[0] < 1 < train[1] < train[2] < train[3]
    np.testing.assert_allclose(train[3], plain[3][0], rtol=1e-5)
    np.testing.assert_allclose(np.diff(train), np.diff(train)[0], rtol=0.05)
    error = losses(loss_weight=0)
    turned = losses(loss_weight=(1, 0))
    np.testing.assert_allclose([valid for _, valid in turned], error[0][1], rtol=1e-4)


def test_one_pass_is_the_start_of_a_schedule(planted):
    one, start = (
        fit(make(planted.tables["layer 0"], max_epochs=1, mmd_weight=given), planted.train).history_[0][
            "train_loss"
        ]
        for given in ((1, 0), 1)
    )
    assert one == start


def test_mmd_brings_embeddings_to_where_targets_are(planted):
    # Not along (1, 1, ...), which the last layer of the network leaves out.
    away = np.resize([1, -1], N_DIMS)
    table = EmbeddingTable(planted.ids, away + planted.tables["layer 0"].vectors)
    mean = normalize(normalize(table.vectors).mean(0, keepdims=True))[0]
    cosines = [
        float(
            (
                normalize(
                    fit(make(table, max_epochs=12, lr=1e-2, **params), planted.train).transform(
                        planted.test[0]
                    )
                )
                @ mean
            ).mean()
        )
        for params in ({}, {"mmd_weight": 1})
    ]
    assert cosines[1] > 0.9
    assert cosines[1] > cosines[0] + 0.1


def test_what_is_refused(planted):
    X, y, subject = planted.train
    several = list(planted.tables.values())
    words = several[0]
    wide = EmbeddingTable(planted.ids, np.ones((len(planted.ids), 3)))
    for params, message in [
        ({"loss_weight": 0.5}, "several targets need loss_weight=1, got 0.5"),
        ({"text_targets": words, "text_weight": 0.1}, "text_targets cannot be mixed with 5 tables"),
        ({"targets": []}, "targets must hold at least one EmbeddingTable"),
        ({"targets": [words, wide]}, "Vectors of widths 24, 3 cannot be mixed"),
        ({"loss_weight": [1]}, "loss_weight must be a number, or two or more that are spread"),
        ({"mmd_weight": (0, 2)}, r"mmd_weight must lie in \[0, 1\], got 2"),
        ({"layer_mixing": 1.5}, r"layer_mixing must lie in \[0, 1\], got 1.5"),
        ({"subject_layer": "latent", "net_params": {"n_latents": 0}}, "n_latents must lie in"),
    ]:
        with pytest.raises(ValueError, match=message):
            make(several).set_params(**params).fit(X, y, subject=subject)
    few = [*list(planted.tables.values())[:1], planted.tables["layer 1"].subset(planted.ids[:-2])]
    message = "targets: 2 of the 180 ids of the first table are not in table 2 of 2 .first: 'i178'."
    with pytest.raises(KeyError, match=message):
        fit(ImageRetriever(make(few)), planted.train)
    with pytest.raises(TypeError, match="targets must be an EmbeddingTable or None, got str"):
        make([words, "more"]).fit(X, y)


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_export(name, planted, tmp_path):
    import onnxruntime

    X, _, subject = planted.test
    encoder = fit(variant(name, planted), planted.train)
    encoder.export(tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    inputs = {"epochs": X}
    if name == "latent":
        inputs["subject"] = np.searchsorted(PEOPLE, subject)
    np.testing.assert_allclose(
        session.run(None, inputs)[0], encoder.transform(X, subject=subject), rtol=1e-3, atol=1e-4
    )


def test_a_map_behind_the_network_is_of_each_person(recordings):
    """People whose channels are mixed otherwise: a map of the latents undoes what it can."""
    people = [f"sub-{i:02d}" for i in range(1, 7)]
    X, y, subject = recordings.train_set(people)
    scores = {}
    for layer in ("latent", "none"):
        encoder = EEGEncoder(
            "eegproject", targets=recordings.table, subject_layer=layer, validation=0, device="cpu"
        )
        if layer == "latent":
            encoder.set_params(net_params={"n_latents": 32})
        encoder.set_params(max_epochs=20, lr=3e-3, batch_size=128, random_state=0).fit(X, y, subject=subject)
        ids = np.concatenate([recordings.shown, recordings.unseen])
        scores[layer] = np.mean(
            [encoder.score(recordings.of(s, ids, seed=1), ids, subject=s) for s in people]
        )
        if layer == "latent":
            X_new = recordings.of("sub-09", recordings.shown)
            strange = encoder.score(
                recordings.of("sub-09", recordings.unseen, seed=1), recordings.unseen, subject="sub-09"
            )
            encoder.calibrate(X_new, recordings.shown, subject="sub-09")
            known = encoder.score(
                recordings.of("sub-09", recordings.unseen, seed=1), recordings.unseen, subject="sub-09"
            )
            assert known > strange + 0.1
    assert scores["latent"] > scores["none"] + 0.05


def test_unit_of_large_targets_is_reached_behind_the_map(planted):
    table = EmbeddingTable(planted.ids, 500 * planted.tables["layer 0"].vectors)
    encoder = fit(make(table, subject_layer="latent", loss_weight=0, max_epochs=1), planted.train)
    assert 50 < encoder.transform(planted.test[0]).std() < 500
    assert torch.isfinite(torch.tensor(encoder.history_[0]["train_loss"]))
