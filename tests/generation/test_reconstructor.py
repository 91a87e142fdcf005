"""EEGImageReconstructor: what it hands to its parts, in which order, and what it keeps."""

import mne
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from stand_ins import Blur, Namer, Recorder, Sampler

from skeegclip import (
    EEGEncoder,
    EEGImageReconstructor,
    EmbeddingTable,
    EpochsView,
    ImageTable,
    InvertedEncoding,
)
from skeegclip.generation import LinearGenerator, NearestImageGenerator
from skeegclip.metrics import reconstruction_scores

RNG = np.random.default_rng(0)
N_STIMULI, N_DIMS, SIDE = 40, 6, 8
IDS = np.array([f"s{i:02d}" for i in range(N_STIMULI)])
VECTORS = RNG.normal(size=(N_STIMULI, N_DIMS))
TARGETS = EmbeddingTable(IDS, VECTORS)
BASIS = RNG.normal(size=(N_DIMS, SIDE, SIDE, 3))
IMAGES = ImageTable(IDS, np.clip(128 + 25 * np.tensordot(VECTORS, BASIS, 1), 0, 255).astype(np.uint8))
MIXING = RNG.normal(size=(N_DIMS, 3 * 10))
Y = np.repeat(IDS, 2)
X = (np.repeat(VECTORS, 2, axis=0) @ MIXING + 1.0 * RNG.normal(size=(80, 30))).reshape(80, 3, 10)
del RNG
TRAIN, TEST = np.arange(60), np.arange(60, 80)  # other stimuli


def make(**params):
    given = {
        "encoder": Ridge(),
        "targets": TARGETS,
        "images": IMAGES,
        "generator": LinearGenerator(size=SIDE),
        "verbose": 0,
    }
    return EEGImageReconstructor(**(given | params))


def test_pictures_look_like_what_was_seen():
    reconstructor = make().fit(X[TRAIN], Y[TRAIN])
    pictures = reconstructor.transform(X[TEST])
    assert pictures.shape == (20, SIDE, SIDE, 3)
    assert pictures.dtype == np.uint8
    assert reconstructor.score(X[TEST], Y[TEST]) > 0.9
    real = IMAGES.lookup(Y[TEST])
    table = reconstruction_scores(real, pictures, ["PixCorr"], n_resamples=0, verbose=0)
    assert table.loc["generated", "PixCorr"] > 0.6


def test_the_order_of_rows_is_kept(rng):
    reconstructor = make(generator="nearest").fit(X[TRAIN], Y[TRAIN])
    pictures, order = reconstructor.transform(X[TEST]), rng.permutation(20)
    np.testing.assert_array_equal(reconstructor.transform(X[TEST][order]), pictures[order])
    one_by_one = [reconstructor.transform(X[[i]])[0] for i in TEST]
    np.testing.assert_array_equal(one_by_one, pictures)


def test_every_part_gets_its_own():
    painter = Recorder()
    reconstructor = make(
        prior=Sampler(guidance_scale=2.0),
        low_level=Blur(),
        captioner=Namer(),
        generator=painter,
        n_images=3,
        random_state=5,
    ).fit(X[TRAIN], Y[TRAIN])
    Z = reconstructor.embed(X[TEST])
    pictures = reconstructor.transform(X[TEST])
    assert pictures.shape == (20, 3, 4, 4, 3)
    log = painter.log
    assert [len(call["Z"]) for call in log] == [8] * 7 + [4]
    given = {key: [item for call in log for item in call[key]] for key in log[0]}
    samples = reconstructor.prior_.sample(Z, 3)
    np.testing.assert_allclose(given["Z"], samples.reshape(60, -1), rtol=1e-5)
    np.testing.assert_array_equal(
        given["low_level"], np.repeat(reconstructor.low_level_.transform(X[TEST]), 3, axis=0)
    )
    assert given["captions"] == np.repeat(reconstructor.captioner_.predict(samples.mean(axis=1)), 3).tolist()
    assert given["captions"][0].endswith("of 30")
    assert len(set(given["seeds"])) == 60
    log.clear()
    reconstructor.transform(X[TEST][:4])
    assert [s for call in log for s in call["seeds"]] == given["seeds"][:12]  # rows keep their seeds
    assert reconstructor.prior_.targets is TARGETS
    assert reconstructor.prior_.random_state == 5
    assert reconstructor.captioner_.targets is TARGETS
    assert reconstructor.get_params()["prior__targets"] is None  # the parameters stay as given


