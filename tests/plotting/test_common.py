"""What every figure keeps: the axes given, matplotlib's settings, pyplot's list of figures, its text."""

from __future__ import annotations

import ast
import inspect
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import mne
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from skeegclip import plotting
from skeegclip.inspection import PartialReconstructions
from skeegclip.metrics import category_confusion, n_way_table
from skeegclip.plotting import (
    plot_accuracy_bars,
    plot_attention,
    plot_confusion,
    plot_guidance_curve,
    plot_n_way,
    plot_partial_reconstructions,
    plot_reconstruction_grid,
    plot_region_map,
    plot_retrieval_grid,
    plot_similarity_histograms,
    plot_similarity_matrix,
    plot_training_curve,
)

RNG = np.random.default_rng(0)
HISTORY = [
    {"epoch": i, "train_loss": 5 / i, "valid_loss": 4 / i, "valid_top1": 0.01 * i, "chosen": i == 30}
    for i in range(1, 41)
]
SIMILARITY = RNG.standard_normal((200, 200)) * 0.1 + 0.2 * np.eye(200)
TABLE = n_way_table(SIMILARITY, np.arange(200), n_resamples=50, random_state=0)
GROUPS = np.repeat(["animal", "sports equipment", "food, dessert", "tool", "a", "b"], [150, 30, 10, 4, 3, 3])
BARS = pd.DataFrame(
    {"accuracy": [0.3, 0.1], "low": [0.2, 0.05], "high": [0.4, 0.15], "chance": 0.005},
    index=["ATM-S", "Ridge on flattened epochs"],
)
HEAD = mne.create_info(["Fz", "C3", "Cz", "C4", "Pz", "O1", "Oz", "O2"], 250.0, "eeg").set_montage(
    "colin27_1005"
)
PICTURES = RNG.random((3, 6, 16, 16, 3))
COSINES = pd.DataFrame(
    {"picture": np.repeat(["random", "generated", "shown"], 50), "similarity": RNG.normal(size=150)}
)
CONFUSION = category_confusion(SIMILARITY, np.arange(200), GROUPS)
ATTENTION = RNG.dirichlet(np.ones(8), size=8)
CURVE = pd.DataFrame(
    {
        "guidance_scale": [1, 5, 10],
        "similarity": [0.4, 0.6, 0.5],
        "similarity_to_truth": 0.3,
        "diversity": [0.5, 0.3, 0.2],
    }
)

ON_AXES = {
    "training": lambda **k: plot_training_curve(HISTORY, **k),
    "trainings": lambda **k: plot_training_curve({"ATM-S": HISTORY, "NICE": HISTORY[:20]}, **k),
    "n-way": lambda **k: plot_n_way(TABLE, **k),
    "n-ways": lambda **k: plot_n_way({"ATM-S": TABLE, "NICE": TABLE, "Ridge": TABLE}, **k),
    "similarity": lambda **k: plot_similarity_matrix(SIMILARITY, **k),
    "similarity of groups": lambda **k: plot_similarity_matrix(SIMILARITY, groups=GROUPS, **k),
    "similarity with labels": lambda **k: plot_similarity_matrix(
        SIMILARITY[:25, :25], labels=[f"a concept {i}" for i in range(25)], **k
    ),
    "attention": lambda **k: plot_attention(ATTENTION, HEAD, **k),
    "confusion": lambda **k: plot_confusion(CONFUSION, **k),
    "confusion ratio": lambda **k: plot_confusion(CONFUSION, of="ratio", **k),
    "similarities": lambda **k: plot_similarity_histograms(COSINES, **k),
    "bars": lambda **k: plot_accuracy_bars(BARS, points={"ATM-S": [0.1, 0.5]}, label="Top-1 accuracy", **k),
}
del RNG


def new_grid():
    names = ["cat", "aircraft_carrier_06s", "a"]
    return plot_retrieval_grid(PICTURES[:, 0], PICTURES[:, 1:], np.eye(3, 5) > 0, np.ones((3, 5)), names)


def new_reconstructions():
    names = ["shown", "low-level", "reconstructed", "nearest"]
    return plot_reconstruction_grid(
        dict(zip(names, PICTURES.swapaxes(0, 1), strict=False)), ["cat", "a_long_name", "b"]
    )


def new_parts():
    table = pd.DataFrame({"start": -0.2, "stop": np.arange(-1, 8) / 10, "two-way": 0.7})
    pictures = np.random.default_rng(1).integers(0, 256, (9, 3, 16, 16, 3), dtype=np.uint8)
    queries = pd.DataFrame({"stimulus": ["cat", "aircraft_carrier_06s", "long_" * 20]})
    return plot_partial_reconstructions(
        PartialReconstructions(table, queries, list(pictures[0]), pictures, {})
    )


NEW = {name: (lambda draw=draw: draw().figure) for name, draw in ON_AXES.items()} | {
    "grid": new_grid,
    "reconstructions": new_reconstructions,
    "parts": new_parts,
    "region map": lambda: plot_region_map(HEAD).figure,
    "guidance": lambda: plot_guidance_curve(CURVE),
}


