"""The script of the ablations runs on arrays and on stores, and every variant it names is one of ATM's."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from skeegclip import EmbeddingTable, EpochsStore
from skeegclip.nets import ATM

_SCRIPT = Path(__file__).parents[1] / "examples" / "benchmarks" / "ablations.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("ablations", _SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_variants_are_networks_that_differ(script):
    shapes = set()
    for params, _ in script.VARIANTS.values():
        with torch.device("meta"):
            net = ATM(16, 5, 100, **params)
        shapes.add(
            (*((name, p.shape) for name, p in net.named_parameters()), params.get("positional_encoding"))
        )
    assert len(shapes) == len(script.VARIANTS)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two people, six training pictures and four test pictures with two repetitions: as arrays, store and table."""
    import mne

    folder, rng = tmp_path_factory.mktemp("ablations"), np.random.default_rng(0)
    table = EmbeddingTable([f"s{i}" for i in range(10)], rng.standard_normal((10, 6)))
    stimulus = np.tile(np.repeat(table.ids, 2), 2)
    X = rng.standard_normal((40, 4, 90)).astype("float32")
    split = np.where(np.char.replace(stimulus, "s", "").astype(int) < 6, "train", "test")
    rows = {"stimulus": stimulus, "split": split, "subject": np.repeat(["sub-01", "sub-10"], 20)}
    np.savez(folder / "arrays.npz", X=X, **rows)
    table.save(folder / "targets.safetensors")
    info = mne.create_info(4, 100.0, "eeg")
    EpochsStore.create(folder / "store", X, pd.DataFrame(rows), info=info)
    return folder


@pytest.mark.parametrize("source", ["arrays", "store"])
def test_a_table_with_intervals(script, files, source, monkeypatch, capsys):
    path = files / ("arrays.npz" if source == "arrays" else "store")
    options = ["--variants", "ATM-S", "MLP, convolution", "--quick", "--jobs", "1", "--seeds", "2"]
    targets = ["--targets", str(files / "targets.safetensors")]
    monkeypatch.setattr(sys, "argv", ["ablations.py", f"--{source}", str(path), *targets, *options])
    script.main()
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert "top1 - ATM-S" in lines[0]
    assert "ATM-S" in lines[1]
    assert "MLP, convolution" in lines[2]
    assert lines[2].count("[") == 3
    assert "among 4 pictures (chance 25.0 and 100.0)" in out
    assert "2 people, 2 fits each" in out
    assert "fits: 100%" in err


def test_differences_are_paired_over_pictures(script):
    hits = {"ATM-S": [1, 0, 1, 0], "MLP alone": [1, 1, 1, 1]}
    results = pd.concat(
        pd.DataFrame({"stimulus": list("abcd"), "top1": np.array(h) == 1, "top5": True}).assign(
            variant=name, person="", seed=0, n_parameters=10, seconds=1.0
        )
        for name, h in hits.items()
    )
    table = script.summary(results).set_index("variant")
    low = (
        100 * 4 / (4 + stats.t(3).ppf(0.975) ** 2)
    )  # Wilson's interval of four hits of four, with Student's quantile
    assert table["top1"]["MLP alone"] == f"100.0 [{low:.1f}, 100.0]"
    assert table["top1 - ATM-S"]["MLP alone"].startswith("+50.0 [")
    assert table["top1 - ATM-S"]["ATM-S"] == ""


def test_targets_are_needed(script, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["ablations.py", "--store", "somewhere"])
    with pytest.raises(SystemExit):
        script.main()
    assert "need --targets" in capsys.readouterr().err
