"""EEGEncoder beyond scikit-learn's own checks: three-dimensional input, subjects, ids, interruptions."""

import copy
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import joblib
import mne
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    LeaveOneGroupOut,
    cross_val_predict,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from skorch.callbacks import Callback, EarlyStopping

from skeegclip import EEGEncoder, EmbeddingTable, EpochsView

N_STIMULI, N_DIMS = 24, 6


@pytest.fixture(scope="module")
def data():
    """Three epochs per stimulus, whose pattern is a linear image of its embedding; two subjects."""
    rng = np.random.default_rng(0)
    table = EmbeddingTable([f"s{i:02d}" for i in range(N_STIMULI)], rng.standard_normal((N_STIMULI, N_DIMS)))
    y = np.repeat(table.ids, 3)
    mixing = rng.standard_normal((N_DIMS, 4 * 30))
    X = (table.lookup(y) @ mixing).reshape(-1, 4, 30) + 0.3 * rng.standard_normal((3 * N_STIMULI, 4, 30))
    subject = np.tile(["sub-01", "sub-10", "sub-01"], N_STIMULI)
    return X.astype(np.float32), y, subject, table


def make(table=None, **params):
    defaults = {
        "max_epochs": 8,
        "lr": 3e-3,
        "batch_size": 32,
        "random_state": 0,
        "device": "cpu",
        "validation": 0.1,
    }
    return EEGEncoder("eegproject", targets=table, **{**defaults, **params})


def small_atm(table, **params):
    net_params = {"kernel_length": 5, "pool_length": 6, "pool_stride": 2, "d_ff": 16, "n_filters": 8}
    return make(table, **params).set_params(net="atm-s", net_params=net_params)


# -- what it learns ------------------------------------------------------------------------------------


def test_it_learns_the_targets(data):
    X, y, _, table = data
    encoder = make(table, max_epochs=60, validation=0).fit(X, y)
    z = encoder.transform(X)
    assert (z.shape, z.dtype, encoder.predict(X).dtype) == ((72, N_DIMS), np.float32, np.float64)
    assert encoder.score(X, y) > 0.8 > 0.3 > make(table, max_epochs=1, lr=1e-6).fit(X, y).score(X, y)


def test_ids_and_their_matrix_train_alike(data):
    X, y, _, table = data
    by_id, by_matrix = make(table, validation=0).fit(X, y), make(validation=0).fit(X, table.lookup(y))
    np.testing.assert_allclose(by_id.transform(X), by_matrix.transform(X), rtol=1e-4, atol=1e-5)
    assert by_id.score(X, y) == by_matrix.score(X, table.lookup(y))


def test_validation_holds_out_stimuli_and_keeps_the_best_pass(data):
    X, y, _, table = data
    encoder = make(table, max_epochs=12, lr=3e-2).fit(X, y)
    losses = [row["valid_loss"] for row in encoder.history_]
    best = int(np.argmin(losses)) + 1
    assert encoder.selection_ == {"rule": "validation", "epoch": best, "n_stimuli_held_out": 2}
    assert [row["epoch"] for row in encoder.history_ if row["chosen"]] == [best]
    assert set(encoder.history_[0]) == {"epoch", "train_loss", "valid_loss", "valid_top1", "dur", "chosen"}
    # The weights are those of that pass: a run that ends there has the same.
    until = make(table, max_epochs=best, lr=3e-2).fit(X, y)
    np.testing.assert_array_equal(until.transform(X), encoder.transform(X))


def test_without_validation_the_last_pass_is_kept(data):
    X, y, _, table = data
    encoder = make(table, validation=0, max_epochs=3).fit(X, y)
    assert encoder.selection_ == {"rule": "last", "epoch": 3, "n_stimuli_held_out": 0}
    assert "valid_loss" not in encoder.history_[0]


