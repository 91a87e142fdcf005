"""Encoders that were written elsewhere get what they get alone: epochs for a Pipeline, matrices for a bare regressor."""

import numpy as np
import pytest
from mne.decoding import CSP, Scaler, UnsupervisedSpatialFilter, Vectorizer
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin, clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.ensemble import BaggingRegressor, VotingRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skeegclip import (
    AveragedTraining,
    EEGEncoder,
    EmbeddingTable,
    EnsembleEncoder,
    EpochsView,
    ImageRetriever,
    SubjectWhitening,
    ZeroShotClassifier,
)

N_CHANS, N_TIMES = 6, 40


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    table = EmbeddingTable([f"s{i:02d}" for i in range(20)], rng.standard_normal((20, 5)))
    y = np.repeat(table.ids, 3)
    X = (table.lookup(y) @ rng.standard_normal((5, N_CHANS * N_TIMES))).reshape(-1, N_CHANS, N_TIMES)
    return (X + 0.3 * rng.standard_normal(X.shape)).astype(np.float32), y, table


def three_channels(X):
    return X[:, :3]


class Covariance(TransformerMixin, BaseEstimator):
    """A step as pyriemann has them: it has no tags, and a parameter `estimator` that is a string."""

    def __init__(self, estimator="scm"):
        self.estimator = estimator

    def fit(self, X, y=None):
        assert X.ndim == 3
        return self

    def transform(self, X):
        return np.einsum("nct,ndt->ncd", X, X).reshape(len(X), -1) / X.shape[2]


PIPELINES = {
    "function": lambda: make_pipeline(FunctionTransformer(three_channels), Vectorizer(), Ridge()),
    "vectorizer": lambda: make_pipeline(Vectorizer(), StandardScaler(), Ridge()),
    "spatial filter": lambda: make_pipeline(UnsupervisedSpatialFilter(PCA(3)), Vectorizer(), Ridge()),
    "scaler": lambda: make_pipeline(Scaler(scalings="mean"), Vectorizer(), Ridge()),
    "string": lambda: make_pipeline(Covariance(), Ridge()),
    "nested": lambda: make_pipeline(make_pipeline(FunctionTransformer(), Vectorizer()), Ridge()),
    "search inside": lambda: make_pipeline(Vectorizer(), GridSearchCV(Ridge(), {"alpha": [1.0]}, cv=2)),
    "search around": lambda: GridSearchCV(
        make_pipeline(Vectorizer(), Ridge()), {"ridge__alpha": [1.0]}, cv=2, error_score="raise"
    ),
    "one by one": lambda: MultiOutputRegressor(make_pipeline(Vectorizer(), Ridge())),
    "transformed target": lambda: TransformedTargetRegressor(
        make_pipeline(Vectorizer(), Ridge()), transformer=StandardScaler()
    ),
}
MATRICES = {
    "ridge": Ridge,
    "search": lambda: GridSearchCV(Ridge(), {"alpha": [0.1, 1.0]}, cv=2, error_score="raise"),
    "one by one": lambda: MultiOutputRegressor(Ridge()),
    # The Pipeline inside never sees X.
    "transformed target": lambda: TransformedTargetRegressor(
        Ridge(), transformer=make_pipeline(StandardScaler())
    ),
    "bagging": lambda: BaggingRegressor(Ridge(), n_estimators=2, random_state=0),
}
COMPOSITES = [ImageRetriever, ZeroShotClassifier, AveragedTraining, SubjectWhitening]


