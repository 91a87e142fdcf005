from __future__ import annotations

import colorsys

import numpy as np
import pytest

from skeegclip.datasets import _concepts, _features, _pictures
from skeegclip.datasets._shapes import SHAPES

# Where people see these colours on the usual colour circle, degrees.
HSV_HUES = {
    "red": 0,
    "orange": 28,
    "yellow": 50,
    "green": 115,
    "teal": 175,
    "blue": 215,
    "violet": 265,
    "pink": 325,
}


def _factors(**values):
    factors = np.zeros((1, len(_concepts.FACTORS)))
    factors[0, [_concepts.FACTORS.index(name) for name in values]] = list(values.values())
    return factors


def test_names_are_unique_and_say_what_is_drawn():
    factors, names = _concepts.sample_concepts(1500, np.random.default_rng(0))
    assert len(set(names.tolist())) == 1500
    np.testing.assert_array_equal(_concepts.concept_names(factors), names)
    for word in (*SHAPES, *_concepts.COLOURS, *_concepts.TEXTURES[1:], "small", "large"):
        assert any(word in name.split("_") for name in names), word


def test_more_concepts_begin_with_the_same_ones():
    few, many = (_concepts.sample_concepts(n, np.random.default_rng(0))[1] for n in (10, 30))
    assert few.tolist() == many[:10].tolist()


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_lie_inside_their_frame(shape):
    axis = np.linspace(-1.3, 1.3, 131)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    distance = SHAPES[shape](x, y)
    inside = distance < 0
    assert 0.1 < inside.mean() * 2.6**2 < 3.2
    assert not inside[np.hypot(x, y) > 1.2].any()
    # About one per unit where the edge is, or it would be jagged or blurred in the picture.
    slope = np.hypot(*np.gradient(distance, axis[1] - axis[0]))[np.abs(distance) < 0.05]
    assert 0.7 < np.median(slope) < 2


@pytest.mark.parametrize("colour", _concepts.COLOURS)
def test_colours_are_drawn_as_named(colour):
    angle = np.deg2rad(_concepts.COLOUR_HUES[_concepts.COLOURS.index(colour)])
    factors = _factors(hue_a=np.cos(angle), hue_b=np.sin(angle), size=2.0)
    assert colour in _concepts.concept_names(factors)[0].split("_on_")[0]
    picture = _pictures.draw(factors, factors, np.random.default_rng(0))[0]
    hue, saturation, value = colorsys.rgb_to_hsv(*picture[28:36, 28:36].reshape(-1, 3).mean(axis=0) / 255)
    away = abs((360 * hue - HSV_HUES[colour] + 180) % 360 - 180)
    assert away < 20, hue * 360
    assert saturation > 0.35
    assert value > 0.4


def test_brightness_of_the_ground_is_a_low_level_feature():
    rng = np.random.default_rng(0)
    factors, _ = _concepts.sample_concepts(200, rng)
    pictures = _pictures.draw(factors, factors, rng)
    corner = pictures[:, :6, :6].mean(axis=(1, 2, 3))
    ground = _concepts.column(factors, "ground_lightness")
    assert np.corrcoef(corner, ground)[0, 1] > 0.85
    low = _features.low_level_features(pictures, 8)
    assert np.abs(np.corrcoef(np.column_stack([ground, low]).T)[0, 1:]).max() > 0.8
    assert np.all((low.std(axis=0) > 0.6) & (low.std(axis=0) < 1.5))


def test_features_of_a_picture_depend_on_it_alone():
    rng = np.random.default_rng(0)
    factors, _ = _concepts.sample_concepts(300, rng)
    pictures = _pictures.draw(factors, factors, rng)
    together = _features.low_level_features(pictures, 8)
    np.testing.assert_allclose(_features.low_level_features(pictures[290:], 8), together[290:], atol=1e-9)
