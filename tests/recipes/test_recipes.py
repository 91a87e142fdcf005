"""Whole Pipelines as published: what is in them, and that they decode."""

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from skeegclip import EEGEncoder, EmbeddingTable, EnsembleEncoder, EpochsView, evaluate, recipes
from skeegclip._utils.estimators import embed
from skeegclip.datasets import make_things_like
from skeegclip.metrics import make_retrieval_scorer
from skeegclip.model_selection import LeaveOneSubjectOut, WithinSubject

SMALL = {"max_epochs": 2, "batch_size": 16, "device": "cpu"}


@pytest.fixture(scope="module")
def data():
    found = make_things_like(
        n_subjects=2,
        n_train_concepts=15,
        n_images_per_concept=2,
        n_test_concepts=6,
        n_dims=24,
        random_state=0,
    )
    rows = pd.DataFrame({"split": found.split, "concept": found.concept})
    view = EpochsView.from_arrays(
        found.X, subject=found.subject, stimulus=found.y, info=found.info, rows=rows
    )
    return view, found.image_embeddings


@pytest.fixture
def table():
    return EmbeddingTable(["cat", "dog"], np.eye(2))


@pytest.mark.parametrize("name", recipes.__all__)
def test_recipes_are_plain_pipelines_that_say_what_they_are(name, table):
    make = getattr(recipes, name)
    pipeline = make("mlp", table) if name in ("paper", "finetune") else make(table)
    assert type(pipeline) is Pipeline
    assert "ImageRetriever" in repr(pipeline)
    assert repr(clone(pipeline)) == repr(pipeline)


def test_the_papers_settings(table):
    words = EmbeddingTable(["cat", "dog"], 2 * np.eye(2))
    encoder = recipes.atm_paper(table, text_targets=words, batch_size=16)["retriever"].encoder
    assert encoder.net == "atm-s"
    assert (encoder.optimizer, encoder.lr, encoder.batch_size, encoder.max_epochs) == ("adam", 3e-4, 16, 40)
    assert (encoder.validation, encoder.text_weight, encoder.text_targets) == ("last-batch", 0.01, words)
    assert (encoder.loss_weight, encoder.temperature, encoder.temperature_mode) == (1.0, 0.07, "raw")
    # The published code scales the pictures' vectors to unit length, and takes every repetition for another picture.
    assert (encoder.normalize, encoder.same_stimulus) == ("image", "negative")
    nice = recipes.nice(table)["retriever"].encoder
    assert (nice.net, nice.batch_size, nice.text_weight) == ("nice", 1024, 0.0)
    other = {
        k
        for k, v in nice.get_params(deep=False).items()
        if v != recipes.atm_paper(table)["retriever"].encoder.get_params()[k]
    }
    assert other == {"net"}


def test_the_strong_one_uses_what_later_work_found(table):
    within = recipes.strong(table, n_seeds=3, random_state=0)
    ensemble = within["retriever"].encoder.encoder
    assert isinstance(ensemble, EnsembleEncoder)
    ((_, encoder),) = ensemble.encoders
    assert isinstance(encoder, EEGEncoder)
    assert (encoder.net, encoder.projector, encoder.normalize, encoder.same_stimulus) == (
        "eegproject",
        512,
        "image",
        "mask",
    )
    assert (ensemble.n_seeds, ensemble.random_state) == (3, 0)
    ((_, convolution),) = recipes.strong(table, protocol="loso")["retriever"].encoder.encoder.encoders
    assert convolution.net == "nice"
    assert "channels" not in recipes.strong(table, protocol="loso").named_steps


def test_the_contests_predicts_in_the_space_of_the_targets_for_nobody_in_particular(data):
    view, table = data
    known, new = view.select(subject="sub-01"), view.select(subject="sub-02")
    decoder = recipes.contest(table).fit(known, known.stimulus)
    scorer = make_retrieval_scorer(k=5, average="embeddings")
    z = embed(decoder, new[:3].read(np.arange(3)), {})
    assert z.shape == (3, table.n_dims)
    np.testing.assert_allclose(embed(decoder, new[1:2], {}), z[1:2], rtol=1e-5)  # no epoch depends on another
    assert 0 <= scorer(decoder, new, new.stimulus) <= 1
    assert not evaluate(decoder, view, cv=LeaveOneSubjectOut()).flags["about"].eq("transductive").any()


