"""Callbacks: the user's act as given, every one of skorch's works or says why not, and ours keep what they promise."""

import inspect
import io
import json
import pickle
import sys
import threading
import types

import joblib
import numpy as np
import pytest
import skorch.callbacks
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from skorch import callbacks as cb

from skeegclip import EEGEncoder, EmbeddingTable, EnsembleEncoder, ImageRetriever, ZeroShotClassifier
from skeegclip._training.callbacks import AveragedWeights, BestWeights


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    table = EmbeddingTable([f"s{i:02d}" for i in range(30)], rng.standard_normal((30, 8)))
    y = np.repeat(table.ids, 2)
    X = 5 * (table.lookup(y) @ rng.standard_normal((8, 4 * 10))).reshape(-1, 4, 10)
    return X.astype(np.float32), y, table


@pytest.fixture
def make(data):
    def make(*callbacks, **params):
        defaults = {"max_epochs": 3, "lr": 3e-3, "batch_size": 16, "random_state": 0, "validation": 0.2}
        params = {**defaults, **params}
        return EEGEncoder("eegproject", targets=data[2], callbacks=list(callbacks), device="cpu", **params)

    return make


@pytest.fixture
def fit(data, make):
    return lambda *callbacks, **params: make(*callbacks, **params).fit(data[0], data[1])


class Diary(cb.Callback):
    """Keeps what it sees, and holds a lock as loggers do."""

    def __init__(self):
        self.passes, self.lock = [], threading.Lock()

    def on_epoch_end(self, net, **kwargs):
        with self.lock:
            self.passes.append(net.history[-1, "train_loss"])


# -- as given ------------------------------------------------------------------------------------------


def test_the_users_own_object_sees_the_run(data, fit):
    diary = Diary()
    encoder = fit(diary, ("named", other := Diary()))
    assert diary.passes == other.passes == [row["train_loss"] for row in encoder.history_]


@pytest.mark.parametrize(
    "wrap",
    [
        ZeroShotClassifier,
        ImageRetriever,
        lambda encoder: ImageRetriever(make_pipeline(FunctionTransformer(), encoder)),
        lambda encoder: EnsembleEncoder([("one", encoder)]),
    ],
    ids=["classifier", "retriever", "pipeline", "ensemble"],
)
def test_it_sees_the_fit_of_what_stands_around_the_encoder(data, make, wrap):
    diary = Diary()
    wrap(make(diary)).fit(data[0], data[1])
    assert len(diary.passes) == 3


def test_a_clone_has_its_own_state_and_the_same_handles(make):
    class Stop(cb.Callback):
        def __init__(self, writer):
            self.writer, self.best, self.seen, self.weights = writer, np.inf, [], np.zeros(2)

    class Writer:
        pass

    stop = Stop(Writer())
    copied = clone(make(stop, ("b", cb.EarlyStopping(patience=7)))).callbacks
    assert copied[0] is not stop
    assert copied[0].writer is stop.writer
    copied[0].seen.append(1)
    copied[0].weights += 1
    copied[0].best = 0
    assert (stop.seen, stop.best, stop.weights.sum()) == ([], np.inf, 0)
    assert copied[1][0] == "b"
    assert copied[1][1].patience == 7


def test_folds_do_not_share_what_a_callback_remembers(data, make):
    class StopEarly(cb.Callback):
        """Its state is made once, as in many a script; a second fold that found it would stop at once."""

        def __init__(self, log):
            self.n_seen, self.log = 0, log

        def on_epoch_end(self, net, **kwargs):
            self.n_seen += 1
            self.log(self.n_seen)

    calls = []
    search = GridSearchCV(
        make(StopEarly(calls.append)), {"lr": [1e-3, 2e-3]}, cv=2, refit=False, error_score="raise"
    )
    search.fit(data[0], data[1])
    assert calls == [1, 2, 3] * 4


