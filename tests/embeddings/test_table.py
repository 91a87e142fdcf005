import copy
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from safetensors.numpy import save_file
from sklearn.base import BaseEstimator, clone

from skeegclip import EmbeddingTable


@pytest.fixture
def table():
    return EmbeddingTable(["b_1", "a_1", "a_2"], [[3, 4], [0, 0], [1, 0]], meta={"model": "ViT-H-14"})


class Holder(BaseEstimator):
    def __init__(self, targets=None):
        self.targets = targets


def test_lookup_keeps_order_and_repeats(table):
    np.testing.assert_array_equal(table.lookup(["a_2", "b_1", "a_2"]), [[1, 0], [3, 4], [1, 0]])
    assert table.lookup(np.array(["a_2"], dtype=object)).dtype == np.float32
    assert table.lookup(pd.Series(["a_2"])).shape == (1, 2)
    assert (len(table), table.n_dims, "a_1" in table, "c" in table) == (3, 2, True, False)


def test_unknown_ids_are_named_and_counted(table):
    with pytest.raises(KeyError, match=r"4 of 5 ids are not in the table of 3 \('x0', 'x1', 'x2', \.\.\.\)"):
        table.lookup(["a_1", "x0", "x1", "x2", "x3", "x0"])


def test_integers_are_refused_with_the_reason(table):
    with pytest.raises(TypeError, match="re-encode labels as 0..k-1"):
        table.lookup([0, 1])
    with pytest.raises(TypeError, match="must hold strings"):
        EmbeddingTable([1, 2], np.eye(2))


def test_ids_stay_what_they_are():
    table = EmbeddingTable(["00012", "null", "1e3"], np.eye(3))
    assert table.ids.tolist() == ["00012", "null", "1e3"]
    assert table.lookup(["null"])[0, 1] == 1


