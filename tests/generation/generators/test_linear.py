import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold

from skeegclip import ImageTable
from skeegclip.generation import LinearGenerator
from skeegclip.generation.generators.linear import _choose_alphas, _Ridge

RNG = np.random.default_rng(0)
FACTORS = RNG.normal(size=(60, 4))
BASIS = RNG.normal(size=(4, 8, 8, 3))
PICTURES = np.clip(128 + 20 * np.tensordot(FACTORS, BASIS, axes=1), 0, 255).astype(np.uint8)
Z = FACTORS @ RNG.normal(size=(4, 12))
del RNG
IDS = [f"s{i:02d}" for i in range(60)]
IMAGES = ImageTable(IDS, PICTURES)


def test_it_paints_what_the_embedding_tells(rng):
    generator = LinearGenerator(IMAGES, size=8).fit(Z[:50], IDS[:50])
    painted = generator.generate(Z[50:])
    assert painted.shape == (10, 8, 8, 3)
    assert painted.dtype == np.uint8
    assert np.abs(painted.astype(int) - PICTURES[50:]).mean() < 5
    noise = LinearGenerator(IMAGES, size=8).fit(rng.normal(size=(50, 12)), IDS[:50])
    flat = noise.generate(rng.normal(size=(10, 12)))  # nothing to learn: the mean picture
    spread = np.abs(PICTURES[:50] / 255 - noise.mean_picture_).mean()
    assert np.abs(flat / 255 - noise.mean_picture_).mean() < 0.5 * spread
    np.testing.assert_allclose(noise.mean_picture_, PICTURES[:50].mean(axis=0) / 255, atol=1e-6)


def test_ids_and_pictures_are_two_ways_to_the_same():
    by_id = LinearGenerator(IMAGES, size=8).fit(Z, IDS).generate(Z)
    by_picture = LinearGenerator(size=8).fit(Z, PICTURES).generate(Z)
    np.testing.assert_array_equal(by_id, by_picture)
    np.testing.assert_array_equal(clone(LinearGenerator(IMAGES, size=8)).fit(Z, IDS).generate(Z), by_id)


def test_files_of_any_size_are_read(tmp_path):
    paths = {}
    for i, name in enumerate(IDS):
        paths[name] = tmp_path / f"{name}.png"
        Image.fromarray(PICTURES[i]).resize((24, 16 + i % 3)).save(paths[name])
    assert LinearGenerator(paths, size=8).fit(Z, IDS).generate(Z[:3]).shape == (3, 8, 8, 3)


def test_ridge_is_that_of_scikit_learn(rng):
    X, Y = rng.normal(size=(30, 6)), rng.normal(size=(30, 3))
    ridge = _Ridge(X, Y)
    alphas = np.array([0.1, 3.0, 50.0])
    scale = np.square(X - X.mean(axis=0)).sum() / 6
    direct = Ridge(alphas * scale).fit(X, Y)
    np.testing.assert_allclose(ridge.coef(alphas), direct.coef_.T, rtol=1e-9)


def test_penalties_are_chosen_on_other_pictures(rng):
    code = np.repeat(np.arange(20), 3)
    X, Y = rng.normal(size=(60, 6)), rng.normal(size=(20, 2))[code]
    X[:, 0] = Y[:, 0] + 0.5 * rng.normal(size=60)
    alphas = [1e-3, 1e-1, 1e1, 1e3]
    error = np.zeros((4, 2))
    for train, test in GroupKFold(5).split(X, groups=code):
        scale = np.square(X[train] - X[train].mean(axis=0)).sum() / 6
        for i, alpha in enumerate(alphas):
            error[i] += ((Ridge(alpha * scale).fit(X[train], Y[train]).predict(X[test]) - Y[test]) ** 2).sum(
                axis=0
            )
    chosen = _choose_alphas(X, Y, code, alphas)
    np.testing.assert_array_equal(chosen, np.array(alphas)[error.argmin(axis=0)])
    assert chosen[0] < chosen[1]  # one column can be told from X, the other cannot


def test_repetitions_do_not_choose_the_penalty(rng):
    code = np.repeat(np.arange(20), 3)
    X, Y = rng.normal(size=(20, 12))[code], rng.normal(size=(20, 2))[code]  # nothing to learn, but by heart
    assert (_choose_alphas(X, Y, code, [1e-3, 1e3]) == 1e3).all()
    assert (_choose_alphas(X, Y, np.arange(60), [1e-3, 1e3]) == 1e-3).all()


def test_repeated_rows_count_as_one_picture():
    twice = LinearGenerator(IMAGES, size=8, alphas=[0.1]).fit(np.repeat(Z, 2, axis=0), np.repeat(IDS, 2))
    once = LinearGenerator(IMAGES, size=8, alphas=[0.1]).fit(Z, IDS)
    np.testing.assert_allclose(twice.coef_, once.coef_, atol=1e-4)


@pytest.mark.parametrize(
    ("params", "arguments", "error", "match"),
    [
        ({"size": 0}, (Z, IDS), ValueError, "size must lie in"),
        ({"n_components": 0}, (Z, IDS), ValueError, "n_components must lie in"),
        ({"alphas": []}, (Z, IDS), ValueError, "alphas must hold at least one"),
        ({"alphas": [0]}, (Z, IDS), ValueError, r"alphas must lie in \(0"),
        ({"images": [1]}, (Z, IDS), TypeError, "images must be an ImageTable"),
        ({"images": None}, (Z, IDS), ValueError, "y holds ids, but there are no images"),
        ({}, (Z[:5], IDS), ValueError, "inconsistent numbers of samples"),
        ({}, (Z[:1], ["new"]), KeyError, "images has no picture of stimulus 'new'"),
        ({}, (Z, range(60)), TypeError, "y must hold strings"),
        ({}, (Z[0], IDS), ValueError, "Expected 2D array"),
    ],
)
def test_bad_input_is_refused(params, arguments, error, match):
    with pytest.raises(error, match=match):
        LinearGenerator(**{"images": IMAGES, "size": 8} | params).fit(*arguments)


def test_generate_checks_too():
    with pytest.raises(NotFittedError):
        LinearGenerator(IMAGES).generate(Z)
    with pytest.raises(ValueError, match="embeddings have 3 dimensions, but this generator takes 12"):
        LinearGenerator(IMAGES, size=8).fit(Z, IDS).generate(Z[:, :3])
