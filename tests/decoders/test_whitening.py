import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.preprocessing import normalize

from skeegclip import EmbeddingTable, EpochsView, ImageRetriever, SubjectWhitening
from skeegclip._utils.whitening import moments, power


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    table = EmbeddingTable([f"s{i:03d}" for i in range(400)], rng.standard_normal((400, 5)))
    X = table.vectors[:, :, None] * np.ones(3) + 0.3 * rng.standard_normal((400, 5, 3))
    return X.astype(np.float32), table


def test_each_person_is_whitened_alone(data):
    X, table = data
    encoder = SubjectWhitening(Ridge(), targets=table, strength=1.0).fit(X, table.ids)
    subject = np.repeat(["ann", "bob"], 200)
    moved = X.copy()
    moved[200:] += 3.0  # another head
    z = encoder.predict(moved, subject=subject)
    for name in ("ann", "bob"):
        part = z[subject == name]
        np.testing.assert_allclose(part.mean(axis=0), 0, atol=1e-6)
        np.testing.assert_allclose(np.cov(part.T), np.eye(5), atol=0.2)  # shrunk
    alone = encoder.predict(moved[200:], subject=subject[200:])
    np.testing.assert_allclose(z[200:], alone, rtol=1e-4, atol=1e-5)
    by_view = encoder.predict(EpochsView.from_arrays(moved, subject=subject))
    np.testing.assert_allclose(by_view, z, rtol=1e-5, atol=1e-6)


def test_strength(data):
    X, table = data
    plain = normalize(Ridge().fit(X.reshape(400, -1), table.vectors).predict(X.reshape(400, -1)))
    centred = SubjectWhitening(Ridge(), targets=table, strength=0.0).fit(X, table.ids).predict(X)
    np.testing.assert_allclose(centred, plain - plain.mean(axis=0), atol=1e-5)


def test_it_helps_where_people_are_shifted(data):
    X, table = data
    subject = np.repeat(["ann", "bob"], 200)
    moved = X + np.where(subject == "bob", 2.5, 0)[:, None, None] * np.array([1, -1, 1, -1, 1])[:, None]
    gallery = {"ann": table.subset(table.ids[:200]), "bob": table.subset(table.ids[200:])}
    scores = {}
    for name, encoder in (("plain", Ridge()), ("whitened", SubjectWhitening(Ridge()))):
        retriever = ImageRetriever(encoder, targets=table).fit(X, table.ids)
        scores[name] = retriever.set_params(gallery=gallery["bob"]).score(
            moved[200:], table.ids[200:], subject=subject[200:]
        )
    assert scores["whitened"] > scores["plain"] + 0.1


def test_moments_and_powers():
    rng = np.random.default_rng(0)
    mean, covariance = moments(3 * rng.standard_normal((20, 6)))
    assert np.linalg.eigvalsh(covariance).min() > 0
    half = power(covariance, -0.5)
    np.testing.assert_allclose(half @ covariance @ half, np.eye(6), atol=1e-8)
    np.testing.assert_allclose(power(covariance, 1.0), covariance, atol=1e-12)
    assert np.linalg.norm(mean) < 1


def test_bad_input(data):
    X, table = data
    with pytest.raises(ValueError, match="strength must lie in"):
        SubjectWhitening(Ridge(), targets=table, strength=2.0).fit(X, table.ids)
    encoder = SubjectWhitening(Ridge(), targets=table).fit(X, table.ids)
    with pytest.raises(ValueError, match="needs several epochs of each subject together, got one of 'bob'"):
        encoder.predict(X[:3], subject=["ann", "ann", "bob"])
    with pytest.raises(ValueError, match="got one. Embed the test epochs at once"):
        encoder.predict(X[:1])