@pytest.mark.slow
def test_a_search_in_processes_takes_what_can_be_pickled(data, make):
    search = GridSearchCV(
        make(cb.EarlyStopping(sink=len)), {"lr": [1e-3, 2e-3]}, cv=2, n_jobs=2, error_score="raise"
    )
    assert np.isfinite(search.fit(data[0], data[1]).best_score_)


def test_what_cannot_be_pickled_says_so_in_one_sentence(make):
    for dump in (pickle.dumps, lambda encoder: joblib.dump(encoder, io.BytesIO())):
        with pytest.raises(TypeError, match=r"callbacks: Diary holds what cannot be .* Use n_jobs=1"):
            dump(make(Diary()))
    pickle.dumps(make(Diary()).set_params(callbacks=None))


def test_a_fitted_encoder_pickles_without_the_optimizer_of_its_run(data, fit):
    encoder = fit(cb.LRScheduler(torch.optim.lr_scheduler.StepLR, step_size=2))
    size = len(pickle.dumps(encoder))
    again = pickle.loads(pickle.dumps(encoder))
    np.testing.assert_allclose(again.transform(data[0]), encoder.transform(data[0]), rtol=1e-5)
    assert size < 1.1 * len(pickle.dumps(fit())) + 2000


def test_a_second_fit_begins_anew(data, fit):
    stopping = cb.EarlyStopping(patience=1, threshold=10.0)
    assert len(fit(stopping, max_epochs=5).history_) == 2
    assert len(fit(stopping, max_epochs=5).history_) == 2


# -- every callback of skorch --------------------------------------------------------------------------


class Writer:
    """The calls that skorch makes of TensorBoard's writer, of a run of Weights & Biases, and of Sacred."""

    def __init__(self, folder):
        self.dir, self.lock, self.said = str(folder), threading.Lock(), []

    def add_scalar(self, tag, scalar_value, global_step):
        self.said.append((tag, float(scalar_value), global_step))

    def watch(self, module):
        assert isinstance(module, torch.nn.Module)

    def log(self, values):
        self.said.append(json.loads(json.dumps(values)))

    def log_scalar(self, name, value, step=None):
        self.said.append((name, float(value), step))

    def close(self):
        self.said.append("closed")


class Client:
    """The calls that skorch makes of MLflow's client."""

    def __init__(self):
        self.lock, self.metrics, self.files = threading.Lock(), [], []

    def log_metric(self, run_id, key, value, step):
        self.metrics.append((key, float(value), step))

    def log_artifact(self, run_id, path):
        self.files.append(path.name)

    def set_terminated(self, run_id):
        self.files.append("terminated")


class Neptune(dict):
    """A run of Neptune: series under paths."""

    def __missing__(self, key):
        self[key] = Neptune()
        return self[key]

    def append(self, value):
        self.setdefault("values", []).append(value)


