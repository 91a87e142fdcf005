"""Shared texts of docstrings."""

import inspect
import pydoc

import pytest

from skeegclip import inspection
from skeegclip._utils.docs import with_texts

TEXTS = {"a": "a : int\n    What it is,\n    in two lines.", "b": "b : str\n    Another."}
ANALYSES = [value for name in inspection.__all__ if inspect.isfunction(value := getattr(inspection, name))]


def test_texts_stand_in_their_places_indented_as_these():
    @with_texts(TEXTS)
    def function(a, b):
        """Do.

        Parameters
        ----------
        %(a)s
        c : float
            Of its own, 100 %(not here)s.
        %(b)s
        """

    expected = """Do.

Parameters
----------
a : int
    What it is,
    in two lines.
c : float
    Of its own, 100 %(not here)s.
b : str
    Another.
"""
    assert inspect.cleandoc(function.__doc__) == expected.strip("\n")


def test_a_text_that_is_not_there_is_noticed_when_the_module_is_read():
    with pytest.raises(KeyError, match="c"):

        @with_texts(TEXTS)
        def function(c):
            """%(c)s"""


def test_without_docstrings_nothing_is_done():
    def function():
        pass

    assert with_texts(TEXTS)(function) is function
    assert function.__doc__ is None


@pytest.mark.parametrize("analysis", ANALYSES, ids=lambda analysis: analysis.__name__)
def test_help_of_an_analysis_tells_of_each_of_its_parameters_in_their_order(analysis):
    text = pydoc.plain(pydoc.render_doc(analysis))
    assert "%(" not in text
    places = [text.find(f"    {name} : ") for name in inspect.signature(analysis).parameters]
    assert min(places) > 0
    assert places == sorted(places)
