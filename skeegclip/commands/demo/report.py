"""The report: one HTML file that loads nothing from elsewhere."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from ..._version import __version__
from .config import Config
from .decoders import RIDGE
from .output import versions
from .painting import METRICS
from .scores import KNOWING, TASKS, Results, label, percent, row_of, shown_rows

_CODE = """\
from mne.decoding import Scaler
from sklearn.pipeline import make_pipeline
from skeegclip import EEGEncoder, ImageRetriever
from skeegclip.datasets import make_things_like
from skeegclip.preprocessing import average_repetitions

data = make_things_like({data})
train, test = data.split == "train", data.split == "test"
X_test, y_test, _ = average_repetitions(data.X[test], data.y[test])

table = data.image_embeddings
encoder = EEGEncoder({encoder})
retriever = ImageRetriever(encoder, targets=table, gallery=table.subset(y_test))
decoder = make_pipeline(Scaler(scalings="mean"), retriever)
decoder.fit(data.X[train], data.y[train])
print(decoder.score(X_test, y_test))
"""

_QUICK_REMARK = (
    "This was the quick demo: too few trials and passes for the networks, so a plain ridge regression may well beat"
    " them. Leave out <code>--quick</code> for a fairer race."
)


def make_report(results: Results, figures: Mapping[str, bytes]) -> str:
    """Fill the template.

    Parameters
    ----------
    results : Results
        What the demo found.
    figures : mapping of str to bytes
        PNG files by name.

    Returns
    -------
    str
        HTML.
    """
    config, data, test = results.config, results.data, results.test
    first = next(iter(config.encoders))
    n_test = len(test.y)
    design = config.data
    return _template().substitute(
        version=__version__,
        config=config.name,
        seed=results.seed,
        first=first,
        first_accuracy=f"{percent(_best(results, first)['accuracy'])} %",
        n_test=n_test,
        chance=percent(1 / n_test),
        remark=_QUICK_REMARK if config.name == "quick" else "",
        n_shown=min(config.n_shown, n_test),
        n_chans=results.shape["n_chans"],
        n_times=results.shape["n_times"],
        n_dims=data.image_embeddings.n_dims,
        n_train_concepts=design["n_train_concepts"],
        n_images=design["n_images_per_concept"],
        n_train_rep=design["n_train_repetitions"],
        n_test_rep=design["n_test_repetitions"],
        nets=" and ".join(config.encoders),
        n_single=f"{results.selection[first]['n_epochs']:,}",
        n_averaged=f"{results.selection[RIDGE]['n_epochs']:,}",
        selection=describe_selection(results),
        cards="\n".join(_cards(results)),
        table_retrieval=_accuracy_table(results, "retrieval"),
        table_naming=_accuracy_table(results, "naming"),
        table_painted=_painted_table(results),
        identified=percent(results.painted.identified),
        table_seconds=_seconds_table(results.seconds),
        code=escape(example_code(config, results.seed)),
        versions=escape(", ".join(f"{name} {number}" for name, number in versions().items())),
        **{f"fig_{name}": _inline(png) for name, png in figures.items()},
    )


def example_code(config: Config, seed: int) -> str:
    """Return a program that trains the first decoder as the demo does and prints its top-1 accuracy."""
    net = dict(next(iter(config.encoders.values())))
    first = repr(net.pop("net"))
    return _CODE.format(
        data=_arguments({**config.data, "random_state": seed}, indent=4),
        encoder=_arguments({**net, "random_state": seed}, indent=4, first=first),
    )


def _arguments(arguments: Mapping[str, Any], indent: int, first: str = "") -> str:
    """Write arguments out, in lines of at most three."""
    parts = [*([first] if first else []), *(f"{name}={value!r}" for name, value in arguments.items())]
    lines = [", ".join(parts[start : start + 3]) for start in range(0, len(parts), 3)]
    gap = ",\n" + " " * indent
    return f"\n{' ' * indent}{gap.join(lines)},\n"


def describe_selection(results: Results) -> str:
    """Say in one or two sentences how weights and penalty were chosen."""
    said = []
    for name, kept in results.selection.items():
        if kept["rule"] == "validation":
            said.append(
                f"{name} kept the weights of pass {kept['epoch']} of {len(results.history[name])}, the one with the"
                f" lowest loss on {kept['n_stimuli_held_out']} training pictures held out with all their repetitions."
            )
        elif kept["rule"] == "last":
            said.append(f"{name} kept the weights of its last pass, {kept['epoch']}; nothing was held out.")
        else:
            said.append(
                f"{name} chose its penalty ({kept['alpha']:g}) by leaving out one training picture at a time."
            )
    return escape(" ".join(said))


def _template() -> Template:
    return Template(files(__package__).joinpath("report.html").read_text(encoding="utf-8"))


def _inline(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _best(results: Results, name: str) -> Mapping[str, float]:
    return row_of(results.tables["retrieval"][name], len(results.test.y), 1)


def _cards(results: Results) -> Iterable[str]:
    for name in results.tables["retrieval"]:
        row = _best(results, name)
        yield _card(name, percent(row["accuracy"]), _range(row))
    yield _card("Knowing", percent(results.data.truth.accuracy), "upper reference", "reference")


def _card(name: str, value: str, below: str, kind: str = "") -> str:
    return (
        f'<li class="card {kind}"><div class="name">{escape(name)}</div>'
        f'<div class="value">{value} %</div><div class="range">{below}</div></li>'
    )


def _range(row: Mapping[str, float]) -> str:
    return f"{percent(row['low'])} to {percent(row['high'])}"


def _accuracy_table(results: Results, task: str) -> str:
    tables = results.tables[task]
    pairs = shown_rows(next(iter(tables.values())))
    whole = max(n for n, _ in pairs)
    with_reference = task == "retrieval"
    heads = ["", *tables, *([KNOWING] if with_reference else []), "chance"]
    rows = []
    for n, k in pairs:
        cells = []
        for table in tables.values():
            row = row_of(table, n, k)
            cells.append(f'{percent(row["accuracy"])}<span class="range">{_range(row)}</span>')
        if with_reference:
            cells.append(percent(results.data.truth.accuracy) if (n, k) == (whole, 1) else "")
        cells.append(percent(k / n))
        rows.append((label(n, k), cells, (n, k) == (whole, 1)))
    return _table(heads, rows, TASKS[task])


def _painted_table(results: Results) -> str:
    table = results.painted.table
    rows = []
    for name, row in table.iterrows():
        cells = [
            f'{row[metric]:.3f}<span class="range">{row[f"{metric}_low"]:.2f} to {row[f"{metric}_high"]:.2f}</span>'
            for metric in METRICS
        ]
        rows.append((str(name).capitalize(), cells, name == "generated"))
    return _table(["", *METRICS], rows, "Reconstructions and baselines")


def _seconds_table(seconds: Mapping[str, float]) -> str:
    rows = [(step[0].upper() + step[1:], [f"{s:.1f}"], step == "total") for step, s in seconds.items()]
    return _table(["Step", "Seconds"], rows, "Seconds per step")


def _table(heads: list[str], rows: list[tuple[str, list[str], bool]], title: str) -> str:
    """Write a table; cells are HTML, the first of a row its name, and marked rows stand out."""
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    body = "\n".join(
        f'<tr{mark}><th scope="row">{escape(name)}</th>'
        + "".join(f"<td>{cell}</td>" for cell in cells)
        + "</tr>"
        for name, cells, mark in (
            (name, cells, ' class="whole"' if marked else "") for name, cells, marked in rows
        )
    )
    return f'<table aria-label="{escape(title)}"><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>'
