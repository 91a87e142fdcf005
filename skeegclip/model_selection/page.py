"""A report as a document of sections, and the document as Markdown and as an HTML page that loads nothing."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from string import Template
from typing import NamedTuple

# The first bytes of a PNG; its width is in bytes 16 to 20.
_PNG = b"\x89PNG\r\n\x1a\n"
_SHARPNESS = (
    1.5  # pixels of a PNG for one of the page: small on paper, a figure's text is then as large as the page's
)


class Measured(NamedTuple):
    """A cell that holds a number and its interval, as text."""

    value: str
    low: str
    high: str

    def __str__(self) -> str:
        return f"{self.value} [{self.low}, {self.high}]"


Cell = str | Measured


class Card(NamedTuple):
    """A large number with its name, and what is to be said of it in small; a quiet one is there to compare with."""

    name: str
    value: str
    below: str = ""
    is_quiet: bool = False


@dataclass(frozen=True)
class Picture:
    """A figure.

    Attributes
    ----------
    content : bytes
        PNG, or SVG.
    alt, caption : str
        What it shows, for those who do not see it; and what is said below it.
    """

    content: bytes
    alt: str
    caption: str = ""


@dataclass(frozen=True)
class Section:
    """A title and what stands below it: paragraphs, a picture, a table and a program, as far as there are any.

    Attributes
    ----------
    title : str
        Its name in the list of contents too.
    text : str
        Paragraphs, with an empty line between them.
    head, rows : sequence
        A table; the first cell of a row is its name.
    picture : Picture | None
        Above the table.
    code : str
        A program, at the end.
    """

    title: str
    text: str = ""
    head: Sequence[str] = ()
    rows: Sequence[Sequence[Cell]] = ()
    picture: Picture | None = None
    code: str = ""


@dataclass(frozen=True)
class Document:
    """What a page says, from top to bottom.

    Attributes
    ----------
    title, lead : str
        What it is about, and the most important sentences.
    alert, note : str
        What must be read before all figures: that they show nothing, or what they are of.
    cards, below_cards
        The most important numbers, and a sentence about all of them.
    picture : Picture | None
        The figure of these numbers.
    flags : sequence of (str, str)
        How bad ("leak", "warning", "note"), and what must be said beside the figures.
    sections : sequence of Section
        The rest.
    estimators : sequence of (str, str)
        Name and program of each.
    footer : str
        Versions.
    """

    title: str
    lead: str
    footer: str
    alert: str = ""
    note: str = ""
    cards: Sequence[Card] = ()
    below_cards: str = ""
    picture: Picture | None = None
    flags: Sequence[tuple[str, str]] = ()
    sections: Sequence[Section] = ()
    estimators: Sequence[tuple[str, str]] = ()


# -- Markdown ------------------------------------------------------------------------------------------


def markdown(document: Document) -> str:
    """The document as Markdown, without its pictures."""
    lines = [f"# {document.title}", ""]
    lines += [f"**{document.alert}**", ""] if document.alert else []
    lines += [f"*{document.note}*", ""] if document.note else []
    lines += [document.lead]
    if document.flags:
        lines += ["", "## Flags", ""]
        lines += [f"- **{level}**: {text}" for level, text in document.flags]
    for section in document.sections:
        lines += ["", f"## {section.title}", "", section.text]
        lines += ["", *_markdown_table(section)] if section.rows else []
        lines += ["", "```python", section.code.rstrip(), "```"] if section.code else []
    if document.estimators:
        lines += ["", "## Estimators", ""]
        lines += [f"- **{name}**: `{text}`" for name, text in document.estimators]
    return "\n".join([*lines, "", document.footer]) + "\n"


def _markdown_table(section: Section) -> list[str]:
    rows = [[str(cell).replace("|", "\\|") for cell in row] for row in (section.head, *section.rows)]
    rule = ["---", *["---:"] * (len(section.head) - 1)]
    return ["| " + " | ".join(row) + " |" for row in (rows[0], rule, *rows[1:])]


# -- HTML ----------------------------------------------------------------------------------------------


def html(document: Document) -> str:
    """The document as one page that loads nothing from elsewhere."""
    template = Template(files(__package__).joinpath("page.html").read_text(encoding="utf-8"))
    titles = [*(["Flags"] if document.flags else []), *(section.title for section in document.sections)]
    titles += ["Estimators"] if document.estimators else []
    return template.substitute(
        title=escape(document.title),
        alert=f'<p class="leak" role="alert">{escape(document.alert)}</p>' if document.alert else "",
        note=f'<p class="note">{escape(document.note)}</p>' if document.note else "",
        lead=_paragraphs(document.lead, "lead"),
        cards=_cards(document),
        picture=_picture(document.picture),
        contents=_contents(titles),
        flags=_flags(document.flags),
        sections="\n".join(_section(section) for section in document.sections),
        estimators=_estimators(document.estimators),
        footer=escape(document.footer),
    )


def _heading(title: str) -> str:
    return f'<h2 id="{_anchor(title)}">{escape(title)}</h2>'


def _anchor(title: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in title.lower())


def _contents(titles: list[str]) -> str:
    entries = "\n".join(f'<li><a href="#{_anchor(title)}">{escape(title)}</a></li>' for title in titles)
    if len(titles) < 2:
        return ""
    return f'<nav aria-label="Contents"><b>Contents</b><ul>\n{entries}\n</ul></nav>'


def _paragraphs(text: str, kind: str = "") -> str:
    mark = f' class="{kind}"' if kind else ""
    return "\n".join(f"<p{mark}>{escape(part)}</p>" for part in text.split("\n\n") if part)


def _cards(document: Document) -> str:
    if not document.cards:
        return ""
    cards = "\n".join(
        f'<li class="card{" quiet" if card.is_quiet else ""}"><div class="name">{escape(card.name)}</div>'
        f'<div class="value">{escape(card.value)}</div><div class="range">{escape(card.below)}</div></li>'
        for card in document.cards
    )
    return f'<ul class="cards">\n{cards}\n</ul>\n{_paragraphs(document.below_cards, "soft")}'


def _picture(picture: Picture | None) -> str:
    if picture is None:
        return ""
    kind, size = "svg+xml", ""
    if picture.content.startswith(_PNG):
        kind, size = "png", f' width="{round(int.from_bytes(picture.content[16:20], "big") / _SHARPNESS)}"'
    source = f"data:image/{kind};base64,{base64.b64encode(picture.content).decode()}"
    caption = f"<figcaption>{escape(picture.caption)}</figcaption>" if picture.caption else ""
    return f'<figure><img{size} alt="{escape(picture.alt)}" src="{source}">{caption}</figure>'


def _flags(flags: Sequence[tuple[str, str]]) -> str:
    if not flags:
        return ""
    entries = "\n".join(
        f'<li class="{level}"><b>{level}</b> &middot; {escape(text)}</li>' for level, text in flags
    )
    return f'{_heading("Flags")}\n<ul class="flags">\n{entries}\n</ul>'


def _section(section: Section) -> str:
    parts = [_heading(section.title), _paragraphs(section.text), _picture(section.picture)]
    if section.rows:
        head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in section.head)
        body = "\n".join(
            f'<tr><th scope="row">{escape(str(row[0]))}</th>{"".join(map(_cell, row[1:]))}</tr>'
            for row in section.rows
        )
        parts.append(
            f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(section.title)}"><table><thead><tr>{head}</tr></thead>\n'
            f"<tbody>\n{body}\n</tbody></table></div>"
        )
    parts += [f"<pre><code>{escape(section.code)}</code></pre>"] if section.code else []
    return "\n".join(part for part in parts if part)


def _cell(cell: Cell) -> str:
    if isinstance(cell, Measured):
        value, low, high = map(escape, cell)
        return f'<td>{value}<span class="range">{low} to {high}</span></td>'
    words = ' class="words"' if len(cell) > 30 else ""
    return f"<td{words}>{escape(cell)}</td>"


def _estimators(estimators: Sequence[tuple[str, str]]) -> str:
    if not estimators:
        return ""
    entries = "\n".join(
        f"<dt>{escape(name)}</dt><dd><code>{escape(text)}</code></dd>" for name, text in estimators
    )
    return f"{_heading('Estimators')}\n<dl>\n{entries}\n</dl>"
