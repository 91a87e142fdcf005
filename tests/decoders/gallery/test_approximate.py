"""Galleries behind an index."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone

from skeegclip import EmbeddingTable, ImageRetriever
from skeegclip.decoders.gallery import approximate as _approximate
from skeegclip.metrics import cosine_similarity


def ids_of(n):
    return [f"image_{i:05d}" for i in range(n)]


@pytest.fixture(scope="module")
def clustered():
    """Clusters around a common mean, and noisy embeddings of some of the images."""
    rng = np.random.default_rng(0)
    concepts = rng.normal(size=(100, 32))
    vectors = 1.5 + concepts[np.arange(4000) % 100] + 0.7 * rng.normal(size=(4000, 32))
    table = EmbeddingTable(ids_of(4000), vectors)
    shown = rng.choice(4000, 100, replace=False)
    Z = (vectors[shown] - 1.5 + 1.5 * rng.normal(size=(100, 32))).astype(np.float32)
    return table, Z, table.ids[shown]


@pytest.fixture
def indexed(monkeypatch):
    monkeypatch.setattr(_approximate, "_SMALL", 2000)


def exact_and_faiss(gallery, Z, targets=None, **params):
    return [
        ImageRetriever("passthrough", gallery=gallery, targets=targets, index=index, **own).fit(Z)
        for index, own in (("exact", {}), ("faiss", params))
    ]


def test_faiss_finds_nearly_all_with_exact_similarities(clustered, indexed):
    table, Z, y = clustered
    exact, approximate = exact_and_faiss(table, Z, n_probes=16)
    truth, right = exact.retrieve(Z)
    ids, similarity = approximate.retrieve(Z)
    found = np.array([np.isin(a, b) for a, b in zip(truth, ids, strict=True)])
    assert 0.6 < found.mean() < 1  # so few cells of so many vectors: it is not exact search
    assert approximate.recall(Z) == pytest.approx(found.mean())
    assert exact.recall(Z) == 1
    same = truth == ids
    np.testing.assert_allclose(similarity[same], right[same], rtol=1e-5)
    full = cosine_similarity(Z, table.vectors)
    column = np.searchsorted(table.ids, ids)
    np.testing.assert_allclose(similarity, np.take_along_axis(full, column, axis=1), rtol=1e-5)
    assert (np.diff(similarity, axis=1) <= 0).all()
    # Looking everywhere finds everything; scores never look at a part.
    assert approximate.set_params(n_probes=256).recall(Z) > max(0.98, found.mean())
    approximate.set_params(n_probes=1)
    assert approximate.recall(Z) < found.mean()
    assert approximate.score(Z, y) == exact.score(Z, y)
    np.testing.assert_array_equal(approximate.rank(Z, y), exact.rank(Z, y))
    np.testing.assert_array_equal(approximate.similarity(Z), exact.similarity(Z))


def test_the_index_is_built_once_the_same_and_anew_when_the_gallery_changes(clustered, indexed, monkeypatch):
    table, Z, _ = clustered
    builds = []
    build = _approximate.ApproximateIndex.__init__
    monkeypatch.setattr(
        _approximate.ApproximateIndex, "__init__", lambda self, g: builds.append(len(g)) or build(self, g)
    )
    _, retriever = exact_and_faiss(table, Z)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    first = retriever.retrieve(Z)
    np.testing.assert_array_equal(first[0], retriever.retrieve(Z)[0])
    assert builds == [4000]
    again = pickle.loads(pickle.dumps(retriever)).retrieve(Z)
    for got, expected in zip(again, first, strict=True):
        np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    assert builds == [4000, 4000]
    retriever.add(EmbeddingTable(["own"], Z[:1]))
    assert retriever.predict(Z[:1]) == ["own"]
    assert builds == [4000, 4000, 4001]
    assert clone(retriever).fit(Z).predict(Z[:1]) != ["own"]


def test_faiss_searches_among_whitened_images(clustered, indexed):
    table, Z, y = clustered
    exact, approximate = exact_and_faiss(table, Z, targets=table)
    for retriever in (exact, approximate):
        retriever.set_params(whiten=0.8).fit(Z, y)
    truth, right = exact.retrieve(Z)
    ids, similarity = approximate.set_params(n_probes=256).retrieve(Z)
    assert np.mean(truth == ids) > 0.95
    np.testing.assert_allclose(similarity[truth == ids], right[truth == ids], rtol=1e-4)


def test_where_the_cells_hold_too_few_all_are_compared(clustered, indexed):
    table, Z, _ = clustered
    exact, approximate = exact_and_faiss(table, Z[:5], n_probes=1)
    got, expected = (retriever.retrieve(Z[:5], k=3000) for retriever in (approximate, exact))
    np.testing.assert_allclose(got[1], expected[1], rtol=1e-5, atol=1e-6)
    assert [set(row) for row in got[0].tolist()] == [set(row) for row in expected[0].tolist()]


def test_small_galleries_are_searched_exactly(clustered, monkeypatch):
    table, Z, _ = clustered
    monkeypatch.setattr(_approximate, "ApproximateIndex", None)
    exact, approximate = exact_and_faiss(table, Z)
    np.testing.assert_array_equal(approximate.retrieve(Z)[0], exact.retrieve(Z)[0])


def test_auto_is_exact(clustered, indexed, monkeypatch):
    table, Z, _ = clustered
    monkeypatch.setattr(_approximate, "ApproximateIndex", None)
    ImageRetriever("passthrough", gallery=table).fit(Z).retrieve(Z)


def test_what_faiss_cannot_do_is_said(clustered, monkeypatch):
    table, Z, _ = clustered
    message = "index=\"faiss\" looks at a part of the gallery, but hubness='csls' needs all similarities"
    with pytest.raises(ValueError, match=message):
        ImageRetriever("passthrough", gallery=table, index="faiss", hubness="csls").fit(Z)
    with pytest.raises(
        ValueError, match='but refine=2 needs all similarities. Use index="exact", or refine=0'
    ):
        ImageRetriever("passthrough", gallery=table, index="faiss", refine=2).fit(Z)
    retriever = ImageRetriever("passthrough", gallery=table, index="faiss").fit(Z)
    with pytest.raises(ValueError, match=message):
        retriever.set_params(hubness="csls").predict(Z)
    with pytest.raises(ValueError, match=r"n_probes must lie in \[1, inf\], got 0"):
        retriever.set_params(hubness=None, n_probes=0).predict(Z)
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ImportError, match=r"pip install 'skeegclip\[faiss\]'"):
        ImageRetriever("passthrough", gallery=table, index="faiss").fit(Z)


@pytest.mark.slow
@pytest.mark.parametrize("order", ["torch, faiss", "faiss, torch"])
def test_faiss_and_torch_work_in_one_process_with_threads_of_their_own(order):
    program = f"""
import {order}, numpy as np
from skeegclip import EEGEncoder, EmbeddingTable, ImageRetriever
from skeegclip.decoders.gallery import approximate as _approximate
_approximate._SMALL = 1000
rng = np.random.default_rng(0)
table = EmbeddingTable([str(i) for i in range(3000)], rng.normal(size=(3000, 16)))
X, y = rng.normal(size=(40, 4, 50)).astype("float32"), table.ids[:40]
before = faiss.omp_get_max_threads(), torch.get_num_threads()
encoder = EEGEncoder("eegproject", targets=table, max_epochs=1, validation=0, device="cpu", random_state=0)
retriever = ImageRetriever(encoder, targets=table, index="faiss", n_probes=10**6).fit(X, y)
assert retriever.recall(X) > 0.95, retriever.recall(X)
retriever.fit(X, y).retrieve(X)
assert (faiss.omp_get_max_threads(), torch.get_num_threads()) == before == (2, 2), before
"""
    env = {**os.environ, "OMP_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
