"""Cells on disk: what is read is what was written, or nothing."""

import hashlib
import warnings
from dataclasses import replace

import numpy as np
import pytest

from skeegclip._evaluation.cells import Cell, check_ranked, load_cell, rank, save_cell
from skeegclip._evaluation.files import DamagedFileError, read_result, write_result

N, SIZE = 12, 6
GALLERY = np.array([f"image_{i}" for i in range(SIZE)])
SHOWN = np.repeat(GALLERY, 2)
PEOPLE = np.tile(["ann", "bob"], SIZE)
ASKED = list(zip(PEOPLE.tolist(), SHOWN.tolist(), strict=True))
FACTS = {
    "selection": [
        {"net": "nice", "rule": "last", "epoch": 2, "n_passes": 2, "n_stimuli_held_out": 0, "loss": 0.5}
    ],
    "transductive": [],
    "frozen": [["note", "fitted before"]],
    "notes": ["a note"],
    "labels": False,
    "n_averaged": [1, 4],
    "seconds": 0.1,
}


@pytest.fixture
def cell():
    similarity = np.random.default_rng(0).normal(size=(N, SIZE))
    ranked = rank(similarity, GALLERY, SHOWN, subject=PEOPLE, stimulus=SHOWN)
    passes = np.stack([ranked.better, ranked.better]), np.stack([ranked.equal, ranked.equal])
    ranked = replace(ranked, pass_better=passes[0], pass_equal=passes[1])
    return Cell("net", "fold-1", 0, {"retrieval": ranked}, FACTS)


@pytest.fixture
def path(cell, tmp_path):
    save_cell(tmp_path / "net-fold-1-seed0-abc.cell", cell)
    return tmp_path / "net-fold-1-seed0-abc.cell"


def same(found, cell):
    return (found.estimator, found.fold, found.seed, found.facts) == (
        cell.estimator,
        cell.fold,
        cell.seed,
        cell.facts,
    ) and all(
        np.array_equal(getattr(found.tasks["retrieval"], name), value)
        for name, value in vars(cell.tasks["retrieval"]).items()
    )


def test_what_is_read_is_what_was_written(path, cell):
    assert same(load_cell(path, ASKED[::-1]), cell)  # queries in any order


def test_500_mutations_are_done_again_or_change_nothing(path, cell):
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for number in range(500):
        content = bytearray(whole)
        kind = number % 5
        at = int(rng.integers(len(content)))
        if kind == 0:
            content[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            del content[at : at + int(rng.integers(1, 50))]
        elif kind == 2:
            content[at:at] = rng.bytes(int(rng.integers(1, 50)))
        elif kind == 3:
            content = content[:at]
        else:
            content[at : at + 20] = rng.bytes(20)
        path.write_bytes(bytes(content))
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            found = load_cell(path, ASKED)
        assert (found is None and len(said) == 1 and "done again" in str(said[0].message)) or same(
            found, cell
        )


def test_500_mutations_that_keep_the_checksum_right_end_in_words(path):
    """Whoever changes the content and its checksum gives a damaged file, or another cell that could be one."""
    whole, rng = path.read_bytes()[64:], np.random.default_rng(1)
    n_read = 0
    for _ in range(500):
        content = bytearray(whole)
        for at in rng.integers(len(content), size=int(rng.integers(1, 4))):
            content[at] = int(rng.integers(256))
        path.write_bytes(hashlib.sha256(content).hexdigest().encode() + bytes(content))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = load_cell(path, ASKED)
        if found is not None:
            n_read += 1
            check_ranked(found.tasks["retrieval"], ASKED, "retrieval")
    assert n_read < 500


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("better", np.full(N, -5, np.int32), "fewer than 0 or more than 5"),
        ("equal", np.full(N, SIZE, np.int32), "fewer than 0 or more than 5"),
        ("better", np.full(N, 2**31 - 1, np.int32), "fewer than 0 or more than 5"),
        ("pass_better", np.full((2, N), -1, np.int32), "fewer than 0 or more than 5"),
        ("pass_better", None, "pass_better is float64 of shape"),
        ("better", np.zeros(N, np.float32), "better is float32"),
        ("better", np.zeros(N - 1, np.int32), "better is int32 of shape"),
        ("target", np.full(N, SIZE, np.int32), "target lies outside"),
        ("target", np.zeros(N, np.int32), "not what was shown"),
        ("top", np.zeros((N, 4), np.int32), "top is int32 of shape"),
        ("top", np.full((N, 5), -1, np.int32), "top lies outside"),
        ("subject", np.full(N, "cyd"), "queries are not those of this fold"),
        ("gallery", GALLERY[::-1], "no sorted list"),
        ("gallery", np.sort(np.append(GALLERY[:-1], GALLERY[0])), "no sorted list"),
        ("gallery", GALLERY[:1], "top is int32 of shape"),
    ],
)
def test_impossible_ranks_are_refused(cell, name, value, message):
    with pytest.raises(DamagedFileError, match=message):
        check_ranked(replace(cell.tasks["retrieval"], **{name: value}), ASKED, "retrieval")


