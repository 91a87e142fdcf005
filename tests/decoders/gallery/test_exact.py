"""Galleries in blocks, and mapped from files."""

from __future__ import annotations

import copy
import pickle
import tracemalloc

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator

from skeegclip import EEGEncoder, EmbeddingTable, ImageRetriever
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
    monkeypatch.setattr(_gallery, "BLOCK", block)
    monkeypatch.setattr(_gallery, "_KEPT", kept)
    table, Z = tied
    ids, similarity = ImageRetriever("passthrough", gallery=table).fit(Z).retrieve(Z, k=k)
    order, expected = best_by_sorting(Z, table.vectors, k)
    np.testing.assert_array_equal(ids, table.ids[order])
    np.testing.assert_allclose(similarity, expected, rtol=1e-6)


@pytest.mark.parametrize("matrix", [1, 40 * 500, 10**9])
def test_ranks_do_not_depend_on_what_is_held(tied, matrix, monkeypatch):
    monkeypatch.setattr(_gallery, "BLOCK", 3 * 64)
    monkeypatch.setattr(_gallery, "_MATRIX", matrix)
    table, Z = tied
    retriever = ImageRetriever("passthrough", gallery=table).fit(Z)
    target = np.random.default_rng(1).integers(500, size=len(Z))
    expected = ranks(cosine_similarity(Z, table.vectors), target)
    np.testing.assert_array_equal(retriever.rank(Z, table.ids[target]), expected)


def test_a_gallery_of_several_mapped_files_is_searched_as_one(tmp_path, monkeypatch):
    monkeypatch.setattr(_gallery, "BLOCK", 8 * 30)
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
    monkeypatch.setattr(_gallery, "BLOCK", 2**16)
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
