"""SubjectAligner against pyRiemann and scipy, and on people whose mixing is planted."""

import mne
import numpy as np
import pandas as pd
import pytest
import scipy.linalg
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, LeaveOneGroupOut, cross_val_predict
from sklearn.pipeline import make_pipeline

from skeegclip import (
    EmbeddingTable,
    EpochsStore,
    EpochsView,
    ImageRetriever,
    OnlineDecoder,
    ZeroShotClassifier,
    evaluate,
)
from skeegclip._evaluation.decoder import transductive_steps
from skeegclip._utils.company import each_alone
from skeegclip.metrics import bootstrap_interval
from skeegclip.preprocessing import MVNN, EpochScaler, SubjectAligner, _channels

N_CHANS, N_TIMES = 4, 50
PEOPLE = ["ana", "ben", "eve"]


def recorded(seed=0, n=30):
    """The same sources in three people, of whom each mixes them, and responds to all pictures, in a way of their own."""
    rng = np.random.default_rng(seed)
    sources = rng.standard_normal((n, N_CHANS, N_TIMES))
    parts = [
        rng.standard_normal((N_CHANS, N_CHANS)) @ (sources + 5 * rng.standard_normal((N_CHANS, N_TIMES)))
        for _ in PEOPLE
    ]
    return 10 * np.concatenate(parts).astype(np.float32), np.repeat(PEOPLE, n)


def shrunk(covariance, share):
    return (1 - share) * covariance + share * np.diag(np.diag(covariance))


def second_moment(X):
    return np.mean([epoch @ epoch.T / X.shape[2] for epoch in X.astype(np.float64)], axis=0)


# -- what it computes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("center", [True, False])
def test_equals_the_formula(center):
    X, subject = recorded()
    aligner = SubjectAligner(center=center, shrinkage=0.2).fit(X, subject=subject)
    Z = aligner.transform(X, subject=subject)
    for place, name in enumerate(PEOPLE):
        own = X[subject == name].astype(np.float64)
        residual = own - own.mean(axis=0) * center
        covariance = second_moment(residual) * len(own) / (len(own) - center)
        np.testing.assert_allclose(aligner.covariances_[place], covariance, rtol=1e-9)
        np.testing.assert_allclose(aligner.means_[place], own.mean(axis=0) * center, rtol=1e-9, atol=1e-12)
        weights = scipy.linalg.fractional_matrix_power(shrunk(covariance, 0.2), -0.5)
        np.testing.assert_allclose(Z[subject == name], weights @ residual, rtol=1e-4, atol=1e-4)
    assert Z.dtype == np.float32


def test_is_pyriemanns_recentring_of_people():
    transfer = pytest.importorskip("pyriemann.transfer")
    X, subject = recorded()
    covariances = np.stack([epoch @ epoch.T / N_TIMES for epoch in X.astype(np.float64)])
    _, domains = transfer.encode_domains(covariances, np.zeros(len(X), int), subject)
    expected = transfer.TLCenter("ana", metric="euclid").fit_transform(covariances, domains)
    Z = SubjectAligner(center=False, shrinkage=0).fit_transform(X, subject=subject)
    np.testing.assert_allclose(Z @ Z.transpose(0, 2, 1) / N_TIMES, expected, rtol=1e-3, atol=1e-3)


def test_people_with_planted_mixing_agree_up_to_a_rotation():
    X, subject = recorded()
    ana, ben, _ = np.split(SubjectAligner(shrinkage=0).fit_transform(X, subject=subject), 3)
    flat = [part.transpose(1, 0, 2).reshape(N_CHANS, -1).T for part in (ana, ben)]
    rotation, _ = scipy.linalg.orthogonal_procrustes(*flat)
    np.testing.assert_allclose(flat[0] @ rotation, flat[1], atol=1e-3)
    raw = [part.transpose(1, 0, 2).reshape(N_CHANS, -1).T for part in np.split(X, 3)[:2]]
    rotation, _ = scipy.linalg.orthogonal_procrustes(*raw)
    assert np.linalg.norm(raw[0] @ rotation - raw[1]) > 0.3 * np.linalg.norm(raw[1])


