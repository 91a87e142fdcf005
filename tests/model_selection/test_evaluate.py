"""evaluate: what it computes, on which rows, in which cells; resuming; the oracle."""

import sys

import mne
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.model_selection import GridSearchCV, GroupKFold, LeaveOneGroupOut
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from skorch.callbacks import Callback

from skeegclip import (
    EEGEncoder,
    EmbeddingTable,
    EpochsStore,
    EpochsView,
    ImageRetriever,
    SubjectWhitening,
    ZeroShotClassifier,
    evaluate,
)
from skeegclip._utils.seeding import set_seeds
from skeegclip.metrics import cosine_similarity, make_retrieval_scorer, n_way_table
from skeegclip.model_selection import ConceptKFold, LeakWarning, LeaveOneSubjectOut, WithinSubject
from skeegclip.model_selection import _evaluate as module
from skeegclip.preprocessing import average_repetitions

TOPS = ["top-1", "top-5"]


def encoder(planted, **params):
    settings = {"lr": 3e-3, "batch_size": 32, "max_epochs": 4, "validation": 0.2, "device": "cpu"}
    return EEGEncoder("eegproject", targets=planted.table, **{**settings, **params})


def by_hand(planted, train, test, average=True):
    """The n-way table of a ridge regression, without evaluate."""
    y = planted.rows["stimulus"].to_numpy()
    flat = planted.X.reshape(len(planted.X), -1)
    ridge = Ridge(10.0).fit(flat[train], planted.table.lookup(y[train]))
    X, shown = flat[test], y[test]
    if average:
        X, shown, _ = average_repetitions(X, shown, planted.rows["subject"].to_numpy()[test])
    gallery = np.unique(shown)
    similarity = cosine_similarity(ridge.predict(X), planted.table.lookup(gallery))
    table = n_way_table(similarity, np.searchsorted(gallery, shown), n_resamples=0)
    return table.set_index(["n_way", "k"])["accuracy"]


def test_averaged_embeddings_are_scored_as_the_contest_does(planted):
    cv = LeaveOneSubjectOut()
    report = evaluate(Ridge(10.0), planted.view, targets=planted.table, cv=cv, average_test="embeddings")
    scores = report.scores.query("metric == 'top-5'").set_index("subject")["value"]
    y, people = planted.rows["stimulus"].to_numpy(), planted.rows["subject"].to_numpy()
    flat = planted.X.reshape(len(planted.X), -1)
    for train, test in cv.split(planted.view, groups=people):
        ridge = Ridge(10.0).fit(flat[train], planted.table.lookup(y[train]))
        scorer = make_retrieval_scorer(planted.table, k=5, average="embeddings")
        expected = scorer(ridge, flat[test], y[test], subject=people[test])
        assert scores[people[test[0]]] == pytest.approx(expected, abs=1e-12)
    assert "averaged are its embeddings" in " ".join(report.flags["text"])
    assert report.queries.groupby(["subject", "stimulus"]).size().max() == 1
    for estimator, changed, said in (
        (ImageRetriever(Ridge(), hubness="csls"), {}, "ImageRetriever corrects its similarities"),
        (Ridge(), {"oracle": True}, "no figures of averaged embeddings"),
        (Ridge(), {"average_test": "epochs"}, "average_test must be one of True, False, 'embeddings'"),
    ):
        with pytest.raises(ValueError, match=said):
            evaluate(
                estimator,
                planted.view,
                **{"targets": planted.table, "cv": cv, "average_test": "embeddings", **changed},
            )


@pytest.mark.parametrize("average", [True, False])
def test_figures_are_those_of_the_metrics(planted, average):
    cv = LeaveOneSubjectOut()
    report = evaluate(Ridge(10.0), planted.view, targets=planted.table, cv=cv, average_test=average)
    scores = report.scores.set_index(["subject", "metric"])["value"]
    for (train, test), name in zip(cv.split(planted.view), ["ann", "bob", "cyd"], strict=True):
        expected = by_hand(planted, train, test, average)
        assert scores[name, "top-1"] == pytest.approx(expected[12, 1])
        assert scores[name, "top-5"] == pytest.approx(expected[12, 5])
        assert scores[name, "2-way"] == pytest.approx(expected[2, 1])
        assert scores[name, "10-way top-5"] == pytest.approx(expected[10, 5])
    assert report.scores["chance"].groupby(report.scores["metric"]).first()["top-5"] == pytest.approx(5 / 12)
    assert report.queries["stimulus"].nunique() == 12
    assert len(report.queries) == (36 if average else 72)


