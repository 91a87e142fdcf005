"""Estimators learn from a store as they do from the same array in memory."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, LeaveOneGroupOut, cross_validate
from sklearn.pipeline import make_pipeline

from skeegclip import EEGEncoder, EmbeddingTable, EpochsStore, EpochsView, ImageRetriever, ZeroShotClassifier
from skeegclip._training.checkpoint import run_path
from skeegclip.epochs import _create
from skeegclip.metrics import make_retrieval_scorer
from skeegclip.preprocessing import MVNN, EpochScaler


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Three subjects, 20 pictures shown three times each, over several shards."""
    rng = np.random.default_rng(0)
    table = EmbeddingTable([f"{i:03d}" for i in range(20)], rng.normal(size=(20, 8)))
    y = np.tile(np.repeat(table.ids, 3), 3)
    mixing = rng.normal(size=(8, 4 * 25))
    X = (table.lookup(y) @ mixing).reshape(-1, 4, 25) + rng.normal(0, 2, (180, 4, 25))
    rows = {"stimulus": y, "subject": np.repeat(["s1", "s2", "s3"], 60)}
    memory = EpochsView.from_arrays(X, rows=rows)
    folder = tmp_path_factory.mktemp("store")
    import mne

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_create, "_SHARD_BYTES", 50 * 4 * 25 * 4)
        store = EpochsStore.create(folder, X, rows, info=mne.create_info(4, 100.0, "eeg"))
    return table, memory, store.view()


def encoder(table, **params):
    settings = {
        "net": "eegproject",
        "targets": table,
        "max_epochs": 3,
        "lr": 3e-3,
        "random_state": 0,
        "device": "cpu",
    }
    return EEGEncoder(**{**settings, "batch_size": 40, "validation": 0.2, **params})


def test_training_from_a_store_ends_with_the_same_weights(world):
    table, memory, disk = world
    fitted = [encoder(table).fit(view, view.stimulus) for view in (memory, disk)]
    a, b = (np.concatenate([p.detach().numpy().ravel() for p in e.net_.module_.parameters()]) for e in fitted)
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(fitted[0].transform(memory), fitted[0].transform(disk))
    assert fitted[0].score(memory, memory.stimulus) == fitted[0].score(disk, disk.stimulus) > 0.2


def test_cross_validation_by_subject_from_a_store(world):
    table, memory, disk = world
    scores = [
        cross_validate(
            encoder(table), view, view.stimulus, groups=view.subject, cv=LeaveOneGroupOut(),
            scoring=make_retrieval_scorer(k=1), error_score="raise",
        )["test_score"]
        for view in (memory, disk)
    ]  # fmt: skip
    np.testing.assert_array_equal(scores[0], scores[1])
    assert np.mean(scores[0]) > 0.2  # chance 0.05


@pytest.mark.slow  # two workers import torch
def test_grid_search_sends_little_to_its_workers(world):
    table, _, disk = world
    search = GridSearchCV(
        encoder(table, max_epochs=1), {"lr": [1e-3, 3e-3]}, cv=list(LeaveOneGroupOut().split(disk, groups=disk.subject)),
        n_jobs=2, error_score="raise",
    )  # fmt: skip
    search.fit(disk, disk.stimulus)
    assert search.best_estimator_.subjects_.tolist() == ["s1", "s2", "s3"]
    assert len(pickle.dumps(disk[:120])) < np.asarray(disk).nbytes / 5


def test_preprocessing_in_a_pipeline_stays_on_disk(world):
    table, memory, disk = world
    pipeline = make_pipeline(MVNN(), EpochScaler(), encoder(table))
    embedded = []
    for view in (memory, disk):
        fitted = pipeline.fit(view, view.stimulus)
        assert fitted[-1].subjects_.tolist() == ["s1", "s2", "s3"]
        embedded.append(fitted.transform(view))
    np.testing.assert_array_equal(*embedded)
    assert isinstance(fitted[:-1].transform(disk), EpochsView)


def test_composites_and_baselines_take_views_of_a_store(world):
    table, memory, disk = world
    classifier = ZeroShotClassifier(encoder(table)).fit(disk, disk.stimulus)
    assert classifier.score(disk, disk.stimulus) > 0.2
    retriever = ImageRetriever(Ridge(), targets=table).fit(disk, disk.stimulus)  # flattens, so reads all
    np.testing.assert_array_equal(
        retriever.predict(disk),
        ImageRetriever(Ridge(), targets=table).fit(memory, memory.stimulus).predict(memory),
    )


def test_averages_on_disk_are_learned_from(world):
    table, _, disk = world
    many = disk.average(n=2, n_draws=3, random_state=0)
    assert many.shape == (180, 4, 25)
    fitted = encoder(table).fit(many, many.stimulus)
    assert fitted.selection_["n_stimuli_held_out"] == 4
    mean = disk.average()
    assert fitted.score(mean, mean.stimulus) > 0.3


def test_the_fingerprint_of_a_run_does_not_read_a_store(world, tmp_path, monkeypatch):
    _, memory, disk = world

    def path(view):
        return run_path(tmp_path, params={}, arrays=[view], seed=0)

    assert path(memory) == path(EpochsView.from_arrays(np.asarray(memory)))
    assert path(memory) != path(memory[1:])
    again = pickle.loads(pickle.dumps(disk))
    monkeypatch.setattr(EpochsView, "read", None)
    assert path(disk) == path(again)
    assert path(disk) != path(disk[1:])


def test_a_killed_run_goes_on_from_a_store(world, tmp_path):
    table, _, disk = world

    class Stop:
        def __call__(self, net, **kwargs):
            if len(net.history) == 2:
                raise RuntimeError("killed")

    from skorch.callbacks import Callback

    class Killer(Callback):
        on_epoch_begin = Stop()

    whole = encoder(table).fit(disk, disk.stimulus).transform(disk)
    killed = encoder(table, checkpoint_dir=tmp_path, callbacks=[Killer()])
    with pytest.raises(RuntimeError, match="killed"):
        killed.fit(disk, disk.stimulus)
    assert len(list(tmp_path.iterdir())) == 1
    resumed = encoder(table, checkpoint_dir=tmp_path).fit(pickle.loads(pickle.dumps(disk)), disk.stimulus)
    np.testing.assert_array_equal(resumed.transform(disk), whole)


def test_nan_in_a_file_is_told_of_when_it_is_read(world, tmp_path):
    table, _, disk = world
    store = EpochsStore.create(tmp_path, disk)
    with open(tmp_path / "epochs-00000.f32", "r+b") as file:
        file.seek(4 * 4 * 25 * 130)
        file.write(np.float32(np.nan).tobytes())
    view = store.view()
    with pytest.raises(ValueError, match=r"Input X contains NaN: first in epoch 130, channel 0 \(0\)"):
        encoder(table).fit(view, view.stimulus)
    with pytest.raises(ValueError, match="first in epoch 10,"):
        encoder(table).fit(disk, disk.stimulus).transform(view[120:])
