import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment, minimize
from scipy.special import log_softmax
from scipy.stats import binomtest

from skeegclip.metrics import cosine_similarity, csls, inverted_softmax, sinkhorn, top_k_accuracy


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


@pytest.mark.parametrize("correct", [csls, inverted_softmax, sinkhorn])
def test_hubs_are_corrected(correct):
    rng = np.random.default_rng(0)
    gallery = rng.standard_normal((100, 20)) + 1.5 * rng.standard_normal(20)
    queries = gallery + 2 * rng.standard_normal((100, 20)) + 1.5 * rng.standard_normal(20)
    plain = cosine_similarity(queries, gallery)
    target = np.arange(100)
    assert top_k_accuracy(correct(plain), target) > top_k_accuracy(plain, target) + 0.05
    assert correct(plain.astype(np.float32)).dtype == np.float32


def test_it_depends_on_the_company(similarity):
    for correct in (csls, inverted_softmax, sinkhorn):
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


@pytest.mark.parametrize("correct", [csls, inverted_softmax, sinkhorn])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_bad_number_does_not_spoil_the_others_in_silence(correct, value):
    scores = np.random.default_rng(0).normal(size=(4, 5))
    scores[1, 2] = value
    with pytest.raises(ValueError, match="similarity contains"):
        correct(scores)


# -- Sinkhorn ------------------------------------------------------------------------------------------


def test_sinkhorn_has_the_marginals_and_the_form_of_a_transport(similarity):
    plan = np.exp(sinkhorn(similarity, strength=1, n_iter=10000))
    np.testing.assert_allclose(plan.sum(axis=1), 1)
    np.testing.assert_allclose(plan.sum(axis=0), 7 / 9, rtol=1e-5)
    # log P minus the scaled similarities is a number of the row plus a number of the column.
    rest = similarity - similarity.mean(axis=0) - similarity.mean(axis=1, keepdims=True) + similarity.mean()
    rest = np.log(plan) - similarity / (0.5 * np.sqrt(np.square(rest).sum() / 48))
    np.testing.assert_allclose(rest - rest[:1] - rest[:, :1] + rest[0, 0], 0, atol=1e-9)


def test_sinkhorn_is_the_optimum_of_relaxed_transport():
    """Minimise the objective of unbalanced transport with another library's optimiser, over the plan itself."""
    scores = np.random.default_rng(3).normal(size=(3, 4))
    rest = scores - scores.mean(axis=0) - scores.mean(axis=1, keepdims=True) + scores.mean()
    scaled, w = scores / (0.7 * np.sqrt(np.square(rest).sum() / 6)), 0.8
    rho = w / (1 - w)

    def loss(logits):
        log_plan = log_softmax(logits.reshape(3, 4), axis=1)  # rows sum to one
        plan = np.exp(log_plan)
        columns = plan.sum(axis=0)
        return (plan * (log_plan - scaled)).sum() + rho * (columns * np.log(columns / 0.75) - columns).sum()

    best = minimize(loss, np.zeros(12), method="BFGS", options={"gtol": 1e-9, "xrtol": 1e-12}).x
    np.testing.assert_allclose(
        sinkhorn(scores, 0.7, w, 1000), log_softmax(best.reshape(3, 4), axis=1), atol=1e-4
    )


def test_sinkhorn_of_low_temperature_is_the_best_assignment():
    scores = np.random.default_rng(1).normal(size=(6, 6))
    assigned = sinkhorn(scores, 0.03, strength=1, n_iter=1000)
    np.testing.assert_array_equal(assigned.argmax(axis=1), linear_sum_assignment(-scores)[1])
    assert (scores.argmax(axis=1) != assigned.argmax(axis=1)).any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sinkhorn_neither_overflows_nor_breaks_ties(dtype):
    scores = np.random.default_rng(2).normal(size=(5, 8)).astype(dtype)
    scores[:, 7] = scores[:, 2]
    for temperature in (1e-6, 0.3, 1e6):
        assigned = sinkhorn(scores, temperature)
        assert assigned.dtype == dtype
        assert np.isfinite(assigned).all()
        assert assigned.max() <= 1e-6
        np.testing.assert_array_equal(assigned[:, 7], assigned[:, 2])
    # Its unit is the spread of the similarities: any scale and offset will do.
    np.testing.assert_allclose(sinkhorn(100 * scores + 7), sinkhorn(scores), rtol=1e-3, atol=1e-3)
    np.testing.assert_array_equal(sinkhorn(np.full((3, 4), 0.1)), sinkhorn(np.zeros((3, 4))))


def test_sinkhorn_without_strength_or_company_is_a_softmax():
    scores = np.random.default_rng(2).normal(size=(5, 8))
    order = scores.argsort(axis=1)
    np.testing.assert_array_equal(sinkhorn(scores, strength=0).argsort(axis=1), order)
    for row in range(5):
        np.testing.assert_array_equal(sinkhorn(scores[[row]]).argsort(axis=1), order[[row]])
    np.testing.assert_allclose(sinkhorn(scores[:, :1]), 0, atol=1e-12)
    # Whatever the order of the queries.
    np.testing.assert_allclose(sinkhorn(scores[::-1])[::-1], sinkhorn(scores), atol=1e-9)


@pytest.mark.slow
def test_of_nothing_comes_nothing():
    """With queries that know nothing, every correction stays at chance, and hits are as independent as by guessing."""
    rng = np.random.default_rng(0)
    n_simulations, n = 200, 40
    for correct in (csls, inverted_softmax, sinkhorn):
        hits = []
        for _ in range(n_simulations):
            gallery = rng.standard_normal((n, 10)) + rng.standard_normal(10)
            queries = rng.standard_normal((n, 10)) + rng.standard_normal(10)
            corrected = correct(cosine_similarity(queries, gallery))
            hits.append(top_k_accuracy(corrected, np.arange(n)) * n)
        assert binomtest(round(sum(hits)), n_simulations * n, 1 / n).pvalue > 0.01
        assert 0.7 < np.var(hits) / (1 - 1 / n) < 1.3


@pytest.mark.parametrize(("name", "value"), [("temperature", 0), ("strength", 1.1), ("n_iter", 0)])
def test_bad_parameters_of_sinkhorn(similarity, name, value):
    with pytest.raises(ValueError, match=f"{name} must lie in"):
        sinkhorn(similarity, **{name: value})
