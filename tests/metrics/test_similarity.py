import numpy as np
import pytest

from skeegclip.metrics import cosine_similarity, csls, inverted_softmax, top_k_accuracy


@pytest.fixture
def similarity():
    return np.random.default_rng(0).uniform(-1, 1, (7, 9))


def test_csls_against_loops(similarity):
    expected = np.empty_like(similarity)
    for i in range(7):
        for j in range(9):
            of_query = np.sort(similarity[i])[-3:].mean()
            of_item = np.sort(similarity[:, j])[-3:].mean()
            expected[i, j] = 2 * similarity[i, j] - of_query - of_item
    np.testing.assert_allclose(csls(similarity, k=3), expected)
    # More neighbours than there are: all of them.
    np.testing.assert_allclose(
        csls(similarity, k=100),
        2 * similarity - similarity.mean(axis=1, keepdims=True) - similarity.mean(axis=0),
    )


def test_inverted_softmax_against_its_formula(similarity):
    weights = np.exp(similarity / 0.2)
    np.testing.assert_allclose(inverted_softmax(similarity, 0.2), np.log(weights / weights.sum(axis=0)))
    assert np.isfinite(inverted_softmax(similarity, 1e-4)).all()


@pytest.mark.parametrize("correct", [csls, inverted_softmax])
def test_hubs_are_corrected(correct):
    rng = np.random.default_rng(0)
    gallery = rng.standard_normal((100, 20)) + 1.5 * rng.standard_normal(20)
    queries = gallery + 2 * rng.standard_normal((100, 20)) + 1.5 * rng.standard_normal(20)
    plain = cosine_similarity(queries, gallery)
    target = np.arange(100)
    assert top_k_accuracy(correct(plain), target) > top_k_accuracy(plain, target) + 0.05
    assert correct(plain.astype(np.float32)).dtype == np.float32


def test_it_depends_on_the_company(similarity):
    for correct in (csls, inverted_softmax):
        together = correct(similarity)[:3].argsort(axis=1)
        assert (correct(similarity[:3]).argsort(axis=1) != together).any()


def test_on_published_embeddings(things_eeg2_sub08):
    eeg, images = things_eeg2_sub08
    plain, target = cosine_similarity(eeg, images), np.arange(200)
    assert top_k_accuracy(plain, target) == pytest.approx(0.36)
    assert top_k_accuracy(csls(plain), target) == pytest.approx(0.49)
    assert top_k_accuracy(inverted_softmax(plain, 0.05), target) == pytest.approx(0.555)


def test_bad_input(similarity):
    with pytest.raises(ValueError, match="k must lie in"):
        csls(similarity, k=0)
    with pytest.raises(TypeError, match="k must be an int"):
        csls(similarity, k=2.5)
    with pytest.raises(ValueError, match="temperature must lie in"):
        inverted_softmax(similarity, temperature=0)
    with pytest.raises(ValueError, match="non-empty array"):
        csls(np.zeros(3))


def test_cosine_similarity_is_that_of_longhand_in_any_company(rng):
    X, Y = rng.normal(size=(13, 50)).astype(np.float32), np.tile(rng.normal(size=(29, 50)), (2, 1))
    X[3] = 0
    similarity = cosine_similarity(X, Y)
    assert similarity.dtype == np.float32
    lengths = np.linalg.norm(X.astype(float), axis=1, keepdims=True) * np.linalg.norm(Y, axis=1)
    lengths[3] = 1
    np.testing.assert_allclose(similarity, X.astype(float) @ Y.T / lengths, atol=1e-7)
    for row in range(13):
        np.testing.assert_array_equal(
            cosine_similarity(X[[row]], Y[row : row + 3]), similarity[[row], row : row + 3]
        )
    np.testing.assert_array_equal(similarity[:, :29], similarity[:, 29:])  # equal rows tie
    np.testing.assert_array_equal(cosine_similarity(X), cosine_similarity(X, X))
    with pytest.raises(ValueError, match="Incompatible dimension"):
        cosine_similarity(X, Y[:, :3])


@pytest.mark.parametrize("correct", [csls, inverted_softmax])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_bad_number_does_not_spoil_the_others_in_silence(correct, value):
    scores = np.random.default_rng(0).normal(size=(4, 5))
    scores[1, 2] = value
    with pytest.raises(ValueError, match="similarity contains"):
        correct(scores)
