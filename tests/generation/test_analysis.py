import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator

from skeegclip import EmbeddingTable
from skeegclip.generation import generated_retrieval, guidance_curve, similarity_distributions
from skeegclip.metrics import cosine_similarity, n_way_table

RNG = np.random.default_rng(0)
EEG = RNG.normal(size=(5, 8))
GENERATED = EEG[:, None] + 0.5 * RNG.normal(size=(5, 3, 8))
OTHERS = RNG.normal(size=(7, 8))
del RNG


class Prior(BaseEstimator):
    """Samples around the embedding, nearer the higher the guidance."""

    def __init__(self, guidance_scale=1.0):
        self.guidance_scale = guidance_scale

    def sample(self, Z, n_samples):
        noise = np.random.default_rng(0).normal(size=(len(Z), n_samples, Z.shape[1]))
        return Z[:, None] + noise / self.guidance_scale


class Painter:
    def generate(self, embeddings, low_level=None, captions=None, random_state=None):
        self.random_state = random_state
        return np.clip(128 + 30 * embeddings, 0, 255).astype(np.uint8)[:, :, None, None].repeat(3, axis=3)


def unembed(pictures):
    return (pictures[:, :, 0, 0].astype(float) - 128) / 30


def test_similarities_of_every_pair():
    table = similarity_distributions(EEG, GENERATED, OTHERS, shown=EEG)
    assert table.groupby("picture").size().to_dict() == {"random": 35, "generated": 15, "shown": 5}
    by = table.set_index(["picture", "row"])["similarity"]
    np.testing.assert_allclose(by["random"], cosine_similarity(EEG, OTHERS).ravel())
    for row in range(5):
        np.testing.assert_allclose(
            by["generated"][row], cosine_similarity(GENERATED[row], EEG[[row]]).ravel()
        )
    np.testing.assert_allclose(by["shown"], 1)
    single = similarity_distributions(EEG, GENERATED[:, 0], OTHERS)
    np.testing.assert_allclose(
        single.query("picture == 'generated'")["similarity"], by["generated"].groupby("row").first()
    )


def test_retrieval_counts_every_picture(rng):
    gallery = EmbeddingTable([f"s{i}" for i in range(9)], rng.normal(size=(9, 8)))
    y = [f"s{i}" for i in (3, 1, 4, 0, 5)]
    table = generated_retrieval(GENERATED, y, gallery, random_state=0)
    similarity = cosine_similarity(GENERATED.reshape(15, 8), gallery.vectors)
    expected = n_way_table(similarity, np.repeat([3, 1, 4, 0, 5], 3), random_state=0)
    pd.testing.assert_frame_equal(table, expected)
    exact = generated_retrieval(gallery.lookup(y), y, gallery, n_resamples=0)
    assert (exact["accuracy"] == 1).all()


def test_guidance_of_the_prior():
    prior = Prior()
    curve = guidance_curve(prior, EEG, [0.5, 2.0], n_samples=4, truth=EEG)
    assert curve.columns.tolist() == ["guidance_scale", "similarity", "similarity_to_truth", "diversity"]
    for row in curve.itertuples():
        samples = Prior(row.guidance_scale).sample(EEG, 4)
        cosines = [cosine_similarity(own, EEG[[i]]).mean() for i, own in enumerate(samples)]
        assert row.similarity == pytest.approx(np.mean(cosines))
        assert row.similarity_to_truth == pytest.approx(row.similarity)
        pairs = [cosine_similarity(own)[np.triu_indices(4, k=1)].mean() for own in samples]
        assert row.diversity == pytest.approx(1 - np.mean(pairs))
    assert prior.guidance_scale == 1.0
    wider = guidance_curve(Prior(), EEG, [1.0], n_samples=2, truth=None)
    assert wider.columns.tolist() == ["guidance_scale", "similarity", "diversity"]


class Posterior(BaseEstimator):
    """Draws from the true posterior of x ~ N(m, I) given z = x + noise; guidance narrows it."""

    def __init__(self, mean=None, noise=1.0, guidance_scale=1.0):
        self.mean = mean
        self.noise = noise
        self.guidance_scale = guidance_scale

    def sample(self, Z, n_samples):
        share = 1 / (1 + self.noise**2)  # of z in the posterior mean
        centre = self.mean + share * (Z - self.mean)
        sd = np.sqrt(1 - share) / self.guidance_scale
        draws = np.random.default_rng(1).normal(size=(len(Z), n_samples, Z.shape[1]))
        return centre[:, None] + sd * draws


def test_a_true_posterior_is_as_near_to_the_truth_as_to_itself():
    """Given the EEG, the picture shown and two samples are three draws of one kind, so that all cosines are alike."""
    rng = np.random.default_rng(0)
    mean = rng.normal(size=12)
    shown = mean + rng.normal(size=(800, 12))
    Z = shown + 1.5 * rng.normal(size=shown.shape)
    curve = guidance_curve(Posterior(mean, 1.5), Z, [1.0, 3.0], n_samples=6, truth=shown)
    calibrated, narrow = curve.itertuples(index=False)
    assert calibrated.similarity_to_truth == pytest.approx(1 - calibrated.diversity, abs=0.01)
    assert 1 - narrow.diversity > narrow.similarity_to_truth + 0.1 > calibrated.similarity_to_truth + 0.1


def test_guidance_of_many_dimensions_is_known():
    """In many dimensions noise of sd s is at right angles to what it is added to, and as long as s times the root of d."""
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(20, 4000))
    curve = guidance_curve(Prior(), Z, [0.5, 1.0, 4.0], n_samples=3)
    share = 1 / (1 + 1 / curve["guidance_scale"] ** 2)
    np.testing.assert_allclose(curve["similarity"], np.sqrt(share), atol=0.01)
    np.testing.assert_allclose(curve["diversity"], 1 - share, atol=0.01)


def test_guidance_of_pictures():
    painter = Painter()
    direct = guidance_curve(Prior(), EEG, [1.0, 4.0], n_samples=3)
    painted = guidance_curve(
        Prior(), EEG, [1.0, 4.0], n_samples=3, generator=painter, embed=unembed, random_state=7
    )
    np.testing.assert_allclose(painted, direct, atol=0.02)
    assert not np.allclose(painted, direct, atol=1e-6)
    assert painter.random_state == 7


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (
            lambda: similarity_distributions(EEG, GENERATED[:4], OTHERS),
            ValueError,
            r"generated must have shape \(5, 8\)",
        ),
        (lambda: similarity_distributions(EEG, EEG, OTHERS[:, :3]), ValueError, "dimension"),
        (lambda: generated_retrieval(EEG, ["a"] * 5, OTHERS), TypeError, "gallery must be an EmbeddingTable"),
        (
            lambda: generated_retrieval(EEG, ["x"] * 5, EmbeddingTable(["a"], [[1.0] * 8])),
            KeyError,
            "y: 1 of 1 ids are not in the gallery",
        ),
        (
            lambda: guidance_curve(Painter(), EEG),
            TypeError,
            "prior must be a fitted DiffusionPrior, got Painter",
        ),
        (
            lambda: guidance_curve(Prior(), EEG, generator=Painter()),
            ValueError,
            "generator and embed go together",
        ),
        (lambda: guidance_curve(Prior(), EEG, n_samples=1), ValueError, "n_samples must lie in"),
        (lambda: guidance_curve(Prior(), EEG, truth=EEG[:2]), ValueError, r"truth must have shape \(5, 8\)"),
    ],
)
def test_bad_input_is_refused(call, error, match):
    with pytest.raises(error, match=match):
        call()
