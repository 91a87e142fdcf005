"""The report: its tables against each other, and its files."""

import base64
import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import Ridge

from skeegclip import EEGEncoder, EpochsView, ImageRetriever, evaluate
from skeegclip._evaluation.cells import Cell, load_cell, rank, save_cell
from skeegclip.model_selection import EvaluationReport, LeaveOneSubjectOut, WithinSubject, published_figures


@pytest.fixture(scope="module")
def report(planted):
    net = EEGEncoder(
        "eegproject",
        targets=planted.table,
        lr=3e-3,
        batch_size=32,
        max_epochs=3,
        validation=0.2,
        device="cpu",
    )
    estimators = {
        "net <b>": net,
        "mean | of all": ImageRetriever(DummyRegressor(), targets=planted.table),
        "ridge": ImageRetriever(Ridge(10.0), targets=planted.table),
    }
    return evaluate(
        estimators, planted.view, cv=LeaveOneSubjectOut(), candidates=planted.names, n_seeds=2, oracle=True
    )


def test_scores_are_tidy(report):
    scores = report.scores
    assert list(scores) == ["estimator", "task", "subject", "seed", "metric", "value", "chance"]
    keys = ["estimator", "task", "subject", "seed", "metric"]
    assert not scores.duplicated(keys).any()
    assert scores["value"].between(0, 1).all()
    plain = {"top-1", "top-5", "2-way", "4-way", "10-way", "10-way top-5"}
    assert set(scores.query("estimator == 'ridge'")["metric"]) == plain
    oracle = set(scores.query("estimator == 'net <b>' and task == 'retrieval'")["metric"])
    assert oracle == plain | {f"oracle {name}" for name in plain}
    assert list(dict.fromkeys(scores["estimator"])) == ["net <b>", "mean | of all", "ridge"]


def test_tables_agree(report):
    summary = report.summary()
    means = report.scores.groupby(["estimator", "task", "metric"])["value"].mean()
    for row in summary.itertuples():
        assert row.mean == pytest.approx(means[row.estimator, row.task, row.metric])
        assert row.low <= row.mean <= row.high
    assert set(summary["interval_over"]) == {"stimuli and subjects"}
    assert summary["p"].notna().tolist() == summary["metric"].isin(["top-1", "top-5"]).tolist()
    wide, narrow = report.summary(["top-1"], confidence=0.99), report.summary(["top-1"], confidence=0.5)
    assert ((wide["high"] - wide["low"]) > (narrow["high"] - narrow["low"])).all()

    table = report.compare("top-1").set_index(["estimator", "minus"])
    for (first, second), row in table.iterrows():
        assert row["difference"] == pytest.approx(
            means[first, "retrieval", "top-1"] - means[second, "retrieval", "top-1"]
        )
        assert row["low"] <= row["difference"] <= row["high"]
        assert row["p"] <= row["p_holm"] <= 1
    assert table.loc[("mean | of all", "ridge"), "p"] < 0.05
    assert set(table["flipped"]) == {"stimuli"}
    named = report.compare("2-way", task="classification").iloc[0]
    expected = means["net <b>", "classification", "2-way"] - means["mean | of all", "classification", "2-way"]
    assert named["difference"] == pytest.approx(expected)

    intervals = report.intervals()
    assert set(intervals["over"]) == {"stimuli", "subjects", "stimuli and subjects", "seeds"}
    both = intervals.query("over == 'stimuli and subjects' and metric == 'top-1'")
    expected = summary.query("metric == 'top-1'")
    np.testing.assert_array_equal(both[["low", "high"]], expected[["low", "high"]])


