"""What notebooks show of our objects: a name and a few facts, and never the data."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

_LONGEST, _MOST = 120, 12
# No wider than the page and no taller than half a screen, whatever is in it: the rest scrolls.
_STYLE = (
    "border:1px solid #8886;border-radius:6px;padding:.4em .8em;display:inline-block;box-sizing:border-box;"
    "max-width:100%;max-height:28em;overflow:auto"
)


def html_card(name: str, facts: Mapping[str, Any], *, body: str = "") -> str:
    """Return a name and its facts as a small piece of HTML that is readable on a light and a dark page.

    Parameters
    ----------
    name : str
        Of the class.
    facts : mapping of str to object
        What is to be said, as text; long text is cut, and of many facts the first are shown.
    body : str
        HTML below the facts, escaped already.

    Returns
    -------
    str
        HTML.
    """
    rows = "".join(
        f'<tr><td style="text-align:left;opacity:.7">{escape(key)}</td><td style="text-align:left;overflow-wrap:anywhere">{escape(cut(value))}</td></tr>'
        for key, value in list(facts.items())[:_MOST]
    )
    return (
        f'<div style="{_STYLE}"><b>{escape(name)}</b><table style="margin:.2em 0">{rows}</table>{body}</div>'
    )


def html_table(frame: Any, *, most: int = 10) -> str:
    """Return the first rows of a DataFrame as HTML, escaped, and how many there are.

    Parameters
    ----------
    frame : DataFrame
        Any table.
    most : int
        Rows to show.

    Returns
    -------
    str
        HTML.
    """
    import pandas as pd

    with pd.option_context(
        "display.max_colwidth", _LONGEST, "display.html.border", 0, "display.max_columns", 20
    ):
        shown = frame.head(most).to_html(index=False, float_format=lambda number: f"{number:.3g}")
    rest = f'<div style="opacity:.7">first {most} of {len(frame):,} rows</div>' if len(frame) > most else ""
    return f'<div style="overflow-x:auto">{shown}</div>{rest}'


def cut(value: Any) -> str:
    """Text of a value, cut where it is long; of a sequence the first few.

    Parameters
    ----------
    value : object
        Text, number or sequence.

    Returns
    -------
    str
        At most 120 characters.
    """
    if isinstance(value, (list, tuple)):
        more = f", ... ({len(value):,} in all)" if len(value) > 5 else ""
        value = ", ".join(map(str, value[:5])) + more
    text = str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