def test_a_cell_of_other_queries_or_another_name_is_refused(path, cell):
    with pytest.warns(RuntimeWarning, match="queries are not those of this fold"):
        assert load_cell(path, [("cyd", name) for _, name in ASKED]) is None
    with pytest.warns(RuntimeWarning, match="target is int32 of shape|subject is"):
        assert load_cell(path, ASKED[:3]) is None
    other = path.with_name("net-fold-1-seed0-def.cell")
    path.rename(other)
    with pytest.warns(RuntimeWarning, match="belongs to another cell"):
        assert load_cell(other, ASKED) is None


@pytest.mark.parametrize(
    "facts",
    [{}, FACTS | {"selection": [{}]}, FACTS | {"n_averaged": ["a", 1]}, FACTS | {"frozen": [["note"]]}],
)
def test_facts_that_no_report_could_read_are_refused(path, cell, facts):
    save_cell(path, replace(cell, facts=facts))
    with pytest.warns(RuntimeWarning, match="is not a result that was written here"):
        assert load_cell(path, ASKED) is None


def test_what_would_have_to_be_unpickled_or_unzipped_is_not_read(path):
    np.savez(path.with_suffix(".npz"), facts=np.array([{"a": 1}], dtype=object))
    path.with_suffix(".npz").rename(path)
    with pytest.warns(RuntimeWarning, match="its bytes are not those that were written"):
        assert load_cell(path, ASKED) is None


def test_a_link_and_too_large_a_file_are_not_read(tmp_path):
    write_result(tmp_path / "one", {}, {"x": np.zeros(1000)})
    (tmp_path / "link").symlink_to(tmp_path / "one")
    with pytest.raises(ValueError, match="no ordinary file"):
        read_result(tmp_path / "link")
    with pytest.raises(ValueError, match="which is not what was saved"):
        read_result(tmp_path / "one", most=8000)
    assert read_result(tmp_path / "one", most=10000)[1]["x"].shape == (1000,)


def test_every_shape_and_kind_of_array_comes_back(tmp_path):
    arrays = {
        "single": np.array(3),
        "flag": np.array(True),
        "transposed": np.arange(6.0).reshape(2, 3).T,
        "none": np.zeros((0, 4), np.uint8),
        "text": np.array([["\u00e9", "b"], ["", "c"]]),
    }
    write_result(tmp_path / "one", {"a": [1, None]}, arrays)
    facts, found = read_result(tmp_path / "one")
    assert facts == {"a": [1, None]}
    assert set(found) == set(arrays)
    for name, value in arrays.items():
        assert (found[name].shape, found[name].dtype) == (value.shape, value.dtype)
        np.testing.assert_array_equal(found[name], value)