def test_patience_stops_early(data):
    X, y, _, table = data
    encoder = make(table, max_epochs=100, lr=3e-2, patience=2).fit(X, y)
    assert len(encoder.history_) == encoder.selection_["epoch"] + 2 < 100
    same = make(
        table,
        max_epochs=100,
        lr=3e-2,
        callbacks=[EarlyStopping(patience=2, threshold=0, sink=lambda text: None)],
    )
    assert len(same.fit(X, y).history_) == len(encoder.history_)


def test_lambda_moves_the_encoder_from_error_to_contrast(data):
    X, y, _, table = data
    error = {}
    for loss_weight in (0, 0.5, 1):
        # A linear network: no normalisation at its end keeps the CLIP loss alone near the targets.
        encoder = make(table, loss_weight=loss_weight, max_epochs=60, validation=0).set_params(net=OwnNet)
        z = encoder.set_params(net_params={"width": 32}).fit(X, y).transform(X)
        error[loss_weight] = np.mean((z - table.lookup(y)) ** 2) / table.vectors.var(axis=0).mean()
    assert error[0] < 0.3
    assert error[0] <= error[0.5] * 1.05
    assert error[0.5] < 0.5 * error[1]


def test_text_targets_and_their_weight_change_the_outcome(data):
    X, y, _, table = data
    text = EmbeddingTable(table.ids, -table.vectors)
    plain = make(table).fit(X, y)
    z = make(table, text_targets=text, text_weight=0.5).fit(X, y).transform(X)
    assert not np.allclose(z, plain.transform(X))
    with pytest.warns(UserWarning, match="text_targets=EmbeddingTable cannot act: text_weight is 0"):
        without = make(table, text_targets=text).fit(X, y)
    np.testing.assert_allclose(without.transform(X), plain.transform(X))
    with pytest.raises(ValueError, match="text_weight is 0.5 but text_targets is None"):
        make(table, text_weight=0.5).fit(X, y)


@pytest.mark.parametrize("mode", ["learnable", "fixed", "raw"])
def test_temperature_modes(data, mode):
    X, y, _, table = data
    encoder = make(table, temperature=0.5, temperature_mode=mode, max_epochs=3).fit(X, y)
    start = 1 / np.log(2) if mode == "raw" else 0.5
    assert (encoder.temperature_ == pytest.approx(start)) == (mode == "fixed")
    assert encoder.temperature_ == pytest.approx(start, rel=0.2)


@pytest.mark.parametrize("scheduler", ["cosine", torch.optim.lr_scheduler.ConstantLR])
def test_learning_rate_schedules(data, scheduler):
    X, y, _, table = data
    encoder = make(
        table, lr_scheduler=scheduler, max_epochs=4, optimizer="sgd", optimizer_params={"momentum": 0.9}
    )
    encoder.fit(X, y)
    final = encoder.net_.optimizer_.param_groups[0]
    assert final["momentum"] == 0.9
    assert final["lr"] == pytest.approx(0 if scheduler == "cosine" else 1e-3, abs=1e-9)


def test_weight_decay_is_passed_on(data):
    X, y, _, table = data
    norms = []
    for decay in (0, 10):
        encoder = make(table, optimizer_params={"weight_decay": decay}, max_epochs=10).fit(X, y)
        norms.append(sum(float(p.detach().square().sum()) for p in encoder.net_.module_.parameters()))
    assert norms[1] < 0.9 * norms[0]


def test_warm_start_goes_on_from_the_last_fit(data):
    X, y, _, table = data
    encoder = make(table, max_epochs=10, validation=0, warm_start=True).fit(X, y)
    first = encoder.history_[0]["train_loss"]
    assert encoder.fit(X, y).history_[0]["train_loss"] < 0.8 * first
    with pytest.raises(ValueError, match="warm_start=True, but the network of the last fit has other shapes"):
        encoder.fit(X[:, :, :20], y)


# -- determinism ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("build", [make, small_atm])
def test_two_fits_are_equal_and_global_generators_untouched(data, build):
    X, y, subject, table = data
    torch_before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    one = build(table, max_epochs=3).fit(X, y, subject=subject)
    two = build(table, max_epochs=3).fit(X, y, subject=subject)
    np.testing.assert_array_equal(one.transform(X), two.transform(X))
    assert torch.equal(torch.get_rng_state(), torch_before)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002
    assert not np.array_equal(
        one.transform(X), build(table, max_epochs=3, random_state=1).fit(X, y).transform(X)
    )


