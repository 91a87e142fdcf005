"""What ``skeegclip evaluate`` does: recipes on recorded data, beside published figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import recipes as _recipes
from .._utils.listed import check_unclaimed
from ..embeddings import EmbeddingTable
from ..epochs import EpochsStore, EpochsView
from ..model_selection import EvaluationReport, LeaveOneSubjectOut, WithinSubject, evaluate, published_figures
from ..model_selection.report import FILES
from ..nets import list_nets

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

# Where the published figures of a recipe are found: the network of the ATM paper, or the method.
_NETS = {"atm_paper": "atm-s", "nice": "nice"}
_METHODS = {"brain_hive": "Brain-HIVE", "samga": "SAMGA", "shallow_alignment": "Shallow Alignment"}


def run_evaluation(
    store: Path,
    names: Sequence[str],
    out: Path,
    *,
    protocol: str,
    targets: Path | None = None,
    texts: Path | None = None,
    subjects: Sequence[str] | None = None,
    n_seeds: int = 1,
    n_jobs: int | None = None,
    oracle: bool = True,
    params: Mapping[str, Any] | None = None,
) -> EvaluationReport:
    """Evaluate recipes and write the report.

    Parameters
    ----------
    store : Path
        An EpochsStore with a column "split", or a folder of THINGS-EEG2 files.
    names : sequence of str
        Recipes, or networks, which are trained as in the paper.
    out : Path
        Folder for the report and for finished cells.
    protocol : {"within", "loso"}
        Train and test on one person, or leave one person out.
    targets, texts : Path | None
        Embedding tables of the pictures by stimulus, and of the names by concept; None takes those beside THINGS-EEG2.
    subjects : sequence of str | None
        People to use; None uses all.
    n_seeds, n_jobs, oracle
        As in `evaluate`.
    params : mapping | None
        Parameters of the networks' training, in place of the recipes'. "linear" and "contest" train none.

    Returns
    -------
    EvaluationReport
        The report, with published figures where the recipes have some.
    """
    check_unclaimed(out, FILES)  # now, not after hours of training
    view, images, words = _open(store, targets, texts)
    if subjects:
        view = view.select(subject=list(subjects))
        absent = sorted(set(subjects) - set(view.rows["subject"]))
        if absent:
            raise ValueError(f"subjects: {', '.join(absent)} not found in {str(store)!r}.")
    rows = view.rows
    if words is not None and not ("concept" in rows and set(rows["concept"]) <= set(words.ids.tolist())):
        words = None  # names of other concepts cannot be chosen from
    spoken = None if words is None else _by_stimulus(words, rows)
    estimators = {
        name: make_recipe(name, images, text_targets=spoken, protocol=protocol, **(params or {}))
        for name in names
    }
    cv = (
        WithinSubject()
        if protocol == "within"
        else LeaveOneSubjectOut(concept="concept" if "concept" in rows else None)
    )
    report = evaluate(
        estimators,
        view,
        cv=cv,
        candidates=words,
        n_seeds=n_seeds,
        n_jobs=n_jobs,
        oracle=oracle,
        folder=out,
        verbose=1,
    )
    report.published = _published(names, protocol)
    report.save(out)
    return report


def make_recipe(
    name: str, targets: EmbeddingTable, *, text_targets: EmbeddingTable | None, protocol: str, **params: Any
) -> Pipeline:
    """A recipe by name; the name of a network gives the paper's training of it."""
    name = name.replace("-", "_") if name.replace("-", "_") in _recipes.__all__ else name
    if name in ("strong", *_METHODS):
        return getattr(_recipes, name)(targets, protocol=protocol, **params)
    if name == "atm_paper":
        return _recipes.atm_paper(targets, text_targets=text_targets, **params)
    if name in ("nice", "enigma"):
        return getattr(_recipes, name)(targets, **params)
    if name in ("linear", "contest"):
        return getattr(_recipes, name)(targets)
    known = list_nets()["name"].tolist()
    if name not in known:
        recipes = ", ".join(recipe for recipe in _recipes.__all__ if recipe not in ("paper", "finetune"))
        raise ValueError(
            f"recipes: {name!r} is neither a recipe ({recipes}) nor a network ({', '.join(known)})."
        )
    return _recipes.paper(name, targets, **params)


def text_table(report: EvaluationReport) -> str:
    """The headline of a report for the terminal."""
    metrics = [m for m in ("top-1", "top-5", "oracle top-1") if m in set(report.scores["metric"])]
    summary = report.summary(metrics)
    summary = summary[summary["task"] == "retrieval"]
    shown = summary.assign(
        **{column: (100 * summary[column]).round(1) for column in ("mean", "low", "high", "chance")}
    )
    columns = ["estimator", "metric", "mean", "low", "high", "chance", "n_subjects"]
    leaks = [f"LEAK: {row.about}: {row.text}" for row in report.flags.itertuples() if row.level == "leak"]
    return "\n".join([shown[columns].to_string(index=False), *leaks])


def _open(
    store: Path, targets: Path | None, texts: Path | None
) -> tuple[EpochsView, EmbeddingTable, EmbeddingTable | None]:
    images, words = _table("targets", targets), _table("texts", texts)
    if (store / "manifest.json").is_file():
        view = EpochsStore.open(store).view()
    elif next(store.rglob("preprocessed_eeg_training.npy"), None) is None:
        raise FileNotFoundError(
            f"store: {store} is neither a folder that EpochsStore.create wrote nor one of THINGS-EEG2 files. Get these"
            " with skeegclip fetch things-eeg2, or write your own recordings with skeegclip.datasets.load_recordings."
        )
    else:
        from ..datasets import load_things_eeg2

        data = load_things_eeg2(store)
        view, images, words = data.X, images or data.image_embeddings, words or data.text_embeddings
    if images is None:
        raise ValueError(
            "targets: nothing is known of the pictures. Pass a table that EmbeddingTable.save wrote."
        )
    return view, images, words


def _table(name: str, file: Path | None) -> EmbeddingTable | None:
    if file is not None and not file.is_file():
        raise FileNotFoundError(f"{name}: {file} is no file. Name one that EmbeddingTable.save wrote.")
    return None if file is None else EmbeddingTable.load(file)


def _by_stimulus(words: EmbeddingTable, rows: pd.DataFrame) -> EmbeddingTable:
    shown = rows.drop_duplicates("stimulus")
    return EmbeddingTable(shown["stimulus"].to_list(), words.lookup(shown["concept"].to_list()))


def _published(names: Sequence[str], protocol: str) -> Any:
    import pandas as pd

    figures = published_figures(protocol).query("modality == 'EEG'")
    parts = []
    for name in names:
        own = name.replace("-", "_")
        column, value = ("encoder", _METHODS[own]) if own in _METHODS else ("net", _NETS.get(own, name))
        parts.append(figures[figures[column] == value].assign(estimator=name))
    table = pd.concat(parts, ignore_index=True)
    return None if table.empty else table