@pytest.mark.parametrize("name", PIPELINES)
@pytest.mark.parametrize("composite", [ImageRetriever, ZeroShotClassifier])
def test_a_pipeline_gives_what_it_gives_alone(data, name, composite):
    X, y, table = data
    alone = PIPELINES[name]().fit(X, table.lookup(y)).predict(X)
    np.testing.assert_allclose(
        composite(PIPELINES[name](), targets=table).fit(X, y).embed(X), alone, rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("name", MATRICES)
def test_a_bare_regressor_gives_what_it_gives_on_flat_epochs(data, name):
    X, y, table = data
    flat = X.reshape(len(X), -1)
    alone = MATRICES[name]().fit(flat, table.lookup(y)).predict(flat)
    for given in (X, EpochsView.from_arrays(X)):
        z = ImageRetriever(MATRICES[name](), targets=table).fit(given, y).embed(given)
        np.testing.assert_allclose(z, alone, rtol=1e-4, atol=1e-4)


def test_three_channels_are_three_channels(data):
    X, y, table = data
    fitted = ImageRetriever(PIPELINES["function"](), targets=table).fit(X, y).encoder_
    assert fitted[-1].n_features_in_ == 3 * N_TIMES


@pytest.mark.parametrize("composite", COMPOSITES)
def test_every_composite_hands_on_the_same(data, composite):
    X, y, table = data
    ids = np.repeat(table.ids, 1)
    means = X.reshape(20, 3, N_CHANS, N_TIMES).mean(1)
    piped = composite(PIPELINES["function"](), targets=table).fit(means, ids)
    by_hand = composite(Ridge(), targets=table).fit(means[:, :3], ids)
    np.testing.assert_allclose(piped.embed(means), by_hand.embed(means[:, :3]), rtol=1e-3, atol=1e-3)


def test_ensembles_frozen_pipelines_and_folds(data):
    X, y, table = data
    made = PIPELINES["function"]
    alone = made().fit(X, table.lookup(y))
    expected = alone.predict(X)
    frozen = ImageRetriever(FrozenEstimator(alone), targets=table).fit(X, y)
    np.testing.assert_allclose(frozen.embed(X), expected, rtol=1e-5)
    ensemble = EnsembleEncoder([("one", made())], targets=table).fit(X, y)
    np.testing.assert_allclose(
        ensemble.predict(X), expected / np.linalg.norm(expected, axis=1, keepdims=True), rtol=1e-4
    )
    groups = np.tile([0, 1, 2], 20)
    scores = cross_val_score(
        clone(ImageRetriever(made(), targets=table)),
        X,
        y,
        groups=groups,
        cv=GroupKFold(3),
        error_score="raise",
    )
    assert scores.mean() > 0.8


def test_forms_that_only_this_library_knows_become_arrays(data):
    import mne

    X, y, table = data
    retriever = ImageRetriever(PIPELINES["function"](), targets=table)
    expected = retriever.fit(X, y).embed(X)
    view = EpochsView.from_arrays(X)
    np.testing.assert_allclose(clone(retriever).fit(view, y).embed(view), expected, rtol=1e-5)
    epochs = mne.EpochsArray(X * 1e-6, mne.create_info(N_CHANS, 100.0, "eeg"), verbose=False)
    rows = [epochs[i] for i in range(len(epochs))]  # what scikit-learn cuts out of Epochs
    np.testing.assert_allclose(clone(retriever).fit(rows, y).embed(rows), expected, rtol=1e-3)


def recording(X, kinds="eeg"):
    import mne

    return mne.EpochsArray(X * 1e-6, mne.create_info(X.shape[1], 100.0, kinds), verbose=False)


@pytest.mark.parametrize("name", [name for name in PIPELINES if name != "scaler"])
def test_epochs_give_a_pipeline_what_their_microvolts_give(data, name):
    """In volts a Ridge behind a Vectorizer is at chance, and nobody would know why."""
    X, y, table = data
    retriever = ImageRetriever(PIPELINES[name](), targets=table)
    expected = clone(retriever).fit(X, y).embed(X)
    fitted = clone(retriever).fit(recording(X), y)
    for given in (recording(X), X):  # in whatever form they come afterwards
        np.testing.assert_allclose(fitted.embed(given), expected, rtol=1e-2, atol=1e-3)
    with pytest.raises(ValueError, match="factor of 1.0e"):
        fitted.embed(X * 1e-6)


def test_the_label_beside_the_epochs_does_not_reach_a_pipeline(data):
    X, y, table = data
    marked = np.concatenate([X, X[:, :1]], axis=1)
    epochs = recording(marked, ["eeg"] * N_CHANS + ["stim"])
    fitted = ImageRetriever(PIPELINES["vectorizer"](), targets=table).fit(epochs, y)
    assert fitted.encoder_[-1].n_features_in_ == N_CHANS * N_TIMES


SCALED = {
    "alone": lambda info: make_pipeline(Scaler(info), Vectorizer(), Ridge()),
    "searched": lambda info: GridSearchCV(
        make_pipeline(Scaler(info), Vectorizer(), Ridge()), {"ridge__alpha": [1.0]}, cv=2, error_score="raise"
    ),
}


@pytest.mark.parametrize("name", SCALED)
def test_what_mne_scales_by_an_info_stays_in_volts(data, name):
    X, y, table = data
    epochs = recording(X)
    encoder = SCALED[name](epochs.info)
    alone = clone(encoder).fit(epochs.get_data(), table.lookup(y)).predict(epochs.get_data())
    fitted = ImageRetriever(encoder, targets=table).fit(epochs, y)
    for given in (epochs, [epochs[i] for i in range(len(epochs))], epochs.get_data()):
        np.testing.assert_allclose(fitted.embed(given), alone, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="factor of 1.0e"):
        fitted.embed(X)
    with pytest.raises(ValueError, match="not data .*Scaler gets all the"):
        fitted.embed(recording(X, ["eeg"] * (N_CHANS - 1) + ["eog"]))


@pytest.mark.parametrize(
    "encoder", [make_pipeline(CSP(2), Ridge()), VotingRegressor([("one", Ridge())])], ids=["csp", "voting"]
)
def test_what_learns_one_number_or_classes_says_that_there_are_vectors(data, encoder):
    X, y, table = data
    with pytest.raises(ValueError, match="1d array.*learns the vectors of the targets.*MultiOutputRegressor"):
        ImageRetriever(encoder, targets=table).fit(X, y)


def test_pyriemann(data):
    pyriemann = pytest.importorskip("pyriemann")
    X, y, table = data
    pipeline = make_pipeline(
        pyriemann.estimation.Covariances("oas"), pyriemann.tangentspace.TangentSpace(), Ridge()
    )
    alone = clone(pipeline).fit(X.astype(float), table.lookup(y)).predict(X.astype(float))
    z = ZeroShotClassifier(pipeline, targets=table).fit(X.astype(float), y).embed(X.astype(float))
    np.testing.assert_allclose(z, alone, rtol=1e-6)


def test_a_step_for_matrices_says_what_to_put_before_it(data):
    X, y, table = data
    with pytest.raises(
        ValueError, match=r"dim 3.*StandardScaler: a Pipeline as encoder gets epochs as they are.*Vectorizer"
    ):
        ImageRetriever(make_pipeline(StandardScaler(), Ridge()), targets=table).fit(X, y)
    flat = X.reshape(len(X), -1)
    retriever = ImageRetriever(make_pipeline(StandardScaler(), Ridge()), targets=table).fit(flat, y)
    with pytest.raises(ValueError, match="Vectorizer"):
        retriever.embed(X)


# -- whose `targets` it is -----------------------------------------------------------------------------


class Foreign(RegressorMixin, BaseEstimator):
    """A regressor whose parameter `targets` counts them."""

    def __init__(self, targets=None):
        self.targets = targets

    def fit(self, X, y):
        assert self.targets is None or isinstance(self.targets, int)
        self.ridge_ = Ridge().fit(X, y)
        return self

    def predict(self, X):
        return self.ridge_.predict(X)


@pytest.mark.parametrize("targets", [None, 5])
def test_a_parameter_of_the_same_name_is_left_alone(data, targets):
    X, y, table = data
    fitted = ImageRetriever(Foreign(targets), targets=table).fit(X, y)
    assert fitted.encoder_.targets == targets
    expected = Ridge().fit(X.reshape(60, -1), table.lookup(y)).predict(X.reshape(60, -1))
    np.testing.assert_allclose(fitted.embed(X), expected, rtol=1e-4, atol=1e-4)


def test_an_encoder_of_ours_inside_a_pipeline_still_gets_the_table(data):
    X, y, table = data
    encoder = EEGEncoder("eegproject", max_epochs=1, device="cpu", random_state=0)
    fitted = ImageRetriever(make_pipeline(FunctionTransformer(), encoder), targets=table).fit(X, y)
    assert fitted.encoder_[-1].targets is table


class Minimal:
    """No scikit-learn in it at all: fit and predict, and what a clone needs."""

    def get_params(self, deep=True):
        return {}

    def fit(self, X, y):
        self.ridge_ = Ridge().fit(X, y)
        return self

    def predict(self, X):
        return self.ridge_.predict(X)


def test_an_encoder_without_tags_takes_matrices(data):
    X, y, table = data
    assert ImageRetriever(Minimal(), targets=table).fit(X, y).score(X, y) > 0.9