def test_fits_in_threads_do_not_mix(data):
    X, y, _, table = data
    fits = joblib.Parallel(n_jobs=2, backend="threading")(
        joblib.delayed(make(table).fit)(X, y) for _ in range(2)
    )
    for fit in fits:
        np.testing.assert_array_equal(fit.transform(X), make(table).fit(X, y).transform(X))


def test_opening_an_encoder_in_another_thread_changes_no_fit(data):
    X, y, _, table = data
    alone = small_atm(table, max_epochs=5).fit(X, y)
    content, over = pickle.dumps(alone), threading.Event()

    def open_often():
        while not over.is_set():
            pickle.loads(content)

    with ThreadPoolExecutor(1) as pool:
        opening = pool.submit(open_often)
        beside = small_atm(table, max_epochs=5).fit(X, y)
        over.set()
        opening.result()
    np.testing.assert_array_equal(beside.transform(X), alone.transform(X))


# -- copies --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("build", [make, small_atm])
def test_pickles_copies_and_folders_embed_alike(data, build, tmp_path):
    X, y, subject, table = data
    encoder = build(table, max_epochs=2).fit(X, y, subject=subject)
    z = encoder.transform(X, subject=subject)
    encoder.save(tmp_path / "encoder")
    encoder.save(tmp_path / "encoder")
    copies = [
        pickle.loads(pickle.dumps(encoder)),
        copy.deepcopy(encoder),
        EEGEncoder.load(tmp_path / "encoder"),
    ]
    for again in copies:
        np.testing.assert_array_equal(again.transform(X, subject=subject), z)
        assert again.selection_ == encoder.selection_
        assert again.score(X, y, subject=subject) == encoder.score(X, y, subject=subject)
    assert clone(encoder).targets is table
    assert not hasattr(clone(encoder), "net_")


def test_a_network_of_ones_own(data, tmp_path):
    X, y, _, table = data
    encoder = make(table, max_epochs=2).set_params(net=OwnNet, net_params={"width": 5}).fit(X, y)
    z = pickle.loads(pickle.dumps(encoder)).transform(X)
    encoder.save(tmp_path)
    np.testing.assert_array_equal(EEGEncoder.load(tmp_path, net=OwnNet).transform(X), z)
    with pytest.raises(ValueError, match=r"the network is a class, 'OwnNet'\. Pass it"):
        EEGEncoder.load(tmp_path)
    with pytest.raises(ValueError, match="OwnNet has no parameter 'depth'; it takes width"):
        encoder.set_params(net_params={"depth": 1}).fit(X, y)


class OwnNet(torch.nn.Module):
    """A user's network, with braindecode's signature."""

    def __init__(self, n_outputs=None, n_chans=None, n_times=None, sfreq=None, chs_info=None, *, width=3):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Flatten(), torch.nn.Linear(n_chans * n_times, width), torch.nn.Linear(width, n_outputs)
        )

    def forward(self, x):
        return self.layers(x)


class SequenceNet(OwnNet):
    """One vector per time: no encoder of epochs."""

    def forward(self, x):
        return self.layers(x)[:, None]


def test_folders_that_are_no_encoder_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not a folder that skeegclip saved"):
        EEGEncoder.load(tmp_path)
    (tmp_path / "skeegclip.json").write_text('{"format": "skeegclip", "version": 99, "skeegclip": "9.0"}')
    with pytest.raises(
        ValueError, match="has format 99, this version reads 2. It was written by skeegclip '9.0'"
    ):
        EEGEncoder.load(tmp_path)


def test_networks_must_give_one_vector_per_epoch(data):
    X, y, _, table = data
    with pytest.raises(ValueError, match=r"net must map .* got output shape \(n_epochs, 1, 6\)"):
        make(table).set_params(net=SequenceNet).fit(X, y)