MLFLOW_RUN = types.SimpleNamespace(info=types.SimpleNamespace(run_id="1"))
STEP = torch.optim.lr_scheduler.StepLR
PLATEAU = torch.optim.lr_scheduler.ReduceLROnPlateau
WORKS = {
    "BatchScoring": lambda d: [cb.BatchScoring("r2", lower_is_better=False)],
    "Callback": lambda d: [cb.Callback()],
    "Checkpoint": lambda d: [cb.Checkpoint(dirname=str(d), load_best=True)],
    "EarlyStopping": lambda d: [cb.EarlyStopping(load_best=True)],
    "EpochScoring": lambda d: [cb.EpochScoring("r2", lower_is_better=False)],
    "EpochTimer": lambda d: [cb.EpochTimer()],
    "Freezer": lambda d: [cb.Freezer("*bias")],
    "GradientNormClipping": lambda d: [cb.GradientNormClipping(1.0)],
    "Initializer": lambda d: [cb.Initializer("*bias", fn=torch.nn.init.zeros_)],
    "LRScheduler": lambda d: [cb.LRScheduler(PLATEAU, monitor="valid_loss")],
    "LoadInitState": lambda d: [point := cb.Checkpoint(dirname=str(d)), cb.LoadInitState(point)],
    "MlflowLogger": lambda d: [cb.MlflowLogger(MLFLOW_RUN, Client(), log_on_batch_end=True)],
    "NeptuneLogger": lambda d: [cb.NeptuneLogger(Neptune(), close_after_train=False)],
    "ParamMapper": lambda d: [cb.ParamMapper("*", fn=lambda parameter: None)],
    "PassthroughScoring": lambda d: [cb.PassthroughScoring("valid_loss")],
    "PrintLog": lambda d: [cb.PrintLog()],
    "ProgressBar": lambda d: [cb.ProgressBar()],
    "SacredLogger": lambda d: [cb.SacredLogger(Writer(d), log_on_batch_end=True)],
    "TensorBoard": lambda d: [cb.TensorBoard(Writer(d))],
    "TrainEndCheckpoint": lambda d: [end := cb.TrainEndCheckpoint(dirname=str(d)), cb.LoadInitState(end)],
    "Unfreezer": lambda d: [cb.Freezer("*bias"), cb.Unfreezer("*bias", at=2)],
    "WandbLogger": lambda d: [cb.WandbLogger(Writer(d))],
}
REFUSED = {
    "InputShapeSetter": (lambda: cb.InputShapeSetter(), TypeError, "InputShapeSetter has nothing to set"),
    "WarmRestartLR": (lambda: cb.WarmRestartLR, TypeError, "WarmRestartLR is a schedule, not a callback"),
}


def test_none_is_forgotten():
    assert sorted([*WORKS, *REFUSED]) == sorted(skorch.callbacks.__all__)


@pytest.mark.parametrize("name", sorted(WORKS))
@pytest.mark.parametrize("workers", ["alone", "in a clone"])
def test_it_works(name, workers, data, make, tmp_path, monkeypatch):
    if name == "NeptuneLogger":  # it imports a class that describes a file
        file = types.SimpleNamespace(from_content=lambda text, extension: text)
        monkeypatch.setitem(sys.modules, "neptune", types.ModuleType("neptune"))
        monkeypatch.setitem(sys.modules, "neptune.types", types.SimpleNamespace(File=file))
    encoder = make(*WORKS[name](tmp_path))
    encoder = clone(encoder) if workers == "in a clone" else encoder
    encoder.fit(data[0], data[1])
    assert len(encoder.history_) == 3
    encoder.fit(data[0], data[1])  # as often as one likes, and LoadInitState goes on from the file
    assert len(encoder.history_) == (6 if name in ("LoadInitState", "TrainEndCheckpoint") else 3)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_or_says_why_not(name, fit):
    made, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        fit(made())


def test_loggers_log(fit, tmp_path):
    writer, client, run, sacred = Writer(tmp_path), Client(), Writer(tmp_path), Writer(tmp_path)
    encoder = fit(
        cb.TensorBoard(writer),
        cb.MlflowLogger(MLFLOW_RUN, client),
        cb.WandbLogger(run),
        cb.SacredLogger(sacred, log_on_batch_end=True),
        cb.PassthroughScoring("train_loss", on_train=True),
    )
    losses = [row["valid_loss"] for row in encoder.history_]
    assert [value for tag, value, _ in writer.said[:-1] if tag == "Loss/valid_loss"] == losses
    assert writer.said[-1] == "closed"
    assert [value for key, value, _ in client.metrics if key == "valid_loss"] == losses
    assert client.files == ["params.pth", "optimizer.pth", "criterion.pth", "history.json", "terminated"]
    assert [entry["valid_loss"] for entry in run.said] == losses
    assert (tmp_path / "best_model.pth").stat().st_size > 0
    batches = [value for name, value, _ in sacred.said if name == "train_loss_batch"]
    sizes = [value for name, value, _ in sacred.said if name == "train_batch_size_batch"]
    per_pass = zip(np.split(np.array(batches), 3), np.split(np.array(sizes), 3), strict=True)
    means = [np.average(losses, weights=size) for losses, size in per_pass]
    np.testing.assert_allclose(means, [row["train_loss"] for row in encoder.history_], rtol=1e-5)


