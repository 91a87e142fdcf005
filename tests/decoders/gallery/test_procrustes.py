import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes
from scipy.stats import binomtest, ortho_group

from skeegclip.decoders.gallery.procrustes import turned
from skeegclip.metrics import cosine_similarity, sinkhorn, top_k_accuracy


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def planted(rng):
    """Vectors of falling variance, and the same turned so far that few are nearest to their own."""
    gallery = unit(rng.standard_normal((100, 8)) * np.linspace(2, 1, 8))
    rotation = ortho_group.rvs(8, random_state=rng)
    rotation = orthogonal_procrustes(np.eye(8), np.eye(8) + 0.95 * rotation)[0]  # on the way from none to it
    return gallery, rotation, gallery @ rotation


def test_a_planted_rotation_is_undone(planted):
    gallery, rotation, z = planted
    back = turned(z, gallery, 40, caution=1)
    assert top_k_accuracy(cosine_similarity(z, gallery), np.arange(100)) < 0.4
    assert top_k_accuracy(cosine_similarity(back, gallery), np.arange(100)) > 0.98
    np.testing.assert_allclose(orthogonal_procrustes(z, back)[0], rotation.T, atol=0.05)


def test_without_caution_a_round_is_scipys_solution(planted):
    gallery, _, z = planted
    goal = np.exp(sinkhorn(z @ gallery.T)) @ gallery
    expected = z @ orthogonal_procrustes(z - z.mean(axis=0), goal - goal.mean(axis=0))[0]
    np.testing.assert_allclose(turned(z, gallery, 1, caution=0), expected, atol=1e-10)
    np.testing.assert_allclose(turned(z, gallery, 3, caution=1e9), z, atol=1e-6)


def test_what_is_turned_is_turned_rigidly_and_in_the_span_alone(rng):
    z, gallery = unit(rng.standard_normal((20, 100))), rng.standard_normal((30, 100))
    back = turned(z, gallery, 2)
    np.testing.assert_allclose(back @ back.T, z @ z.T, atol=1e-10)
    # The same with more dimensions than there are vectors as with zeros appended to it.
    wide = turned(np.pad(z, ((0, 0), (0, 50))), np.pad(gallery, ((0, 0), (0, 50))), 2)
    np.testing.assert_allclose(wide[:, :100], back, atol=1e-10)
    # That is far from where nothing is projected; here there are fewer dimensions than vectors.
    z, gallery = z[:, :40], gallery[:, :40]
    wide = turned(np.pad(z, ((0, 0), (0, 20))), np.pad(gallery, ((0, 0), (0, 20))), 2)
    np.testing.assert_allclose(wide[:, :40], turned(z, gallery, 2), atol=1e-10)


def test_one_embedding_or_equal_ones_stay(rng):
    z, gallery = unit(rng.standard_normal((1, 6))), rng.standard_normal((9, 6))
    np.testing.assert_allclose(turned(z, gallery, 5), z, atol=1e-12)
    np.testing.assert_allclose(turned(np.tile(z, (4, 1)), gallery, 5), np.tile(z, (4, 1)), atol=1e-8)
    assert np.isfinite(turned(np.zeros((3, 6)), gallery, 2)).all()
    assert np.isfinite(turned(rng.standard_normal((3, 6)), gallery[:1], 2)).all()


@pytest.mark.slow
def test_of_nothing_comes_nothing():
    """With queries that know nothing, turning stays at chance, and hits are as independent as by guessing."""
    rng = np.random.default_rng(0)
    n_simulations, n = 200, 40
    hits = []
    for _ in range(n_simulations):
        z, gallery = rng.standard_normal((2, n, 10)) + rng.standard_normal((2, 1, 10))
        similarity = sinkhorn(cosine_similarity(turned(z, gallery, 2), gallery))
        hits.append(n * top_k_accuracy(similarity, np.arange(n)))
    assert binomtest(round(sum(hits)), n_simulations * n, 1 / n).pvalue > 0.01
    assert 0.7 < np.var(hits) / (1 - 1 / n) < 1.3
