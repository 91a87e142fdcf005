"""scikit-learn's own estimator checks: all of them, and why the few fail that do."""

import pytest
from sklearn.linear_model import Ridge
from sklearn.utils.estimator_checks import parametrize_with_checks

from skeegclip import (
    AveragedTraining,
    EEGEncoder,
    EnsembleEncoder,
    ImageRetriever,
    SubjectWhitening,
    ZeroShotClassifier,
)
from skeegclip.preprocessing import PickChannels

# On the checks' small matrices a network needs steps rather than size. Temperature 1: the checks compare the
# probabilities of a row alone and in a batch to 1e-7, and dividing by 0.07 would magnify float32's rounding.
QUICK = EEGEncoder("eegproject", max_epochs=30, lr=3e-3, batch_size=64, random_state=0, device="cpu")
ESTIMATORS = [
    EEGEncoder(max_epochs=2, device="cpu"),
    EEGEncoder("eegproject", max_epochs=2, device="cpu"),
    ZeroShotClassifier(QUICK, temperature=1.0),
    ZeroShotClassifier(Ridge()),
    ZeroShotClassifier("passthrough"),
    ImageRetriever(QUICK.__sklearn_clone__().set_params(max_epochs=5)),
    ImageRetriever(Ridge()),
    ImageRetriever("passthrough"),
    AveragedTraining(Ridge()),
    EnsembleEncoder([("strong", Ridge(10.0)), ("weak", Ridge())]),
    SubjectWhitening(Ridge()),
    PickChannels([0]),
]

pytestmark = pytest.mark.filterwarnings(
    "ignore:Epochs of n_times=1 are too short:UserWarning",
    "ignore:X has a standard deviation of:UserWarning",
    "ignore::sklearn.exceptions.DataConversionWarning",
    "ignore::sklearn.exceptions.SkipTestWarning",
)


TWO_DIMENSIONAL = "predict gives embeddings, where the check expects one number a row"
EXPECTED_TO_FAIL = {
    EnsembleEncoder: dict.fromkeys(
        ["check_estimator_sparse_array", "check_estimator_sparse_matrix"], TWO_DIMENSIONAL
    ),
    SubjectWhitening: {
        **dict.fromkeys(["check_estimator_sparse_array", "check_estimator_sparse_matrix"], TWO_DIMENSIONAL),
        "check_methods_subset_invariance": "transductive: the result for a row depends on the others, by design",
    },
}


def expected_to_fail(estimator):
    return EXPECTED_TO_FAIL.get(type(estimator), {})


@parametrize_with_checks(ESTIMATORS, expected_failed_checks=expected_to_fail)
def test_estimator_checks(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([EEGEncoder(), ImageRetriever(EEGEncoder(random_state=0))])
def test_default_estimators(estimator, check):
    check(estimator)