def test_the_reference_may_keep_what_channels_look_like():
    X, subject = recorded()
    aligner = SubjectAligner(shrinkage=0, reference="mean").fit(X, subject=subject)
    np.testing.assert_allclose(aligner.reference_, aligner.covariances_.mean(axis=0))
    Z = aligner.transform(X, subject=subject)
    for part in np.split(Z, 3):
        np.testing.assert_allclose(second_moment(part) * 30 / 29, aligner.reference_, rtol=1e-3, atol=0.1)
    np.testing.assert_array_equal(SubjectAligner().fit(X, subject=subject).reference_, np.eye(N_CHANS))


@pytest.mark.parametrize("reference", ["identity", "mean"])
@pytest.mark.parametrize("center", [True, False])
def test_each_epoch_by_itself(center, reference):
    X, subject = recorded()
    X = X + np.float32(7)
    aligner = SubjectAligner("epoch", center=center, reference=reference).fit(X[:60], subject=subject[:60])
    own = X.astype(np.float64)
    if center:
        own -= own.mean(axis=2, keepdims=True)
    R = second_moment(own[:60]) if reference == "mean" else np.eye(N_CHANS)
    np.testing.assert_allclose(aligner.reference_, R, rtol=1e-9)
    R = scipy.linalg.sqrtm(R).real
    whitened = [
        R @ scipy.linalg.fractional_matrix_power(shrunk(epoch @ epoch.T / N_TIMES, 0.1), -0.5) @ epoch
        for epoch in own
    ]
    Z = aligner.transform(X)
    np.testing.assert_allclose(Z, whitened, rtol=1e-3, atol=1e-3)
    alone = np.concatenate([aligner.transform(epoch[None], subject="zoe") for epoch in X])
    np.testing.assert_array_equal(alone, Z)
    assert (aligner.transductive_, aligner.groups_.keys) == (False, ((),))


# -- what must not matter -------------------------------------------------------------------------------


def test_order_blocks_spelling_and_unit_do_not_matter(monkeypatch):
    X, subject = recorded()
    aligner = SubjectAligner().fit(X, subject=subject)
    Z = aligner.transform(X, subject=subject)
    order = np.random.default_rng(0).permutation(len(X))
    shuffled = SubjectAligner().fit_transform(X[order], subject=subject[order])
    np.testing.assert_allclose(shuffled, Z[order], rtol=1e-4, atol=1e-5)
    numbers = np.repeat([1, 2, 3], 30)
    numbered = SubjectAligner().fit(X, subject=numbers)
    for spelt in (numbers.astype(float), numbers.astype(str)):
        np.testing.assert_array_equal(numbered.transform(X, subject=spelt), Z)
    np.testing.assert_allclose(
        SubjectAligner().fit_transform(X.astype(np.float64) / 7, subject=subject), Z, rtol=1e-4, atol=1e-4
    )
    monkeypatch.setattr(_channels, "_BLOCK_BYTES", 1)  # an epoch at a time
    again = SubjectAligner().fit(X, subject=subject)
    np.testing.assert_allclose(again._params, aligner._params, rtol=1e-9, atol=1e-9)


def test_large_offsets_do_not_swallow_the_variance():
    X, subject = recorded()
    offset = (X * 0.01 + 1e4).astype(np.float32)
    aligner = SubjectAligner().fit(offset, subject=subject)
    own = offset[:30].astype(np.float64)
    np.testing.assert_allclose(
        aligner.covariances_[0], second_moment(own - own.mean(axis=0)) * 30 / 29, rtol=1e-6
    )


@pytest.mark.parametrize("shrinkage", [0, 0.1])
@pytest.mark.parametrize("by", ["subject", "epoch"])
def test_an_average_reference_is_no_obstacle(by, shrinkage):
    X, subject = recorded()
    X -= X.mean(axis=1, keepdims=True)
    Z = SubjectAligner(by, shrinkage=shrinkage).fit_transform(X, subject=subject)
    # The direction that the reference took stays empty, and without shrinkage the others are white.
    assert all(np.linalg.matrix_rank(part[0], 1e-4) == N_CHANS - 1 for part in np.split(Z, 3))
    if shrinkage == 0:
        white = np.eye(N_CHANS) - 1 / N_CHANS
        scale = 29 / 30 if by == "subject" else 1
        np.testing.assert_allclose(second_moment(Z[:30]), scale * white, atol=1e-3)
    X[:, 2] = 0
    assert np.isfinite(SubjectAligner(by, shrinkage=shrinkage).fit_transform(X, subject=subject)).all()


