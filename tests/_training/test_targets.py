import numpy as np
import pytest

from skeegclip import EmbeddingTable
from skeegclip._training.targets import Targets, equal_rows, hold_out_stimuli, read_targets
from skeegclip.embeddings import class_codes


def read(y, n=None, **kwargs):
    return read_targets(y, len(y) if n is None else n, owner="EEGEncoder", **kwargs)


def test_ids_are_looked_up_once_per_stimulus():
    table = EmbeddingTable(["a", "b", "c"], np.eye(3))
    targets = read(["c", "a", "c"], table=table)
    np.testing.assert_array_equal(targets.vectors[targets.stimulus], table.lookup(["c", "a", "c"]))
    assert len(targets.vectors) == 2
    assert not targets.are_codes
    assert read(["1", "2"], table=class_codes([1, 2])).are_codes


def test_equal_rows_of_a_matrix_are_one_stimulus():
    y = np.array([[1.0, 2], [3, 4], [1, 2], [0, 0]])
    targets = read(y)
    np.testing.assert_array_equal(targets.vectors[targets.stimulus], y)
    assert targets.stimulus.tolist() == [0, 1, 0, 2]
    first, group = equal_rows(y)
    assert (first.tolist(), group.tolist()) == ([0, 1, 3], [0, 1, 0, 2])


def test_numbers_without_a_table_are_embeddings_of_one_dimension():
    assert read([0.5, 1.5, 0.5]).vectors.shape == (2, 1)


def test_numbers_are_never_looked_up():
    with pytest.raises(TypeError, match="must hold strings .* re-encode labels as 0..k-1"):
        read([0, 1], table=EmbeddingTable(["0", "1"], np.eye(2)))


@pytest.mark.parametrize(
    ("y", "kwargs", "error", "match"),
    [
        (None, {"n": 2}, ValueError, "requires y to be passed, but the target y is None"),
        (["a", "b"], {}, ValueError, "targets is None, but y holds stimulus ids"),
        (["a", "b"], {"table": {"a": 1}}, TypeError, "targets must be an EmbeddingTable or None, got int"),
        (np.eye(2), {"n": 3}, ValueError, "inconsistent numbers of samples: X has 3, y has 2"),
        ([[1.0, np.nan]], {}, ValueError, "Input y contains NaN"),
        ([["a", "b"]], {}, ValueError, "must be 1-D ids or a 2-D numeric"),
        (
            np.eye(2),
            {"text_table": EmbeddingTable(["a"], [[1]])},
            ValueError,
            "text_targets are looked up by stimulus id",
        ),
    ],
)
def test_bad_targets_are_refused(y, kwargs, error, match):
    with pytest.raises(error, match=match):
        read(y, **kwargs)


def test_text_targets_must_be_as_wide_as_targets():
    table = EmbeddingTable(["a", "b"], np.eye(2))
    assert read(["a", "b"], table=table, text_table=table).text.shape == (2, 2)
    with pytest.raises(ValueError, match="text_targets have 1 dimensions, targets have 2"):
        read(["a", "b"], table=table, text_table=EmbeddingTable(["a", "b"], [[1], [2]]))


def test_variance_is_that_of_the_rows():
    y = np.random.default_rng(0).standard_normal((50, 4)).astype(np.float32)[[0, 0, 0, *range(50)]]
    assert read(y).variance == pytest.approx(y.var(axis=0).mean(), rel=1e-5)
    assert read(np.ones((3, 2))).variance == 1


def make(n_stimuli, are_codes=False):
    stimulus = np.repeat(np.arange(n_stimuli), 3)
    return Targets(np.eye(n_stimuli, dtype=np.float32), stimulus, are_codes=are_codes)


def test_no_stimulus_is_in_both_parts():
    targets = make(40)
    train, valid = hold_out_stimuli(targets, 0.1, seed=0)
    assert sorted([*train, *valid]) == list(range(120))
    assert not set(targets.stimulus[train]) & set(targets.stimulus[valid])
    assert len(set(targets.stimulus[valid])) == 4
    np.testing.assert_array_equal(valid, hold_out_stimuli(targets, 0.1, seed=0)[1])
    assert not np.array_equal(valid, hold_out_stimuli(targets, 0.1, seed=1)[1])


@pytest.mark.parametrize(
    ("n_stimuli", "fraction", "codes"), [(19, 0.1, False), (40, 0.0, False), (3, 0.9, False), (40, 0.1, True)]
)
def test_nothing_is_held_out_where_it_would_not_help(n_stimuli, fraction, codes):
    train, valid = hold_out_stimuli(make(n_stimuli, codes), fraction, seed=0)
    assert valid is None
    assert len(train) == 3 * n_stimuli