def test_parts_may_be_left_out():
    painter = Recorder()
    make(generator=painter).fit(X[TRAIN], Y[TRAIN]).transform(X[TEST])
    assert painter.log[0]["low_level"] is None
    assert painter.log[0]["captions"] is None


def test_a_generator_that_learns_nothing_needs_no_folds(monkeypatch):
    monkeypatch.setattr(
        EEGImageReconstructor, "_training_embeddings", lambda *args: pytest.fail("cross-fitted")
    )
    make(generator=Recorder()).fit(X[TRAIN], Y[TRAIN])


def test_parts_learn_from_embeddings_of_stimuli_held_out():
    prior = make(prior=Sampler(), random_state=3).fit(X[TRAIN], Y[TRAIN]).prior_
    expected = {}
    flat = X.reshape(80, -1)
    for train, test in GroupKFold(5, shuffle=True, random_state=3).split(TRAIN, groups=Y[TRAIN]):
        encoder = Ridge().fit(flat[train], TARGETS.lookup(Y[train]))
        expected |= {
            name: encoder.predict(flat[test][Y[test] == name].mean(axis=0)[None])[0] for name in Y[test]
        }
    assert sorted(prior.y_) == sorted(expected)  # the average of a stimulus's epochs, once
    np.testing.assert_allclose(prior.Z_, [expected[name] for name in prior.y_], rtol=1e-5)
    in_sample = make(prior=Sampler(), cross_fit=None, repetitions="single").fit(X[TRAIN], Y[TRAIN])
    np.testing.assert_allclose(in_sample.prior_.Z_, in_sample.embed(X[TRAIN]), rtol=1e-5)
    np.testing.assert_array_equal(in_sample.prior_.y_, Y[TRAIN])
    out = make(prior=Sampler(), repetitions="single").fit(X[TRAIN], Y[TRAIN]).prior_
    error = [np.square(p.Z_ - TARGETS.lookup(p.y_)).mean() for p in (out, in_sample.prior_)]
    assert error[0] > 1.5 * error[1]
    both = make(prior=Sampler(), repetitions="both").fit(X[TRAIN], Y[TRAIN]).prior_
    assert len(both.Z_) == 60 + 30


def test_the_generator_learns_from_what_the_prior_gives():
    class Keeper(LinearGenerator):
        def fit(self, Z, y):
            self.Z_ = Z
            return super().fit(Z, y)

    reconstructor = make(prior=Sampler(guidance_scale=3.0), generator=Keeper(size=SIDE)).fit(
        X[TRAIN], Y[TRAIN]
    )
    np.testing.assert_allclose(reconstructor.generator_.Z_, 3 * reconstructor.prior_.Z_, rtol=1e-5)


def test_a_regressor_serves_as_prior():
    flat = make(encoder=Ridge(1e3), prior=Ridge(), random_state=0).fit(X[TRAIN], Y[TRAIN])
    Z, names = flat._training_embeddings(X[TRAIN], Y[TRAIN], None)
    np.testing.assert_allclose(flat.prior_.coef_, Ridge().fit(Z, TARGETS.lookup(names)).coef_)
    assert flat.score(X[TEST], Y[TEST]) > 0.9
    twice = flat.set_params(n_images=2).transform(X[TEST])
    np.testing.assert_array_equal(
        twice[:, 0], twice[:, 1]
    )  # nothing is drawn, neither by Ridge nor in painting


def test_frozen_parts_stay_as_they_are():
    first = make(prior=Sampler(guidance_scale=2.0)).fit(X[TRAIN], Y[TRAIN])
    frozen = EEGImageReconstructor(
        FrozenEstimator(first.encoder_),
        targets=TARGETS,
        images=IMAGES,
        prior=FrozenEstimator(first.prior_),
        generator=FrozenEstimator(first.generator_),
        verbose=0,
    ).fit(X[TEST])  # nothing to learn: no y is needed
    assert frozen.prior_.estimator is first.prior_
    assert frozen.generator_.estimator is first.generator_
    np.testing.assert_array_equal(frozen.transform(X[TEST]), first.transform(X[TEST]))
    with pytest.raises(ValueError, match="requires y to be passed, but the target y is None"):
        frozen.set_params(prior=Sampler()).fit(X[TEST])