def test_all_forms_of_X_agree(planted):
    rows = planted.rows
    info = mne.create_info(4, 100.0, "eeg")
    epochs = mne.EpochsArray(planted.X / 1e6, info, metadata=rows, verbose=False)
    y, subject, split = (rows[name].to_numpy() for name in ("stimulus", "subject", "split"))
    estimator = ImageRetriever(Ridge(10.0), targets=planted.table)
    forms = {
        "view": evaluate(estimator, planted.view, cv=LeaveOneSubjectOut()),
        "array": evaluate(
            estimator, planted.X, y, subject=subject, cv=LeaveOneSubjectOut(split_labels=split)
        ),
        "epochs": evaluate(estimator, epochs, y, cv=LeaveOneSubjectOut()),
        "given splits": evaluate(estimator, planted.view, cv=list(LeaveOneSubjectOut().split(planted.view))),
    }
    first = forms.pop("view").scores
    assert first["value"].max() > 0.5
    for name, report in forms.items():
        pd.testing.assert_frame_equal(report.scores, first, obj=name, rtol=1e-4)


def test_what_can_be_evaluated(planted):
    flat = FunctionTransformer(np.asarray), FunctionTransformer(_flat)
    report = evaluate(
        {
            "regressor": Ridge(10.0),
            "pipeline": make_pipeline(*flat, Ridge(10.0)),
            "retriever": ImageRetriever(Ridge(10.0), targets=planted.table),
            "pipeline, retriever": make_pipeline(flat[0], ImageRetriever(Ridge(10.0))),
            "classifier": ZeroShotClassifier(Ridge(10.0)),
            "search": GridSearchCV(
                make_pipeline(flat[0], ImageRetriever(Ridge(10.0), targets=planted.table)),
                {"imageretriever__whiten": [0.0]},
                scoring=make_retrieval_scorer(),
                cv=3,
            ),
            "frozen": FrozenEstimator(
                ImageRetriever(Ridge(10.0), targets=planted.table).fit(
                    planted.view.select(split="train"), planted.view.select(split="train").stimulus
                )
            ),
        },
        planted.view,
        targets=planted.table,
        candidates=planted.names,
        cv=WithinSubject(),
    )
    means = report.summary(["top-1"]).set_index(["estimator", "task"])["mean"]
    for name in ("regressor", "pipeline", "retriever", "pipeline, retriever", "classifier", "search"):
        assert means[name, "retrieval"] == means["regressor", "retrieval"] > 0.5
        # One picture a concept: its vector is its name's.
        assert means[name, "classification"] == means["regressor", "classification"] > 0.5
    assert means["frozen", "retrieval"] > 0.5
    assert report.flags.query("about == 'frozen'")["estimator"].tolist() == ["frozen"]


def _flat(X):
    return X.reshape(len(X), -1)


def test_classifiers_of_labels(planted):
    rng = np.random.default_rng(0)
    kinds = np.array(["face", "house", "tool"])
    y, subject = np.tile(kinds, 24), np.repeat(["ann", "bob", "cyd", "dan"], 18)
    X = rng.standard_normal((72, 2, 6)) + 1.5 * np.searchsorted(kinds, y)[:, None, None]
    view = EpochsView.from_arrays(X, subject=subject, stimulus=y)
    report = evaluate(
        {
            "LDA": make_pipeline(
                FunctionTransformer(np.asarray), FunctionTransformer(_flat), LinearDiscriminantAnalysis()
            ),
            "codes": ZeroShotClassifier(Ridge()),
            "codes, retriever": ImageRetriever(Ridge()),
        },
        view,
        cv=LeaveOneGroupOut(),
        average_test=False,
    )
    summary = report.summary(["top-1"]).set_index("estimator")
    assert set(summary["task"]) == {"classification"}
    assert (summary["mean"] > 0.6).all()
    assert summary["chance"].tolist() == pytest.approx([1 / 3] * 3)
    assert (summary["p"] < 0.01).all()
    two = view[np.isin(y, kinds[:2])]
    found = evaluate(ZeroShotClassifier(Ridge()), two, cv=LeaveOneGroupOut()).summary(["top-1"])
    assert found["mean"].item() > 0.6


