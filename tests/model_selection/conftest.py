import numpy as np
import pandas as pd
import pytest

from skeegclip import EmbeddingTable, EpochsView


class Planted:
    """Three people, 40 training pictures of 20 concepts and 12 test pictures of other concepts, two looks at each."""

    def __init__(self):
        rng = np.random.default_rng(0)
        ids = [f"train_{i:02d}" for i in range(40)] + [f"test_{i:02d}" for i in range(12)]
        self.table = EmbeddingTable(ids, rng.standard_normal((52, 6)))
        concept = [f"kind_{i // 2:02d}" for i in range(40)] + [f"new_{i:02d}" for i in range(12)]
        self.names = self.table.mean_by(dict(zip(ids, concept, strict=True)))
        one = np.repeat(np.arange(52), 2)
        self.rows = pd.DataFrame(
            {
                "subject": np.repeat(["ann", "bob", "cyd"], 104),
                "stimulus": np.tile(np.array(ids)[one], 3),
                "concept": np.tile(np.array(concept)[one], 3),
                "split": np.tile(np.where(one < 40, "train", "test"), 3),
            }
        )
        mixing = rng.standard_normal((6, 4 * 10))
        signal = self.table.lookup(self.rows["stimulus"].tolist()) @ mixing
        self.X = (signal.reshape(-1, 4, 10) + 2 * rng.standard_normal((312, 4, 10))).astype(np.float32)
        self.view = EpochsView.from_arrays(self.X, rows=self.rows)
        self.test_ids = ids[40:]


@pytest.fixture(scope="session")
def planted():
    return Planted()
