"""Small epochs to write and read."""

from __future__ import annotations

import mne
import numpy as np
import pandas as pd
import pytest

from skeegclip.epochs import _create


@pytest.fixture
def info():
    return mne.create_info(["Fp1", "Pz", "Oz"], 100.0, "eeg")


@pytest.fixture
def X():
    return np.random.default_rng(0).normal(0, 10, (10, 3, 20)).astype(np.float32)


@pytest.fixture
def rows():
    return pd.DataFrame(
        {
            "stimulus": [f"{i % 5:05d}" for i in range(10)],
            "concept": ["NA", "null", "None", "nan", ""] * 2,
            "subject": ["01"] * 4 + ["02"] * 6,
            "onset": np.linspace(0, 1, 10) / 3,
            "repetition": np.arange(10) // 5,
            "correct": [True, False] * 5,
        }
    )


@pytest.fixture
def small_shards(monkeypatch):
    """Shards of four epochs of the fixture `X`."""
    monkeypatch.setattr(_create, "_SHARD_BYTES", 4 * 3 * 20 * 4)