def test_a_frozen_encoder_s_embeddings_are_taken_as_they_are():
    encoder = FrozenEstimator(Ridge().fit(X[TRAIN].reshape(60, -1), TARGETS.lookup(Y[TRAIN])))
    reconstructor = make(encoder=encoder, prior=Sampler(), repetitions="single").fit(X[TRAIN], Y[TRAIN])
    np.testing.assert_allclose(reconstructor.prior_.Z_, encoder.predict(X[TRAIN].reshape(60, -1)), rtol=1e-5)


def test_passthrough(rng):
    Z = TARGETS.lookup(Y) + 0.1 * rng.normal(size=(80, N_DIMS))
    reconstructor = make(encoder="passthrough").fit(Z[TRAIN], Y[TRAIN])
    assert reconstructor.score(Z[TEST], Y[TEST]) > 0.95
    with pytest.raises(ValueError, match="takes embeddings, shape"):
        reconstructor.transform(X)


def test_labels_serve_where_there_are_no_targets(rng):
    labels = np.arange(60) % 3
    images = {
        str(k): np.full((4, 4, 3), 80 * k, np.uint8) + np.arange(4, dtype=np.uint8)[:, None] for k in range(3)
    }
    epochs = rng.normal(size=(60, 3, 5)) + 3 * labels[:, None, None]
    reconstructor = EEGImageReconstructor(
        Ridge(), images=images, generator="nearest", cross_fit=None, verbose=0
    )
    pictures = reconstructor.fit(epochs, labels).transform(epochs)
    # Of classes on one line ridge regression on codes finds the middle one least.
    assert np.mean(pictures[:, 0, 0, 0] == 80 * labels) > 0.8


def test_in_a_pipeline_a_search_and_a_cross_validation():
    pipeline = make_pipeline(FunctionTransformer(lambda X: X[:, :2]), make(prior=Sampler()))
    scores = cross_validate(pipeline, X, Y, groups=Y, cv=GroupKFold(2), error_score="raise")["test_score"]
    assert scores.min() > 0.8
    name = "eegimagereconstructor__prior__guidance_scale"
    search = GridSearchCV(
        pipeline.set_params(eegimagereconstructor__generator=NearestImageGenerator()),
        {name: [-1.0, 1.0]},
        cv=GroupKFold(2),
        error_score="raise",
    ).fit(X, Y, groups=Y)
    assert search.best_params_ == {name: 1.0}
    assert search.transform(X[:3]).shape == (3, SIDE, SIDE, 3)


def test_epochs_of_mne():
    info = mne.create_info(3, 100.0, "eeg")
    epochs = mne.EpochsArray(1e-6 * X, info, metadata=pd.DataFrame({"stimulus": Y}), verbose=False)
    reconstructor = make(random_state=0).fit(epochs[:60], Y[TRAIN])
    expected = make(random_state=0).fit(X[TRAIN], Y[TRAIN]).transform(X[TEST])
    assert np.abs(reconstructor.transform(epochs[60:]).astype(int) - expected).max() <= 1
    scores = cross_validate(make(), epochs, Y, groups=Y, cv=GroupKFold(2), error_score="raise")
    assert scores["test_score"].min() > 0.8


@pytest.mark.filterwarnings("ignore:Epochs of n_times=10 are too short:UserWarning")
def test_the_subject_reaches_the_encoder_in_every_fold():
    subject = np.where(np.arange(80) % 2, "sub-01", "sub-02")
    encoder = EEGEncoder("atm-s", max_epochs=1, batch_size=16, random_state=0, device="cpu")
    reconstructor = make(encoder=encoder, generator="nearest", cross_fit=2)
    given = reconstructor.fit(X[TRAIN], Y[TRAIN], subject=subject[TRAIN]).transform(
        X[TEST], subject=subject[TEST]
    )
    assert reconstructor.encoder_.subjects_.tolist() == ["sub-01", "sub-02"]
    view = EpochsView.from_arrays(X, subject=subject)
    carried = clone(reconstructor).fit(view[TRAIN], Y[TRAIN]).transform(view[TEST])
    np.testing.assert_array_equal(given, carried)