def test_a_checkpoint_is_written_where_the_loss_was_best(data, fit, tmp_path):
    encoder = fit(cb.Checkpoint(dirname=str(tmp_path)), max_epochs=6)
    best = np.argmin([row["valid_loss"] for row in encoder.history_]) + 1
    history = json.loads((tmp_path / "history.json").read_text())
    assert history[-1]["epoch"] == best == encoder.selection_["epoch"]
    saved = torch.load(tmp_path / "params.pt", weights_only=True)
    for key, value in encoder.net_.module_.state_dict().items():
        assert torch.equal(saved[key], value)


@pytest.mark.parametrize("name", ["checkpoint", "early stopping"])
def test_selection_names_the_pass_that_a_callback_put_back(data, fit, tmp_path, name):
    class Keep(cb.Callback):
        def on_train_begin(self, net, **kwargs):
            self.weights = []

        def on_epoch_end(self, net, **kwargs):
            self.weights.append({key: value.clone() for key, value in net.module_.state_dict().items()})

    loader = {
        "checkpoint": lambda: cb.Checkpoint(
            monitor=lambda net: len(net.history) <= 2, dirname=str(tmp_path), load_best=True
        ),
        # Only the second pass is better than all before by its absurd measure.
        "early stopping": lambda: cb.EarlyStopping(
            "epoch", threshold=0.6, lower_is_better=False, load_best=True, patience=9
        ),
    }[name]()
    keep = Keep()
    encoder = fit(keep, loader, max_epochs=3)
    assert encoder.selection_["rule"] == "callback"
    assert encoder.selection_["epoch"] == 2
    assert [row["epoch"] for row in encoder.history_ if row["chosen"]] == [2]
    for key, value in encoder.net_.module_.state_dict().items():
        assert torch.equal(keep.weights[1][key], value)


def test_best_means_lower_than_ever_before(fit):
    class Keep(cb.Callback):
        def on_epoch_end(self, net, **kwargs):
            self.history = [dict(row) for row in net.history]

    keep = Keep()
    fit(keep, max_epochs=8, lr=0.05)
    for name in ("train_loss", "valid_loss"):
        losses = [row[name] for row in keep.history]
        best = [all(loss < other for other in losses[:i]) for i, loss in enumerate(losses)]
        assert [row[f"{name}_best"] for row in keep.history] == best
        assert not all(best)


def test_scores_are_those_of_sklearn(data, fit):
    from sklearn.metrics import r2_score

    X, y, table = data
    encoder = fit(
        cb.EpochScoring("r2", lower_is_better=False, name="cached"),
        cb.EpochScoring(_r2_of, lower_is_better=False, name="anew", use_caching=False),
        cb.EpochScoring("r2", lower_is_better=False, on_train=True, name="on_train"),
        max_epochs=1,
    )
    held = np.random.default_rng([0, 1]).permutation(30)[:6]
    rows = np.isin(y, table.ids[np.sort(held)])
    expected = r2_score(table.lookup(y[rows]), encoder.transform(X[rows]))
    assert encoder.history_[0]["cached"] == pytest.approx(expected, rel=1e-4)
    assert encoder.history_[0]["anew"] == pytest.approx(expected, rel=1e-4)
    assert np.isfinite(encoder.history_[0]["on_train"])
    with pytest.raises(ValueError, match="EpochScoring needs scoring="):
        fit(cb.EpochScoring(None))


