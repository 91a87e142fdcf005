"""Simulated people, each of whom mixes the channels in a way of their own."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from skeegclip import EmbeddingTable

sys.path.insert(0, str(Path(__file__).parent))  # for `small_nets`
N_CHANS, N_TIMES, N_DIMS = 6, 24, 8


class Recordings:
    """Epochs of people whose channels are mixed in ways of their own; everybody sees the same pictures."""

    def __init__(self):
        rng = np.random.default_rng(0)
        ids = [f"s{i:03d}" for i in range(140)]
        self.table = EmbeddingTable(ids, rng.standard_normal((len(ids), N_DIMS)))
        self.trained, self.shown, self.unseen = np.array(ids[:80]), np.array(ids[80:110]), np.array(ids[110:])
        self.response = rng.standard_normal((N_DIMS, N_CHANS * N_TIMES)) / N_DIMS**0.5
        # Rotations: as loud for everybody, but not in the same channels.
        self.mixing = {
            f"sub-{i:02d}": np.linalg.qr(rng.standard_normal((N_CHANS, N_CHANS)))[0] for i in range(1, 12)
        }

    def of(self, subject, ids, seed=0):
        clean = (self.table.lookup(ids) @ self.response).reshape(-1, N_CHANS, N_TIMES)
        noise = np.random.default_rng([seed, int(subject[-2:])]).standard_normal(clean.shape)
        return (self.mixing[subject] @ clean + 0.7 * noise).astype(np.float32)

    def train_set(self, subjects):
        X = np.concatenate([self.of(subject, self.trained) for subject in subjects])
        return X, np.tile(self.trained, len(subjects)), np.repeat(subjects, len(self.trained))


@pytest.fixture(scope="session")
def recordings():
    return Recordings()
