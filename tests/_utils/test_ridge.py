"""Ridge regression with a penalty chosen over stimuli, against scikit-learn's."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold

from skeegclip._utils.ridge import _PENALTIES, ridge_cv


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    C = rng.standard_normal((120, 8))
    X = 0.5 * C + 0.3 * C @ rng.standard_normal((8, 8)) + rng.standard_normal((120, 8))
    return C, X, np.arange(120) // 3


@pytest.mark.parametrize("goal", [0.0, 0.7])
def test_it_is_scikit_learns_with_the_penalty_of_a_grouped_search(data, goal):
    C, X, stimulus = data

    def fitted(train, penalty):
        plain = Ridge(penalty, fit_intercept=False).fit(C[train], X[train] - goal * C[train])
        return plain.coef_.T + goal * np.eye(8)

    folds = list(GroupKFold(5, shuffle=True, random_state=3).split(C, groups=stimulus))
    errors = [
        sum(np.sum((X[held] - C[held] @ fitted(train, penalty)) ** 2) for train, held in folds)
        for penalty in _PENALTIES
    ]
    found = ridge_cv(C, X, stimulus, seed=3, goals=[goal])
    assert found.penalty == _PENALTIES[int(np.argmin(errors))]
    np.testing.assert_allclose(found.coefficients, fitted(slice(None), found.penalty), atol=1e-10)
    train, held = folds[2]
    np.testing.assert_allclose(
        found.residuals[held], X[held] - C[held] @ fitted(train, found.penalty), atol=1e-10
    )
    assert np.sum(found.residuals**2) == pytest.approx(min(errors))


def test_the_better_goal_is_chosen():
    rng = np.random.default_rng(0)
    C, rows = rng.standard_normal((40, 30)), np.arange(40)
    X = 0.6 * C + rng.standard_normal((40, 30))
    assert ridge_cv(C, X, rows, seed=0, goals=[0.0, 0.6, -5.0]).goal == 1
    assert ridge_cv(C, -X, rows, seed=0, goals=[0.0, 0.6]).goal == 0


def test_no_stimulus_is_in_two_folds():
    """Repetitions with one target: if they were split, memory would look like skill, and no penalty be needed."""
    rng = np.random.default_rng(0)
    stimulus = np.repeat(np.arange(30), 4)
    C = rng.standard_normal((30, 40))[stimulus] + 0.01 * rng.standard_normal((120, 40))
    X = rng.standard_normal((30, 2))[stimulus]
    assert ridge_cv(C, X, stimulus, seed=0).penalty > 10 * ridge_cv(C, X, np.arange(120), seed=0).penalty
