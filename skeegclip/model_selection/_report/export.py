"""A report as Markdown and as an HTML page."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING

from ..._version import __version__
from .dots import dot_plot
from .sections import Section, headline, sections, warning

if TYPE_CHECKING:
    from ..report import EvaluationReport

TITLE = "Evaluation report"


def markdown(report: EvaluationReport) -> str:
    """The report as Markdown."""
    first = [f"**{text}**", ""] if (text := warning(report)) else []
    lines = [f"# {TITLE}", "", *first, headline(report), "", "## Flags", ""]
    lines += [
        f"- **{row.level}**{f', {row.estimator}' if row.estimator else ''}: {row.about}: {row.text}"
        for row in report.flags.itertuples()
    ]
    for section in sections(report):
        lines += ["", f"## {section.title}", "", section.text, "", *_markdown_table(section)]
    lines += ["", "## Estimators", ""]
    lines += [f"- **{name}**: `{text}`" for name, text in report.estimators.items()]
    lines += ["", f"skeegclip {__version__}"]
    return "\n".join(lines) + "\n"


def _markdown_table(section: Section) -> list[str]:
    rows = [[cell.replace("|", "\\|") for cell in row] for row in (section.head, *section.rows)]
    rule = ["---", *["---:"] * (len(section.head) - 1)]
    return ["| " + " | ".join(row) + " |" for row in (rows[0], rule, *rows[1:])]


def page(report: EvaluationReport) -> str:
    """The report as one HTML page."""
    template = Template(files(__package__).joinpath("report.html").read_text(encoding="utf-8"))
    flags = "\n".join(
        f'<li class="{row.level}"><b>{row.level}</b>{f" {escape(row.estimator)}" if row.estimator else ""}'
        f" &middot; {escape(row.about)}: {escape(row.text)}</li>"
        for row in report.flags.itertuples()
    )
    return template.substitute(
        title=TITLE,
        warning=f'<p class="leak" role="alert">{escape(text)}</p>' if (text := warning(report)) else "",
        headline=escape(headline(report)),
        flags=flags,
        figure=dot_plot(report),
        sections="\n".join(_section(section) for section in sections(report)),
        estimators="\n".join(
            f"<dt>{escape(name)}</dt><dd><code>{escape(text)}</code></dd>"
            for name, text in report.estimators.items()
        ),
        version=__version__,
    )


def _section(section: Section) -> str:
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in section.head)
    body = "\n".join(
        f'<tr><th scope="row">{escape(row[0])}</th>' + "".join(_cell(cell) for cell in row[1:]) + "</tr>"
        for row in section.rows
    )
    return (
        f"<h2>{escape(section.title)}</h2>\n<p>{escape(section.text)}</p>\n"
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'
    )


def _cell(text: str) -> str:
    words = ' class="words"' if len(text) > 30 else ""
    return f"<td{words}>{escape(text)}</td>"
