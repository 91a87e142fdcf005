import numpy as np
import pytest
from PIL import Image
from sklearn.exceptions import NotFittedError

from skeegclip import EmbeddingTable, ImageTable
from skeegclip.generation import NearestImageGenerator

RNG = np.random.default_rng(0)
IDS = ["d", "a", "c", "b"]
PICTURES = RNG.integers(0, 256, (4, 6, 6, 3), dtype=np.uint8)
del RNG
IMAGES = ImageTable(IDS, PICTURES)
TARGETS = EmbeddingTable(IDS, np.diag([1, 1, 1, 3]))


def test_the_nearest_by_cosine_is_shown(rng):
    generator = NearestImageGenerator(IMAGES, targets=TARGETS).fit(rng.normal(size=(8, 4)), IDS + IDS)
    Z = [[9, 1, 0, 8.9], [0, 0, 0.1, 0], [-1, -2, -3, -4]]
    np.testing.assert_array_equal(generator.generate(Z), PICTURES[[0, 2, 0]])
    assert generator.ids_[generator.nearest(Z)].tolist() == ["d", "c", "d"]


def test_without_targets_the_mean_of_a_stimulus_stands_for_it():
    Z = np.array([[1, 0.0], [0, 1.0], [0, 3.0], [-1, 0], [-1, 0]])
    generator = NearestImageGenerator(IMAGES).fit(Z, ["d", "a", "a", "c", "d"])
    np.testing.assert_allclose(generator.vectors_, [[0, 2], [-1, 0], [0, 0]])  # a, c, d
    np.testing.assert_array_equal(generator.generate([[0.1, 1], [-1, 0.1]]), PICTURES[[1, 2]])


def test_only_training_pictures_are_shown(rng):
    generator = NearestImageGenerator(IMAGES, targets=TARGETS).fit(np.eye(4)[:2], ["a", "c"])
    assert {picture.tobytes() for picture in generator.generate(rng.normal(size=(50, 4)))} <= {
        PICTURES[1].tobytes(),
        PICTURES[2].tobytes(),
    }


def test_sizes(tmp_path):
    Image.fromarray(PICTURES[0]).save(tmp_path / "a.png")
    Image.fromarray(PICTURES[1]).resize((9, 7)).save(tmp_path / "c.png")
    files = {"a": tmp_path / "a.png", "c": str(tmp_path / "c.png")}
    generator = NearestImageGenerator(files).fit(np.eye(2), ["a", "c"])
    assert generator.generate([[0, 1]]).shape == (1, 7, 9, 3)
    with pytest.raises(ValueError, match="images differ in size .* Pass size="):
        generator.generate(np.eye(2))
    assert generator.set_params(size=5).generate(np.eye(2)).shape == (2, 5, 5, 3)


def test_bad_input_is_refused():
    with pytest.raises(NotFittedError):
        NearestImageGenerator(IMAGES).generate(np.eye(4))
    with pytest.raises(TypeError, match="targets must be an EmbeddingTable"):
        NearestImageGenerator(IMAGES, targets={}).fit(np.eye(4), IDS)
    with pytest.raises(ValueError, match="embeddings have 4 dimensions, but this generator takes 2"):
        NearestImageGenerator(IMAGES, targets=TARGETS).fit(np.eye(2), ["a", "b"])
    with pytest.raises(KeyError, match="ids: 1 of 1 ids are not in the table"):
        NearestImageGenerator({"x": PICTURES[0]}, targets=TARGETS).fit(np.eye(4)[:1], ["x"])
    with pytest.raises(ValueError, match="size must lie in"):
        NearestImageGenerator(IMAGES, size=0).fit(np.eye(4), IDS)


def test_it_keeps_the_pictures_it_was_given():
    rng = np.random.default_rng(0)
    vectors, pictures = rng.normal(size=(5, 4)), rng.integers(1, 256, (5, 6, 6, 3), dtype=np.uint8)
    generator = NearestImageGenerator().fit(vectors, pictures)
    before = generator.generate(vectors)
    pictures[:] = 0
    np.testing.assert_array_equal(generator.generate(vectors), before)