def test_folds_are_handed_the_right_groups(planted):
    by_kind = evaluate(Ridge(10.0), planted.view, targets=planted.table, cv=ConceptKFold(4))
    assert {flag for audit in by_kind.audits.values() for flag in audit.flags} == {"subjects"}
    assert by_kind.scores["subject"].nunique() == 3
    y = planted.view.stimulus
    by_picture = evaluate(Ridge(10.0), planted.view, targets=planted.table, cv=GroupKFold(4), groups=y)
    assert all("stimuli" not in audit.flags for audit in by_picture.audits.values())
    assert any("concepts" in audit.flags for audit in by_picture.audits.values())


# -- seeds ---------------------------------------------------------------------------------------------


def test_seeds(planted):
    estimators = {"net": encoder(planted), "kernel": _Unseeded(10.0)}
    runs = [
        evaluate(
            estimators, planted.view, targets=planted.table, cv=WithinSubject(), n_seeds=2, random_state=state
        )
        for state in (0, 0, 1)
    ]
    first, again, other = (
        run.scores.query("estimator == 'net' and metric == '2-way'")["value"] for run in runs
    )
    np.testing.assert_array_equal(first, again)
    assert (first.to_numpy() != other.to_numpy()).any()
    counts = runs[0].scores.query("metric == 'top-1'").groupby("estimator")["seed"].nunique()
    assert (counts["net"], counts["kernel"]) == (2, 1)
    seeds = (
        runs[0]
        .scores.query("estimator == 'net' and metric == '2-way'")
        .pivot(index="subject", columns="seed", values="value")
    )
    assert (seeds[0] != seeds[1]).any()
    assert "seeds" in set(runs[0].intervals(["top-1"]).query("estimator == 'net'")["over"])


class _Unseeded(Ridge):
    """A ridge regression without the parameter random_state."""

    def __init__(self, alpha=1.0):
        super().__init__(alpha)


# -- resuming ------------------------------------------------------------------------------------------


def count_cells(monkeypatch):
    done = []
    run = module.run_cell

    def counted(task, name, *rest):
        done.append(name)
        return run(task, name, *rest)

    monkeypatch.setattr(module, "run_cell", counted)
    return done


def test_finished_cells_are_not_done_again(planted, tmp_path, monkeypatch):
    done = count_cells(monkeypatch)
    arguments = {"targets": planted.table, "cv": WithinSubject(), "folder": tmp_path}
    first = evaluate({"a": Ridge(10.0)}, planted.view, **arguments)
    assert done == ["a"] * 3
    again = evaluate({"a": Ridge(10.0), "b": Ridge(1.0)}, planted.view, **arguments)
    assert done == ["a"] * 3 + ["b"] * 3
    pd.testing.assert_frame_equal(again.scores.query("estimator == 'a'"), first.scores)
    pd.testing.assert_frame_equal(
        again.queries.query("estimator == 'a'").reset_index(drop=True), first.queries
    )


@pytest.mark.parametrize("change", ["parameter", "data", "labels", "split", "average", "targets", "seed"])
def test_a_changed_cell_is_done_again(planted, tmp_path, monkeypatch, change):
    done = count_cells(monkeypatch)
    arguments = {"targets": planted.table, "cv": WithinSubject(), "folder": tmp_path}
    evaluate(Ridge(10.0), planted.view, **arguments)
    view, ridge = planted.view, Ridge(10.0)
    if change == "parameter":
        ridge = Ridge(11.0)
    elif change == "data":
        X = planted.X.copy()
        X[0, 0, 0] += 1e-3
        view = EpochsView.from_arrays(X, rows=planted.rows)
    elif change == "labels":
        y = planted.rows["stimulus"].to_numpy().copy()
        y[[0, 2]] = y[[2, 0]]
        view = EpochsView.from_arrays(planted.X, rows=planted.rows.assign(stimulus=y))
    elif change == "split":
        arguments["cv"] = [(train[1:], test) for train, test in WithinSubject().split(view)]
    elif change == "average":
        arguments["average_test"] = False
    elif change == "targets":
        arguments["targets"] = EmbeddingTable(planted.table.ids, planted.table.vectors + 1e-3)
    else:
        arguments["random_state"] = 1
    evaluate(ridge, view, **arguments)
    assert len(done) == 6


