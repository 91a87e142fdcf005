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
