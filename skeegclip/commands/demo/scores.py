"""The scores of a decoder, and the table that the demo prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...metrics import n_way_table
from .config import Config
from .decoders import Trials

if TYPE_CHECKING:
    import pandas as pd

TASKS = {"retrieval": "Finding the picture", "naming": "Naming the concept"}
KNOWING = "knowing"


@dataclass
class Results:
    """What the demo found: for the table, the figures, the report and ``metrics.json``."""

    config: Config
    seed: int
    data: Any
    test: Trials
    shape: dict[str, Any]
    tables: dict[str, dict[str, pd.DataFrame]] = field(default_factory=lambda: {task: {} for task in TASKS})
    similarity: dict[str, np.ndarray] = field(default_factory=dict)  # test epochs x test pictures
    retrieved: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    history: dict[str, list[dict]] = field(default_factory=dict)
    painted: Any = None  # of the first decoder
    selection: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def score_decoder(results: Results, name: str, decoder: Any) -> None:
    """Test a fitted pipeline on the averaged test trials, and add what it did to the results."""
    from sklearn.frozen import FrozenEstimator

    from ...decoders.zero_shot import ZeroShotClassifier
    from ...metrics import cosine_similarity

    test, retriever = results.test, decoder[-1]
    X = decoder[:-1].transform(test.X)
    similarity = cosine_similarity(retriever.embed(X), retriever.gallery.lookup(test.y))
    results.similarity[name] = similarity
    results.retrieved[name] = retriever.retrieve(X, k=min(5, len(test.y)))
    results.tables["retrieval"][name] = _table(similarity, np.arange(len(test.y)), results.seed)

    texts = results.data.text_embeddings.subset(np.unique(test.concept))
    # The retriever's fitted encoder names concepts as well: only the candidates change.
    namer = ZeroShotClassifier(
        FrozenEstimator(retriever.encoder_), targets=retriever.targets, candidates=texts
    )
    namer.fit(X, test.y)
    columns = np.searchsorted(namer.classes_, test.concept)
    results.tables["naming"][name] = _table(_cosines(namer, X), columns, results.seed)


def _cosines(namer: Any, X: Any) -> np.ndarray:
    similarity = namer.decision_function(X)
    # scikit-learn's form for two classes is one column.
    return similarity if similarity.ndim == 2 else np.column_stack([-similarity, similarity])


def _table(similarity: np.ndarray, target: np.ndarray, seed: int) -> pd.DataFrame:
    return n_way_table(similarity, target, random_state=seed)


def shown_rows(table: pd.DataFrame) -> list[tuple[int, int]]:
    """Return the pairs of n_way and k that the tables show: top-1 for every n, and top-5 for the whole gallery."""
    whole = int(table["n_way"].max())
    return [(int(n), int(k)) for n, k in zip(table["n_way"], table["k"], strict=True) if k == 1 or n == whole]


def row_of(table: pd.DataFrame, n_way: int, k: int) -> Mapping[str, float]:
    """Return one row of an n-way table."""
    return table[(table["n_way"] == n_way) & (table["k"] == k)].iloc[0]


def text_table(results: Results) -> str:
    """Return the table for the terminal: per cent, with intervals."""
    import pandas as pd

    blocks = []
    for task, title in TASKS.items():
        tables = results.tables[task]
        pairs = shown_rows(next(iter(tables.values())))
        whole = max(n for n, _ in pairs)
        frame = pd.DataFrame(index=[label(n, k) for n, k in pairs])
        for name, table in tables.items():
            rows = [row_of(table, n, k) for n, k in pairs]
            frame[name] = [
                f"{percent(r['accuracy'])} [{percent(r['low'], 0)} {percent(r['high'], 0)}]" for r in rows
            ]
        if task == "retrieval":
            frame[KNOWING] = [
                percent(results.data.truth.accuracy) if (n, k) == (whole, 1) else "" for n, k in pairs
            ]
        frame["chance"] = [percent(k / n) for n, k in pairs]
        blocks.append(f"{title} (% right, 95 % interval over stimuli)\n{frame.to_string()}")
    blocks.append(
        f"Painting it (correlation of pixels, 95 % interval over stimuli)\n{_painted_text(results)}"
    )
    return "\n\n".join(blocks)


def _painted_text(results: Results) -> str:
    rows = results.painted.table.iterrows()
    lines = {
        name: f"{row['PixCorr']:.3f} [{row['PixCorr_low']:.2f} {row['PixCorr_high']:.2f}]"
        for name, row in rows
    }
    width = max(map(len, lines))
    return "\n".join(f"{name:<{width}}  {text}" for name, text in lines.items())


def label(n_way: int, k: int) -> str:
    """Name of a row."""
    return f"{n_way}-way" if k == 1 else f"{n_way}-way top-{k}"


def percent(share: float, digits: int = 1) -> str:
    """Return a share in per cent, without the sign."""
    return f"{100 * share:.{digits}f}"