def test_what_does_not_matter_is_not_part_of_the_fingerprint(planted, tmp_path, monkeypatch):
    done = count_cells(monkeypatch)
    arguments = {"cv": WithinSubject(), "folder": tmp_path}
    evaluate({"net": encoder(planted, max_epochs=1)}, planted.view, **arguments)
    evaluate({"net": encoder(planted, max_epochs=1, verbose=0, random_state=5)}, planted.view, **arguments)
    assert len(done) == 3


def test_a_store_is_known_again_wherever_it_lies(planted, tmp_path, monkeypatch):
    done = count_cells(monkeypatch)
    info = mne.create_info(4, 100.0, "eeg")
    EpochsStore.create(tmp_path / "store", planted.X, planted.rows, info=info)
    arguments = {"targets": planted.table, "cv": WithinSubject(), "folder": tmp_path / "report"}
    first = evaluate(Ridge(10.0), EpochsStore.open(tmp_path / "store").view(), **arguments)
    (tmp_path / "store").rename(tmp_path / "moved")
    view = EpochsStore.open(tmp_path / "moved").view()
    again = evaluate(Ridge(10.0), view, **arguments)
    assert len(done) == 3
    pd.testing.assert_frame_equal(first.scores, again.scores)
    evaluate(Ridge(10.0), view.crop(0.02), **arguments)
    assert len(done) == 6
    in_memory = evaluate(Ridge(10.0), planted.view, targets=planted.table, cv=WithinSubject())
    pd.testing.assert_frame_equal(first.scores, in_memory.scores)


def test_an_interrupted_evaluation_goes_on(planted, tmp_path, monkeypatch):
    run = module.run_cell
    done = []

    def interrupted(task, name, *rest):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(name)
        return run(task, name, *rest)

    monkeypatch.setattr(module, "run_cell", interrupted)
    arguments = {"targets": planted.table, "cv": WithinSubject(), "folder": tmp_path}
    with pytest.raises(KeyboardInterrupt):
        evaluate(Ridge(10.0), planted.view, **arguments)
    assert len(list(tmp_path.rglob("*.cell"))) == 2
    assert not list(tmp_path.rglob("*.tmp"))
    monkeypatch.setattr(module, "run_cell", run)
    # A damaged file counts as none, and is told of.
    next(tmp_path.rglob("*.cell")).write_bytes(b"PK\x03\x04 not a cell")
    done = count_cells(monkeypatch)
    with pytest.warns(RuntimeWarning, match="is not a result that was written here"):
        report = evaluate(Ridge(10.0), planted.view, **arguments)
    assert len(done) == 2
    pd.testing.assert_frame_equal(
        report.scores, evaluate(Ridge(10.0), planted.view, targets=planted.table, cv=WithinSubject()).scores
    )


def test_what_a_worker_finished_before_it_died_is_found_by_the_next(planted, tmp_path, monkeypatch):
    arguments = {"targets": planted.table, "cv": WithinSubject(), "folder": tmp_path}
    first = evaluate(Ridge(10.0), planted.view, **arguments)
    load, asked = module.load_cell, []

    def late(path, queries):  # not there when the evaluation looks, there when the work is begun
        asked.append(path)
        return load(path, queries) if asked.count(path) > 1 else None

    monkeypatch.setattr(module, "load_cell", late)
    done = count_cells(monkeypatch)
    second = evaluate(Ridge(10.0), planted.view, **arguments)
    assert done == []
    pd.testing.assert_frame_equal(second.scores, first.scores)


