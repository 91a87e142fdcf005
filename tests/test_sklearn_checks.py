"""scikit-learn's own estimator checks: all of them, and why the few fail that do."""

import zlib
from collections.abc import Mapping

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.linear_model import Ridge
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

import skeegclip
from skeegclip import (
    AveragedTraining,
    DimensionDecoder,
    EEGEncoder,
    EEGImageReconstructor,
    EnsembleEncoder,
    ImageRetriever,
    InvertedEncoding,
    LambdaPath,
    SubjectWhitening,
    ZeroShotClassifier,
)
from skeegclip.generation import LinearGenerator
from skeegclip.preprocessing import PickChannels


class AnyPicture(Mapping):
    """A picture for every label that the checks think of."""

    def __getitem__(self, key):
        return np.random.default_rng(zlib.crc32(key.encode())).integers(0, 256, (4, 4, 3), dtype=np.uint8)

    def __contains__(self, key):
        return True

    def __iter__(self):
        return iter(())

    def __len__(self):
        return 1

    def __repr__(self):
        return "AnyPicture()"


# The checks know too few labels for folds over stimuli.
PAINT = {"images": AnyPicture(), "cross_fit": None, "verbose": 0}

# On the checks' small matrices a network needs steps rather than size.
QUICK = EEGEncoder("eegproject", max_epochs=30, lr=3e-3, batch_size=64, random_state=0, device="cpu")
ESTIMATORS = [
    EEGEncoder(max_epochs=2, device="cpu"),
    EEGEncoder("eegproject", max_epochs=2, device="cpu"),
    ZeroShotClassifier(QUICK),
    ZeroShotClassifier(EEGEncoder(max_epochs=2, random_state=0, device="cpu")),
    ZeroShotClassifier(Ridge()),
    ZeroShotClassifier("passthrough"),
    ImageRetriever(QUICK.__sklearn_clone__().set_params(max_epochs=5)),
    ImageRetriever(Ridge()),
    ImageRetriever("passthrough"),
    EEGImageReconstructor(Ridge(), generator=LinearGenerator(size=4), **PAINT),
    EEGImageReconstructor(Ridge(), generator="nearest", **PAINT),
    EEGImageReconstructor("passthrough", generator="nearest", **PAINT),
    AveragedTraining(Ridge()),
    EnsembleEncoder([("strong", Ridge(10.0)), ("weak", Ridge())]),
    InvertedEncoding(),
    InvertedEncoding(space="targets"),
    ImageRetriever(InvertedEncoding()),
    SubjectWhitening(Ridge()),
    LambdaPath(EEGEncoder("eegproject", max_epochs=2, device="cpu", random_state=0)),
    PickChannels([0]),
    DimensionDecoder(),
]

pytestmark = pytest.mark.filterwarnings(
    "ignore:Epochs of n_times=1 are too short:UserWarning",
    "ignore:X has a standard deviation of:UserWarning",
    "ignore:LambdaPath has nothing to choose by:UserWarning",
    "ignore::sklearn.exceptions.DataConversionWarning",
    "ignore::sklearn.exceptions.SkipTestWarning",
)


IN_BATCHES = (
    "an epoch that is there twice has a place in a batch, and dropout, of its own each time; and how many rows there are"
    " decides on the size of batches and on what is held out"
)
CONTRASTIVE = (
    "compared with its batch, an embedding tells how much likelier a class has become: class weights cancel"
)
OWN_MEANS = "a class is the mean of its own embeddings, whatever it weighs"
TWO_DIMENSIONAL = "predict gives embeddings, where the check expects one number a row"
EXPECTED_TO_FAIL = {
    EEGEncoder: {"check_sample_weight_equivalence_on_dense_data": IN_BATCHES},
    LambdaPath: {"check_sample_weight_equivalence_on_dense_data": IN_BATCHES},
    EnsembleEncoder: dict.fromkeys(
        ["check_estimator_sparse_array", "check_estimator_sparse_matrix"], TWO_DIMENSIONAL
    ),
    SubjectWhitening: {
        **dict.fromkeys(["check_estimator_sparse_array", "check_estimator_sparse_matrix"], TWO_DIMENSIONAL),
        "check_methods_subset_invariance": "transductive: the result for a row depends on the others, by design",
    },
}


def expected_to_fail(estimator):
    if isinstance(estimator, ZeroShotClassifier):
        if isinstance(estimator.encoder, EEGEncoder):
            failing = {"check_sample_weight_equivalence_on_dense_data": IN_BATCHES}
            starts_linear = str(estimator.encoder.net).startswith("ridge+")  # whose mean heeds the weights
            return failing if starts_linear else failing | {"check_class_weight_classifiers": CONTRASTIVE}
        return {"check_class_weight_classifiers": OWN_MEANS} if estimator.encoder == "passthrough" else {}
    return EXPECTED_TO_FAIL.get(type(estimator), {})


@parametrize_with_checks(ESTIMATORS, expected_failed_checks=expected_to_fail)
def test_estimator_checks(estimator, check):
    check(estimator)


# What a seed could decide: numbers compared to 1e-7, and accuracies.
NUMERIC = {
    "check_classifiers_train",
    "check_methods_sample_order_invariance",
    "check_methods_subset_invariance",
    "check_transformer_general",
}
# Their seeds are given: scikit-learn sets those of what it checks, but not of what stands inside.
DEFAULTS = {
    "classifier": lambda **seed: ZeroShotClassifier(EEGEncoder(**seed)),
    "retriever": lambda **seed: ImageRetriever(EEGEncoder(**seed)),
}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "seed"), [("retriever", 0), ("classifier", 1)])
def test_defaults_with_any_seed(name, seed):
    ran = []
    for estimator, check in estimator_checks_generator(DEFAULTS[name](random_state=seed)):
        if check.func.__name__ in NUMERIC:
            check(estimator)
            ran.append(check.func.__name__)
    assert len(ran) >= 2


# Estimators whose checks stand in the tests of their rooms, and those that learn nothing from rows of numbers.
ELSEWHERE = {
    "CLIPEmbedder": "it embeds pictures",
    "DiffusionPrior": "generation/prior/test_diffusion_prior.py",
    "EEGCaptioner": "it needs a language model",
    "ImageEmbedder": "it embeds pictures",
    "LowLevelDecoder": "its targets are pictures or latents of four dimensions",
    "LinearGenerator": "it is given pictures by id",
    "NearestImageGenerator": "it is given pictures by id",
    "SDXLGenerator": "it has no fit",
    **dict.fromkeys(["EpochScaler", "MVNN", "SubjectAligner"], "preprocessing/test_common.py"),
    "InterpolateChannels": "it needs the names of channels: preprocessing/test_interpolation.py",
    "OnlineDecoder": "it is fed one epoch after the other",
}


def test_every_public_estimator_is_checked():
    public = {}
    for room in (skeegclip, skeegclip.generation, skeegclip.preprocessing):
        found = {name: getattr(room, name) for name in room.__all__}
        public |= {n: c for n, c in found.items() if isinstance(c, type) and issubclass(c, BaseEstimator)}
    checked = {type(estimator).__name__ for estimator in ESTIMATORS}
    assert checked | set(ELSEWHERE) >= set(public), "give new estimators to the checks"
    assert not set(ELSEWHERE) & checked
    assert set(ELSEWHERE) <= set(public)