def test_signs_of_many_people_are_flipped():
    rng = np.random.default_rng(0)
    cells = [
        Cell(
            name,
            f"sub-{person:02d}",
            0,
            {"retrieval": _ranked(rng, better_at, f"sub-{person:02d}")},
            {"selection": [], "transductive": [], "frozen": [], "notes": [], "n_averaged": [4, 4]},
        )
        for name, better_at in (("good", 0.7), ("bad", 0.3))
        for person in range(7)
    ]
    report = EvaluationReport(cells, audits={}, estimators={"good": "", "bad": ""}, settings={})
    row = report.compare().iloc[0]
    assert (row["flipped"], row["p"]) == ("subjects", pytest.approx(2 / 2**7))
    assert report.flags["text"].tolist() == ["each test query is the mean of 4 epochs of a stimulus"]


def _ranked(rng, accuracy, person):
    gallery = np.array([f"image_{i:02d}" for i in range(40)])
    similarity = rng.standard_normal((40, 40))
    np.fill_diagonal(similarity, np.where(rng.random(40) < accuracy, 9.0, -9.0))
    return rank(similarity, gallery, gallery, subject=np.full(40, person), stimulus=gallery)


def test_how_passes_were_chosen(report):
    assert report.selection["estimator"].unique().tolist() == ["net <b>"]
    assert set(report.selection["rule"]) == {"validation"}
    assert report.selection["epoch"].between(1, 3).all()
    assert len(report.selection) == 6
    assert "the pass with the lowest loss on training stimuli held out" in report.to_markdown()


def test_cells_survive_their_files(report, tmp_path):
    for number, cell in enumerate(report._cells):
        path = tmp_path / f"cell-{number}.cell"
        save_cell(path, cell)
        ranked = cell.tasks["retrieval"]
        again = load_cell(path, list(zip(ranked.subject, ranked.stimulus, strict=True)))
        assert (again.estimator, again.fold, again.seed, again.facts) == (
            cell.estimator,
            cell.fold,
            cell.seed,
            cell.facts,
        )
        for task, ranked in cell.tasks.items():
            for name, value in vars(ranked).items():
                np.testing.assert_array_equal(getattr(again.tasks[task], name), value)
    assert load_cell(tmp_path / "none-0.cell", []) is None


# -- files ---------------------------------------------------------------------------------------------


def test_files(report, tmp_path):
    report.save(tmp_path / "new" / "folder")
    folder = tmp_path / "new" / "folder"
    assert sorted(path.name for path in folder.iterdir()) == [
        "report.html",
        "report.json",
        "report.md",
        "scores.csv",
        "skeegclip-files.json",
    ]
    pd.testing.assert_frame_equal(pd.read_csv(folder / "scores.csv"), report.scores, check_dtype=False)
    content = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert len(content["summary"]) == len(report.summary())
    assert content["settings"]["cv"] == "LeaveOneSubjectOut()"
    assert {cell["n_averaged"][0] for cell in content["cells"]} == {2}
    assert content["oracle"][0]["bias"] == pytest.approx(report.bias()["bias"].iloc[0])
    assert (folder / "report.md").read_text(encoding="utf-8") == report.to_markdown()


def test_a_report_replaces_its_own_files_only(report, tmp_path):
    report.save(tmp_path / "a")
    first = (tmp_path / "a" / "report.md").read_bytes()
    report.save(tmp_path / "a")
    assert (tmp_path / "a" / "report.md").read_bytes() == first
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "report.html").write_text("mine")
    with pytest.raises(FileExistsError, match=r"report.html' is not what an earlier save wrote"):
        report.save(tmp_path / "b")
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["report.html"]