def test_tables_are_immutable_and_independent_of_their_source():
    vectors = np.eye(2, dtype=np.float32)
    table = EmbeddingTable(["a", "b"], vectors)
    vectors[0, 0] = 9
    assert table.vectors[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        table.vectors[0, 0] = 2
    with pytest.raises(ValueError, match="read-only"):
        table.ids[0] = "c"
    with pytest.raises(AttributeError, match="immutable"):
        table.vectors = vectors
    table.lookup(["a"])[:] = 5
    table.meta["x"] = 1
    assert table.vectors[0, 0] == 1
    assert table.meta == {}


@pytest.mark.parametrize(
    ("ids", "vectors", "match"),
    [
        (["a", "a"], np.eye(2), "ids must be unique, got 1 repeated .'a'"),
        (["a"], np.eye(2), r"vectors must have shape \(n_ids, n_dims\) with n_ids = 1, got \(2, 2\)"),
        (["a", "b"], np.ones(2), "vectors must have shape"),
        (["a", "b"], [[1, np.nan], [1, 2]], "NaN or inf for 1 ids .first: 'a'"),
        ([["a"], ["b"]], np.eye(2), "ids must be 1-D"),
        ([], np.ones((0, 2)), "must not be empty"),
    ],
)
def test_bad_tables_are_refused(ids, vectors, match):
    with pytest.raises(ValueError, match=match):
        EmbeddingTable(ids, vectors)


def test_clone_and_copies_share_the_table(table):
    assert clone(Holder(table)).targets is table
    assert copy.deepcopy(table) is table
    assert copy.copy(table) is table


def test_subset_normalized_and_mean(table):
    assert table.subset(["a_2", "b_1"]).ids.tolist() == ["a_2", "b_1"]
    np.testing.assert_allclose(table.normalized().vectors, [[0.6, 0.8], [0, 0], [1, 0]])
    mean = table.mean_by({"b_1": "b", "a_1": "a", "a_2": "a"})
    assert mean.ids.tolist() == ["a", "b"]
    np.testing.assert_allclose(mean.vectors, [[0.5, 0], [3, 4]])
    assert mean == table.mean_by(lambda i: i[0]) == table.mean_by(pd.Series(list("baa"), index=table.ids))
    with pytest.raises(KeyError, match="no entry for 2 ids"):
        table.mean_by({"b_1": "b"})
    with pytest.raises(TypeError, match="must be a mapping"):
        table.mean_by(["b", "a", "a"])


def test_save_and_load_give_the_same_table_and_file(table, tmp_path):
    path = tmp_path / "folder" / "table.safetensors"
    table.save(path)
    assert EmbeddingTable.load(path) == table
    content = path.read_bytes()
    EmbeddingTable.load(path).save(path)
    assert path.read_bytes() == content


def test_files_that_are_no_table_are_refused(tmp_path):
    (tmp_path / "junk").write_bytes(b"junk")
    with pytest.raises(ValueError, match="not a readable safetensors file"):
        EmbeddingTable.load(tmp_path / "junk")
    save_file({"x": np.ones(2)}, tmp_path / "other")
    with pytest.raises(ValueError, match="not an EmbeddingTable"):
        EmbeddingTable.load(tmp_path / "other")
    with pytest.raises(FileNotFoundError):
        EmbeddingTable.load(tmp_path / "missing")


def test_pickles_are_equal_and_stay_read_only(table):
    again = pickle.loads(pickle.dumps(table))
    assert again == table
    assert hash(again) == hash(table)
    assert not again.vectors.flags.writeable
    assert again.meta == table.meta


@pytest.mark.slow
def test_joblib_workers_map_the_vectors_instead_of_copying_them():
    table = EmbeddingTable([str(i) for i in range(4000)], np.ones((4000, 256)))
    kinds = joblib.Parallel(n_jobs=2)(joblib.delayed(_kind_of_vectors)(table) for _ in range(2))
    assert kinds == ["memmap", "memmap"]


def _kind_of_vectors(table):
    base = table.vectors
    while base is not None:
        if isinstance(base, np.memmap):
            return "memmap"
        base = getattr(base, "base", None)
    return "copy"


# -- files larger than memory --------------------------------------------------------------------------


@pytest.fixture
def large(tmp_path):
    rng = np.random.default_rng(0)
    table = EmbeddingTable(
        [f"image_{i:03d}" for i in range(50)], rng.normal(size=(50, 6)), meta={"layer": -1}
    )
    path = tmp_path / "large.safetensors"
    table.save(path)
    return path, table


def test_a_mapped_table_is_the_same_and_reads_nothing_into_memory(large):
    path, table = large
    mapped = EmbeddingTable.load(path, mmap=True)
    assert mapped == table == EmbeddingTable.load(path)
    assert (_kind_of_vectors(mapped), _kind_of_vectors(EmbeddingTable.load(path))) == ("memmap", "copy")
    np.testing.assert_array_equal(mapped.lookup(["image_007"]), table.lookup(["image_007"]))
    assert "image_049" in mapped
    with pytest.raises(ValueError, match="read-only"):
        mapped.vectors[0, 0] = 2
    mapped.save(path)  # over itself
    assert EmbeddingTable.load(path) == table


def test_tables_are_written_in_blocks(large, tmp_path):
    path, table = large
    blocks = (table.vectors[start : start + 15].astype(float) for start in range(0, 50, 15))
    written = EmbeddingTable.write(tmp_path / "blocks", table.ids.tolist(), blocks, meta={"layer": -1})
    assert written == table
    assert _kind_of_vectors(written) == "memmap"
    assert (tmp_path / "blocks").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("blocks", "match"),
    [
        ([np.ones((2, 3))], "blocks must hold one vector per id, 4, got 2"),
        ([np.ones((3, 3)), np.ones((3, 3))], "blocks must hold one vector per id, 4, got more"),
        ([np.ones((2, 3)), np.ones((2, 5))], r"matrices of one width \(3\), got shape \(2, 5\) after 2 rows"),
        ([np.ones(4)], r"matrices of one width, got shape \(4,\) after 0 rows"),
        ([np.ones((2, 3)), [[1, 2, 3], [1, np.inf, 3]]], "NaN or inf for 1 ids .first: 'd'"),
        ([], "got no block"),
    ],
)
def test_bad_blocks_are_refused_and_leave_no_file(blocks, match, tmp_path):
    with pytest.raises(ValueError, match=match):
        EmbeddingTable.write(tmp_path / "table", list("abcd"), blocks)
    with pytest.raises(ValueError, match="ids must be unique"):
        EmbeddingTable.write(tmp_path / "table", list("aa"), [np.eye(2)])
    assert list(tmp_path.iterdir()) == []


def test_a_mapped_table_travels_as_its_path(large):
    path, table = large
    mapped = EmbeddingTable.load(path, mmap=True)
    content = pickle.dumps(mapped)
    assert len(content) < 1000 < len(pickle.dumps(table))
    again = pickle.loads(content)
    assert again == table
    assert _kind_of_vectors(again) == "memmap"
    part = mapped.subset(["image_007"])
    EmbeddingTable(["x"], [[1.0]]).save(path)
    with pytest.raises(ValueError, match="was changed since this EmbeddingTable was mapped"):
        pickle.loads(content)
    path.unlink()
    with pytest.raises(ValueError, match="is missing here"):
        pickle.loads(content)
    assert pickle.loads(pickle.dumps(part)).ids.tolist() == ["image_007"]  # made of it, but in memory
    assert mapped == table  # the old file lives as long as it is mapped


