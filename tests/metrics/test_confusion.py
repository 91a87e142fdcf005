from __future__ import annotations

import numpy as np
import pytest

from skeegclip.metrics import category_confusion

KINDS = ["animal", "tool", "animal", "food", "animal", "tool"]


@pytest.fixture
def evaluation():
    rng = np.random.default_rng(0)
    return rng.standard_normal((500, 6)), rng.integers(0, 6, 500)


def square(table, column="share"):
    return table.pivot(index="true", columns="found", values=column)


def test_shares_are_counts_of_the_first_item(evaluation):
    similarity, target = evaluation
    table = category_confusion(similarity, target, KINDS)
    kinds = np.array(KINDS)
    assert list(dict.fromkeys(table["true"])) == ["animal", "tool", "food"]  # the largest first
    for row in table.itertuples():
        rows = kinds[target] == row.true
        assert row.n_queries == rows.sum()
        assert row.share == pytest.approx((kinds[similarity.argmax(axis=1)] == row.found)[rows].mean())
        assert row.chance == pytest.approx((kinds == row.found).mean())
    np.testing.assert_allclose(square(table).sum(axis=1), 1)


def test_a_mapping_names_stimuli_or_concepts(evaluation):
    ids = [f"item_{i}" for i in range(6)]
    given = category_confusion(*evaluation, dict(zip(ids, KINDS, strict=True)), ids=ids)
    assert given.equals(category_confusion(*evaluation, KINDS))


def test_errors_lie_within_the_category_only_if_the_decoder_knows_it():
    rng = np.random.default_rng(0)
    kinds, target = np.repeat(["a", "b"], 10), np.repeat(np.arange(20), 50)
    noise = rng.standard_normal((1000, 20))
    knows_items = noise + 5 * np.eye(20)[target]
    knows_kinds = noise + 2 * (kinds[target][:, None] == kinds)
    diagonal = {
        name: np.diag(square(category_confusion(scores, target, kinds, errors_only=True)))
        for name, scores in {"items": knows_items, "kinds": knows_kinds}.items()
    }
    chance = square(category_confusion(noise, target, kinds, errors_only=True), "chance")
    np.testing.assert_allclose(np.diag(chance), 9 / 19)
    np.testing.assert_allclose(diagonal["items"], 9 / 19, atol=0.08)
    assert diagonal["kinds"].min() > 0.85
    assert np.diag(square(category_confusion(knows_items, target, kinds))).min() > 0.95


def test_ties_count_in_parts_and_nothing_is_changed():
    similarity = np.zeros((1, 4))
    table = category_confusion(similarity, [0], ["a", "b", "b", "c"], errors_only=True)
    assert square(table).loc["a"].to_dict() == pytest.approx({"a": 0, "b": 2 / 3, "c": 1 / 3})
    assert set(table["true"]) == {"a"}  # others were not shown
    assert np.isfinite(similarity).all()
    # A classifier's probabilities are whole numbers where it is sure.
    assert category_confusion([[0, 1]], [1], ["a", "b"], errors_only=True)["share"].tolist() == [1, 0]


def test_bad_input_is_refused(evaluation):
    with pytest.raises(ValueError, match=r"categories must have shape \(6,\)"):
        category_confusion(*evaluation, KINDS[:5])
    with pytest.raises(ValueError, match=r"ids must have shape \(6,\)"):
        category_confusion(*evaluation, {"x": "a"}, ids=["x"])
    with pytest.raises(TypeError, match="categories is a mapping, so ids is needed"):
        category_confusion(*evaluation, {"x": "a"})
    with pytest.raises(KeyError, match="categories has no entry for 1 ids"):
        category_confusion([[1.0]], [0], {"x": "a"}, ids=["y"])
    with pytest.raises(ValueError, match="nothing remains"):
        category_confusion([[1.0]], [0], ["a"], errors_only=True)
    with pytest.raises(ValueError, match="similarity holds NaN"):
        category_confusion([[np.nan, 1.0]], [0], ["a", "b"])