@pytest.mark.parametrize("draw", ON_AXES.values(), ids=ON_AXES)
def test_draws_on_the_axes_given(draw):
    figure = Figure(layout="constrained")
    ax, other = figure.subplots(1, 2)
    size = mpl.rcParams["axes.labelsize"], ax.xaxis.label.get_fontsize()
    assert draw(ax=ax) is ax
    assert ax.has_data()
    assert not other.has_data()
    assert ax.get_xlabel()
    assert (mpl.rcParams["axes.labelsize"], ax.xaxis.label.get_fontsize()) == size
    figure.savefig(io.BytesIO())


@pytest.mark.parametrize("draw", NEW.values(), ids=NEW)
def test_a_new_figure_fits_a_column_cuts_nothing_off_and_leaves_settings_and_pyplot_alone(draw):
    import matplotlib.pyplot as plt

    plt.switch_backend("agg")
    before = dict(mpl.rcParams)
    figure = draw()
    assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == []
    assert isinstance(figure, Figure)
    assert figure.get_figwidth() == pytest.approx(8.5 / 2.54)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # once: what a first savefig gives
    width, height = figure.get_size_inches() * figure.dpi
    renderer = canvas.get_renderer()
    for part in [*figure.axes, *figure.artists]:
        box = part.get_tightbbox(renderer)  # with its labels, ticks and legend
        assert -2 < box.x0 < box.x1 < width + 2
        assert -2 < box.y0 < box.y1 < height + 2
    sizes = [text.get_fontsize() for text in figure.findobj(Text) if text.get_text().strip()]
    assert 6.5 <= max(sizes) <= 8
    assert min(sizes) >= 4


def test_pyplot_knows_the_figure_where_it_can_show_it():
    import matplotlib.pyplot as plt

    plt.switch_backend("module://matplotlib.backends.backend_agg")  # a name that is not a file backend's
    try:
        figure = new_grid()
        assert plt.figure(plt.get_fignums()[-1]) is figure
    finally:
        plt.close("all")
        plt.switch_backend("agg")


def test_a_notebook_shows_the_figure_though_nobody_imported_pyplot(tmp_path):
    """A kernel has nothing of matplotlib imported, and names a backend that turns pyplot interactive as it is loaded."""
    (tmp_path / "of_a_notebook.py").write_text(
        "import matplotlib\nfrom matplotlib.backends.backend_agg import FigureCanvas\nmatplotlib.interactive(True)\n"
    )
    code = (
        "import sys, types; sys.modules['ipykernel'] = types.ModuleType('ipykernel')\n"
        f"sys.path.append({str(tmp_path)!r})\n"
        "from skeegclip._utils.drawing import new_figure, styled\n"
        "assert 'matplotlib' not in sys.modules\n"
        "with styled(None):\n"
        "    figure = new_figure(1, 1)\n"
        "import matplotlib.pyplot as plt\n"
        "assert plt.figure(plt.get_fignums()[-1]) is figure\n"
        "assert plt.isinteractive()  # or it would be the last figure that is shown\n"
        "assert plt.rcParams['font.size'] == plt.rcParamsDefault['font.size']\n"
    )
    env = os.environ | {"MPLBACKEND": "module://of_a_notebook"}
    subprocess.run([sys.executable, "-c", code], env=env, check=True)


FUNCTIONS = [name for name in plotting.__all__ if name.startswith("plot_")]
# Of many pictures or several panels: these fill a figure, or a part of one that is given.
WHOLE = {
    "plot_guidance_curve",
    "plot_partial_reconstructions",
    "plot_reconstruction_grid",
    "plot_retrieval_grid",
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_axes_come_in_and_go_out(name):
    function, (word, kind) = getattr(plotting, name), (("fig", "Figure") if name in WHOLE else ("ax", "Axes"))
    signature = inspect.signature(function)
    assert signature.parameters[word].default is None
    assert kind in signature.parameters[word].annotation
    assert signature.return_annotation == kind
    assert re.search(rf"^Returns\n-+\n({word} : )?{kind}$", inspect.cleandoc(function.__doc__), re.MULTILINE)


def test_no_figure_is_shown_and_no_setting_changed_for_good():
    """Only where a new figure is made is pyplot asked for it, and settings hold within a context alone."""
    root = Path(plotting.__file__).parents[1]
    for path in [*root.glob("plotting/*.py"), *root.rglob("*figure*.py"), root / "_utils" / "drawing.py"]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = (
                [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            )
            if path.name != "drawing.py":
                assert not [name for name in names if "pyplot" in name], path
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                assert node.func.attr not in {"show", "rc", "use", "switch_backend"}, path
            if isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store):
                assert "rcParams" not in ast.unparse(node), path


@pytest.mark.parametrize("given", [None, "text", {}, pd.DataFrame()], ids=["None", "str", "dict", "frame"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_cannot_be_drawn_is_refused_in_a_sentence(name, given):
    draw, more = getattr(plotting, name), [HEAD] if name in ("plot_attention", "plot_importance") else []
    if name == "plot_retrieval_grid":
        more = [PICTURES[:, 1:]]
    with pytest.raises(
        (TypeError, ValueError),
        match=r"^[a-z_]+(\[.*\])? (must|lacks|is|holds|has)|could not convert|float\(\) argument",
    ):
        draw(given, *more)
