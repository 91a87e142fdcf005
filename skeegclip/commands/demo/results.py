"""What the demo found, and the table that it prints."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .config import Config
from .decoders import LINEAR
from .painting import Painted
from .real import Real
from .trials import Trials
from .when_where import WhenWhere

if TYPE_CHECKING:
    import pandas as pd

    from ...model_selection import EvaluationReport

_TASKS = {"retrieval": "Finding the picture", "classification": "Naming the concept"}


@dataclass(frozen=True)
class Results:
    """What the demo found.

    Parameters
    ----------
    config, seed, data
        What was simulated, and how.
    test : Trials
        The averaged test epochs.
    report : EvaluationReport
        Of all decoders.
    similarity : ndarray, shape (n_test, n_test)
        Of the first decoder: responses by pictures.
    painted : Painted
        By its encoder.
    when_where : WhenWhere
        When, and at which channels, the first decoder finds the picture.
    history : dict
        Learning curves by network.
    alpha : float
        Penalty of the ridge regression.
    n_components : int
        Directions that the linear decoder compares.
    real : Real
        What was found in the recordings of the package.
    seconds : dict
        By step.
    """

    config: Config
    seed: int
    data: Any
    test: Trials
    report: EvaluationReport
    similarity: np.ndarray
    painted: Painted
    when_where: WhenWhere
    history: dict[str, list[dict]]
    alpha: float
    n_components: int
    real: Real
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def first(self) -> str:
        """The decoder that figures show."""
        return LINEAR

    def found(self, name: str) -> str:
        """Top-1 of a decoder among the test pictures, in per cent."""
        rows = self.report.summary(["top-1"])
        rows = rows[(rows["estimator"] == name) & (rows["task"] == "retrieval")]
        return f"{100 * rows['mean'].iloc[0]:.1f} %"


def text_table(results: Results) -> str:
    """Return the table for the terminal: per cent, with intervals."""
    summary = results.report.summary()
    # Of several to choose from, top-1; of all, which is both, top-5 too.
    whole = f"{len(results.test.y)}-way"
    names = summary["metric"]
    summary = summary[(names == "top-5") | (names != whole) & ~names.str.endswith(" top-5")]
    blocks = [
        f"{title} (% right, 95 % interval over stimuli)\n{_accuracies(summary[summary['task'] == task]).to_string()}"
        for task, title in _TASKS.items()
    ]
    known = (
        f"A decoder that knows how the simulation was made finds {100 * results.data.truth.accuracy:.1f} %."
    )
    painted = (
        f"Painting it (correlation of pixels, 95 % interval over stimuli)\n{_painted(results.painted.table)}"
    )
    return "\n\n".join([*blocks, known, painted, _real(results.real)])


def _real(real: Real) -> str:
    rungs = {
        name: f"{100 * row['found']:.1f} [{100 * row['found_low']:.0f} {100 * row['found_high']:.0f}]"
        + ("" if number == 0 else "  looks at all queries together")
        for number, (name, row) in enumerate(real.rungs.iterrows())
    }
    faces = {
        name: f"{row['auc']:.3f} [{row['auc_low']:.2f} {row['auc_high']:.2f}]"
        for name, row in real.faces.iterrows()
    }
    return (
        "REAL BRAINS\nFinding one of 200 pictures, THINGS-EEG2, subject 8, published embeddings (% right, 95 % interval"
        f" over pictures, chance 0.5)\n{_lines(rungs)}\nFaces against houses, single trials of one person, four channels"
        f" (area under the curve, 95 % interval over trials, chance 0.5)\n{_lines(faces)}"
    )


def _lines(texts: dict[Any, str]) -> str:
    width = max(map(len, texts))
    return "\n".join(f"{name:<{width}}  {text}" for name, text in texts.items())


def _accuracies(summary: pd.DataFrame) -> pd.DataFrame:
    text = [
        f"{100 * row.mean:.1f} [{100 * row.low:.0f} {100 * row.high:.0f}]" for row in summary.itertuples()
    ]
    found = summary.assign(text=text).set_index(["metric", "estimator"])["text"].unstack(sort=False)
    chance = summary.drop_duplicates("metric").set_index("metric")["chance"]
    found["chance"] = (100 * chance).map("{:.1f}".format)
    return found.rename_axis(index=None, columns=None)


def _painted(table: pd.DataFrame) -> str:
    lines = {
        name: f"{row['PixCorr']:.3f} [{row['PixCorr_low']:.2f} {row['PixCorr_high']:.2f}]"
        for name, row in table.iterrows()
    }
    return _lines(lines)