def test_a_store_is_read_in_blocks(tmp_path, monkeypatch):
    X, subject = recorded()
    info = mne.create_info(N_CHANS, 100.0, "eeg")
    store = EpochsStore.create(tmp_path / "store", X, pd.DataFrame({"subject": subject}), info=info)
    monkeypatch.setattr(_channels, "_BLOCK_BYTES", 4 * 7 * X[0].size)
    reads, original = [], EpochsView.read
    monkeypatch.setattr(
        EpochsView, "read", lambda self, rows: reads.append(len(rows)) or original(self, rows)
    )
    for aligner in (SubjectAligner(), SubjectAligner("epoch")):
        made = aligner.fit(store.view()).transform(store.view())
        assert max(reads) <= 16  # of which 16 look at the unit
        np.testing.assert_array_equal(
            made.read([5, 2, 80]), aligner.transform(X, subject=subject)[[5, 2, 80]]
        )
        reads.clear()


# -- somebody new ---------------------------------------------------------------------------------------

EACH = [SubjectAligner(), MVNN(), EpochScaler(per_subject=True), EpochScaler("robust", per_subject=True)]


@pytest.mark.parametrize("transformer", EACH, ids=repr)
def test_a_first_stretch_without_labels(transformer):
    X, subject = recorded()
    new = subject == "eve"
    alone = transformer.fit(X[new], subject=subject[new]).transform(X[new], subject="eve")
    whole = transformer.set_params(unknown="transductive").fit(X[~new], subject=subject[~new])
    np.testing.assert_allclose(whole.transform(X[new], subject="eve"), alone, rtol=1e-4, atol=1e-5)

    first = transformer.set_params(unknown=10).fit(X[~new], subject=subject[~new])
    known = first.transform(X[~new], subject=subject[~new])
    mixed = np.random.default_rng(0).permutation(len(X))  # the first ten are those of eve, wherever they are
    order = np.sort(mixed[new[mixed]])
    mixed[new[mixed]] = order
    made = first.transform(X[mixed], subject=subject[mixed])
    calibrated = first.set_params(unknown="error").calibrate(X[new][:10], subject="eve")
    assert calibrated.groups_.keys == (("ana",), ("ben",), ("eve",))
    np.testing.assert_array_equal(made[new[mixed]], calibrated.transform(X[new], subject="eve"))
    np.testing.assert_array_equal(calibrated.transform(X[~new], subject=subject[~new]), known)
    assert not np.allclose(made[new[mixed]], alone, atol=1e-3)
    many = transformer.set_params(unknown=1000).fit(X[~new], subject=subject[~new])
    np.testing.assert_array_equal(
        many.transform(X[new], subject="eve"), whole.transform(X[new], subject="eve")
    )
    transformer.set_params(unknown="error")


def test_what_calibrate_refuses():
    X, subject = recorded()
    aligner = SubjectAligner().fit(X[:60], subject=subject[:60])
    before = aligner.transform(X[:60], subject=subject[:60])
    with pytest.raises(ValueError, match=r"X holds subject 'ben', known already"):
        aligner.calibrate(X[50:70], subject=subject[50:70])
    with pytest.raises(ValueError, match=r"1 of 1 recordings have one sample \(epoch\) only"):
        aligner.calibrate(X[60:61], subject="eve")
    with pytest.raises(ValueError, match="fitted without telling subjects apart"):
        SubjectAligner("epoch").fit(X).calibrate(X, subject="eve")
    np.testing.assert_array_equal(aligner.transform(X[:60], subject=subject[:60]), before)


