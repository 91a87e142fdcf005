"""What a reader of an evaluation must be told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ..._evaluation.cells import Cell
from ..audit import SplitAudit

LEVELS = ("leak", "warning", "note")

_RULES = {
    "validation": "the pass with the lowest loss on training stimuli held out",
    "last-batch": "the pass with the lowest loss on the last batch of the training set",
    "last": "the last pass (fixed beforehand)",
}


class Flag(NamedTuple):
    """A flag: how bad, whom it concerns ("" = all estimators), what it is about, and a sentence."""

    level: str
    estimator: str
    about: str
    text: str


def find_flags(cells: list[Cell], audits: Mapping[str, SplitAudit]) -> list[Flag]:
    """All flags of an evaluation, the worst first."""
    flags = [*split_flags(audits), *_merged(_estimator_flags(cells)), *_gallery_flags(cells)]
    flags += _query_flags(cells)
    return sorted(flags, key=lambda flag: LEVELS.index(flag.level))


def _merged(flags: list[Flag]) -> list[Flag]:
    """One flag for all estimators that it concerns."""
    names: dict[tuple[str, str, str], list[str]] = {}
    for flag in flags:
        names.setdefault((flag.level, flag.about, flag.text), []).append(flag.estimator)
    return [Flag(level, "; ".join(of), about, text) for (level, about, text), of in names.items()]


def split_flags(audits: Mapping[str, SplitAudit]) -> list[Flag]:
    """Flags of what training and test share, in words for all folds."""
    found: dict[tuple[str, str], list[str]] = {}
    for audit in audits.values():
        for kind, level in audit.flags.items():
            found.setdefault((level, kind), []).append(audit.message(kind))
    flags = [Flag(level, "", kind, in_folds(texts, len(audits))) for (level, kind), texts in found.items()]
    if unknown := not_checked(audits):
        text = f"nothing is known of: {', '.join(unknown)}. Whether training and test share them is open"
        flags.append(Flag("note", "", "not checked", text))
    return flags


def in_folds(texts: list[str], n_folds: int) -> str:
    """What is said of several folds, in the words of the first."""
    return texts[0] if n_folds == 1 else f"in {len(texts)} of {n_folds} folds; first: {texts[0]}"


def leaks_of(flags: list[Flag]) -> list[str]:
    """What leaks, in sentences."""
    return [
        f"{f'{flag.estimator}: ' if flag.estimator else ''}{flag.text}"
        for flag in flags
        if flag.level == "leak"
    ]


def not_checked(audits: Mapping[str, SplitAudit]) -> list[str]:
    """Kinds that could not be checked in some fold, in the order of an audit."""
    return list(dict.fromkeys(kind for audit in audits.values() for kind in audit.not_checked))


def _estimator_flags(cells: list[Cell]) -> list[Flag]:
    flags: list[Flag] = []
    for name in dict.fromkeys(cell.estimator for cell in cells):
        mine = [cell for cell in cells if cell.estimator == name]
        for text in dict.fromkeys(text for cell in mine for text in cell.facts["transductive"]):
            flags.append(Flag("warning", name, "transductive", text))
        for level, text in dict.fromkeys(tuple(said) for cell in mine for said in cell.facts["frozen"]):
            flags.append(Flag(level, name, "frozen", text))
        if any(ranked.pass_better is not None for cell in mine for ranked in cell.tasks.values()):
            flags.append(
                Flag(
                    "warning",
                    name,
                    "oracle",
                    "oracle figures choose the pass on the test set: they say how large that bias is, not how good the decoder is",
                )
            )
        for text in dict.fromkeys(text for cell in mine for text in cell.facts["notes"]):
            flags.append(Flag("note", name, "left out", text))
        if any(cell.facts["selection"] for cell in mine) and len({cell.seed for cell in mine}) == 1:
            flags.append(
                Flag("note", name, "one seed", "trained once: the spread over trainings is not known")
            )
    return flags


def _gallery_flags(cells: list[Cell]) -> list[Flag]:
    sizes = {
        task: {len(cell.tasks[task].gallery) for cell in cells if task in cell.tasks}
        for task in cells[0].tasks
    }
    return [
        Flag(
            "note",
            "",
            "gallery",
            f"{task} chooses from {min(of)} to {max(of)}, by fold: chance is their mean",
        )
        for task, of in sizes.items()
        if len(of) > 1
    ]


def _query_flags(cells: list[Cell]) -> list[Flag]:
    low = min(cell.facts["n_averaged"][0] for cell in cells)
    high = max(cell.facts["n_averaged"][1] for cell in cells)
    if high == 1:
        return [
            Flag("note", "", "queries", "test queries are single rows of X, not averaged by this evaluation")
        ]
    number = f"{low}" if low == high else f"{low} to {high}"
    return [Flag("note", "", "queries", f"each test query is the mean of {number} epochs of a stimulus")]


def selection_text(cell: Cell) -> list[str]:
    """How the weights of a cell's networks were chosen, in words."""
    return [
        "no passes: ridge regression in closed form"
        if chosen["rule"] == "ridge"
        else f"pass {chosen['epoch']} of {chosen['n_passes']}: {_RULES.get(chosen['rule'], chosen['rule'])}{_of_path(chosen)}"
        for chosen in cell.facts["selection"]
    ]


def _of_path(chosen: dict) -> str:
    if "of_loss_weights" not in chosen:
        return ""
    values = ", ".join(f"{value:g}" for value in chosen["of_loss_weights"])
    return f"; lambda {chosen['loss_weight']:g} of {values} by the same stimuli"