def test_the_subject_reaches_a_low_level_decoder_that_asks_for_it():
    class Asking(Blur):
        __metadata_request__fit = {"subject": True}
        __metadata_request__transform = {"subject": True}

        def __init__(self, images=None):
            self.images = images

        def fit(self, X, y, subject=None):
            self.fit_on_ = y, subject
            return super().fit(X, [self.images[name] for name in y])

        def transform(self, X, subject=None):
            self.asked_ = subject
            return super().transform(X)

    subject = np.array(["a", "b"] * 40)
    reconstructor = make(low_level=Asking()).fit(X[TRAIN], Y[TRAIN], subject=subject[TRAIN])
    np.testing.assert_array_equal(reconstructor.low_level_.fit_on_, [Y[TRAIN], subject[TRAIN]])
    reconstructor.transform(X[TEST], subject=subject[TEST])
    np.testing.assert_array_equal(reconstructor.low_level_.asked_, subject[TEST])


@pytest.mark.filterwarnings("ignore:`drop_last_window`:DeprecationWarning", "ignore:.*fast epoch access")
def test_braindecode_data_sets():
    from braindecode.datasets import create_from_X_y

    windows = create_from_X_y(
        X[TRAIN].astype("float32"),
        np.zeros(60, int),
        drop_last_window=False,
        sfreq=100,
        ch_names=["a", "b", "c"],
    )
    reconstructor = make(generator="nearest").fit(windows, Y[TRAIN])
    np.testing.assert_array_equal(
        reconstructor.transform(X[TEST].astype("float32")),
        make(generator="nearest")
        .fit(X[TRAIN].astype("float32"), Y[TRAIN])
        .transform(X[TEST].astype("float32")),
    )


def test_score_is_two_way_identification():
    reconstructor = make(random_state=0).fit(X[TRAIN], Y[TRAIN])
    names = np.unique(Y[TEST])
    real = IMAGES.lookup(names).reshape(10, -1)
    made = reconstructor.transform(X[TEST]).reshape(20, -1)
    r = np.corrcoef(real, made)[:10, 10:]
    own = np.searchsorted(names, Y[TEST])
    per_row = (r < r[own, np.arange(20)]).sum(axis=0) / 9
    # At 64 pixels the same picture gives nearly the same correlations.
    assert reconstructor.score(X[TEST], Y[TEST]) == pytest.approx(per_row.mean(), abs=0.02)
    painter = reconstructor.set_params(n_images=2, prior=Sampler()).fit(X[TRAIN], Y[TRAIN])
    assert painter.score(X[TEST], Y[TEST]) == pytest.approx(per_row.mean(), abs=0.03)
    reconstructor.set_params(n_images=1, prior=None).fit(X[TRAIN], Y[TRAIN])
    weight = np.arange(20.0)
    weighted = reconstructor.score(X[TEST], Y[TEST], sample_weight=weight)
    assert weighted == pytest.approx(np.average(per_row, weights=weight), abs=0.02)


@pytest.mark.slow
def test_the_report_sets_two_baselines_beside():
    reconstructor = make(n_images=2, prior=Sampler()).fit(X[TRAIN], Y[TRAIN])
    table = reconstructor.report(
        X[TEST], Y[TEST], ["PixCorr", "SSIM"], n_resamples=10, random_state=0, verbose=0
    )
    assert table.index.tolist() == ["generated", "mean training picture", "nearest training picture"]
    assert table["PixCorr"].idxmax() == "generated"
    assert {"PixCorr_low", "SSIM_high"} <= set(table.columns)
    nearest = make(generator="nearest").fit(X[TRAIN], Y[TRAIN]).transform(X[TEST])
    mean = [IMAGES.lookup(IDS[:30]).mean(axis=0) / 255] * 20
    direct = reconstruction_scores(
        IMAGES.lookup(Y[TEST]), nearest, ["PixCorr"], baselines={"mean": mean}, n_resamples=0, verbose=0
    )["PixCorr"]
    assert table.loc["nearest training picture", "PixCorr"] == pytest.approx(direct["generated"], abs=1e-6)
    assert table.loc["mean training picture", "PixCorr"] == pytest.approx(direct["mean"], abs=0.02)


def test_a_metric_without_weights_is_refused_before_anything_is_painted(tmp_path):
    reconstructor = make(generator="nearest").fit(X[TRAIN], Y[TRAIN])
    del reconstructor.generator_.pictures_  # painting would fail
    with pytest.raises(FileNotFoundError, match="no file alexnet"):
        reconstructor.report(X[TEST], Y[TEST], ["AlexNet(2)"], weights=tmp_path)


