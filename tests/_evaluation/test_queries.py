"""Queries of a fold, and which ones are to be expected of it."""

from dataclasses import replace

import numpy as np
import pytest

from skeegclip._evaluation.queries import asked_of, averaged, queries_of
from skeegclip._evaluation.task import make_task


@pytest.mark.parametrize("average", [True, False, "embeddings"])
@pytest.mark.parametrize("people", [None, ["b", "a", "a", "b", "a", "a"]])
def test_who_is_asked_is_known_before(average, people):
    X = np.arange(6.0).reshape(6, 1, 1)
    y = ["v", "w", "w", "v", "v", "w"]
    kinds = {"v": "kind v", "w": "kind w"}
    task = make_task(X, y, people, kinds, None, None, average, False, 0)
    test = np.array([5, 1, 2, 3, 0])
    queries = queries_of(task, test)
    if average == "embeddings":
        assert queries.X.ravel().tolist() == test.tolist()
        queries, means = averaged(queries, queries.X[:, 0])
        queries = replace(queries, X=means[:, :, None])
    pairs = list(zip(queries.who["subject"].tolist(), queries.who["stimulus"].tolist(), strict=True))
    assert sorted(pairs) == sorted(asked_of(task, test))
    assert queries.concept.tolist() == [f"kind {name}" for name in queries.y]
    if average:
        for (person, name), value, count in zip(pairs, queries.X[:, 0, 0], queries.counts, strict=True):
            mine = [r for r in test if y[r] == name and (people is None or people[r] == person)]
            assert value == pytest.approx(np.mean(mine))
            assert count == len(mine)
