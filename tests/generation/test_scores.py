"""What reconstructions are compared with."""

import numpy as np
import pytest

from skeegclip import ImageTable
from skeegclip.generation.scores import identification, mean_picture

PICTURES = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)
IMAGES = ImageTable(list("abcd"), PICTURES)


def test_the_mean_picture_is_the_mean_of_those_that_were_seen():
    seen = np.array(["a", "b", "d"])
    mean = mean_picture(IMAGES, seen)
    assert mean.dtype == np.float32
    np.testing.assert_allclose(mean, PICTURES[[0, 1, 3]].mean(axis=0) / 255, atol=1e-6)
    black_and_white = ImageTable(
        ["x", "y"], np.stack([np.zeros((6, 6, 3)), np.full((6, 6, 3), 255)]).astype("uint8")
    )
    np.testing.assert_allclose(mean_picture(black_and_white, np.array(["x", "y"])), 0.5)


def test_pictures_of_several_sizes_are_brought_to_the_smallest_of_the_first():
    grey = {"a": np.full((8, 12, 3), 51, np.uint8), "b": np.full((30, 20, 3), 153, np.uint8)}
    np.testing.assert_allclose(mean_picture(grey, np.array(["a", "b"])), np.full((8, 8, 3), 0.4), atol=1e-6)


def test_identification_is_the_share_of_others_that_correlate_less():
    """By hand, with numpy's correlation: each of two pictures a row counts one half."""
    painted = np.random.default_rng(1).integers(0, 256, (3, 2, 64, 64, 3), dtype=np.uint8)
    painted[0, 0] = PICTURES[2]
    names = np.array(["c", "a", "b"])
    shown = {name: IMAGES[name] for name in "abcd"}
    by_hand = np.zeros((3, 2))
    for row, image in np.ndindex(3, 2):
        r = {n: np.corrcoef(painted[row, image].ravel(), IMAGES[n].ravel())[0, 1] for n in "abcd"}
        own = r.pop(names[row])
        by_hand[row, image] = np.mean([own > other for other in r.values()])
    np.testing.assert_allclose(identification(painted, names, shown), by_hand.mean(axis=1))
    assert identification(painted[:1, :1], names[:1], shown)[0] == pytest.approx(1)
