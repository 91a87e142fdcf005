"""What leaks through estimators, and where an evaluation says it: warning, report, command line, analyses."""

import copy
import pickle
import warnings

import mne
import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skeegclip import EEGEncoder, EmbeddingTable, EnsembleEncoder, EpochsView, ImageRetriever, evaluate
from skeegclip._evaluation.company import depends_on_company
from skeegclip._utils.seen import Seen
from skeegclip.commands.evaluate import text_table
from skeegclip.inspection import time_resolved
from skeegclip.model_selection import LeakWarning, WithinSubject, audit_split


@pytest.fixture
def split(planted):
    test = planted.rows["split"].to_numpy() == "test"
    return [(np.flatnonzero(~test), np.flatnonzero(test))]


def run(planted, estimator, split, view=None, **more):
    return evaluate(
        estimator, planted.view if view is None else view, targets=planted.table, cv=split, **more
    )


def about(report, level):
    return set(report.flags.loc[report.flags["level"] == level, "about"])


def net(planted, rows, **params):
    once = {
        "lr": 3e-3,
        "batch_size": 32,
        "max_epochs": 1,
        "validation": 0,
        "device": "cpu",
        "random_state": 0,
    }
    encoder = EEGEncoder("eegproject", targets=planted.table, **{**once, **params})
    view = planted.view[rows]
    return encoder.fit(view, view.stimulus)


# -- what was fitted before ----------------------------------------------------------------------------


def holders(fitted):
    """A fitted encoder where people put it."""
    return {
        "alone": FrozenEstimator(fitted),
        "retriever": ImageRetriever(FrozenEstimator(fitted)),
        "pipeline": make_pipeline(FunctionTransformer(), ImageRetriever(FrozenEstimator(fitted))),
        "ensemble": EnsembleEncoder([("one", FrozenEstimator(fitted)), ("two", FrozenEstimator(fitted))]),
    }


@pytest.mark.parametrize("where", ["alone", "retriever", "pipeline", "ensemble"])
def test_a_frozen_encoder_that_saw_the_test_set(planted, split, where):
    ((train, test),) = split
    with pytest.warns(LeakWarning, match="a frozen EEGEncoder was fitted on"):
        report = run(planted, holders(net(planted, np.r_[train, test]))[where], split)
    assert about(report, "leak") == {"frozen"}
    text = report.flags.query("level == 'leak'")["text"].item()
    assert "12 of 12 test stimuli" in text
    assert "72 of 72 test epochs" in text
    honest = run(planted, holders(net(planted, train))[where], split)
    assert about(honest, "leak") == set()
    said = honest.flags.query("about == 'frozen'")["text"].tolist()
    assert said == [
        "a part was fitted before; nothing of the test set is in what it has recorded",
        "a frozen part was fitted on 3 of 3 people tested",
    ]


def test_the_record_outlives_files_and_other_names(planted, split, tmp_path):
    ((train, test),) = split
    fitted = net(planted, test)
    fitted.save(tmp_path)
    again = EEGEncoder.load(tmp_path, device="cpu")
    assert again.trained_on_ == fitted.trained_on_ == pickle.loads(pickle.dumps(fitted)).trained_on_
    renamed = EmbeddingTable(
        [f"other {i}" for i in range(52)], np.random.default_rng(0).permuted(planted.table.vectors, axis=1)
    )
    position = {name: f"other {i}" for i, name in enumerate(planted.table.ids.tolist())}
    rows = planted.rows.assign(stimulus=planted.rows["stimulus"].map(position))
    # Another gain, an offset: copies all the same.
    view = EpochsView.from_arrays(1.5 * planted.X + 3, rows=rows)
    with pytest.warns(LeakWarning, match="72 of 72 test epochs compared"):
        evaluate(ImageRetriever(FrozenEstimator(again), targets=renamed), view, cv=split)


def test_any_regressor_in_a_retriever_is_remembered(planted, split):
    ((train, test),) = split
    fitted = ImageRetriever(Ridge(10.0), targets=planted.table)
    fitted.fit(planted.view, planted.view.stimulus)
    with pytest.warns(LeakWarning, match="a frozen ImageRetriever was fitted on"):
        assert "LEAKS: frozen" in repr(run(planted, FrozenEstimator(fitted), split))
    bare = Ridge(10.0).fit(
        planted.X.reshape(312, -1), planted.table.lookup(planted.rows["stimulus"].tolist())
    )
    report = run(planted, ImageRetriever(FrozenEstimator(bare)), split)
    assert about(report, "warning") == {"frozen"}
    assert "not known" in report.flags.query("about == 'frozen'")["text"].item()