def _r2_of(net, dataset, y=None):
    from sklearn.metrics import r2_score

    return r2_score(dataset.vectors[dataset.stimulus[torch.from_numpy(dataset.rows)]], net.predict(dataset))


def test_a_table_is_printed_by_who_was_asked_to(fit, capsys):
    fit()
    assert capsys.readouterr().out == ""
    fit(cb.PrintLog())
    assert "valid_top1" in capsys.readouterr().out


@pytest.mark.parametrize(
    "made",
    [
        lambda d: cb.EarlyStopping(),
        lambda d: cb.WandbLogger(Writer(d)),
        lambda d: cb.LRScheduler(PLATEAU, monitor=lambda net: net.history[-1, "valid_loss"]),
    ],
)
def test_who_reads_what_is_not_held_out_is_told_so(fit, tmp_path, made):
    with pytest.raises(ValueError, match=r"reads 'valid_loss\w*', but nothing is held out"):
        fit(made(tmp_path), validation=0)
    assert len(fit(cb.EarlyStopping(monitor="train_loss"), validation=0).history_) == 3


def test_who_would_have_nothing_to_score_is_warned(fit):
    with pytest.warns(
        UserWarning, match="EpochScoring 'user_0' cannot act: it scores the epochs that are held out"
    ):
        fit(cb.EpochScoring("r2"), validation=0)


def test_an_error_of_a_callbacks_own_comes_up_as_it_is(fit):
    class Wrong(cb.Callback):
        def on_epoch_end(self, net, **kwargs):
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fit(Wrong(), validation=0)


def test_ctrl_c_and_what_looks_like_patience(data, make, fit):
    class Interrupt(cb.Callback):
        patience = misses_ = 3  # somebody else's, and not about stopping

        def on_epoch_end(self, net, **kwargs):
            raise KeyboardInterrupt

    encoder = make(Interrupt())
    with pytest.raises(KeyboardInterrupt):
        encoder.fit(data[0], data[1])
    assert not hasattr(encoder, "net_")


def test_names_that_ours_might_have_had_are_free(fit):
    names = ["best_weights", "progress", "checkpoint", "lr_scheduler", "early_stopping", "averaged_weights"]
    given = [(name, Diary()) for name in names]
    encoder = fit(*given, patience=5, ema=0.9, lr_scheduler="cosine", verbose=0)
    assert all(dict(encoder.net_.callbacks_)[name] is diary for name, diary in given)


# -- optuna --------------------------------------------------------------------------------------------


def test_a_pruned_trial_comes_up_as_it_is_and_the_study_hears_of_it(data, make):
    optuna = pytest.importorskip("optuna")

    class Prune(cb.Callback):
        """What optuna_integration.SkorchPruningCallback does."""

        def __init__(self, trial):
            self._trial = trial

        def on_epoch_end(self, net, **kwargs):
            self._trial.report(net.history[-1, "valid_loss"], len(net.history))
            if self._trial.should_prune():
                raise optuna.TrialPruned

    def objective(trial):
        lr = trial.suggest_categorical("lr", [3e-3, 1e-9])
        retriever = ImageRetriever(make(Prune(trial), lr=lr, max_epochs=6)).fit(data[0], data[1])
        return retriever.encoder_.history_[-1]["valid_loss"]

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(pruner=optuna.pruners.MedianPruner(n_startup_trials=1, n_warmup_steps=2))
    for lr in (3e-3, 1e-9):
        study.enqueue_trial({"lr": lr})
    study.optimize(objective, n_trials=2)
    first, second = study.trials
    assert len(first.intermediate_values) == 6
    assert second.state == optuna.trial.TrialState.PRUNED
    assert len(second.intermediate_values) < 6


# -- runs that were killed -----------------------------------------------------------------------------


class KillAt(cb.Callback):
    def __init__(self, number):
        self.number = number

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == self.number:
            raise KeyboardInterrupt


