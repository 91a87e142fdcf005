"""How sphinx-gallery runs our examples: their order, their figures, and warnings as errors."""

from __future__ import annotations

import warnings
import weakref
from pathlib import Path
from typing import Any

from sphinx_gallery.scrapers import figure_rst

_ORDER = (
    "plot_pipeline_mne.py",
    "plot_your_own_data.py",
    "plot_evaluation.py",
    "plot_reconstruction.py",
    "plot_online.py",
    "plot_grid_search_lambda.py",
    "plot_leave_one_subject_out.py",
    "plot_calibrate_new_person.py",
    "plot_real_erps.py",
    "plot_from_braindecode.py",
)
# braindecode 1.8 on the newest pandas and mne, as in pyproject.toml.
_OF_BRAINDECODE = ("The inplace keyword in DataFrame", "Montage name 'standard_10")
_shown: weakref.WeakSet = weakref.WeakSet()
_filters: list[Any] = []


def reading_order(filename: str) -> tuple[int, str]:
    """Sort key of an example: the order in which a newcomer should read, new ones last."""
    name = Path(filename).name
    return (_ORDER.index(name) if name in _ORDER else len(_ORDER)), name


def figures(block: Any, block_vars: dict, gallery_conf: dict) -> str:
    """Save the matplotlib figures that a code block bound to a name, in the order of the names.

    sphinx-gallery's own scraper asks pyplot, which does not know the figures that skeegclip.plotting makes
    where there is no screen.
    """
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    paths = []
    for value in list(block_vars["example_globals"].values()):
        figure = value.figure if isinstance(value, Axes) else value
        if isinstance(figure, Figure) and figure not in _shown:
            _shown.add(figure)
            path = next(block_vars["image_path_iterator"])
            figure.savefig(path, dpi=max(figure.dpi, 150), bbox_inches="tight", pad_inches=0.05)
            paths.append(path)
    return figure_rst(paths, gallery_conf["src_dir"]) if paths else ""


def strict_warnings(gallery_conf: dict, fname: str, when: str) -> None:
    """Turn warnings into errors while an example runs, and back afterwards."""
    if when == "before":
        _filters.append(warnings.catch_warnings())
        _filters[-1].__enter__()
        warnings.simplefilter("error")
        for message in _OF_BRAINDECODE:
            warnings.filterwarnings("ignore", message)
    else:
        _filters.pop().__exit__(None, None, None)