def test_classes_are_no_secret(planted):
    """Labels of classes are in every training set; a frozen classifier of them leaks by its epochs only."""
    y = np.array(["face", "house"])[np.arange(312) % 2]
    view = EpochsView.from_arrays(planted.X, subject=planted.rows["subject"].to_numpy(), stimulus=y)
    train, test = np.arange(208), np.arange(208, 312)
    fitted = ImageRetriever(Ridge(10.0)).fit(view[train], y[train])
    report = evaluate(FrozenEstimator(fitted), view, cv=[(train, test)], average_test=False)
    assert about(report, "leak") == set()
    assert about(evaluate(ImageRetriever(Ridge(10.0)), view, cv=[(train, test)]), "leak") == set()


def test_calibration_with_test_pictures(planted, split):
    ((train, test),) = split
    people = planted.rows["subject"].to_numpy()
    others = train[people[train] != "cyd"]
    encoder = net(planted, others, subject_layer="linear")
    mine = planted.view[train[people[train] == "cyd"]]
    tested = planted.view[test[people[test] == "cyd"]]
    honest = copy.deepcopy(encoder).calibrate(mine, mine.stimulus, max_epochs=1)
    honest.score(tested, tested.stimulus)
    assert about(run(planted, FrozenEstimator(honest), split), "leak") == set()
    leaky = copy.deepcopy(encoder).calibrate(tested, tested.stimulus, max_epochs=1)
    with pytest.warns(LeakWarning, match="12 of 12 stimuli scored for 'cyd' were used to calibrate"):
        leaky.score(tested, tested.stimulus)
    with pytest.warns(LeakWarning, match="calibrated for 'cyd' with"):
        run(planted, FrozenEstimator(leaky), split)
    alone = [(others, test[people[test] == "ann"])]  # whose own layer has learned nothing from them
    assert about(run(planted, FrozenEstimator(leaky), alone), "leak") == set()


def test_fingerprints_stay_small():
    rng = np.random.default_rng(0)
    seen = Seen.of(
        rng.standard_normal((5000, 3, 8)), [f"image_{i}" for i in range(50)], rng.standard_normal((50, 9))
    )
    assert (len(seen.epochs), len(seen.names), len(seen.vectors)) == (1024, 50, 50)
    assert Seen.from_plain(seen.to_plain()) == seen
    assert Seen.of([["text"]]) == Seen.of(np.zeros((3, 2, 4)))


# -- answers that depend on company --------------------------------------------------------------------


class Company(RegressorMixin, BaseEstimator):
    """A linear map with a step that looks at everything it is given, as told."""

    def __init__(self, step="none"):
        self.step = step

    def fit(self, X, Y):
        self.coef_ = np.linalg.lstsq(X, Y, rcond=None)[0]
        return self

    def predict(self, X):
        Z = X @ self.coef_
        if self.step == "centre":
            Z = Z - Z.mean(axis=0)
        elif self.step == "large batches":
            Z = Z - Z.mean(axis=0) * (len(Z) > 10)
        elif self.step == "neighbours":
            Z = Z + 0.3 * np.roll(Z, 1, axis=0)
        elif self.step == "refuse":
            if len(Z) < 12:
                raise ValueError("too few")
        elif self.step == "dice":
            Z = Z + np.random.default_rng().standard_normal(Z.shape)
        return Z


@pytest.mark.parametrize("average", [True, False])
@pytest.mark.parametrize(
    ("step", "flagged"),
    [
        ("none", False),
        ("centre", True),
        ("large batches", True),
        ("neighbours", True),
        ("refuse", True),
        ("dice", False),
    ],
)
def test_a_step_that_looks_at_all_queries_is_noticed(planted, split, step, flagged, average):
    report = run(planted, Company(step), split, average_test=average)
    assert ("transductive" in about(report, "warning")) == flagged
    if flagged:
        assert "Company *" in report.to_markdown()


def test_rounding_is_no_company():
    rng = np.random.default_rng(0)
    X, W = rng.standard_normal((200, 50)).astype(np.float32), rng.standard_normal((50, 30)).astype(np.float32)

    def ask(X, params):  # half precision, and sums in an order that depends on the number of rows
        return ((X[:, ::-1] @ W[::-1] if len(X) < 9 else X @ W).astype(np.float16)).astype(float)

    assert depends_on_company(ask, X, {}, ask(X, {})) is None
    told = depends_on_company(lambda X, p: ask(X - X.mean(axis=0), p), X, {}, ask(X, {}))
    assert "depends on the queries asked with it" in told


# -- where it is said ----------------------------------------------------------------------------------


@pytest.fixture
def leaky(planted, split):
    ((train, test),) = split
    X = planted.X.copy()
    X[train[:20]] = X[test[:20]]
    return EpochsView.from_arrays(X, rows=planted.rows)