def test_they_run(data):
    view, table = data
    found = {
        "atm_paper": recipes.atm_paper(table, **SMALL),
        "strong": recipes.strong(table, projector=8, n_seeds=2, validation=0.2, **SMALL),
    }
    report = evaluate(found, view, cv=WithinSubject(), oracle=True)
    assert set(report.selection["rule"]) == {"last-batch", "validation"}
    # Two seeds of each of two people, against one network.
    assert report.selection.groupby("estimator").size().to_dict() == {"atm_paper": 2, "strong": 4}
    assert set(report.bias()["estimator"]) == {"atm_paper", "strong"}
    assert not (report.flags["level"] == "leak").any()
    fitted = recipes.strong(table, projector=8, n_seeds=1, **SMALL).fit(view, view.stimulus)
    assert fitted["scale"].ch_names_ == regions_of(view)
    assert len(fitted["scale"].ch_names_) == 17
    assert fitted["retriever"].encoder_.n_averages_ == 2 * 36


def regions_of(view):
    return view.pick("occipito-parietal").ch_names


def test_new_people(data):
    view, table = data
    strong = recipes.strong(table, protocol="loso", projector=None, n_seeds=1, **SMALL)
    report = evaluate(strong, view, cv=LeaveOneSubjectOut())
    assert report.summary(["top-1"])["n_subjects"].item() == 2


@pytest.mark.parametrize("name", ["strong", "samga", "shallow_alignment", "brain_hive"])
def test_bad_protocol(table, name):
    with pytest.raises(ValueError, match="protocol must be one of 'within', 'loso'"):
        getattr(recipes, name)(table, protocol="both")


def test_later_work_runs_on_layers_and_people(data):
    view, table = data
    layers = {
        part: EmbeddingTable(table.ids, vectors)
        for part, vectors in zip(("early", "late"), np.split(table.vectors, [10], axis=1), strict=True)
    }
    small = {**SMALL, "random_state": 0, "validation": 0.2}
    fitted = {
        "samga": recipes.samga(layers, projector=8, **small),
        "brain_hive": recipes.brain_hive(list(layers.values()), projector=8, **small),
        "shallow_alignment": recipes.shallow_alignment(layers["early"], projector=8, **small),
        "enigma": recipes.enigma(table, n_latents=12, **small),
    }
    for name, pipeline in fitted.items():
        with config_context(enable_metadata_routing=True):
            pipeline.fit(view, view.stimulus)
        found = pipeline.predict(view[:5])
        assert set(found) <= set(table.ids), name
    weights = {
        name: fitted[name]["retriever"].encoder_.encoder_.layer_weights_ for name in ("samga", "brain_hive")
    }
    assert weights["samga"].shape == weights["brain_hive"].shape == (3, 2)
    # People differ in SAMGA alone.
    assert np.ptp(weights["samga"][:2], axis=0).max() > 0
    assert np.ptp(weights["brain_hive"], axis=0).max() == 0
    for name, width in (("shallow_alignment", 17), ("enigma", 63)):
        assert fitted[name]["retriever"].n_features_in_ == width
    known = fitted["enigma"]["retriever"].encoder_.net_.module_.subject.known
    assert known.shape == (2, 12, 13)
    assert known.abs().amax((1, 2)).min() > 0


def test_the_start_by_mmd_fades_over_a_third(table):
    def weights(n):
        return recipes.samga(table, max_epochs=n)["retriever"].encoder.encoder.mmd_weight

    assert len(weights(60)) == 60
    np.testing.assert_allclose(weights(60)[:20], np.linspace(0.9, 0.2, 20))
    assert set(weights(60)[20:]) == {0}
    assert (weights(2), weights(1)) == ((0.9, 0.0), (0.9, 0.0))


def test_strong_needs_channel_names(data):
    view, table = data
    with pytest.raises(KeyError, match="no channel names"):
        recipes.strong(table, **SMALL).fit(np.asarray(view), view.stimulus)
