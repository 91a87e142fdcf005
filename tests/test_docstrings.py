"""Every public docstring is numpydoc: complete, with an example, and nothing undocumented."""

import inspect
import re

import pytest
from numpydoc.validate import validate

import skeegclip

# ES01 extended summary, EX01 example (checked below, for what is exported), SA01 and SA04 "See Also", GL01-GL03 blank
# lines, GL08 missing docstring of properties, RT02 name of a single return value, PR10 space before a colon.
IGNORED = {"ES01", "EX01", "SA01", "SA04", "GL01", "GL02", "GL03", "GL08", "RT02", "PR10", "SS06", "YD01"}


def public():
    found = {}
    for name in skeegclip.__all__:
        item = getattr(skeegclip, name)
        if inspect.ismodule(item):
            for inner in item.__all__:
                found[f"{item.__name__}.{inner}"] = getattr(item, inner)
        else:
            found[f"skeegclip.{name}"] = item
    return {path: item for path, item in found.items() if inspect.isclass(item) or inspect.isfunction(item)}


def methods():
    for path, item in public().items():
        if inspect.isclass(item):
            for name, member in inspect.getmembers(item):  # inherited from a private base class too
                if (
                    not name.startswith("_")
                    and (inspect.isfunction(member) or inspect.ismethod(member))
                    and member.__module__.startswith("skeegclip")
                ):
                    yield f"{path}.{name}"


OURS = {path: item for path, item in public().items() if item.__module__.startswith("skeegclip")}


@pytest.mark.parametrize("path", sorted({*OURS, *methods()}))
def test_docstring_is_complete(path):
    errors = [f"{code}: {text}" for code, text in validate(path)["errors"] if code not in IGNORED]
    assert not errors, "\n".join(errors)


@pytest.mark.parametrize("path", sorted(OURS))
def test_docstring_has_an_example_that_runs(path):
    # That it runs is checked by --doctest-modules.
    assert ">>>" in inspect.getdoc(OURS[path])


@pytest.mark.parametrize("path", sorted({*OURS, *methods()}))
def test_a_shape_names_no_attribute(path):
    """A trailing underscore outside of code is a link to nowhere, which the documentation would not be built with."""
    item = skeegclip
    for part in path.split(".")[1:]:
        item = getattr(item, part)
    assert not re.findall(r"shape \([^)]*\w_[,)].*", inspect.getdoc(item))