def test_mapping_refuses_what_loading_refuses(tmp_path, monkeypatch):
    from skeegclip.embeddings import _table_file

    monkeypatch.setattr(_table_file, "_BLOCK", 4)
    path = tmp_path / "table"
    EmbeddingTable(["a", "b", "c"], np.ones((3, 2))).save(path)
    content = bytearray(path.read_bytes())
    content[-8:-4] = np.float32(np.nan).tobytes()
    path.write_bytes(content)
    for mmap in (True, False):
        with pytest.raises(ValueError, match="NaN or inf for 1 ids .first: 'c'"):
            EmbeddingTable.load(path, mmap=mmap)
    notes = '{"format": "skeegclip-embedding-table-1", "ids": ["a"], "meta": {}}'
    for vectors in (np.ones((2, 2), np.float32), np.ones((1, 2)), np.ones(1, np.float32)):
        save_file({"vectors": vectors}, path, metadata={"skeegclip": notes})
        with pytest.raises(ValueError, match="holds 1 ids, but vectors of type F"):
            EmbeddingTable.load(path, mmap=True)


@pytest.mark.parametrize(
    ("ids", "match"),
    [
        ("ab", "must be a sequence of strings"),
        (None, "must be a sequence of strings"),
        (["a", 1], "must hold strings"),
        (["a", float("nan")], "must hold strings|missing"),
    ],
)
def test_ids_that_numpy_would_read_as_text_are_refused(ids, match):
    with pytest.raises((TypeError, ValueError), match=match):
        EmbeddingTable(ids, np.eye(2))


@pytest.mark.parametrize(
    "vectors",
    [
        np.eye(2).astype(object),
        np.eye(2).astype(str),
        1j * np.eye(2),
        scipy.sparse.csr_matrix(np.eye(2)),
        np.zeros((2, 2), "M8[s]"),
        np.ma.masked_array(np.eye(2), mask=[[True, False], [False, False]]),
    ],
    ids=["objects", "strings", "complex", "sparse", "dates", "masked"],
)
def test_vectors_that_are_no_real_numbers_are_refused(vectors, tmp_path):
    with pytest.raises((TypeError, ValueError), match="vectors must"):
        EmbeddingTable(["a", "b"], vectors)
    with pytest.raises((TypeError, ValueError), match="blocks must"):
        EmbeddingTable.write(tmp_path / "table", ["a", "b"], [vectors])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("notes", ["[]", "null", "[1, 2]", "[" * 100_000, "{}", "not json"])
def test_notes_that_are_not_ours_are_refused(notes, tmp_path):
    path = tmp_path / "table.safetensors"
    save_file({"vectors": np.eye(2, dtype=np.float32)}, path, metadata={"skeegclip": notes})
    with pytest.raises(ValueError, match="not an EmbeddingTable"):
        EmbeddingTable.load(path)


class Bare:
    """What a writer does that knows neither __reduce__ nor __slots__: state out, an empty object, state in."""

    @staticmethod
    def round_trip(table):
        new = EmbeddingTable.__new__(EmbeddingTable)
        new.__setstate__(dict(table.__getstate__()))
        return new


def test_a_table_can_be_written_and_read_by_its_state(tmp_path):
    table = EmbeddingTable(["a", "b"], [[1, 2], [3, 4]], meta={"model": "tiny"})
    table.save(tmp_path / "table.safetensors")
    for known in (table, EmbeddingTable.load(tmp_path / "table.safetensors")):
        again = Bare.round_trip(known)
        assert again == table
        np.testing.assert_array_equal(again.lookup(["b"]), [[3, 4]])
        with pytest.raises(AttributeError, match="immutable"):
            again.ids = []


@pytest.mark.slow
def test_skops_writes_and_reads_what_holds_a_table():
    skops = pytest.importorskip("skops.io")
    from sklearn.linear_model import Ridge

    from skeegclip import ImageRetriever

    rng = np.random.default_rng(0)
    table = EmbeddingTable(["a", "b", "c"], rng.normal(size=(3, 4)), meta={"model": "tiny"})
    X, y = rng.normal(size=(12, 2, 20)), np.tile(table.ids, 4)
    for estimator in (ImageRetriever(Ridge(), targets=table), ImageRetriever("passthrough", gallery=table)):
        X = X if estimator.gallery is None else rng.normal(size=(12, 4))
        content = skops.dumps(estimator.fit(X, y))
        again = skops.loads(content, trusted=skops.get_untrusted_types(data=content))
        np.testing.assert_allclose(again.similarity(X), estimator.similarity(X), rtol=1e-5, atol=1e-6)
        assert (again.gallery or again.targets_) == table


def test_a_table_is_not_changed_through_what_it_was_made_of():
    ids, vectors, meta = np.array(["a", "b"]), np.ones((2, 3), np.float32), {"layers": [1, 2]}
    table = EmbeddingTable(ids, vectors, meta=meta)
    ids[0], vectors[:] = "z", 0
    meta["layers"].append(3)
    table.meta["layers"].append(4)
    assert (table.ids.tolist(), table.vectors.min(), table.meta) == (["a", "b"], 1, {"layers": [1, 2]})
