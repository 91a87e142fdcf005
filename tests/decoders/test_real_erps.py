"""Real evoked responses of 46 people to five categories: what one decodes in a person never seen."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict

from skeegclip import EEGEncoder, ZeroShotClassifier
from skeegclip.metrics import bootstrap_interval


@pytest.fixture
def erps(category_erps):
    return category_erps, category_erps.stimulus


def accuracy_of_new_people(estimator, view, y):
    predicted = cross_val_predict(estimator, view, y, cv=LeaveOneGroupOut(), groups=view.subject)
    hits = predicted == y
    return hits.mean(), bootstrap_interval(hits, groups=view.subject, random_state=0)


@pytest.mark.slow
def test_categories_are_decoded_in_people_never_seen(erps):
    accuracy, (low, _) = accuracy_of_new_people(ZeroShotClassifier(Ridge(1e4)), *erps)
    assert low > 0.2
    assert accuracy > 0.3


@pytest.mark.slow
def test_a_network_decodes_them_too(erps):
    view, y = erps
    some = np.isin(view.subject, np.unique(view.subject)[:10])
    encoder = EEGEncoder("nice", max_epochs=30, lr=1e-3, batch_size=64, random_state=0, device="cpu")
    accuracy, _ = accuracy_of_new_people(ZeroShotClassifier(encoder), view[some], y[some])
    assert accuracy > 0.3


@pytest.mark.slow
def test_shuffled_categories_are_not_decoded(erps):
    view, y = erps
    # Within each person: among all, whoever is left out has more of what the others have less of, which is below chance.
    rng, shuffled = np.random.default_rng(0), y.copy()
    for name in np.unique(view.subject):
        of_person = view.subject == name
        shuffled[of_person] = rng.permutation(y[of_person])
    accuracy, (low, high) = accuracy_of_new_people(ZeroShotClassifier(Ridge(1e4)), view, shuffled)
    assert low < 0.2 < high or abs(accuracy - 0.2) < 0.06