def test_pictures_are_compared_in_the_space_of_the_encoder():
    """An encoder with a space of its own embeds where the targets do not lie."""
    encoder = InvertedEncoding(3).fit(X[TRAIN], TARGETS.lookup(Y[TRAIN]))
    nearest = make(encoder=FrozenEstimator(encoder), generator="nearest").fit(X[TRAIN], Y[TRAIN])
    beside = EmbeddingTable(IDS, encoder.project(VECTORS))
    direct = NearestImageGenerator(IMAGES, targets=beside).fit(np.zeros((60, 3)), Y[TRAIN])
    pictures = direct.generate(encoder.predict(X[TEST]))
    np.testing.assert_array_equal(nearest.transform(X[TEST]), pictures)
    table = nearest.report(X[TEST], Y[TEST], ["PixCorr"], n_resamples=0, verbose=0)["PixCorr"]
    assert table["nearest training picture"] == pytest.approx(table["generated"], abs=1e-6)


class Turned(Ridge):
    """Ridge regression whose embeddings are turned otherwise each time that it is fitted."""

    def fit(self, X, y):
        rng = np.random.default_rng(len(X) + int(1e6 * abs(y[0, 0])))
        self.turn_ = np.linalg.qr(rng.normal(size=(N_DIMS, N_DIMS)))[0]
        return super().fit(X, y)

    def predict(self, X):
        return super().predict(X) @ self.turn_

    def project(self, vectors):
        return vectors @ self.turn_


def test_embeddings_of_all_folds_are_brought_into_the_space_of_the_encoder():
    plain, turned = (
        make(encoder=encoder, cross_fit=4, random_state=0).fit(X[TRAIN], Y[TRAIN]).transform(X[TEST])
        for encoder in (Ridge(), Turned())
    )
    assert np.abs(turned.astype(int) - plain).max() <= 1


@pytest.mark.parametrize(
    ("params", "error", "match"),
    [
        (
            {"generator": "sdxl"},
            ValueError,
            "generator must be one of 'sdxl-turbo', 'sdxl-base', 'linear', 'nearest'",
        ),
        ({"generator": Ridge()}, TypeError, "or an object with generate, got Ridge"),
        (
            {"prior": "unet"},
            TypeError,
            "prior must be None or an estimator with transform or predict, got 'unet'",
        ),
        ({"low_level": Ridge()}, TypeError, "low_level must be None or an estimator with transform"),
        ({"captioner": Sampler()}, TypeError, "captioner must be None or an estimator with predict"),
        ({"cross_fit": 1}, ValueError, "cross_fit must lie in"),
        ({"cross_fit": 16}, ValueError, "cross_fit=16 needs at least 32 stimuli, two a fold, but y shows 30"),
        ({"repetitions": "all"}, ValueError, "repetitions must be one of 'average', 'single', 'both'"),
        ({"n_images": 0}, ValueError, "n_images must lie in"),
        ({"images": [1, 2]}, TypeError, "images must be an ImageTable"),
        ({"out_dir": "x"}, ValueError, "out_dir needs random_state to be an int, got None"),
        (
            {"low_level": Blur(), "images": None, "generator": Recorder()},
            ValueError,
            "low_level learns from pictures",
        ),
        ({"images": IMAGES.subset(IDS[:5])}, KeyError, "no picture of stimulus 's05'"),
    ],
)
def test_bad_parameters_are_refused(params, error, match):
    reconstructor = make(**params)
    with pytest.raises(error, match=match):
        reconstructor.fit(X[TRAIN], Y[TRAIN])
    assert not [name for name in vars(reconstructor) if name.endswith("_")]


def test_bad_questions_are_refused():
    with pytest.raises(NotFittedError):
        make().transform(X)
    with pytest.raises(NotFittedError):
        make().score(X, Y)
    reconstructor = make().fit(X[TRAIN], Y[TRAIN])
    with pytest.raises(ValueError, match="y must show at least 2 stimuli"):
        reconstructor.score(X[:2], Y[:2])
    with pytest.raises(KeyError, match="no picture of stimulus 'new'"):
        reconstructor.score(X[:2], ["s01", "new"])
    with pytest.raises(TypeError, match="y must hold strings"):
        reconstructor.score(X[:2], [1, 2])
    with pytest.raises(ValueError, match="images is None: there is nothing to compare with"):
        reconstructor.set_params(images=None).score(X, Y)