def test_pooled_is_the_mean_of_those_in_fit():
    X, subject = recorded()
    aligner = SubjectAligner(unknown="pooled").fit(X[:60], subject=subject[:60])
    weights = scipy.linalg.fractional_matrix_power(shrunk(aligner.covariances_.mean(axis=0), 0.1), -0.5)
    np.testing.assert_allclose(
        aligner.transform(X[60:], subject="eve"),
        weights @ (X[60:] - aligner.means_.mean(axis=0)),
        rtol=1e-3,
        atol=1e-3,
    )


def test_a_later_recording_of_somebody_known_may_be_aligned_by_itself():
    X, subject = recorded()
    later = 3 * X[:15] + 1
    aligner = SubjectAligner(known="self").fit(X, subject=subject)
    expected = SubjectAligner().fit_transform(later, subject="ana")
    np.testing.assert_array_equal(aligner.transform(later, subject="ana"), expected)
    assert not np.allclose(SubjectAligner().fit(X, subject=subject).transform(later, subject="ana"), expected)
    assert transductive_steps(aligner) == ["SubjectAligner: everybody is aligned by their own test epochs"]


# -- in company -----------------------------------------------------------------------------------------


def pictures(seed=0, n=24):
    """Four people who see the same 24 pictures, each three times."""
    rng = np.random.default_rng(seed)
    table = EmbeddingTable([f"image_{i:02d}" for i in range(n)], rng.standard_normal((n, 3)))
    y = np.tile(np.repeat(table.ids, 3), 4)
    signal = (table.lookup(y) @ rng.standard_normal((3, N_CHANS * N_TIMES))).reshape(-1, N_CHANS, N_TIMES)
    X = signal + 3 * rng.standard_normal(signal.shape)
    subject = np.repeat(["ana", "ben", "eve", "zoe"], 3 * n)
    X *= np.repeat([10, 1, 30, 5], 3 * n)[:, None, None]
    return EpochsView.from_arrays(X, subject=subject, stimulus=y), table


def test_reports_flag_what_looks_at_test_epochs_and_nothing_else():
    view, table = pictures()
    names = {
        "own": SubjectAligner(unknown="transductive"),
        "stretch": SubjectAligner(unknown=20),
        "pooled": SubjectAligner(unknown="pooled"),
        "epoch": SubjectAligner("epoch"),
    }
    decoders = {
        name: make_pipeline(step, ImageRetriever(Ridge(10.0), targets=table)) for name, step in names.items()
    }
    report = evaluate(decoders, view, cv=LeaveOneGroupOut(), groups=view.subject)
    flags = report.flags.query("about == 'transductive'").set_index("estimator")["text"].to_dict()
    assert flags == {
        "own": "SubjectAligner: people not seen in training are learned from their own test epochs",
        "stretch": "SubjectAligner: people not seen in training are learned from the first 20 of their own test epochs",
    }


@pytest.mark.parametrize(
    ("step", "without"),
    [
        (SubjectAligner(unknown="transductive"), SubjectAligner(unknown="pooled")),
        (SubjectAligner(unknown=20), SubjectAligner(unknown="pooled")),
        (SubjectAligner(known="self", unknown=20), SubjectAligner(unknown="pooled")),
        (MVNN(unknown="transductive"), MVNN(unknown="pooled")),
        (EpochScaler(per_subject=True, unknown=5), EpochScaler(per_subject=True, unknown="pooled")),
    ],
)
def test_beside_them_stands_what_was_learned_in_training_alone(step, without):
    view, table = pictures()
    decoders = {
        name: make_pipeline(each, ImageRetriever(Ridge(10.0), targets=table))
        for name, each in {"step": step, "without": without}.items()
    }
    report = evaluate(decoders, view, cv=LeaveOneGroupOut(), groups=view.subject)
    assert list(report.estimators) == ["step", "step, each query alone", "without"]
    values = report.scores.pivot_table("value", ["subject", "metric"], "estimator", sort=False)
    np.testing.assert_array_equal(values["step, each query alone"], values["without"])
    assert (values["step"] != values["without"]).any()
    assert set(report.flags.query("about == 'transductive'")["estimator"]) == {"step"}


