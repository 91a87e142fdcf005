"""EvaluationReport: scores, intervals, tests, flags, and files of them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .._evaluation.cells import Cell, inductive_name, with_companions
from .._utils.html import html_card, html_table
from .._utils.listed import write_listed
from .._utils.params import check_number, check_option
from .._utils.persistence import write_whole
from .._version import __version__
from . import page
from ._report.estimates import ORACLE, Estimate, estimates, query_table
from ._report.flags import find_flags, not_checked, selection_text
from ._report.sections import Findings, document
from ._report.tables import comparison_table, interval_table, score_table, summary_table
from .audit import SplitAudit

if TYPE_CHECKING:
    import pandas as pd


FILES = ("scores.csv", "report.json", "report.md", "report.html")


class EvaluationReport:
    """What :func:`~skeegclip.evaluate` found.

    Parameters
    ----------
    cells : list of Cell
        Results of the single trainings.
    audits : dict of str to SplitAudit
        What training and test share, by fold.
    estimators : dict of str to str
        What each estimator is.
    settings : dict
        Settings of the evaluation.
    published : DataFrame | None
        Published figures to show beside those found: columns estimator, metric, mean, sd, source.

    Attributes
    ----------
    scores : DataFrame
        Tidy: one row for each estimator, task ("retrieval", "classification"), subject, seed and metric, with `value`
        and `chance`, in [0, 1]. Metrics are "top-1" and "top-5" among all that there is to choose from, and exact
        n-way ones such as "10-way" and "50-way top-5"; "oracle top-1" and so on are figures of the pass that is best
        on the test set.
    queries : DataFrame
        One row for each query: estimator, task, subject, seed, fold, stimulus, n_gallery, oracle, and the numbers of
        other items that were more similar (`better`) or as similar (`equal`).
    flags : DataFrame
        Columns level ("leak", "warning", "note"), estimator ("" = all), about, text.
    selection : DataFrame
        How the weights of each network were chosen: estimator, fold, seed, net, rule, epoch, n_passes,
        n_stimuli_held_out.
    audits, settings, published
        As given.
    estimators : dict of str to str
        As given. Beside one that looks at the test epochs together, "..., each query alone" is what the same fit gives
        where each query is asked without the others, wherever it can say.

    See Also
    --------
    skeegclip.evaluate : Makes a report.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from skeegclip import EmbeddingTable, evaluate
    >>> from skeegclip.model_selection import WithinSubject
    >>> rng = np.random.default_rng(0)
    >>> table = EmbeddingTable([f"image_{i:02d}" for i in range(60)], rng.normal(size=(60, 5)))
    >>> X = (table.vectors @ rng.normal(size=(5, 40))).reshape(60, 4, 10)
    >>> report = evaluate(Ridge(), X, table.ids, targets=table, cv=WithinSubject(test_stimuli=table.ids[:20]))
    >>> report.scores.query("metric == 'top-1'")["value"].tolist()
    [1.0]
    >>> report.flags["about"].tolist()
    ['not checked', 'queries']
    """

    def __init__(
        self,
        cells: list[Cell],
        *,
        audits: Mapping[str, SplitAudit],
        estimators: Mapping[str, str],
        settings: Mapping[str, Any],
        published: pd.DataFrame | None = None,
    ) -> None:
        self._cells = with_companions(cells)
        self.audits, self.settings = dict(audits), dict(settings)
        named = {cell.estimator for cell in self._cells}
        self.estimators: dict[str, str] = {}
        for name, text in estimators.items():
            self.estimators[name] = text
            if (companion := inductive_name(name)) in named:
                self.estimators[companion] = f"{text}, of which each query is asked alone"
        self.published = published

    @cached_property
    def queries(self) -> pd.DataFrame:  # numpydoc ignore=GL08
        return query_table(self._cells)

    @cached_property
    def _estimates(self) -> dict[tuple[str, str, str], Estimate]:
        return dict(estimates(self.queries))

    @cached_property
    def _summary(self) -> pd.DataFrame:
        return self.summary()

    @cached_property
    def scores(self) -> pd.DataFrame:  # numpydoc ignore=GL08
        return score_table(self._estimates)

    @cached_property
    def flags(self) -> pd.DataFrame:  # numpydoc ignore=GL08
        import pandas as pd

        return pd.DataFrame(
            find_flags(self._cells, self.audits), columns=["level", "estimator", "about", "text"]
        )

    @cached_property
    def selection(self) -> pd.DataFrame:  # numpydoc ignore=GL08
        import pandas as pd

        columns = ["net", "rule", "epoch", "n_passes", "n_stimuli_held_out"]
        rows = [
            {"estimator": cell.estimator, "fold": cell.fold, "seed": cell.seed}
            | {c: chosen[c] for c in columns}
            for cell in self._cells
            for chosen in cell.facts["selection"]
        ]
        return pd.DataFrame(rows, columns=["estimator", "fold", "seed", *columns])

    def __repr__(self) -> str:
        leaks = self.flags.loc[self.flags["level"] == "leak", "about"].unique()
        said = f", LEAKS: {', '.join(leaks)}" if len(leaks) else ""
        return f"EvaluationReport({len(self.estimators)} estimators, {len(self._cells)} cells, {len(self.flags)} flags{said})"

    def _repr_html_(self) -> str:
        means = self.scores[self.scores["metric"].isin(["top-1", "top-5"])]
        means = (
            means.groupby(["estimator", "task", "metric"], sort=False)[["value", "chance"]]
            .mean()
            .reset_index()
        )
        flags = self.flags[["level", "estimator", "text"]]
        facts = {
            "estimators": len(self.estimators),
            "flags": len(flags),
            "whole": "save(folder) writes report.html",
        }
        return html_card(
            "EvaluationReport", facts, body=html_table(means) + (html_table(flags) if len(flags) else "")
        )

    def _leaks(self, estimator: str) -> str:
        """What leaks in the figures of an estimator, in short."""
        flags = self.flags[self.flags["level"] == "leak"]
        mine = [
            row.about
            for row in flags.itertuples()
            if not row.estimator or estimator in row.estimator.split("; ")
        ]
        return ", ".join(dict.fromkeys(mine))

    # -- tables -------------------------------------------------------------------------------------

    def summary(
        self, metrics: Sequence[str] | None = None, *, confidence: float = 0.95, n_permutations: int = 2000
    ) -> pd.DataFrame:
        """Summarise each estimator, task and metric.

        Parameters
        ----------
        metrics : sequence of str | None
            Metrics to show; None shows all, the oracle's too.
        confidence : float
            Coverage of the intervals.
        n_permutations : int
            Permutations of the test against chance, at a fixed seed; where there are no more, all are done.

        Returns
        -------
        DataFrame
            Columns estimator, task, metric, mean (of the subjects' means), low and high (interval over
            `interval_over`), sd_subjects, sd_seeds, chance, p (one-sided, of top-1 and top-5; which picture is which
            is permuted, alike for all people; NaN where test sets share pictures in such parts that nothing can be
            exchanged), p_smallest (the smallest p that so few pictures allow), n_subjects, n_stimuli, n_seeds, leaks
            (what of the test set was trained on, as in `flags`; "" where nothing was found).

        Raises
        ------
        ValueError
            If a metric is not known, or a number is out of range.
        """
        _check(confidence, n_permutations)
        table = summary_table(self._chosen(metrics), self._cells, confidence, n_permutations, self._seed)
        return table.assign(leaks=[self._leaks(name) for name in table["estimator"]])

    def intervals(
        self, metrics: Sequence[str] = ("top-1", "top-5"), *, confidence: float = 0.95
    ) -> pd.DataFrame:
        """Tell how far the mean might move with other stimuli, other people, both, or another training.

        Parameters
        ----------
        metrics : sequence of str
            Metrics to show.
        confidence : float
            Coverage.

        Returns
        -------
        DataFrame
            Columns estimator, task, metric, over ("stimuli", "subjects", "stimuli and subjects", "seeds"), mean, low,
            high. A source with a single member has no row.

        Raises
        ------
        ValueError
            If a metric is not known, or `confidence` is out of range.
        """
        _check(confidence, 1)
        return interval_table(self._chosen(metrics), confidence)

    def compare(
        self,
        metric: str = "top-1",
        *,
        task: str | None = None,
        confidence: float = 0.95,
        n_permutations: int = 10000,
    ) -> pd.DataFrame:
        """Compare the estimators with each other, on the same people and stimuli.

        Parameters
        ----------
        metric : str
            What is compared.
        task : {"retrieval", "classification"} | None
            None takes retrieval where there is any.
        confidence : float
            Coverage of the intervals.
        n_permutations : int
            Sign flips; where all of them are fewer, all are done.

        Returns
        -------
        DataFrame
            For each pair: estimator, minus, difference, low, high (interval over stimuli and subjects, as far as
            there are several), p (two-sided: by flipping the signs of the differences, or by Student's t with the
            interval's variance, whichever is larger, since people who saw the same pictures err alike), p_holm
            (corrected for the number of pairs), flipped ("subjects", or "stimuli" where there are fewer than 6
            people).

        Raises
        ------
        ValueError
            If the metric or the task is not known, or a number is out of range.
        """
        _check(confidence, n_permutations)
        tasks = self.scores["task"].unique().tolist()
        task = tasks[0] if task is None else check_option("task", task, tasks)
        return comparison_table(self._chosen([metric]), task, metric, confidence, n_permutations, self._seed)

    def bias(self, metrics: Sequence[str] = ("top-1", "top-5")) -> pd.DataFrame:
        """Show what choosing the pass on the test set would have added.

        Parameters
        ----------
        metrics : sequence of str
            Metrics without the word "oracle".

        Returns
        -------
        DataFrame
            Columns estimator, metric, honest, oracle, bias (their difference); empty without oracle figures.
        """
        import pandas as pd

        means = self.scores[self.scores["task"] == "retrieval"]
        means = means.groupby(["estimator", "metric"], sort=False)["value"].mean()
        rows = [
            {
                "estimator": name,
                "metric": metric,
                "honest": means[name, metric],
                "oracle": means[name, ORACLE + metric],
            }
            for name in self.estimators
            for metric in metrics
            if (name, ORACLE + metric) in means.index
        ]
        table = pd.DataFrame(rows, columns=["estimator", "metric", "honest", "oracle"])
        return table.assign(bias=table["oracle"] - table["honest"])

    def _chosen(self, metrics: Sequence[str] | None) -> dict[tuple[str, str, str], Estimate]:
        if metrics is None:
            return self._estimates
        known = list(dict.fromkeys(metric for _, _, metric in self._estimates))
        for metric in metrics:
            check_option("metrics", metric, known)
        return {key: found for key, found in self._estimates.items() if key[2] in metrics}

    @property
    def _seed(self) -> int:
        return int(self.settings.get("random_state", 0))

    # -- files --------------------------------------------------------------------------------------

    def to_csv(self, path: str | os.PathLike) -> None:
        """Write `scores` as a CSV file.

        Parameters
        ----------
        path : path-like
            The file; replaced if there.
        """
        write_whole(path, self._csv().encode())

    def _csv(self) -> str:
        return self.scores.to_csv(index=False, lineterminator="\n")

    def to_json(self, path: str | os.PathLike) -> None:
        """Write everything but the single queries as a JSON file.

        Parameters
        ----------
        path : path-like
            The file; replaced if there.
        """
        write_whole(path, self._json().encode())

    def _json(self) -> str:
        tables = {
            "scores": self.scores,
            "summary": self._summary,
            "intervals": self.intervals(self._headline_metrics()),
            "comparisons": self.compare(),
            "oracle": self.bias(self._headline_metrics()),
            "selection": self.selection,
            "flags": self.flags,
            "published": self.published,
        }
        content: dict[str, Any] = {
            "skeegclip": __version__,
            "settings": self.settings,
            "estimators": self.estimators,
            "cells": [
                {"estimator": c.estimator, "fold": c.fold, "seed": c.seed, **c.facts} for c in self._cells
            ],
        }
        for name, table in tables.items():
            content[name] = [] if table is None else _records(table)
        return json.dumps(content, indent=1, allow_nan=False)

    def to_markdown(self, path: str | os.PathLike | None = None) -> str:
        """Write the report as Markdown.

        Parameters
        ----------
        path : path-like | None
            The file; replaced if there. None writes none.

        Returns
        -------
        str
            The text.
        """
        text = page.markdown(as_document(self))
        if path is not None:
            write_whole(path, text.encode())
        return text

    def to_html(self, path: str | os.PathLike | None = None) -> str:
        """Write the report as one HTML page that loads nothing from elsewhere.

        Parameters
        ----------
        path : path-like | None
            The file; replaced if there. None writes none.

        Returns
        -------
        str
            The page.
        """
        text = page.html(as_document(self))
        if path is not None:
            write_whole(path, text.encode())
        return text

    def save(self, folder: str | os.PathLike) -> None:
        """Write ``scores.csv``, ``report.json``, ``report.md`` and ``report.html`` to a folder, all or none.

        Parameters
        ----------
        folder : path-like
            Made if missing. Files that an earlier save wrote are replaced, others left alone.

        Raises
        ------
        FileExistsError
            If a file of one of these names is not what an earlier save wrote; nothing is written then.
        """
        contents = (self._csv(), self._json(), self.to_markdown(), self.to_html())
        texts = dict(zip(FILES, contents, strict=True))
        write_listed(folder, {name: text.encode() for name, text in texts.items()})

    def _headline_metrics(self) -> list[str]:
        known = self.scores["metric"].unique().tolist()
        return [metric for metric in ("top-1", "top-5") if metric in known]


def as_document(report: EvaluationReport) -> page.Document:
    """What the files of a report say."""
    metrics = report._headline_metrics()
    cells = report._cells
    return document(
        Findings(
            report.settings,
            report.estimators,
            report.scores,
            report._summary,
            report.flags,
            report.compare(metrics[0]),
            report.intervals(metrics[:1]),
            report.bias(metrics),
            report.published,
            chosen={
                name: [text for cell in cells if cell.estimator == name for text in selection_text(cell)]
                for name in report.estimators
            },
            transductive={cell.estimator for cell in cells if cell.facts["transductive"]},
            not_checked=not_checked(report.audits),
        )
    )


def _check(confidence: float, n_permutations: int) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, for example 0.95, got {confidence!r}.")
    check_number("n_permutations", n_permutations, low=1, integer=True)


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table as plain values, NaN as None."""
    return [{key: _plain(value) for key, value in row.items()} for row in table.to_dict(orient="records")]


def _plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not np.isfinite(value) else value
