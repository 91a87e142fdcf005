"""The demo from beginning to end, in small."""

import contextlib
import io
import json
import re
import string
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from PIL import Image

from skeegclip.commands._shell import prepare_folder
from skeegclip.commands.demo.config import FULL, QUICK, Config
from skeegclip.commands.demo.example import example_code
from skeegclip.commands.demo.output import FIGURES, FILES
from skeegclip.commands.demo.run import run_demo
from skeegclip.model_selection.report import as_document

pytestmark = pytest.mark.slow

NETS = ("ATM-S", "NICE")
TINY = Config(
    name="tiny",
    data={
        "n_train_concepts": 40,
        "n_images_per_concept": 2,
        "n_test_concepts": 12,
        "n_train_repetitions": 2,
        "n_test_repetitions": 4,
        "n_dims": 16,
        "snr": 20.0,
    },
    encoders={
        "ATM-S": {"net": "atm-s", "max_epochs": 4, "batch_size": 64, "lr": 2e-3, "validation": 0.1},
        "NICE": {"net": "nice", "max_epochs": 2, "batch_size": 64, "validation": 0.0},
    },
    n_shown=3,
    n_real_passes=1,
)


def run(folder, **kwargs):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
        results = run_demo(prepare_folder(folder), TINY, **kwargs)
    return results, printed.getvalue()


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Such small steps gain nothing from more threads, and wait for them where the cores are busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    results, printed = run(folder)
    metrics = json.loads((folder / "metrics.json").read_text())
    return folder, results, printed, metrics, (folder / "report.html").read_text(encoding="utf-8")