class _Page(HTMLParser):
    """Collects tags that were opened and not closed, and everything that would be loaded."""

    VOID = {"meta", "br", "img"}

    def __init__(self, page):
        super().__init__()
        self.open, self.loads, self.rows, self.ids, self.pictures = [], [], 0, [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.note(attrs)
        self.rows += tag == "tr"
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.note(attrs)

    def note(self, attrs):
        self.ids += [value for name, value in attrs if name == "id"]
        sources = [value for name, value in attrs if name in ("src", "href")]
        self.pictures += [value for value in sources if value.startswith("data:image/")]
        self.loads += [value for value in sources if not value.startswith("data:image/")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_and_loads_nothing(report):
    text = report.to_html()
    page = _Page(text)
    assert page.open == []
    # Links lead to the sections of the page itself, each to another one.
    assert page.loads == [f"#{name}" for name in page.ids]
    assert len(set(page.ids)) == len(page.ids) >= 8
    assert "url(" not in text
    assert "$" not in text.replace("US$", "")
    assert "net &lt;b&gt;" in text
    assert "<b>net" not in text
    assert page.rows > 20
    means = report.summary(["top-1"]).query("task == 'retrieval'")
    for value in means["mean"]:
        assert f'<td>{100 * value:.1f}<span class="range">' in text
        assert f'<div class="value">{100 * value:.1f} %</div>' in text
    (figure,) = page.pictures
    drawn = ET.fromstring(base64.b64decode(figure.partition("base64,")[2]))
    assert drawn.tag == "{http://www.w3.org/2000/svg}svg"
    assert report.to_html() == text


def test_the_first_sentence_names_the_best_and_its_figures(report):
    best = report.summary(["top-1"]).query("task == 'retrieval'").sort_values("mean").iloc[-1]
    said = (
        f"{best['estimator']} finds the picture at the first try in {100 * best['mean']:.1f} % of all cases"
    )
    assert said in report.to_markdown()
    assert f"guessing: {100 * best['chance']:.1f} %), the most of 3 estimators." in report.to_markdown()


def test_markdown_tables_are_rectangular(report):
    text = report.to_markdown()
    blocks = re.findall(r"(?:^\|.*\|\n)+", text, re.M)
    assert len(blocks) >= 7
    for block in blocks:
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(widths) == 1, block
    assert "mean \\| of all" in text


def test_published_figures_stand_beside(report):
    figures = published_figures("loso").query("net == 'nice'").assign(estimator="ridge")
    shown = EvaluationReport(
        report._cells,
        audits=report.audits,
        estimators=report.estimators,
        settings=report.settings,
        published=figures,
    )
    text = shown.to_markdown()
    assert "published top-1" in text
    assert "8.2 ± 3.0" in text
    assert "ridge, published" in text
    assert "arXiv:2403.07721 table 8" in shown.to_html()
    assert "published" not in report.to_markdown().lower().replace("unpublished", "")


def test_a_single_person_a_single_estimator(planted):
    one = planted.view.select(subject="ann")
    report = evaluate(Ridge(10.0), one, targets=planted.table, cv=WithinSubject())
    row = report.summary(["top-1"]).iloc[0]
    assert (row["interval_over"], row["n_subjects"]) == ("stimuli", 1)
    assert np.isnan(row["sd_subjects"])
    text = report.to_markdown()
    assert "Compared with each other" not in text
    assert "Each person" not in text
    assert _Page(report.to_html()).open == []
    assert report.compare().empty
    assert report.bias().empty


def test_two_pictures_make_a_report(planted):
    pair = planted.test_ids[:2]
    keep = planted.rows["split"].eq("train") | planted.rows["stimulus"].isin(pair)
    view = EpochsView.from_arrays(planted.X, rows=planted.rows)[keep.to_numpy()]
    report = evaluate(Ridge(10.0), view, targets=planted.table, cv=LeaveOneSubjectOut())
    assert set(report.scores["metric"]) == {"top-1", "2-way"}
    assert _Page(report.to_html()).open == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: r.summary(["top-3"]), "metrics must be one of 'top-1'"),
        (lambda r: r.summary(confidence=95), "confidence must lie between 0 and 1"),
        (lambda r: r.summary(n_permutations=0), "n_permutations must lie in"),
        (lambda r: r.compare(task="painting"), "task must be one of 'retrieval'"),
        (lambda r: r.compare("top-9"), "metrics must be one of"),
    ],
)
def test_bad_arguments(report, call, message):
    with pytest.raises(ValueError, match=message):
        call(report)
