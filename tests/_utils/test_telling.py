"""Told once, whatever filters come and go."""

from __future__ import annotations

import warnings

import pytest

from skeegclip._utils.telling import forget, warn_once


def test_once_in_the_same_words_though_filters_change():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for text in ("short", "short", "shorter"):
            with warnings.catch_warnings():  # what makes Python forget what it has told
                pass
            warn_once(text, stacklevel=1)
    assert [str(warning.message) for warning in caught] == ["short", "shorter"]
    assert caught[0].filename == __file__
    forget()
    with pytest.warns(UserWarning, match="short"):
        warn_once("short", stacklevel=1)


def test_as_an_error_each_time():
    for _ in range(2):
        with pytest.raises(UserWarning, match="short"):
            warn_once("short", stacklevel=1)
