"""LambdaPath: all lambdas of an encoder, of which one is chosen."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from skorch.callbacks import Callback

import skeegclip
from skeegclip import EEGEncoder, EmbeddingTable, ImageRetriever, LambdaPath, ZeroShotClassifier, evaluate
from skeegclip.model_selection import LeaveOneSubjectOut
from skeegclip.model_selection._report.flags import selection_text
from skeegclip.preprocessing import EpochScaler


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    table = EmbeddingTable([f"s{i:02d}" for i in range(60)], rng.standard_normal((60, 6)))
    X = (table.vectors @ rng.standard_normal((6, 40))).reshape(60, 2, 20)
    X = X + rng.standard_normal(X.shape)
    return X.astype(np.float32), table.ids, table


def encoder(table=None, **params):
    defaults = {"max_epochs": 10, "lr": 1e-2, "batch_size": 16, "validation": 0.2, "random_state": 0}
    return EEGEncoder("eegproject", targets=table, device="cpu", **{**defaults, **params})


@pytest.fixture(scope="module")
def path(data):
    X, y, table = data
    return LambdaPath(encoder(table), loss_weights=[0, 1, 0.5]).fit(X, y)


def test_one_value_is_a_plain_fit(data):
    X, y, table = data
    one = LambdaPath(encoder(table), loss_weights=[0.5]).fit(X, y)
    np.testing.assert_array_equal(one.predict(X), encoder(table, loss_weight=0.5).fit(X, y).predict(X))
    assert one.best_ == 0.5


def test_scores_are_those_of_the_rows_that_it_names(data, path):
    X, y, table = data
    scores = pd.DataFrame(path.scores_)
    assert scores["loss_weight"].tolist() == [1.0, 0.5, 0.0]
    assert scores["n_passes"].tolist() == [10, 1, 1]
    held = path.held_out_
    for member, top1, error in zip(path.lambda_path_, scores["top1"], scores["error"], strict=True):
        assert member.score(X[held], y[held]) == pytest.approx(top1)
        apart = member.transform(X[held]) - table.lookup(y[held])
        assert error == pytest.approx(np.mean(apart**2) / table.vectors.var(axis=0).mean(), rel=1e-4)
    assert path.best_ == scores["loss_weight"][scores["top1"].argmax()]
    assert scores["chosen"].tolist() == (scores["loss_weight"] == path.best_).tolist()
    assert path.score(X[held], y[held]) == pytest.approx(scores["top1"].max())


def test_the_choice_is_by_what_was_asked_for_and_is_told(data, path):
    X, y, _ = data
    by_error = clone(path).set_params(scoring="error").fit(X, y)
    np.testing.assert_array_equal(by_error.scores_["error"], path.scores_["error"])
    assert by_error.best_ == by_error.scores_["loss_weight"][by_error.scores_["error"].argmin()]
    told = by_error.encoder_.selection_
    assert (told["loss_weight"], told["scoring"]) == (by_error.best_, "error")
    assert told["n_stimuli_held_out"] == len(np.unique(y[by_error.held_out_])) == 12


def test_what_is_held_out_is_in_no_network(data, path):
    X, y, _ = data
    seen = []

    class Look(Callback):
        def on_train_begin(self, net, X, **kwargs):
            seen.append(X.rows)

    again = clone(path)
    again.encoder.set_params(callbacks=[Look()])
    again.fit(X, y)
    assert len(seen) == 3
    for rows in seen:
        assert not np.intersect1d(y[rows], y[again.held_out_]).size


@pytest.mark.slow
def test_inside_of_searches_pipelines_and_composites(data):
    X, y, table = data
    pipeline = make_pipeline(EpochScaler(), ImageRetriever(LambdaPath(encoder()), targets=table))
    grid = {"imageretriever__encoder__encoder__lr": [1e-6, 1e-2]}
    search = GridSearchCV(pipeline, grid, cv=GroupKFold(2), error_score="raise").fit(X, y, groups=y)
    assert search.best_params_["imageretriever__encoder__encoder__lr"] == 1e-2
    classifier = ZeroShotClassifier(LambdaPath(encoder()), targets=table, class_weight="balanced").fit(X, y)
    assert classifier.score(X, y) > 0.3
    assert (
        GridSearchCV(LambdaPath(encoder(table)), {"scoring": ["top1", "error"]}, cv=2).fit(X, y).best_score_
    )


def test_a_new_person_and_a_report_that_says_how_lambda_was_chosen(data):
    X, y, table = data
    subject = np.tile(["ana", "ben"], 30)
    path = LambdaPath(encoder(table, max_epochs=2), loss_weights=[1, 0])
    report = evaluate({"path": path}, X, y, subject=subject, cv=LeaveOneSubjectOut(test_stimuli=y[-10:]))
    assert len(report.selection) == 2, "the one encoder that decodes, of each fold"
    for cell in report._cells:
        (text,) = selection_text(cell)
        value = cell.facts["selection"][0]["loss_weight"]
        assert text.endswith(f"; lambda {value:g} of 1, 0 by the same stimuli")


def test_subjects_and_weights_reach_the_networks(data):
    X, y, table = data
    subject = np.tile(["ana", "ben"], 30)
    weight = np.where(np.arange(60) % 3, 1.0, 0.0)
    path = LambdaPath(encoder(table, subject_layer="linear"), loss_weights=[1, 0])
    path.fit(X, y, subject=subject, sample_weight=weight)
    assert path.encoder_.subjects_.tolist() == ["ana", "ben"]
    assert (weight[path.held_out_] > 0).all()


def test_it_is_saved_whole(data, path, tmp_path):
    X = data[0]
    path.save(tmp_path / "path")
    again = skeegclip.load(tmp_path / "path")
    np.testing.assert_array_equal(again.predict(X), path.predict(X))
    assert (again.best_, again.scores_["top1"].tolist()) == (path.best_, path.scores_["top1"].tolist())
    for ours, theirs in zip(again.lambda_path_, path.lambda_path_, strict=True):
        np.testing.assert_array_equal(ours.transform(X), theirs.transform(X))
    assert again.score(X, data[1]) == path.score(X, data[1])
    with pytest.raises(TypeError, match="frozen"):
        again.fit(X, data[1])


def test_where_nothing_is_held_out_the_first_alone_is_trained(data):
    X, y, table = data
    with pytest.warns(UserWarning, match=r"nothing to choose by.*Trained is loss_weight=1 alone"):
        path = LambdaPath(encoder(table, validation=0)).fit(X, y)
    assert path.scores_["loss_weight"].tolist() == [1.0]
    with pytest.warns(UserWarning, match="codes of classes"):
        LambdaPath(encoder()).fit(X, np.arange(60) % 3)


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"encoder": Ridge()}, TypeError, "encoder must be an EEGEncoder, which has a lambda, got Ridge"),
        ({"loss_weights": []}, ValueError, "loss_weights must be a list of one value or more"),
        ({"loss_weights": [1, 1.5]}, ValueError, "loss_weights"),
        ({"loss_weights": 0.5}, ValueError, "loss_weights must be a list"),
        ({"scoring": "loss"}, ValueError, "scoring"),
        ({"share": 0}, ValueError, "share"),
        ({"encoder__validation": "last-batch"}, ValueError, "validation='last-batch' holds out epochs whose"),
        ({"encoder__projector": 3}, ValueError, "a projector is for loss_weight=1 alone"),
        ({"encoder__train": "probe"}, ValueError, "train='probe' is ridge regression, .* Take train='head'"),
    ],
)
def test_what_cannot_be_is_refused_before_training(data, params, error, message):
    X, y, table = data
    with pytest.raises(error, match=message):
        LambdaPath(encoder(table)).set_params(**params).fit(X, y)


def test_several_targets_are_refused_before_training(data):
    X, y, table = data

    class Trained(Callback):
        def on_train_begin(self, net, **kwargs):
            raise AssertionError

    with pytest.raises(ValueError, match="several targets are for loss_weight=1 alone"):
        LambdaPath(encoder([table, table], callbacks=[Trained()])).fit(X, y)
    path = LambdaPath(encoder([table, table]), loss_weights=[1]).fit(X, y)
    assert path.scores_["loss_weight"].tolist() == [1.0]
