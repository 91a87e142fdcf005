"""Blur and spoilt views, against independent computations."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from skeegclip.embeddings._views import blurred, views


@pytest.fixture
def picture():
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 256, (96, 96, 3), dtype=np.uint8))


def spread(pixels):
    return float(np.asarray(pixels, dtype=float).std())


@pytest.mark.parametrize("radius", [1.0, 2.5, 6.0])
def test_the_radius_is_a_standard_deviation_in_pixels(radius):
    point = np.zeros((65, 65, 3), dtype=np.uint8)
    point[:, 32] = 255  # a line, whose profile is the Gaussian
    seen = np.asarray(blurred(Image.fromarray(point), radius, foveal=False), dtype=float)[32, :, 0]
    expected = gaussian_filter(point[32, :, 0].astype(float), radius)
    assert np.abs(seen - expected).max() < 0.05 * expected.max() + 1


def test_foveal_blur_grows_from_the_centre(picture):
    sharp = np.asarray(picture, dtype=float)
    seen = np.asarray(blurred(picture, 4.0, foveal=True), dtype=float)
    assert seen.shape == sharp.shape
    even = np.asarray(blurred(picture, 4.0, foveal=False), dtype=float)
    np.testing.assert_allclose(seen[47:49, 47:49], sharp[47:49, 47:49], atol=12)
    np.testing.assert_array_equal(seen[0, 0], even[0, 0])
    # Rings: what noise is left falls with the distance.
    y, x = np.indices((96, 96)) - 47.5
    ring = (np.hypot(y, x) / np.hypot(47.5, 47.5) * 5).astype(int).clip(0, 4)
    left = [spread(seen[ring == r]) for r in range(5)]
    assert all(a > b for a, b in zip(left, left[1:], strict=False))


def test_one_view_is_the_picture_itself(picture):
    assert views(picture, 1, seed=0) == [picture]


def test_views_are_blur_noise_low_resolution_and_mosaic(picture):
    blur, noise, low, mosaic, *second = (np.asarray(view) for view in views(picture, 8, seed=3))
    sharp = np.asarray(picture, dtype=float)
    assert spread(blur) < 0.6 * spread(sharp)
    difference = noise - sharp
    inside = (sharp > 120) & (sharp < 136)  # where nothing is cut off at 0 or 255
    assert 12 < difference[inside].std() < 38
    assert abs(difference[inside].mean()) < 3
    assert spread(low) < 0.3 * spread(sharp)
    same_as_left = (mosaic[:, 1:] == mosaic[:, :-1]).all(axis=(0, 2))
    assert 0.3 < same_as_left.mean() < 0.9  # blocks of 5 * 96 / 224 pixels, half to one and a half
    for first, again in zip((blur, noise, low, mosaic), second, strict=True):
        assert (first != again).any()


@pytest.mark.parametrize("side", [112, 448])
def test_the_view_s_blur_is_the_published_one_for_pictures_of_any_size(side):
    point = np.zeros((side, side, 3), dtype=np.uint8)
    point[:, side // 2 - 1 : side // 2 + 1] = 255  # a line, whose profile is the Gaussian
    x = np.arange(side) + 0.5 - side / 2
    radii = []
    for seed in range(30):
        profile = np.asarray(views(Image.fromarray(point), 2, seed)[0], dtype=float)[0, :, 0]
        radii.append(np.sqrt(np.average(x**2, weights=profile)))
    # OpenCV gives its kernel of 15 pixels a standard deviation of 0.3 * ((15 - 1) / 2 - 1) + 0.8, at 224 pixels.
    published = (0.3 * ((15 - 1) / 2 - 1) + 0.8) * side / 224
    assert 0.4 * published < min(radii) < 0.8 * published
    assert 1.2 * published < max(radii) < 1.6 * published


def test_views_depend_on_seed_and_pixels_alone(picture):
    first = [np.asarray(view) for view in views(picture, 4, seed=0)]
    for again, other in zip(views(picture.copy(), 4, seed=0), views(picture, 4, seed=1), strict=True):
        np.testing.assert_array_equal(np.asarray(again), first.pop(0))
        assert (np.asarray(other) != np.asarray(again)).any()
    changed = picture.copy()
    changed.putpixel((0, 0), (1, 2, 3))
    noise, after = (np.asarray(views(p, 2, seed=0)[1], dtype=float) for p in (picture, changed))
    assert np.abs(noise[50:] - after[50:]).max() > 5  # another picture, other noise


def test_tiny_pictures_have_views_too():
    for size in [(1, 1), (2, 5)]:
        for view in views(Image.new("RGB", size, (9, 9, 9)), 4, seed=0):
            assert view.size == size
        assert blurred(Image.new("RGB", size), 3.0, foveal=True).size == size