def test_a_resumed_run_goes_on_with_its_callbacks(data, fit, tmp_path):
    def mine(folder):
        return [
            cb.Freezer("*bias"),
            cb.EpochScoring("r2", lower_is_better=False),
            cb.Checkpoint(dirname=str(tmp_path / folder), load_best=True),
            cb.EarlyStopping(patience=20),
        ]

    whole = fit(*mine("whole"), max_epochs=6, lr=0.02)
    run = {"max_epochs": 6, "lr": 0.02, "checkpoint_dir": tmp_path / "runs"}
    with pytest.raises(KeyboardInterrupt):
        fit(*mine("parts"), KillAt(4), **run)
    resumed = fit(*mine("parts"), KillAt(99), **run)
    np.testing.assert_array_equal(resumed.transform(data[0]), whole.transform(data[0]))
    drop = {"dur"}
    for a, b in zip(whole.history_, resumed.history_, strict=True):
        assert {k: v for k, v in a.items() if k not in drop} == {k: v for k, v in b.items() if k not in drop}
    frozen = {name: p.requires_grad for name, p in resumed.net_.module_.named_parameters()}
    assert frozen == {name: p.requires_grad for name, p in whole.net_.module_.named_parameters()}
    assert not all(frozen.values())


# -- ours ----------------------------------------------------------------------------------------------


class Toy:
    """What our callbacks need of a net: two parts and a history."""

    def __init__(self, value):
        self.module_, self.criterion_ = torch.nn.Linear(1, 1, bias=False), torch.nn.Identity()
        self.history = skorch.history.History()
        self.set(value)

    def set(self, value):
        with torch.no_grad():
            self.module_.weight.fill_(value)

    def end_pass(self, callback, loss):
        self.history.new_epoch()
        self.history.record("valid_loss", loss)
        callback.on_epoch_end(self)


def test_the_weights_of_the_lowest_loss_come_back():
    net, best = Toy(0.0), BestWeights()
    best.on_train_begin(net)
    for value, loss in ((1.0, 0.5), (2.0, 0.2), (3.0, 0.2), (4.0, 0.3)):
        net.set(value)
        net.end_pass(best, loss)
    best.on_train_end(net)
    assert net.module_.weight.item() == 2.0  # of two equal ones the first
    assert best.pass_ == 2


@pytest.mark.parametrize("decay", [0.5, 0.999])
@pytest.mark.slow
def test_an_average_is_that_of_diffusers(decay):
    net, average = Toy(1.0), AveragedWeights(decay)
    average.on_train_begin(net)
    from diffusers.training_utils import EMAModel  # which takes seconds to load

    theirs = EMAModel(net.module_.parameters(), decay=decay)
    expected = None
    for step, value in enumerate((1.0, 3.0, -2.0, 5.0, 5.0, 5.0, 5.0, 7.0), 1):
        average.on_batch_begin(net, training=True)
        net.set(value)
        average.on_batch_end(net, training=True)
        theirs.step(net.module_.parameters())
        rising = min(decay, step / (9 + step))
        expected = value if expected is None else rising * expected + (1 - rising) * value
    average.on_batch_begin(net, training=False)
    assert net.module_.weight.item() == pytest.approx(expected, rel=1e-6)
    assert net.module_.weight.item() == pytest.approx(theirs.shadow_params[0].item(), rel=1e-6)
    average.on_batch_begin(net, training=True)
    assert net.module_.weight.item() == 7.0


def test_the_hooks_of_ours_are_skorchs():
    for kind in (BestWeights, AveragedWeights):
        hooks = {name for name, _ in inspect.getmembers(kind, inspect.isfunction) if name.startswith("on_")}
        assert hooks <= set(dir(cb.Callback))


def test_a_callback_outside_a_list(fit, make, data):
    with pytest.raises(TypeError, match="callbacks must be a list of callbacks, got .*Write"):
        make().set_params(callbacks=cb.EpochTimer()).fit(data[0], data[1])
