"""The scripts of the speed benchmarks: turns are taken, data fit together, points are measured."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import Ridge

from skeegclip import EpochsView, evaluate
from skeegclip.datasets import make_things_like
from skeegclip.model_selection import LeaveOneSubjectOut

_FOLDER = Path(__file__).parents[1] / "examples" / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")  # what `turns` sets, undone after the test
    monkeypatch.syspath_prepend(str(_FOLDER))
    return importlib.import_module


def test_contenders_take_turns_and_waiting_is_no_work(script, capsys):
    turns, order = script("turns"), []

    def wait():
        order.append("wait")
        time.sleep(0.02)

    times = turns.in_turns({"wait": wait, "go": lambda: order.append("go")}, repeats=3)
    assert order == ["wait", "go"] * 4
    clock, processor = times["wait"]
    assert clock >= 0.02
    assert processor < clock / 2
    turns.show({"slow": (2.0, 1.0), "fast": (0.5, 0.5)}, "slow")
    assert capsys.readouterr().out.splitlines()[-1] == "| fast |     500.0 |  4.0x |         500.0 |  2.0x |"


def test_epochs_of_the_pass_have_their_images_in_the_table(script):
    X, X_test, image, table = script("bench_epoch").make_data(40, 3, 5, n_dims=4)
    assert (X.shape, X_test.shape, image.shape) == ((40, 3, 5), (200, 3, 5), (240,))
    assert np.bincount(image[:40]).tolist() == [4] * 10
    assert not set(image[:40]) & set(image[40:])
    assert np.array_equal(table.vectors[image[40:]], table.vectors[-200:])


def test_slopes_are_exponents(script):
    growth = script("bench_growth")
    assert growth.slope([1, 2, 4], [7.0, 3.0, 12.0]) == "2.00"
    assert growth.slope([2, 6], [0.0, 12.0]) == "-"


def test_the_penalty_of_ridge_regression_is_chosen_on_concepts_held_out(script):
    """Against a fit for every fold and penalty, on repeated rows that tell of each other."""
    rng = np.random.default_rng(0)
    concept = np.repeat(np.arange(15), 4)
    X = rng.standard_normal((15, 30))[concept] + rng.standard_normal((60, 30)) + 1
    Y = rng.standard_normal((15, 3))[concept] + X @ rng.standard_normal((30, 3)) / 20 + 3
    centred, targets = X - X.mean(axis=0), Y - Y.mean(axis=0)
    fold = np.random.default_rng(0).permutation(15)[concept] % 5

    def missed(penalty, fold):
        return sum(
            np.sum(
                (
                    Ridge(penalty, fit_intercept=False)
                    .fit(centred[fold != k], targets[fold != k])
                    .predict(centred[fold == k])
                    - targets[fold == k]
                )
                ** 2
            )
            for k in np.unique(fold)
        )

    penalties = np.sum(centred**2) / 60 * np.geomspace(0.001, 100, 11)
    best = min(penalties, key=lambda penalty: missed(penalty, fold))
    assert best > min(
        penalties, key=lambda penalty: missed(penalty, np.arange(60))
    )  # rows left out one by one
    new = rng.standard_normal((5, 30))
    predict = script("simulator_fit").ridge(X, Y, concept)
    np.testing.assert_allclose(predict(new), Ridge(best).fit(X, Y).predict(new), rtol=1e-6)


def test_networks_whose_published_form_ends_with_log_softmax(script):
    order = script("network_order")
    sizes = {"n_outputs": 4, "n_chans": 3, "n_times": 125, "sfreq": 125.0}
    for net in order.LOG_SOFTMAX:
        embedding = order.LogSoftmax(net=net, **sizes).eval()(torch.randn(2, 3, 125))
        np.testing.assert_allclose(embedding.exp().sum(dim=1).detach(), 1, rtol=1e-5)


def test_leads_over_the_contests_baseline_are_paired_by_person(script):
    rng = np.random.default_rng(0)
    base, lead = rng.uniform(0.1, 0.4, 6), np.array([0.1, 0.2, 0.3, 0.1, 0.2, 0.3])
    found = pd.DataFrame(
        {"decoder": name, "seed": n // 2, "person": f"sub-{n % 2}", "score": "single", "top5": value}
        for name, values in (("EEGNet", base), ("recipe", base + lead))
        for n, value in enumerate(values)
    )
    row = script("contest").differences(found).loc["single"]
    half = 2.570582 * lead.std(ddof=1) / np.sqrt(6)  # Student's t of 5 degrees of freedom
    assert row[["lead", "low", "high", "people"]].tolist() == pytest.approx(
        [20, 100 * (0.2 - half), 100 * (0.2 + half), 6], rel=1e-6
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Parameter 'final_layer_with_constraint:DeprecationWarning")
def test_the_contests_decoders_are_measured(script):
    contest = script("contest")
    found = contest.measure(0, 6, n_concepts=12)
    assert len(found) == 8
    assert found["top5"].between(0, 1).all()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks of memory are read from /proc")
def test_a_point_of_growth_is_measured():
    point = {"epochs": 200, "chans": 3, "times": 100, "batch": 20, "subjects": 2}
    command = [sys.executable, _FOLDER / "bench_growth.py", "--net", "nice", "--repeats", "1"]
    out = subprocess.run(
        [*command, "--point", json.dumps(point)], capture_output=True, text=True, check=True
    ).stdout
    seconds, megabytes = json.loads(out)
    assert seconds > 0
    assert 0 <= megabytes < 200


@pytest.mark.slow
def test_the_knowing_decoder_is_above_those_that_learn(tmp_path):
    out = tmp_path / "fits.jsonl"
    command = [sys.executable, _FOLDER / "knowing_decoder.py", "--concepts", "24", "--tested", "20"]
    command += ["--seeds", "0", "--passes", "1", "--out", out]
    names = ["ridge", "linear", "patterns known", "ridge in its own space", "strong", "nice 4"]
    for _ in range(2):  # the second time nothing is fitted
        shown = subprocess.run(
            [*command, "--decoders", *names], capture_output=True, text=True, check=True
        ).stdout
        fits = [json.loads(line) for line in out.read_text().splitlines()]
        assert [one["decoder"] for one in fits] == names
    for one in fits:
        assert len(one["hits"]) == 20
        assert one["minutes"] > 0
        assert np.mean(one["hits"]) <= one["knowing"] + 0.1
    assert all(name in shown for name in names)
    assert "linear minus it" in shown


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_worker_is_killed_when_cells_of_an_evaluation_are_done(script, monkeypatch, tmp_path):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # what the script sets
    data = make_things_like(n_subjects=2, n_train_concepts=6, n_test_concepts=4, random_state=0)
    rows = {"subject": data.subject, "stimulus": data.y, "concept": data.concept, "split": data.split}
    view = EpochsView.from_arrays(data.X, rows=pd.DataFrame(rows), info=data.info)
    evaluate(
        {"Ridge": Ridge(1e5)}, view, targets=data.image_embeddings, cv=LeaveOneSubjectOut(), folder=tmp_path
    )
    worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    thread, found = script("killed_worker").kill_later(worker.pid, tmp_path / "cells", n_done=2)
    thread.join(timeout=10)
    assert len(found["before"]) == 2
    assert worker.wait(timeout=10) == -9


_TINY = {"images": 30, "repetitions": 40, "tested": 2, "test_repetitions": 40, "dims": 40}


@pytest.mark.slow
def test_full_size_people_differ_in_noise_and_share_the_response(script):
    full = script("full_size")
    latent, table = full.make_table(_TINY)
    shown, rows = full.make_rows(1, _TINY)
    assert (table.ids[shown] == rows["stimulus"]).all()
    assert (rows["subject"] == "sub-02").all()
    assert rows["split"].value_counts().to_dict() == {"train": 1200, "test": 80}
    X = np.concatenate(list(full.make_blocks(2, _TINY, latent))).reshape(
        2, len(shown), full.CHANS, full.TIMES
    )
    assert X.dtype == np.float16
    begin = X[:, :, 0, :20].astype(np.float32).reshape(-1, 20)  # before the response
    assert begin.std() == pytest.approx(10, rel=0.02)
    assert len(np.unique(np.abs(begin), axis=0)) == len(begin)  # no epoch comes twice, nor upside down
    # Means of a picture's epochs at the height of the response, where noise is 10 / sqrt(10 samples x 40 epochs).
    height = X[:, :, :, 80:90].astype(np.float32).mean(axis=3)
    mean = np.stack([height[:, shown == picture].mean(axis=1) for picture in range(30)], axis=1)
    assert np.corrcoef(mean.reshape(2, -1))[0, 1] == pytest.approx(0.8**2 / (1 + 0.25), abs=0.1)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_the_folder_of_a_killed_script_is_removed(tmp_path):
    code = (
        "import os, pathlib, signal, sys; from full_size import removed_folder\n"
        "with removed_folder(sys.argv[1]) as folder:\n"
        "    (folder / 'data').write_bytes(bytes(9)); print(folder, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], cwd=_FOLDER, capture_output=True, text=True)
    assert Path(done.stdout.strip()).parent == tmp_path
    for _ in range(500):
        if not list(tmp_path.iterdir()):
            return
        time.sleep(0.02)
    raise AssertionError("the folder is still there")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_full_size_is_measured_in_small(tmp_path):
    command = [sys.executable, _FOLDER / "full_size.py", "--small", "--people", "3", "--share", "1"]
    shown = subprocess.run(
        [*command, "--folder", tmp_path], capture_output=True, text=True, check=True
    ).stdout
    assert "3 people, 3,000 x 63 x 250 float16" in shown
    assert "a fold of 1,600 epochs" in shown
    assert "| channel means | a part of it in memory |" in shown
    assert list(tmp_path.iterdir()) == []
