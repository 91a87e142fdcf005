"""evaluate, analyses and searches on dask's workers: the same results, whoever dies; and what is sent to them."""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from pathlib import Path

import cloudpickle
import joblib
import mne
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold

from skeegclip import EEGEncoder, EmbeddingTable, EnsembleEncoder, EpochsStore, ImageRetriever, evaluate
from skeegclip.inspection import region_importance, time_resolved
from skeegclip.model_selection import LeaveOneSubjectOut

PEOPLE, IDS = ["ann", "bob", "cyd", "dan"], [f"s{i:03d}" for i in range(60)]


class Mortal(Ridge):
    """Ridge regression that notes its fits in a file, and once takes its process with it."""

    def __init__(self, alpha=1.0, diary="", fatal=False):
        super().__init__(alpha=alpha)
        self.diary, self.fatal = diary, fatal

    def fit(self, X, y):
        with open(self.diary, "a") as file:
            file.write(f"{self.alpha:g} {float(X.sum()):.3f} {os.getpid()}\n")
        if self.fatal:
            try:
                (Path(self.diary).parent / "died").touch(exist_ok=False)
            except FileExistsError:
                return super().fit(X, y)
            os.kill(os.getpid(), signal.SIGKILL)
        return super().fit(X, y)


@pytest.fixture(scope="module", autouse=True)
def _workers_know_this_module():
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


@pytest.fixture(scope="module")
def table():
    return EmbeddingTable(IDS, np.random.default_rng(0).standard_normal((60, 8)))


@pytest.fixture(scope="module")
def view(table, tmp_path_factory):
    rng = np.random.default_rng(1)
    y, subject = np.tile(np.repeat(IDS, 2), 4), np.repeat(PEOPLE, 120)
    X = (table.lookup(y) @ rng.standard_normal((8, 40))).reshape(-1, 4, 10) + 2 * rng.standard_normal(
        (480, 4, 10)
    )
    rows = pd.DataFrame(
        {"subject": subject, "stimulus": y, "split": np.where(np.isin(y, IDS[:20]), "test", "train")}
    )
    info = mne.create_info(["O1", "O2", "P7", "P8"], 50.0, "eeg")
    return EpochsStore.create(tmp_path_factory.mktemp("data") / "store", X, rows, info=info).view()


@pytest.fixture(scope="module")
def client():
    distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed (extra dask)")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def fits(diary):
    """How often each cell was fitted, and by how many processes."""
    lines = [line.split() for line in Path(diary).read_text().splitlines()]
    return Counter((alpha, data) for alpha, data, _ in lines), {process for *_, process in lines}


@pytest.mark.slow
def test_a_killed_worker_costs_one_fit(client, view, table, tmp_path):
    def estimators(diary, fatal):
        return {
            f"ridge {a}": Mortal(a, str(tmp_path / diary), fatal and a == 10.0) for a in (1.0, 10.0, 100.0)
        }

    settings = {"cv": LeaveOneSubjectOut(), "targets": table}
    serial = evaluate(estimators("serial", False), view, **settings)
    with joblib.parallel_config("dask"):
        report = evaluate(estimators("dask", True), view, folder=tmp_path / "results", **settings)
    assert (tmp_path / "died").exists()
    pd.testing.assert_frame_equal(report.scores, serial.scores)
    expected, _ = fits(tmp_path / "serial")
    done, processes = fits(tmp_path / "dask")
    assert len(expected) == 12
    assert set(done) == set(expected)
    # The fit that was cut short is begun anew; none that was finished is.
    assert sorted(done.values()) == [1] * 11 + [2]
    assert len(processes) >= 2
    assert str(os.getpid()) not in processes
    assert not list((tmp_path / "results").glob(".skeegclip-shipment-*"))


@pytest.mark.slow
def test_analyses_and_searches_give_the_same(client, view, table, tmp_path):
    setting = {"targets": table, "cv": LeaveOneSubjectOut()}
    ridge = Mortal(10.0, str(tmp_path / "diary"))
    search = GridSearchCV(
        ImageRetriever(ridge, targets=table),
        {"encoder__alpha": [1.0, 1e3]},
        cv=GroupKFold(4),
        refit=False,
        error_score="raise",
    )
    encoder = EEGEncoder(
        "eegproject", targets=table, max_epochs=2, validation=0, random_state=0, device="cpu"
    )
    tasks = {
        "time": lambda: time_resolved(ridge, view, width=0.1, **setting).table,
        "regions": lambda: region_importance(ridge, view, **setting),
        "search": lambda: pd.DataFrame(search.fit(view, view.stimulus, groups=view.subject).cv_results_)[
            ["mean_test_score", "std_test_score"]
        ],
        # Trainings inside of a cell stay in its worker.
        "networks": lambda: evaluate(EnsembleEncoder([("a", encoder)], n_seeds=2), view, **setting).scores,
    }
    for name, task in tasks.items():
        serial = task()
        (tmp_path / "diary").write_text("")
        with joblib.parallel_config("dask"):
            parallel = task()
        pd.testing.assert_frame_equal(parallel, serial, obj=name, rtol=1e-4)
        if name != "networks":
            processes = fits(tmp_path / "diary")[1]
            assert len(processes) == 2, name
            assert str(os.getpid()) not in processes, name
