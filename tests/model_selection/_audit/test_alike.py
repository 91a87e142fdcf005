"""Stimuli under two names: spelling and vectors."""

import numpy as np
import pytest

from skeegclip import EmbeddingTable
from skeegclip.model_selection import audit_split


def audit(train, test, **known):
    y = [*train, *test]
    return audit_split(np.arange(len(train)), np.arange(len(train), len(y)), y=y, **known)


@pytest.mark.parametrize(
    ("one", "other", "level"),
    [
        ("cat_01b.jpg", "cat_01b", "leak"),
        ("CAT_01b", "cat_01b", "leak"),
        (" cat_01b\t", "cat_01b", "leak"),
        ("images/cat/cat_01b.png", "cat_01b", "leak"),
        (r"c:\images\cat_01b.png", "cat_01b", "leak"),
        ("./cat/01.jpg", "cat/01.PNG", "leak"),
        ("stra\u00dfe", "STRASSE", "leak"),
        ("cafe\u0301", "caf\u00e9", "leak"),
        ("cat_1", "cat_01", "warning"),
        ("cat-01", "cat_01", "warning"),
        ("cat 01", "cat_01", "warning"),
        ("cat_01 (1)", "cat_01", "warning"),
        ("copy_cat_01", "cat_01", "warning"),
        ("cat_01", "cat_02", None),
        ("cat_01b", "cat_01s", None),
        ("cat_1_12", "cat_11_2", None),
        ("cat/01", "dog/01", None),
        ("cat/01", "01", None),
        ("1", "10", None),
        ("image.v2", "image.v3", None),
    ],
)
def test_spellings(one, other, level):
    for pair in ((one, other), (other, one)):
        found = audit(["owl_7", pair[0]], ["dog_9", pair[1]])
        assert found.flags.get("names") == level, str(found)
        assert found.shared["names"] == ((pair[1], pair[0]),) * (level is not None)


def test_a_study_that_tells_ids_apart_by_case_is_believed():
    assert audit(["a", "A", "b", "B", "c"], ["C", "d", "D"]).flags == {}
    assert audit(["a1", "a01"], ["a001", "b"]).flags == {}


def table(rng, n_dims=16, **more):
    ids = [f"train_{i:02d}" for i in range(30)] + [f"test_{i:02d}" for i in range(10)]
    vectors = rng.normal(size=(40, n_dims))
    for row, vector in more.items():
        vectors[30 + int(row[1:])] = vector(vectors)
    return ids[:30], ids[30:], vectors, ids


@pytest.mark.parametrize("common", [0, 30])
@pytest.mark.parametrize("noise", [0, 0.003])
def test_vectors_of_trained_pictures(noise, common):
    rng = np.random.default_rng(0)
    train, test, vectors, ids = table(rng)
    vectors[33] = 2 * vectors[4] + noise * rng.normal(size=16)
    found = audit(train, test, targets=EmbeddingTable(ids, vectors + common * (noise == 0)))
    expected = (("test_03", "train_04"),) if noise or not common else ()
    assert found.shared["targets"] == expected
    assert found.leaks == bool(expected)


def test_vectors_that_are_all_alike_are_not_taken_for_one():
    rng = np.random.default_rng(0)
    train, test, vectors, ids = table(rng)
    assert audit(train, test, targets=EmbeddingTable(ids, vectors + 200)).flags == {}
    few = EmbeddingTable(ids, rng.normal(size=(40, 2)))  # in a plane somebody is always near
    assert audit(train, test, targets=few).flags == {}


def test_a_table_of_kinds_is_told_from_one_of_pictures():
    rng = np.random.default_rng(0)
    ids = [f"{kind}_{i}" for kind in ("cat", "dog", "owl") for i in range(10)]
    kinds = EmbeddingTable(ids, np.repeat(rng.normal(size=(3, 16)), 10, axis=0))
    found = audit(ids[1:], ids[:1], targets=kinds)
    assert found.flags == {"targets": "warning"}
    assert not found.leaks


def test_a_table_that_holds_none_of_the_stimuli_says_nothing():
    other = EmbeddingTable(["x", "y"], np.eye(2, 9))
    assert "targets" in audit(["a"], ["b"], targets=other).not_checked


def test_numbers_and_matrices_as_y():
    found = audit_split([0, 1], [2], y=np.array([3, 5, 3]))
    assert found.shared["stimuli"] == ("3",)
    assert audit_split([0, 1], [2], y=np.array([3, 5, 3]), labels=True).flags == {"stimuli": "note"}
    vectors = np.eye(3)[[0, 1, 0]]
    assert audit_split([0, 1], [2], y=vectors).flags == {"stimuli": "leak"}
    assert audit_split([0, 1], [2], y=np.eye(3)).flags == {}


def test_people_who_are_spelt_alike():
    y = [f"i{i}" for i in range(4)]
    for one, other, found in (("sub-03", "sub-03b", True), ("S01", "s1", True), ("sub-03", "sub-04", False)):
        shared = audit_split([0, 1], [2, 3], y=y, subject=[one, "x", other, other]).shared["namesakes"]
        assert shared == ((other, one),) * found


def test_concepts_under_two_names():
    known = {"y": ["a", "b", "c"], "concept": ["cat", "dog", "Cat"]}
    assert audit_split([0, 1], [2], **known).flags == {"wordings": "warning"}


def test_what_is_unknown_in_all_rows_of_a_side_is_not_called_checked():
    found = audit_split([0], [1], y=["a", "b"], subject=["ann", ""])
    assert "subjects" in found.not_checked
    assert "does not show that nothing is shared" in str(found)


def test_a_closed_set_tests_people():
    y, people = ["cat", "dog"] * 3, np.repeat(["ann", "bob", "cyd"], 2)
    closed = audit_split(np.arange(4), [4, 5], y=y, subject=people)
    assert closed.flags == {"stimuli": "warning"}
    assert "new people, not new stimuli" in str(closed)
    assert audit_split(np.arange(4), [4], y=y, subject=people).leaks  # some of the stimuli: an accident
    assert audit_split(np.arange(4), [4, 5], y=y).leaks  # whose they are is not known
