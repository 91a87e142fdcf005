"""One simulated recording with a planted truth, for all analyses."""

import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from skeegclip import EpochsView
from skeegclip.datasets import make_things_like
from skeegclip.model_selection import WithinSubject


def simulate(snr=4.0, random_state=0):
    return make_things_like(
        n_train_concepts=150,
        n_images_per_concept=2,
        n_test_concepts=40,
        sfreq=50,
        tmin=-0.2,
        n_dims=32,
        snr=snr,
        random_state=random_state,
    )


def view_of(data):
    rows = pd.DataFrame({"split": data.split, "concept": data.concept})
    return EpochsView.from_arrays(
        data.X, subject=data.subject, stimulus=data.y, info=data.info, tmin=-0.2, rows=rows
    )


@pytest.fixture(scope="session")
def planted():
    return simulate()


@pytest.fixture(scope="session")
def view(planted):
    return view_of(planted)


@pytest.fixture(scope="session")
def setting(planted):
    return {"estimator": Ridge(1e4), "targets": planted.image_embeddings, "cv": WithinSubject()}
