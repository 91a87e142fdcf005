"""Galleries in blocks, mapped from files, and behind an index."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator

from skeegclip import EEGEncoder, EmbeddingTable, ImageRetriever
from skeegclip.decoders.gallery import approximate as _approximate
from skeegclip.decoders.gallery import exact as _gallery
from skeegclip.metrics import cosine_similarity, ranks


def ids_of(n, prefix="image"):
    return [f"{prefix}_{i:05d}" for i in range(n)]


@pytest.fixture(scope="module")
def tied():
    """A gallery of six directions, along the axes: everything ties, however a product is summed."""
    rng = np.random.default_rng(0)
    vectors = np.eye(3)[rng.integers(3, size=500)] * rng.choice([-2, -1, 1, 4], size=(500, 1))
    return EmbeddingTable(ids_of(500), vectors), rng.normal(size=(60, 3))


def best_by_sorting(Z, vectors, k):
    similarity = cosine_similarity(Z, vectors)
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(similarity, order, axis=1)


@pytest.mark.parametrize("kept", [0, 10**6])
@pytest.mark.parametrize("block", [3 * 1, 3 * 7, 3 * 499, 3 * 1000])
@pytest.mark.parametrize("k", [1, 5, 60, 500])
def test_blocks_keep_ties_in_the_order_of_the_gallery(tied, block, k, kept, monkeypatch):
    monkeypatch.setattr(_gallery, "_BLOCK", block)
    monkeypatch.setattr(_gallery, "_KEPT", kept)
    table, Z = tied
    ids, similarity = ImageRetriever("passthrough", gallery=table).fit(Z).retrieve(Z, k=k)
    order, expected = best_by_sorting(Z, table.vectors, k)
    np.testing.assert_array_equal(ids, table.ids[order])
    np.testing.assert_allclose(similarity, expected, rtol=1e-6)


@pytest.mark.parametrize("matrix", [1, 40 * 500, 10**9])
def test_ranks_do_not_depend_on_what_is_held(tied, matrix, monkeypatch):
    monkeypatch.setattr(_gallery, "_BLOCK", 3 * 64)
    monkeypatch.setattr(_gallery, "_MATRIX", matrix)
    table, Z = tied
    retriever = ImageRetriever("passthrough", gallery=table).fit(Z)
    target = np.random.default_rng(1).integers(500, size=len(Z))
    expected = ranks(cosine_similarity(Z, table.vectors), target)
    np.testing.assert_array_equal(retriever.rank(Z, table.ids[target]), expected)


def test_a_gallery_of_several_mapped_files_is_searched_as_one(tmp_path, monkeypatch):
    monkeypatch.setattr(_gallery, "_BLOCK", 8 * 30)
    monkeypatch.setattr(_gallery, "_KEPT", 0)
    rng = np.random.default_rng(0)
    whole = EmbeddingTable(ids_of(300), rng.normal(size=(300, 8)))
    Z = whole.vectors[::6] + 0.5 * rng.normal(size=(50, 8)).astype(np.float32)
    parts = []
    for rows in (slice(0, 100), slice(100, 110), slice(110, 300)):
        whole.subset(whole.ids[rows]).save(tmp_path / f"{rows.start}")
        parts.append(EmbeddingTable.load(tmp_path / f"{rows.start}", mmap=True))
    retriever = ImageRetriever("passthrough", gallery=parts[0]).fit(Z).add(parts[1]).add(parts[2])
    expected = ImageRetriever("passthrough", gallery=whole).fit(Z)
    (ids, similarity), (right, cosines) = retriever.retrieve(Z), expected.retrieve(Z)
    np.testing.assert_array_equal(ids, right)
    np.testing.assert_allclose(similarity, cosines, rtol=1e-6)
    np.testing.assert_array_equal(retriever.rank(Z, whole.ids[::6]), expected.rank(Z, whole.ids[::6]))
    # Eight products of unit vectors, each rounded to 6e-8 of at most 1.
    np.testing.assert_allclose(retriever.similarity(Z), expected.similarity(Z), atol=8 * 6e-8)


def test_a_cosine_is_the_same_number_in_any_company_and_equal_vectors_tie():
    rng = np.random.default_rng(0)
    vectors = np.tile(rng.normal(size=(61, 40)), (3, 1))  # every image three times, far from each other
    table, Z = EmbeddingTable(ids_of(183), vectors), rng.normal(size=(23, 40)).astype(np.float32)
    retriever = ImageRetriever("passthrough", gallery=table).fit(Z)
    similarity = retriever.similarity(Z)
    for row in range(len(Z)):
        np.testing.assert_array_equal(retriever.similarity(Z[row : row + 1]), similarity[row : row + 1])
    np.testing.assert_array_equal(np.unique(retriever.rank(Z, table.ids[:23]) % 3), 2)  # (1 + 2 + 3) / 3, ...
    ids, _ = retriever.retrieve(Z, k=3)
    assert (np.char.rpartition(ids, "_")[..., 2].astype(int) % 61 == np.argmax(similarity, 1)[:, None]).all()
    few = table.subset(table.ids[[100, 7]])
    np.testing.assert_array_equal(retriever.set_params(gallery=few).similarity(Z), similarity[:, [100, 7]])


def test_searching_takes_little_memory_whatever_the_gallery(tmp_path, monkeypatch):
    monkeypatch.setattr(_gallery, "_BLOCK", 2**16)
    monkeypatch.setattr(_gallery, "_MATRIX", 2**16)
    monkeypatch.setattr(_gallery, "_KEPT", 2**16)
    rng = np.random.default_rng(0)
    blocks = (rng.standard_normal((2000, 256), dtype=np.float32) for _ in range(20))
    table = EmbeddingTable.write(tmp_path / "gallery", ids_of(40_000), blocks)  # 41 MB
    Z = rng.standard_normal((300, 256), dtype=np.float32)
    retriever = ImageRetriever("passthrough", gallery=table).fit(Z)
    y = table.ids[:300]
    retriever.rank(Z[:1], y[:1])  # the dictionary of the ids
    tracemalloc.start()
    try:
        retriever.retrieve(Z)
        retriever.rank(Z, y)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5e6


# -- what is kept between calls ------------------------------------------------------------------------


@pytest.fixture
def counted(monkeypatch):
    """How often the vectors of a gallery were prepared."""
    calls = []
    make = _gallery.Gallery._prepared
    monkeypatch.setattr(
        _gallery.Gallery, "_prepared", lambda self, dtype: calls.append(len(self)) or make(self, dtype)
    )
    return calls


def test_the_gallery_is_prepared_once_and_anew_when_it_changes(counted):
    rng = np.random.default_rng(0)
    table = EmbeddingTable(ids_of(30), rng.normal(size=(30, 4)))
    Z = table.vectors[:5]
    retriever = ImageRetriever("passthrough", gallery=table).fit(Z)
    for _ in range(3):
        retriever.retrieve(Z)
        retriever.rank(Z, table.ids[:5])
    assert counted == [30]
    retriever.retrieve(Z.astype(np.float64))
    assert counted == [30]
    retriever.add(EmbeddingTable(["new"], 2 * Z[:1])).retrieve(Z)
    assert retriever.rank(Z[:1], ["new"]) == [1.5]
    assert counted == [30, 31]
    retriever.set_params(gallery=table.subset(table.ids[:20])).retrieve(Z)
    assert retriever.fit(Z).rank(Z[:1], ["image_00000"]) == [1]
    assert counted == [30, 31, 21, 20]


def test_a_frozen_encoder_that_was_trained_anew_is_noticed():
    rng = np.random.default_rng(0)
    table = EmbeddingTable(ids_of(12), rng.normal(size=(12, 6)))
    X, y = rng.normal(size=(24, 3, 50)).astype("float32"), np.repeat(table.ids, 2)
    encoder = EEGEncoder(
        "eegproject", targets=table, projector=4, max_epochs=1, lr=0.01, validation=0, device="cpu"
    )
    retriever = ImageRetriever(FrozenEstimator(encoder.fit(X, y)), gallery=table).fit(X)
    before = retriever.similarity(X)
    encoder.fit(X, y)
    again = ImageRetriever(FrozenEstimator(encoder), gallery=table).fit(X)
    assert not np.allclose(retriever.similarity(X), before)
    np.testing.assert_array_equal(retriever.similarity(X), again.similarity(X))


def test_copies_and_pickles_keep_nothing_of_it(counted):
    rng = np.random.default_rng(0)
    table = EmbeddingTable(ids_of(30), rng.normal(size=(30, 4)))
    retriever = ImageRetriever("passthrough", gallery=table).fit(table.vectors)
    fresh = pickle.dumps(retriever)
    expected = retriever.retrieve(table.vectors)[0]
    assert len(pickle.dumps(retriever)) == len(fresh)
    copied = copy.copy(retriever).set_params(gallery=table.subset(table.ids[:10]))
    copied.retrieve(table.vectors)
    np.testing.assert_array_equal(retriever.retrieve(table.vectors)[0], expected)
    assert counted == [30, 10]  # the copy's own
    np.testing.assert_array_equal(pickle.loads(fresh).retrieve(table.vectors)[0], expected)


# -- faiss ---------------------------------------------------------------------------------------------


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
    monkeypatch.setattr(_gallery, "ApproximateIndex", None)
    exact, approximate = exact_and_faiss(table, Z)
    np.testing.assert_array_equal(approximate.retrieve(Z)[0], exact.retrieve(Z)[0])


def test_auto_is_exact(clustered, indexed, monkeypatch):
    table, Z, _ = clustered
    monkeypatch.setattr(_gallery, "ApproximateIndex", None)
    ImageRetriever("passthrough", gallery=table).fit(Z).retrieve(Z)


def test_what_faiss_cannot_do_is_said(clustered, monkeypatch):
    table, Z, _ = clustered
    message = "index=\"faiss\" looks at a part of the gallery, but hubness='csls' needs all similarities"
    with pytest.raises(ValueError, match=message):
        ImageRetriever("passthrough", gallery=table, index="faiss", hubness="csls").fit(Z)
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
from skeegclip import EEGEncoder, EmbeddingTable, ImageRetriever, _approximate
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