# -- subjects ------------------------------------------------------------------------------------------


def test_subjects_count_row_by_row(data):
    X, y, subject, table = data
    encoder = small_atm(table, max_epochs=5).fit(X, y, subject=subject)
    assert encoder.subjects_.tolist() == ["sub-01", "sub-10"]
    one, ten, none = (encoder.transform(X, subject=s) for s in ("sub-01", "sub-10", None))
    assert not np.allclose(one, ten)
    assert not np.allclose(one, none)
    np.testing.assert_array_equal(encoder.transform(X, subject="sub-99"), none)
    mixed = encoder.transform(X, subject=np.where(np.arange(72) < 40, "sub-01", "sub-99"))
    np.testing.assert_allclose(mixed, np.where(np.arange(72)[:, None] < 40, one, none), rtol=1e-4, atol=1e-5)


def test_unknown_subjects_may_get_the_mean_of_the_known(data):
    X, y, subject, table = data
    shared, mean = (
        small_atm(table, max_epochs=2, unknown_subject=kind).fit(X, y, subject=subject)
        for kind in ("shared", "mean")
    )
    np.testing.assert_array_equal(shared.transform(X, subject=subject), mean.transform(X, subject=subject))
    assert not np.allclose(shared.transform(X), mean.transform(X))


def epochs_of(X, subject):
    info = mne.create_info(["Oz", "Pz", "Cz", "Fz"], 100.0, "eeg")
    return mne.EpochsArray(X * 1e-6, info, metadata=pd.DataFrame({"subject": subject}), verbose=False)


def test_epochs_views_and_arrays_score_alike_in_cross_validation(data):
    X, y, subject, table = data
    cv = GroupKFold(2)
    encoder = small_atm(table, max_epochs=2, validation=0)
    epochs = epochs_of(X, subject)
    X = epochs.get_data(units="uV").astype(np.float32)  # the same numbers to the last bit
    view = EpochsView.from_arrays(X, subject=subject)
    with_subject = cross_validate(
        encoder,
        X,
        y,
        cv=cv,
        groups=y,
        params={"subject": subject},
        error_score="raise",
        return_estimator=True,
    )
    # A scorer calls predict without metadata: only what travels in X tells it the subject.
    for form in (view, epochs):
        result = cross_validate(encoder, form, y, cv=cv, groups=y, error_score="raise", return_estimator=True)
        for a, b in zip(with_subject["estimator"], result["estimator"], strict=True):
            np.testing.assert_allclose(a.transform(X), b.transform(X), rtol=1e-5, atol=1e-6)
            assert b.subjects_.tolist() == ["sub-01", "sub-10"]
    expected = cross_val_score(encoder, view, y, cv=cv, groups=y, error_score="raise")
    np.testing.assert_allclose(
        cross_val_score(encoder, epochs, y, cv=cv, groups=y, error_score="raise"), expected
    )


