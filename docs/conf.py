"""Sphinx configuration: ``sphinx-build -W -b html docs docs/_build/html`` from the root of the repository."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

from docutils import nodes
from inventories import mapping
from sphinx.addnodes import pending_xref
from sphinx.ext.autosummary import autosummary_table

import skeegclip

# -- project ----------------------------------------------------------------------------------------

project = "skeegclip"
author = "The skeegclip developers"
copyright = author
version = release = skeegclip.__version__

# -- extensions -------------------------------------------------------------------------------------

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_parser",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
# Copy buttons are a comfort that a build can do without.
if importlib.util.find_spec("sphinx_copybutton"):
    extensions.append("sphinx_copybutton")
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True

# A build reads nothing from the network: _ext/inventories.py writes down the names that these pages link to.
intersphinx_mapping = mapping(Path(__file__).parent / "_inventories")

exclude_patterns = ["_build", "_ext", "_templates"]
templates_path = ["_templates"]
root_doc = "index"
default_role = "code"
myst_enable_extensions = ["deflist"]

# -- API pages --------------------------------------------------------------------------------------

autosummary_generate = True
autodoc_typehints = "none"  # the docstrings give types, with shapes and units
autodoc_member_order = "bysource"
numpydoc_show_class_members = False  # the template of a class lists them
numpydoc_xref_param_type = False

# A name of another project that is not in the inventories is text; a name of ours must lead somewhere.
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(sklearn|mne|numpy|torch|skorch|braindecode|matplotlib|pandas|collections)\..*"),
]

# -- gallery ----------------------------------------------------------------------------------------

sphinx_gallery_conf = {
    "examples_dirs": ["../examples"],
    "gallery_dirs": ["auto_examples"],
    "filename_pattern": r"plot_",
    "ignore_pattern": r"(__init__|benchmarks)",
    "nested_sections": False,
    "within_subsection_order": "gallery.reading_order",
    "image_scrapers": ("gallery.figures",),
    "reset_modules": ("matplotlib", "gallery.strict_warnings"),
    "reset_modules_order": "both",
    "abort_on_example_error": True,
    "show_memory": False,
    "show_signature": False,
    "download_all_examples": False,
    "write_computation_times": False,
    "ignore_repr_types": r"matplotlib\.(axes|legend|lines|text)",
    "doc_module": ("skeegclip",),
    "backreferences_dir": "api/generated/backreferences",
    "inspect_global_variables": False,
    "remove_config_comments": True,
}

# -- HTML -------------------------------------------------------------------------------------------

html_theme = "pydata_sphinx_theme"
html_title = f"skeegclip {version}"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "skeegclip"},
    "header_links_before_dropdown": 6,
    "navbar_align": "left",
    "show_toc_level": 2,
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {"*": []}  # pages beside none of their kind; those of a folder list their neighbours


def _skip_foreign(app, what, name, obj, skip, options):
    """Leave out what a class inherits from scikit-learn, torch or Python: their own pages say it better."""
    module = getattr(obj, "__module__", None) or ""
    inherited = module and not module.startswith("skeegclip")
    request = name.startswith("set_") and name.endswith("_request")  # made by scikit-learn for each class
    return True if inherited or request else None


def _plain_summaries(app, doctree):
    """Leave the marks of references out of tables of summaries, where numpydoc's unique ones are unreadable."""
    for table in doctree.findall(autosummary_table):
        for mark in list(table.findall(pending_xref)):
            if mark["refdomain"] == "citation":
                line = mark.parent
                before = line[line.index(mark) - 1]
                line.remove(mark)
                line.replace(before, nodes.Text(before.rstrip()))


def setup(app):
    """Called by Sphinx."""
    app.connect("doctree-read", _plain_summaries)
    app.connect("autodoc-skip-member", _skip_foreign)