def test_somebody_known_is_aligned_by_fit_where_each_epoch_is_alone():
    X, subject = recorded()
    aligner = SubjectAligner(known="self").fit(X, subject=subject)
    with each_alone():
        np.testing.assert_array_equal(
            aligner.transform(3 * X[:15] + 1, subject="ana"),
            SubjectAligner().fit(X, subject=subject).transform(3 * X[:15] + 1, subject="ana"),
        )


def test_grid_search_and_one_epoch_at_a_time():
    view, table = pictures()
    pipeline = make_pipeline(SubjectAligner("epoch"), ImageRetriever(Ridge(10.0), targets=table))
    grid = {"subjectaligner__shrinkage": [0.1, 0.9], "subjectaligner__by": ["epoch", "subject"]}
    known = view.subject != "zoe"
    search = GridSearchCV(
        pipeline.set_params(subjectaligner__unknown="pooled"), grid, cv=GroupKFold(3), error_score="raise"
    ).fit(view[known], view.stimulus[known], groups=view.subject[known])
    assert search.best_score_ > 0.1
    new = view.select(subject="zoe")
    for by in ("epoch", "subject"):
        fitted = pipeline.set_params(subjectaligner__by=by, subjectaligner__unknown="error").fit(
            view[known], view.stimulus[known]
        )
        if by == "subject":
            fitted[0].calibrate(new[:36])
        online = OnlineDecoder(fitted, temperature=0.1)
        for repetition in range(36, 39):
            result = online.update(new[repetition : repetition + 1])
        assert result.n_repetitions == 3
        together = fitted[-1].similarity(fitted[0].transform(new[36:39])).mean(axis=0)
        assert result.best == table.ids[together.argmax()]


def test_bad_parameters_and_data():
    X, subject = recorded()
    for wrong, match in (
        ({"by": "person"}, "by must be one of 'subject', 'epoch', got 'person'"),
        ({"shrinkage": 1.5}, "shrinkage must lie in"),
        ({"reference": "median"}, "reference must be one of 'identity', 'mean'"),
        ({"known": "test"}, "known must be one of 'fit', 'self'"),
        ({"unknown": 0}, "unknown must lie in"),
        ({"unknown": "first"}, "unknown must be one of 'error', 'pooled', 'transductive'"),
        ({"center": "mean"}, "center must be one of True, False"),
    ):
        with pytest.raises(ValueError, match=match):
            SubjectAligner(**wrong).fit(X, subject=subject)
    with pytest.raises(TypeError, match="unknown must be an int, got 2.5"):
        SubjectAligner(unknown=2.5).fit(X, subject=subject)
    with pytest.raises(ValueError, match="NaN: first in epoch 0"):
        SubjectAligner().fit(np.full_like(X, np.nan), subject=subject)
    with pytest.raises(ValueError, match="2 of 3 recordings have one sample"):
        SubjectAligner().fit(X[[0, 1, 30, 60]], subject=subject[[0, 1, 30, 60]])
    SubjectAligner(center=False).fit(X[[0, 30]], subject=["ana", "ben"])
    with pytest.raises(ValueError, match="by='epoch' takes a covariance over times, but X has one time"):
        SubjectAligner("epoch").fit(X[:, :, 0])
    with pytest.raises(ValueError, match="subject 'zoe', not seen in fit"):
        SubjectAligner().fit(X, subject=subject).transform(X, subject="zoe")


# -- real recordings ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_people_never_seen_are_decoded_better(category_erps):
    view = category_erps.crop(0, None)
    epoch = SubjectAligner("epoch").fit_transform(view).load()
    own = SubjectAligner(shrinkage=1.0, unknown="transductive").fit_transform(epoch).load()
    hits = [
        cross_val_predict(
            ZeroShotClassifier(Ridge(1e4)), X, view.stimulus, cv=LeaveOneGroupOut(), groups=view.subject
        )
        == view.stimulus
        for X in (view, epoch, own)
    ]
    _, honest, transductive = (found.mean() for found in hits)
    assert honest > 0.9
    assert transductive > 0.93
    low, _ = bootstrap_interval(hits[1].astype(float) - hits[0], groups=view.subject, random_state=0)
    assert low > 0.05
