"""Documents as Markdown and as a page: nothing that is said in them is taken for markup."""

import io
import re
from html.parser import HTMLParser

import pytest
from PIL import Image

from skeegclip.model_selection.page import Card, Document, Measured, Picture, Section, html, markdown

EVIL = "<script>alert('$x')</script> & \"quoted\" | piped"
_BUFFER = io.BytesIO()
Image.new("RGB", (300, 20)).save(_BUFFER, format="png")
PNG = _BUFFER.getvalue()
EVERYTHING = Document(
    EVIL,
    f"{EVIL}\n\nsecond paragraph",
    EVIL,
    alert=EVIL,
    note=EVIL,
    cards=[Card(EVIL, EVIL, EVIL, is_quiet=True)],
    below_cards=EVIL,
    picture=Picture(PNG, EVIL, EVIL),
    flags=[("leak", EVIL)],
    sections=[
        Section(
            EVIL, EVIL, [EVIL, EVIL], [[EVIL, Measured(EVIL, EVIL, EVIL)]], Picture(b"<svg/>", EVIL), EVIL
        )
    ],
    estimators=[(EVIL, EVIL)],
)


class Tags(HTMLParser):
    """Which tags were opened, and the text between them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.sources = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name == "src"]

    def handle_data(self, data):
        self.words.append(data)


def test_what_is_said_is_never_markup():
    page = Tags(html(EVERYTHING))
    assert "script" not in page.tags
    assert "".join(page.words).count("alert('$x')") == 24  # every text in the document
    assert [source.partition(";")[0] for source in page.sources] == ["data:image/png", "data:image/svg+xml"]


def test_markdown_says_the_same_and_keeps_its_tables():
    text = markdown(EVERYTHING)
    row = next(line for line in text.splitlines() if line.startswith("| <script>") and "[" in line)
    assert row.count("\\|") == row.count("|") - 3  # two cells: three bars of the table
    assert "```python" in text


@pytest.mark.parametrize("write", [html, markdown])
def test_what_there_is_not_leaves_nothing_behind(write):
    text = write(Document("Title", "Lead.", "Footer", sections=[Section("Only", "Text.")]))
    body = text.partition("<body>")[2] or text
    for absent in ("Flags", "Estimators", "<table", "<nav", "<img", 'class="cards"', "```", "| "):
        assert absent not in body
    assert all(present in body for present in ("Title", "Lead.", "Only", "Text.", "Footer"))


def test_a_bitmap_is_as_wide_as_its_pixels_say_and_a_drawing_as_the_page():
    bitmap, drawing = re.findall(r"<img[^>]*>", html(EVERYTHING))
    assert 'width="200"' in bitmap
    assert "width=" not in drawing


def test_contents_name_every_section_and_lead_to_it():
    sections = [Section(title, "Text.") for title in ("One thing", "Another: thing")]
    text = html(Document("Title", "Lead.", "Footer", flags=[("note", "x")], sections=sections))
    links = re.findall(r'<li><a href="#(.*?)">(.*?)</a></li>', text)
    assert [name for _, name in links] == ["Flags", "One thing", "Another: thing"]
    for anchor, name in links:
        assert f'<h2 id="{anchor}">{name}</h2>' in text


def test_what_is_wider_than_the_screen_can_be_reached_with_the_keyboard():
    table = re.search(r'<div class="scroll"[^>]*>', html(EVERYTHING)).group()
    assert 'tabindex="0"' in table
    assert 'role="region"' in table