def test_a_leak_stands_wherever_a_figure_stands(planted, split, leaky):
    with pytest.warns(
        LeakWarning, match="evaluate: the test set leaks into training.*20 test epochs"
    ) as caught:
        report = run(planted, {"a": Ridge(10.0), "b": Ridge(1.0)}, split, leaky)
    assert caught[0].filename == __file__
    assert repr(report).endswith("flags, LEAKS: copies)")
    assert report.summary(["top-1"])["leaks"].tolist() == ["copies", "copies"]
    said = "The test set leaks into training (copies)"
    assert report.to_markdown().splitlines()[2].startswith(f"**{said}")
    page = report.to_html()
    assert f'<p class="leak" role="alert">{said}' in page
    assert page.index('role="alert"') < page.index("<table")
    assert "LEAK: copies: 20 test epochs" in text_table(report)
    clean = run(planted, Ridge(10.0), split)
    assert "LEAKS" not in repr(clean)
    assert "LEAK" not in text_table(clean)
    assert set(clean.summary(["top-1"])["leaks"]) == {""}
    assert 'role="alert"' not in clean.to_html()
    assert "leaks into" not in clean.to_markdown()


def test_a_leak_of_one_estimator_is_not_the_others(planted, split):
    ((train, test),) = split
    seen = ImageRetriever(FrozenEstimator(net(planted, test)))
    with pytest.warns(LeakWarning, match="fitted: a frozen EEGEncoder"):
        report = run(planted, {"fitted": seen, "fresh": Ridge(10.0)}, split)
    leaks = report.summary(["top-1"]).set_index("estimator")["leaks"]
    assert (leaks["fitted"], leaks["fresh"]) == ("frozen", "")


def test_the_headline_says_what_is_not_known(planted, split):
    report = run(planted, Ridge(10.0), split)
    assert "Whether training and test share overlap, runs is not known." in report.to_markdown()
    assert "open" in report.flags.query("about == 'not checked'")["text"].item()


def test_the_warning_can_stop_an_evaluation_before_it_trains(planted, split, leaky):
    class Never(Ridge):
        def fit(self, *args):
            raise AssertionError("trained")

    with warnings.catch_warnings():
        warnings.simplefilter("error", LeakWarning)
        with pytest.raises(LeakWarning):
            run(planted, Never(), split, leaky)


def test_analyses_warn_too(planted, split, leaky):
    X = np.asarray(leaky)
    view = EpochsView.from_arrays(X, stimulus=leaky.stimulus, info=mne.create_info(X.shape[1], 100.0, "eeg"))
    with pytest.warns(LeakWarning, match="20 test epochs"):
        time_resolved(Ridge(10.0), view, targets=planted.table, cv=split, width=0.05, mode="sliding")


def test_nothing_is_trained_on_the_training_rows_of_a_frozen_decoder(planted, split):
    ((train, test),) = split
    report = run(
        planted,
        FrozenEstimator(
            ImageRetriever(net(planted, train), targets=planted.table).fit(
                planted.view[train], planted.view[train].stimulus
            )
        ),
        [(np.arange(312), test)],
    )
    assert about(report, "leak") == set()


def test_folds_of_unequal_galleries_and_galleries_of_ones_own_are_told(planted):
    view = planted.view[: 104 - 5]
    report = evaluate(
        ImageRetriever(Ridge(10.0), targets=planted.table, gallery=planted.table.subset(planted.test_ids)),
        view,
        cv=[(np.arange(40, 80), np.arange(20)), (np.arange(40), np.arange(40, 80))],
    )
    assert {"gallery", "left out"} <= about(report, "note")
    assert "its own gallery of 12 pictures" in report.flags.query("about == 'left out'")["text"].iloc[0]


def test_folds_by_trials_leak(planted):
    with pytest.warns(LeakWarning, match="in 3 of 3 folds; first: .* repetitions shared"):
        run(planted, Ridge(10.0), list(KFold(3, shuffle=True, random_state=0).split(planted.X)))


def test_candidates_of_one_wording(planted):
    rows = planted.rows
    vectors = planted.names.vectors.copy()
    vectors[planted.names.ids.tolist().index("new_03")] = vectors[planted.names.ids.tolist().index("kind_05")]
    names = EmbeddingTable(planted.names.ids, vectors)
    found = audit_split([0], [1], rows)  # without vectors nothing is known of it
    assert "wordings" in found.shared
    wide = EmbeddingTable(planted.table.ids, planted.table.vectors)
    report = evaluate(Ridge(10.0), planted.view, targets=wide, candidates=names, cv=WithinSubject())
    assert "wordings" in about(report, "warning")
    assert "wordings" not in about(
        evaluate(Ridge(10.0), planted.view, targets=wide, candidates=planted.names, cv=WithinSubject()),
        "warning",
    )