class Page(HTMLParser):
    """Tags that are open, what is loaded, and the text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.loaded, self.words, self.rows = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.loaded += [attrs[name] for name in ("src", "srcset", "href", "data", "poster") if name in attrs]
        if tag not in {"meta", "img", "br", "link"}:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in {"td", "th"}:
            self.rows[-1].append(data)
        if "style" not in self.open:
            self.words.append(data)


def test_files(demo):
    folder = demo[0]
    assert {path.name for path in folder.iterdir()} == {*FILES, "skeegclip-files.json"}
    assert prepare_folder(folder, FILES) == folder  # a second demo may replace them


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_figures_show_something(demo, name):
    with Image.open(demo[0] / f"{name}.png") as picture:
        pixels = np.asarray(picture.convert("L"), dtype=float)
    assert min(pixels.shape) > 300
    assert pixels.std() > 10


def test_report_loads_nothing(demo):
    page = Page(demo[4])
    assert page.open == []
    pictures = [source for source in page.loaded if not source.startswith("#")]
    assert len(pictures) == len(FIGURES) + 1  # and that of the evaluation
    assert all(re.match(r"data:image/(png|svg\+xml);base64,", source) for source in pictures)
    assert "<script" not in demo[4]
    assert not re.search(r"@import|url\(", demo[4])
    assert not string.Template.pattern.search(re.sub(r"data:image[^\"]*", "", demo[4]))


def test_report_says_what_must_be_said(demo):
    text = re.sub(r"\s+", " ", " ".join(Page(demo[4]).words))
    for needed in (
        "Real recordings come first",
        "no brain was recorded",
        "Where ATM-S stands",
        "How the epoch was chosen",
        "Guessing: 8.3 %",
        "knowing",
    ):
        assert needed in text
    # The report is that of the evaluation: its sentences, and its sections, each in the list of contents.
    found = as_document(demo[1].report)
    assert found.lead.split("\n\n")[0] in text
    for section in found.sections:
        assert section.text in text
        assert text.count(section.title) >= 2
    assert "prefers-color-scheme: dark" in demo[4]


def row_of(metrics, name, metric="top-1", task="retrieval"):
    return next(
        row
        for row in metrics["summary"]
        if (row["estimator"], row["metric"], row["task"]) == (name, metric, task)
    )


def test_report_and_table_and_json_agree(demo):
    _, results, printed, metrics, html = demo
    for name in ("Linear", *NETS, "Ridge"):
        row = row_of(metrics, name)
        assert row["low"] <= row["mean"] <= row["high"]
        assert row["chance"] == pytest.approx(1 / 12)
        value = f"{100 * row['mean']:.1f}"
        low, high = (f"{100 * row[end]:.0f}" for end in ("low", "high"))
        assert f"{value} [{low} {high}]" in printed
        assert f'<div class="value">{value} %</div>' in html
    assert f"{100 * metrics['knowing_decoder']['accuracy']:.1f} %" in printed
    assert {row["task"] for row in metrics["summary"]} == {"retrieval", "classification"}
    assert [row["found"] for row in metrics["real"]["rungs"]] == pytest.approx([0.36, 0.49, 0.59])
    for row in metrics["real"]["faces"]:
        assert f"{row['auc']:.3f} [{row['auc_low']:.2f} {row['auc_high']:.2f}]" in printed
        assert f"{row['auc']:.3f}" in html
    assert metrics["knowing_decoder"]["accuracy"] == results.data.truth.accuracy
    # The first numbers of the page are those of real brains.
    cards = re.findall(r'<div class="value">(.*?)</div>', html)
    assert cards[:2] == ["36.0 %", f"{metrics['real']['faces'][0]['auc']:.3f}"]


def test_scores_are_those_of_what_the_pictures_show(demo):
    _, results, _, metrics, _ = demo
    first = (results.similarity.argmax(axis=1) == np.arange(12)).mean()
    assert row_of(metrics, "Linear")["mean"] == pytest.approx(first)


def test_nothing_of_the_test_set_was_trained_on_by_the_record(demo):
    flags = {(flag["level"], flag["about"]) for flag in demo[3]["flags"]}
    assert ("note", "frozen") in flags
    assert {level for level, _ in flags} == {"note"}


def test_reconstructions_are_beside_their_baselines(demo):
    _, results, printed, metrics, html = demo
    painted, found = results.painted, metrics["reconstruction"]
    assert list(found["metrics"]) == ["generated", "mean training picture", "nearest training picture"]
    assert found["metrics"]["generated"]["PixCorr"] > found["metrics"]["mean training picture"]["PixCorr"]
    assert found["two_way_by_pixels"] > 0.5
    shown = results.data.images.lookup(results.test.y) / 255.0
    direct = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(shown, painted.pictures, strict=True)]
    assert found["metrics"]["generated"]["PixCorr"] == pytest.approx(np.mean(direct), abs=0.02)
    early = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(shown, painted.low_level, strict=True)]
    assert np.mean(early) > 0.1
    training = {
        p.tobytes()
        for p in results.data.images.lookup(np.unique(results.data.y[results.data.split == "train"]))
    }
    assert {picture.tobytes() for picture in painted.nearest} <= training
    for name in found["metrics"]:
        text = f"{found['metrics'][name]['PixCorr']:.3f}"
        assert text in printed
        assert text in html


def test_something_is_learned(demo):
    # With this signal a decoder that is trained and scored on the right rows is far above the chance of a half.
    for task in ("retrieval", "classification"):
        assert row_of(demo[3], "Linear", "2-way", task)["mean"] >= 0.65


def test_time_course_and_head_map_find_what_was_planted(demo):
    _, results, _, metrics, html = demo
    windows, planted = metrics["when"], results.data.truth.windows
    best = max(windows, key=lambda row: row["accuracy"])
    middle = (best["start"] + best["stop"]) / 2
    assert planted["low_level"][0] < middle < planted["high_level"][1]
    assert "the paper reports the best one on the test pictures" in html
    interval = f"{100 * best['low']:.1f} to {100 * best['high']:.1f}"
    assert (
        f"(95 % interval {interval}; as the largest of {len(windows)} windows it is rather too high)" in html
    )
    assert best["p_corrected"] < 0.05
    assert all(row["p_corrected"] > 0.05 for row in windows if row["start"] >= 0.6)
    channels = results.when_where.channels
    assert channels["channel"].tolist() == results.data.info["ch_names"]
    loss, regions = channels.set_index("channel")["similarity_loss"], results.data.truth.regions
    # Light and colour are seen at the back; with a dozen test pictures single channels say little.
    assert loss[regions["occipital"]].mean() > loss[regions["frontal"]].mean() + 0.005
    assert f"most at {loss.idxmax()}," in html
    assert len(metrics["where"]) == 63
    evoked = results.when_where.evoked
    np.testing.assert_allclose(evoked, results.test.X.mean(axis=0), rtol=1e-5, atol=1e-5)
    assert results.when_where.peak == evoked.std(axis=0).argmax()


def test_selection_is_told(demo):
    _, results, _, metrics, html = demo
    atm, nice = (next(row for row in metrics["selection"] if row["estimator"] == name) for name in NETS)
    assert (atm["rule"], atm["n_stimuli_held_out"], atm["n_passes"]) == ("validation", 8, 4)
    assert (nice["rule"], nice["epoch"]) == ("last", 2)
    assert metrics["alpha"] == results.alpha
    assert results.alpha in TINY.alphas
    assert f"Ridge chose its penalty ({results.alpha:g})" in html
    assert f"compares {metrics['n_components']} directions" in html
    assert "learned from 160 single trials" in html


def test_test_stimuli_are_not_trained_on(demo):
    results = demo[1]
    train = results.data.split == "train"
    assert not set(results.test.concept) & set(results.data.concept[train])
    assert len(results.test.y) == len(set(results.test.y)) == 12


def test_json_is_complete(demo):
    metrics = demo[3]
    assert metrics["simulated"] is True
    assert metrics["seed"] == 0
    assert metrics["parameters"]["data"] == TINY.data
    assert metrics["parameters"]["encoders"]["ATM-S"]["max_epochs"] == 4
    assert {"skeegclip", "python", "torch", "scikit-learn"} <= set(metrics["versions"])
    steps = [value for name, value in metrics["seconds"].items() if name != "total"]
    assert 0.5 * metrics["seconds"]["total"] < sum(steps) <= metrics["seconds"]["total"]


def test_code_of_the_report_gives_its_number(demo):
    printed = io.StringIO()
    code = example_code(TINY, seed=0)
    with contextlib.redirect_stdout(printed):
        exec(code, {})
    numbers = [row_of(demo[3], name)["mean"] for name in ("Linear", "ATM-S")]
    assert [float(line) for line in printed.getvalue().split()] == pytest.approx(numbers)


@pytest.mark.slow
def test_same_seed_same_numbers(demo, tmp_path):
    run(tmp_path, seed=0)
    again = json.loads((tmp_path / "metrics.json").read_text())
    for key in ("summary", "knowing_decoder", "selection", "reconstruction"):
        assert again[key] == demo[3][key]


@pytest.mark.parametrize("config", [FULL, QUICK], ids=lambda config: config.name)
def test_shipped_configurations(config):
    assert config.data["n_test_concepts"] == 200
    assert next(iter(config.encoders)) == "ATM-S"
    assert all(0 < params["validation"] < 1 for params in config.encoders.values())
    compile(example_code(config, 0), "example", "exec")


def test_nothing_is_left_in_a_good_folder(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    assert prepare_folder(tmp_path) == tmp_path
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
