"""The prior on real pairs: EEG and image embeddings of THINGS-EEG2's test pictures, subject 8."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from skeegclip import DiffusionPrior
from skeegclip.metrics import cosine_similarity, top_k_accuracy

pytestmark = pytest.mark.slow


def test_the_gaussian_prior_on_few_real_pairs(things_eeg2_sub08):
    """What the user guide says of it: much nearer by cosine, of the right length, and it retrieves less."""
    Z, images = things_eeg2_sub08
    order = np.random.default_rng(0).permutation(200)
    train, test = order[:160], order[160:]
    prior = DiffusionPrior(net="gaussian", guidance_scale=5, n_samples=8, random_state=0, device="cpu")
    after = prior.fit(Z[train], images[train]).transform(Z[test])
    scaler = StandardScaler().fit(Z[train])
    ridge = Ridge(1e4).fit(scaler.transform(Z[train]), images[train]).predict(scaler.transform(Z[test]))
    rank = {}
    for name, x in {"before": Z[test], "after": after, "ridge": ridge}.items():
        similarity = cosine_similarity(x, images)
        rank[name] = np.diag(similarity[:, test]).mean(), top_k_accuracy(similarity, test, 5)
    assert prior.selection_["identity"] > 0.1
    assert rank["after"][0] > rank["before"][0] + 0.2
    assert rank["before"][1] > rank["after"][1] > rank["ridge"][1] + 0.1
    assert np.linalg.norm(after, axis=1).mean() == pytest.approx(1, abs=0.15)
    assert np.linalg.norm(ridge, axis=1).mean() < 0.75
