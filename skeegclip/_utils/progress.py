"""Progress bars: a widget where the notebook has widgets, else a line of text."""

from __future__ import annotations

import sys
import warnings

from tqdm import TqdmWarning

with warnings.catch_warnings():
    # A notebook without ipywidgets gets the line, which is no fault of who runs it.
    warnings.simplefilter("ignore", TqdmWarning)
    from tqdm.auto import tqdm

__all__ = ["is_watched", "tqdm"]


def is_watched() -> bool:
    """Whether somebody looks at a bar: at a terminal or a notebook, and not at a file later.

    Returns
    -------
    bool
        Whether to show bars that are on by default.
    """
    if sys.stderr.isatty():
        return True
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and "IPKernelApp" in shell.config
