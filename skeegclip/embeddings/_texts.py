"""Sentences around names, and the average of several."""

from __future__ import annotations

from typing import Any

import numpy as np


def fill_templates(texts: Any, template: Any) -> tuple[list[str], int]:
    """Return every text in every template, the texts of the first template first, and the number of templates."""
    if isinstance(texts, str):
        raise TypeError(f"texts must be a list of str, got one str. Pass [{texts!r}].")
    texts = list(texts)
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"texts must be a list of str, got {text!r} of type {type(text).__name__} in it.")
    if not texts:
        raise ValueError("texts is empty. Pass at least one text.")
    templates = [template] if isinstance(template, str) else list(template)
    if not templates:
        raise ValueError('template is an empty list. Pass "{}" for the texts alone.')
    for each in templates:
        if not isinstance(each, str):
            raise TypeError(f"template must be a str or a list of str, got {type(each).__name__}.")
        if each.count("{}") != 1:
            raise ValueError(f"template must have one {{}}, where the text goes, got {each!r}.")
    # Not str.format: the braces of a text or template mean nothing else here.
    return [each.replace("{}", text) for each in templates for text in texts], len(templates)


def average_templates(vectors: np.ndarray, n_templates: int) -> np.ndarray:
    """Average over templates: direction of the mean of unit vectors, length the mean of the lengths."""
    if n_templates == 1:
        return vectors
    by_template = vectors.reshape(n_templates, -1, vectors.shape[1]).astype(np.float64)
    length = np.linalg.norm(by_template, axis=2, keepdims=True)
    direction = (by_template / np.where(length > 0, length, 1)).mean(axis=0)
    norm = np.linalg.norm(direction, axis=1, keepdims=True)
    return (direction / np.where(norm > 0, norm, 1) * length.mean(axis=0)).astype(np.float32)
