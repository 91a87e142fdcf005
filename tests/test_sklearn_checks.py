"""scikit-learn's own estimator checks: all of them, none expected to fail."""

import pytest
from sklearn.linear_model import Ridge
from sklearn.utils.estimator_checks import parametrize_with_checks

from skeegclip import EEGEncoder, ImageRetriever, ZeroShotClassifier

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
]

pytestmark = pytest.mark.filterwarnings(
    "ignore:Epochs of n_times=1 are too short:UserWarning",
    "ignore:X has a standard deviation of:UserWarning",
    "ignore::sklearn.exceptions.DataConversionWarning",
    "ignore::sklearn.exceptions.SkipTestWarning",
)


@parametrize_with_checks(ESTIMATORS)
def test_estimator_checks(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([EEGEncoder(), ImageRetriever(EEGEncoder(random_state=0))])
def test_default_estimators(estimator, check):
    check(estimator)