class Bent(TransformerMixin, BaseEstimator):
    """A step of one's own; its code is changed below."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return bend(np.asarray(X))


def bend(X):
    return np.maximum(X, 0)


def turned(X):
    return np.sin(X)


def test_a_cell_is_of_the_code_that_made_it(planted, tmp_path, monkeypatch):
    pipeline = make_pipeline(Bent(), ImageRetriever(Ridge(10.0), targets=planted.table))
    arguments = {"cv": WithinSubject(), "folder": tmp_path}
    done = count_cells(monkeypatch)
    evaluate(pipeline, planted.view, **arguments)
    evaluate(pipeline, planted.view, **arguments)
    assert len(done) == 3
    monkeypatch.setattr(sys.modules[__name__], "bend", turned)
    stored = evaluate(pipeline, planted.view, **arguments)
    assert len(done) == 6
    pd.testing.assert_frame_equal(stored.scores, evaluate(pipeline, planted.view, cv=WithinSubject()).scores)


def test_lambdas_are_told_by_what_they_do(planted, tmp_path, monkeypatch):
    done = count_cells(monkeypatch)
    arguments = {"targets": planted.table, "cv": WithinSubject(), "folder": tmp_path}
    for factor, n_done in ((1, 3), (1, 3), (2, 6)):
        step = FunctionTransformer(lambda X, by=factor: by * np.asarray(X).reshape(len(X), -1))
        evaluate(make_pipeline(step, Ridge()), planted.view, **arguments)
        assert len(done) == n_done


def test_what_cannot_be_told_from_others_is_not_kept(planted, tmp_path, monkeypatch):
    done = count_cells(monkeypatch)
    step = FunctionTransformer(_flat_beside, kw_args={"opaque": Opaque()})
    for _ in range(2):
        with pytest.warns(
            RuntimeWarning, match=r"estimators\['Pipeline'\] cannot be told from others .* not kept"
        ):
            evaluate(
                make_pipeline(step, Ridge()),
                planted.view,
                targets=planted.table,
                cv=WithinSubject(),
                folder=tmp_path,
            )
    assert len(done) == 6
    assert not list(tmp_path.rglob("*.cell"))


class Opaque:
    """Something that has no state to look at."""

    def __deepcopy__(self, memo):
        return self

    def __reduce_ex__(self, protocol):
        raise TypeError("cannot be reduced")


def _flat_beside(X, opaque):
    return np.asarray(X).reshape(len(X), -1)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:A worker stopped while some jobs were given")
def test_in_parallel(planted, tmp_path):
    arguments = {"targets": planted.table, "cv": LeaveOneSubjectOut(), "n_seeds": 2}
    estimators = {"net": encoder(planted), "ridge": Ridge(10.0)}
    one = evaluate(estimators, planted.view, **arguments)
    two = evaluate(estimators, planted.view, n_jobs=2, folder=tmp_path, **arguments)
    pd.testing.assert_frame_equal(one.scores, two.scores, atol=0.1)  # torch rounds otherwise in a worker
    assert one.scores["estimator"].tolist() == two.scores["estimator"].tolist()


def test_an_error_says_where(planted):
    with pytest.raises(KeyError) as caught:
        evaluate({"bad": Ridge()}, planted.view, targets=planted.names, cv=WithinSubject())
    assert any("estimator 'bad' on fold 'ann' with seed 0" in note for note in caught.value.__notes__)


# -- oracle --------------------------------------------------------------------------------------------


def test_the_oracle_is_the_best_pass_and_changes_nothing_else(planted):
    arguments = {"cv": WithinSubject(), "candidates": planted.names}
    estimators = {"net": encoder(planted), "ridge": ImageRetriever(Ridge(10.0), targets=planted.table)}
    plain = evaluate(estimators, planted.view, **arguments)
    report = evaluate(estimators, planted.view, oracle=True, **arguments)
    honest = report.scores[~report.scores["metric"].str.startswith("oracle")].reset_index(drop=True)
    pd.testing.assert_frame_equal(honest, plain.scores)

    # The passes one by one, from trainings that end there.
    y, best = planted.view.stimulus, []
    train, test = next(iter(WithinSubject().split(planted.view)))
    for n_passes in range(1, 5):
        one = encoder(planted, max_epochs=n_passes, validation=0.2)
        retriever = ImageRetriever(one, gallery=planted.table.subset(planted.test_ids))
        set_seeds(retriever, np.random.default_rng([0, 0]))
        retriever.encoder.set_params(callbacks=[("last", _KeepLast())])
        retriever.fit(planted.view[train], y[train])
        X, shown, _ = average_repetitions(planted.view[test], y[test])
        best.append(retriever.score(X, shown))
    scores = report.scores.set_index(["estimator", "subject", "metric"])["value"]
    assert scores["net", "ann", "oracle top-1"] == pytest.approx(max(best))
    bias = report.bias()
    assert bias["estimator"].unique().tolist() == ["net"]
    assert (bias.query("metric == 'top-1'")["bias"] >= -1e-12).all()
    assert "oracle" in set(report.flags["about"])
    assert "oracle" not in set(plain.flags["about"])


class _KeepLast(Callback):
    """Undo the choice of the best pass: the weights of the last one."""

    def on_epoch_end(self, net, **kwargs):
        dict(net.callbacks_)["skeegclip_best_weights"].loss_ = float("inf")
        dict(net.callbacks_)["skeegclip_best_weights"].on_epoch_end(net)


@pytest.mark.slow
def test_an_oracle_in_noise_looks_like_skill(planted):
    noise = np.random.default_rng(3).standard_normal(planted.X.shape).astype(np.float32)
    view = EpochsView.from_arrays(noise, rows=planted.rows)
    net = encoder(planted, max_epochs=15)
    report = evaluate({"net": net}, view, cv=LeaveOneSubjectOut(), oracle=True, n_seeds=2)
    table = report.bias(["top-1"]).iloc[0]
    assert table["oracle"] > table["honest"] + 0.05
    assert report.summary(["top-1"])["p"].item() > 0.02


# -- leaks planted on purpose --------------------------------------------------------------------------


def test_planted_leaks_are_flagged(planted):
    rows = planted.rows
    kind = rows["concept"].str.replace("new", "kind")  # ten test pictures are of trained concepts
    onset = 0.2 * np.arange(len(rows))
    info = mne.create_info(4, 10.0, "eeg")  # epochs of 1 s
    leaky = rows.assign(concept=kind, run="1", session="1", onset=onset)
    view = EpochsView.from_arrays(planted.X, info=info, rows=leaky)
    subject = rows["subject"].to_numpy()
    memory = [
        (np.flatnonzero(subject == one)[::2], np.flatnonzero(subject == one)[1::2]) for one in ("ann", "bob")
    ]
    with pytest.warns(LeakWarning, match="52 repetitions shared"):
        report = evaluate(
            {
                "csls": ImageRetriever(Ridge(10.0), targets=planted.table, hubness="csls"),
                "plain": Ridge(10.0),
            },
            view,
            targets=planted.table,
            cv=memory,
        )
    flags = report.flags.set_index("about")["level"].to_dict()
    assert {"repetitions", "stimuli", "overlap"} <= {
        about for about, level in flags.items() if level == "leak"
    }
    assert flags["concepts"] == flags["runs"] == flags["transductive"] == "warning"
    assert report.flags.query("about == 'transductive'")["estimator"].tolist() == ["csls"]
    assert report.flags["level"].tolist() == sorted(
        report.flags["level"], key=["leak", "warning", "note"].index
    )
    text = report.to_markdown()
    assert "memory passes for decoding" in text
    assert "| csls * |" in text

    clean = evaluate(Ridge(10.0), planted.view, targets=planted.table, cv=LeaveOneSubjectOut())
    assert set(clean.flags["level"]) == {"note"}


def test_whitening_by_subject_is_flagged(planted):
    retriever = ImageRetriever(SubjectWhitening(Ridge(10.0)), targets=planted.table)
    report = evaluate(retriever, planted.view, cv=LeaveOneSubjectOut())
    assert report.flags.query("level == 'warning'")["about"].tolist() == ["transductive"]


@pytest.mark.parametrize("average", [True, False])
def test_beside_a_transductive_figure_stands_the_inductive_one(planted, tmp_path, average):
    hubs = ImageRetriever(SubjectWhitening(Ridge(10.0)), targets=planted.table, hubness="sinkhorn", refine=2)
    arguments = {
        "targets": planted.table,
        "cv": LeaveOneSubjectOut(),
        "average_test": average,
        "folder": tmp_path,
    }
    named = {"hubs": make_pipeline(FunctionTransformer(), hubs), "plain": Ridge(10.0)}
    report = evaluate(named, planted.view, **arguments)
    assert list(report.estimators) == ["hubs", "hubs, each query alone", "plain"]
    values = report.scores.pivot_table("value", ["task", "subject", "metric"], "estimator", sort=False)
    assert average or (values["hubs"] != values["plain"]).any()  # averages are all found anyway
    np.testing.assert_array_equal(values["hubs, each query alone"], values["plain"])
    pairs = report.compare().set_index(["estimator", "minus"])["difference"]
    assert pairs["hubs, each query alone", "plain"] == 0
    assert set(report.flags.query("about == 'transductive'")["estimator"]) == {"hubs"}
    text = report.to_markdown()
    assert "| hubs * |" in text
    assert "| hubs, each query alone |" in text
    # Kept with the cell, and read again.
    again = evaluate(named, planted.view, **arguments)
    assert again.scores.equals(report.scores)
    assert "hubs, each query alone" in again.estimators


# -- bad input -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"estimators": {}}, ValueError, "at least one estimator"),
        ({"estimators": {"a": Ridge}}, TypeError, "must map names to estimators"),
        ({"n_seeds": 0}, ValueError, "n_seeds must lie in"),
        ({"targets": [1, 2]}, TypeError, "targets must be an EmbeddingTable"),
        ({"y": [1] * 312}, TypeError, "y must hold strings"),
        ({"y": ["a"]}, ValueError, "y must hold one id per epoch"),
        ({"subject": ["ann"] * 312}, ValueError, "subject disagrees"),
        ({"concept": "kind"}, ValueError, "concept='kind' names a column"),
        (
            {"cv": [(np.arange(100), [0, 1])]},
            ValueError,
            "tests 1 stimuli, so there is nothing to choose from",
        ),
    ],
)
def test_bad_input(planted, arguments, error, message):
    given = {"estimators": Ridge(), "targets": planted.table, "cv": WithinSubject(), **arguments}
    estimators = given.pop("estimators")
    with pytest.raises(error, match=message):
        evaluate(estimators, planted.view, **given)


def test_missing_ids_and_concepts(planted):
    with pytest.raises(ValueError, match="X carries no stimuli"):
        evaluate(Ridge(), planted.X, targets=planted.table, cv=WithinSubject())
    y = planted.rows["stimulus"].to_numpy()
    with pytest.raises(ValueError, match="the concept of each epoch is not known"):
        evaluate(Ridge(), planted.X, y, targets=planted.table, candidates=planted.names, cv=WithinSubject())
    labels = np.array([f"class_{i % 5}" for i in range(312)])
    splits = [(np.flatnonzero(labels[20:] < "class_3") + 20, np.arange(20))]
    with pytest.raises(ValueError, match="cannot name them"):
        evaluate(ZeroShotClassifier(Ridge()), planted.X, labels, cv=splits)


@pytest.mark.parametrize(
    ("split", "match"),
    [
        (([0], [99]), "test rows must be among the 12 rows of X, got 99 to 99"),
        (([0, -13], [1]), "training rows must be among"),
        ((np.arange(12), []), "test rows are none"),
        (([], np.arange(12)), "training rows are none"),
        (([0.0, 1.0], [2]), "training rows must be row numbers or a mask, got float64"),
        (
            (np.ones(12, bool), np.ones(11, bool)),
            "test rows must be among the 12 rows of X, got a mask of 11",
        ),
    ],
)
def test_rows_that_are_none_of_X_are_named_before_training(split, match):
    X, y = np.random.default_rng(0).normal(size=(12, 3, 4)), ["a", "b", "c"] * 4
    with pytest.raises(ValueError, match=f"cv: fold 'fold-1': the {match}"):
        evaluate({"r": ZeroShotClassifier(Ridge())}, X, y, cv=[split])


@pytest.mark.slow
def test_an_estimator_that_cannot_say_what_it_asks_for_gets_the_epochs_alone(planted):
    # scikit-learn's RidgeCV without scoring asks itself for its metadata, without end.
    y, subject = (planted.rows[name].to_numpy() for name in ("stimulus", "subject"))
    splits = list(LeaveOneSubjectOut().split(planted.view))
    estimators = {
        "plain": RidgeCV([10.0]),
        "retriever": ImageRetriever(RidgeCV([10.0]), targets=planted.table),
        "whitened": SubjectWhitening(RidgeCV([10.0]), targets=planted.table),
    }
    arguments = {"y": y, "subject": subject, "targets": planted.table, "cv": splits}
    found = evaluate(estimators, planted.X, **arguments).scores.groupby("estimator")["value"].mean()
    same = {
        **estimators,
        "plain": Ridge(10.0),
        "whitened": SubjectWhitening(Ridge(10.0), targets=planted.table),
    }
    expected = evaluate(same, planted.X, **arguments).scores.groupby("estimator")["value"].mean()
    pd.testing.assert_series_equal(found, expected)