def test_views_keep_subjects_into_predict(data):
    X, y, subject, table = data
    encoder = small_atm(table, max_epochs=3, validation=0)
    view = EpochsView.from_arrays(X, subject=subject)
    cv = GroupKFold(3)
    z = cross_val_predict(encoder, view, y, cv=cv, groups=y)
    expected = np.empty_like(z)
    for train, test in cv.split(X, y, groups=y):
        fold = clone(encoder).fit(X[train], y[train], subject=subject[train])
        expected[test] = fold.predict(X[test], subject=subject[test])
    np.testing.assert_allclose(z, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("routing", [False, True])
def test_leave_one_subject_out_with_routing_on_and_off(data, routing):
    import sklearn

    X, y, subject, table = data
    encoder = small_atm(table, max_epochs=2, validation=0)
    with sklearn.config_context(enable_metadata_routing=routing):
        groups = {} if routing else {"groups": subject}
        params = {"groups": subject, "subject": subject} if routing else {"subject": subject}
        result = cross_validate(
            encoder,
            X,
            y,
            cv=LeaveOneGroupOut(),
            params=params,
            return_estimator=True,
            error_score="raise",
            **groups,
        )
    assert [e.subjects_.tolist() for e in result["estimator"]] == [["sub-10"], ["sub-01"]]


def test_pipelines_route_the_subject(data):
    import sklearn

    X, y, subject, table = data
    pipeline = make_pipeline(FunctionTransformer(_double), small_atm(table, max_epochs=2))
    pipeline.fit(X, y, eegencoder__subject=subject)
    assert len(pipeline[-1].subjects_) == 2
    with sklearn.config_context(enable_metadata_routing=True):
        fitted = clone(pipeline).fit(X, y, subject=subject)
        assert len(fitted[-1].subjects_) == 2
        np.testing.assert_array_equal(
            fitted.predict(X, subject=subject), fitted[-1].predict(2 * X, subject=subject)
        )
        assert fitted.score(X, y, subject=subject) == fitted[-1].score(2 * X, y, subject=subject)


def _double(X):
    return 2 * X


# -- model selection -----------------------------------------------------------------------------------


def test_grid_search_over_lambda_and_over_nets(data):
    X, y, _, table = data
    grid = {"loss_weight": [0.5, 1.0], "net": ["eegproject", "nice"]}
    search = GridSearchCV(make(table, max_epochs=2), grid, cv=GroupKFold(2), error_score="raise")
    with pytest.warns(UserWarning, match="too short"):
        search.fit(X, y, groups=y)
    assert len(search.cv_results_["params"]) == 4
    assert search.best_estimator_.transform(X).shape == (72, N_DIMS)


@pytest.mark.slow
def test_workers_agree_with_one_process(data):
    X, y, _, table = data
    scores = [
        cross_val_score(make(table), X, y, cv=GroupKFold(2), groups=y, n_jobs=n_jobs, error_score="raise")
        for n_jobs in (1, 2)
    ]
    np.testing.assert_allclose(*scores, atol=0.1)


def test_pandas_output_and_memory(data, tmp_path):
    X, y, _, table = data
    pipeline = make_pipeline(make(table), FunctionTransformer(), memory=str(tmp_path)).set_output(
        transform="pandas"
    )
    first = pipeline.fit(X, y).transform(X)
    assert first.columns.tolist() == [f"eegencoder{i}" for i in range(N_DIMS)]
    pd.testing.assert_frame_equal(first, clone(pipeline).fit(X, y).transform(X))


def test_frozen_encoders_stay_as_they_are(data):
    X, y, _, table = data
    encoder = make(table).fit(X, y)
    frozen = FrozenEstimator(encoder).fit(X[:10], y[:10])
    np.testing.assert_array_equal(clone(frozen).transform(X), encoder.transform(X))


# -- what goes wrong -----------------------------------------------------------------------------------


class Interrupt(Callback):
    def on_batch_end(self, net, **kwargs):
        if len(net.history) == 2:
            raise KeyboardInterrupt


def test_ctrl_c_raises_and_leaves_the_encoder_as_it_was(data):
    X, y, _, table = data
    encoder = make(table, callbacks=[Interrupt()])
    with pytest.raises(KeyboardInterrupt):
        encoder.fit(X, y)
    assert not [name for name in vars(encoder) if name.endswith("_")]
    with pytest.raises(NotFittedError):
        encoder.transform(X)
    fitted = make(table).fit(X, y)
    z = fitted.transform(X)
    with pytest.raises(KeyboardInterrupt):
        fitted.set_params(callbacks=[Interrupt()]).fit(X[:, :, :20], y)
    np.testing.assert_array_equal(fitted.transform(X), z)


def test_a_loss_that_is_not_finite_stops_with_a_sentence(data):
    X, y, _, table = data
    with pytest.raises(ValueError, match=r"train loss became (nan|inf) in pass \d+. Lower lr \(now 1e\+30\)"):
        make(table, lr=1e30, loss_weight=0.0, optimizer="sgd", max_epochs=20).fit(X, y)


def test_callbacks_act_as_given_and_may_have_names(data):
    X, y, _, table = data

    class Count(Callback):
        n_passes = 0

        def on_epoch_end(self, net, **kwargs):
            self.n_passes += 1

    mine = Count()
    encoder = make(table, callbacks=[("count", mine)], max_epochs=3).fit(X, y)
    assert mine.n_passes == 3
    assert dict(encoder.net_.callbacks_)["count"] is mine
    with pytest.raises(TypeError, match="callbacks must hold skorch callbacks"):
        make(table, callbacks=[print]).fit(X, y)


def test_progress_is_shown_when_asked_for(data, capsys):
    X, y, _, table = data
    make(table, max_epochs=2).fit(X, y)
    assert capsys.readouterr().err == ""
    make(table, max_epochs=2, verbose=1).fit(X, y)
    shown = capsys.readouterr().err
    assert "2/2" in shown
    assert "valid_top1" in shown


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"net": "atms"}, ValueError, "atm-s"),
        ({"net": torch.nn.Identity()}, TypeError, "give the class, not an instance"),
        ({"loss_weight": 2}, ValueError, r"loss_weight must lie in \[0, 1\], got 2"),
        ({"normalize": "all"}, ValueError, "normalize must be one of"),
        ({"temperature": 0}, ValueError, "temperature must lie in"),
        ({"temperature_mode": "free"}, ValueError, "temperature_mode must be one of"),
        ({"same_stimulus": "x"}, ValueError, "same_stimulus must be one of"),
        ({"unknown_subject": "x"}, ValueError, "unknown_subject must be one of"),
        ({"optimizer": "adamv"}, ValueError, "Did you mean 'adam"),
        ({"lr": -1}, ValueError, "lr must lie in"),
        ({"lr_scheduler": "linear"}, ValueError, "lr_scheduler must be one of 'cosine'"),
        ({"lr_scheduler": 3}, TypeError, "lr_scheduler must be None"),
        ({"batch_size": 1}, ValueError, "batch_size must lie in"),
        ({"batch_size": 2.0}, TypeError, "batch_size must be an int"),
        ({"max_epochs": 0}, ValueError, "max_epochs must lie in"),
        ({"validation": 1}, ValueError, "validation must lie in"),
        ({"patience": 0}, ValueError, "patience must lie in"),
        ({"precision": "half"}, ValueError, "precision must be one of"),
        ({"device": "gpu"}, ValueError, "device must be"),
        ({"random_state": "a"}, ValueError, "random_state must be"),
        ({"targets": {"a": 1}}, TypeError, "targets must be an EmbeddingTable"),
    ],
)
def test_bad_parameters_are_refused_in_fit(data, change, error, match):
    X, y, _, table = data
    encoder = make(table).set_params(**change)
    with pytest.raises(error, match=match):
        encoder.fit(X, y)
    assert not hasattr(encoder, "n_chans_")


def test_one_epoch_is_too_few(data):
    X, y, _, table = data
    with pytest.raises(ValueError, match="n_samples=1"):
        make(table).fit(X[:1], y[:1])


def test_nan_in_a_view_is_found_where_it_is_read(data):
    X, y, _, table = data
    encoder = make(table).fit(X, y)
    view = EpochsView.from_arrays(X.copy())
    view._data[5, 1, 2] = np.nan
    with pytest.raises(ValueError, match="NaN: first in epoch 5, channel 1"):
        encoder.transform(view)
    with pytest.raises(ValueError, match="NaN"):
        make(table).fit(view, y)


@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:braindecode", "ignore:Parameter .final_layer:DeprecationWarning"
)
@pytest.mark.parametrize("name", ["EEGNet", "ShallowFBCSPNet"])
def test_braindecode_models_by_name(data, name):
    X, y, subject, table = data
    X = np.tile(X, (1, 1, 5))
    encoder = make(table, max_epochs=1).set_params(net=name).fit(epochs_of(X, subject), y)
    again = pickle.loads(pickle.dumps(encoder))
    np.testing.assert_array_equal(again.transform(X), encoder.transform(X))
