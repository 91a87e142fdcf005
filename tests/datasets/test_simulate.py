from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

from skeegclip.datasets import make_things_like
from skeegclip.datasets._noise import Noise, temporal_covariances
from skeegclip.datasets._recording import make_cortex, make_subject
from skeegclip.preprocessing import average_repetitions

SMALL = {"n_train_concepts": 6, "n_images_per_concept": 2, "n_test_concepts": 4, "n_test_repetitions": 3}


@pytest.fixture(scope="module")
def data():
    return make_things_like(
        n_train_concepts=200, n_images_per_concept=4, n_test_concepts=60, snr=3.0, random_state=0
    )


def _ridge(data, picks=slice(None), window=(0.0, 1.0), step=1, train=None, test="sub-01"):
    """Top-1 accuracy of ridge regression from some channels and times to the image embeddings."""
    from sklearn.linear_model import Ridge

    inside = np.flatnonzero((data.times >= window[0]) & (data.times < window[1]))[::step]
    X = data.X[:, picks][:, :, inside].reshape(len(data.X), -1)
    fit = (data.split == "train") & np.isin(data.subject, train or [test])
    ask = (data.split == "test") & (data.subject == test)
    alpha = 0.1 * X[fit].var(axis=0).sum() * fit.sum() / X.shape[1]
    model = Ridge(alpha=alpha).fit(X[fit], data.image_embeddings.lookup(data.y[fit]))
    mean, ids, _ = average_repetitions(X[ask], data.y[ask])
    predicted, gallery = model.predict(mean), data.image_embeddings.lookup(ids)
    center = data.image_embeddings.vectors.mean(axis=0)
    gallery = gallery - center
    gallery /= np.linalg.norm(gallery, axis=1, keepdims=True)
    similarity = (predicted - center) @ gallery.T
    return np.mean(similarity.argmax(axis=1) == np.arange(len(ids)))


def _picks(data, region):
    return np.flatnonzero(np.isin(data.info["ch_names"], data.truth.regions[region]))


def test_rows_follow_the_design():
    data = make_things_like(**SMALL, n_subjects=2, n_train_repetitions=2, random_state=0)
    assert data.X.shape == (2 * (6 * 2 * 2 + 4 * 3), 63, 100)
    assert data.X.dtype == np.float32
    for name in ("y", "subject", "concept", "split", "repetition"):
        assert data[name].shape == (len(data.X),)
    assert set(data.subject) == {"sub-01", "sub-02"}
    rows = list(zip(data.subject, data.y, data.repetition, strict=True))
    assert len(set(rows)) == len(rows)
    shown = {split: data.y[(data.split == split) & (data.subject == "sub-02")] for split in ("train", "test")}
    assert np.unique(shown["train"], return_counts=True)[1].tolist() == [2] * 12
    assert np.unique(shown["test"], return_counts=True)[1].tolist() == [3] * 4
    assert all(stimulus[:-3] == concept for stimulus, concept in zip(data.y, data.concept, strict=True))
    assert np.isfinite(data.X).all()


def test_concepts_are_disjoint_and_tables_cover_them(data):
    train, test = (set(data.concept[data.split == split]) for split in ("train", "test"))
    assert len(train) == 200
    assert len(test) == 60
    assert not train & test
    assert set(data.text_embeddings.ids) == train | test
    assert set(data.image_embeddings.ids) == set(data.images.ids) == set(data.y)


def test_same_seed_same_bits_and_no_global_state():
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    first, again = (make_things_like(**SMALL, random_state=3) for _ in range(2))
    other = make_things_like(**SMALL, random_state=4)
    np.testing.assert_array_equal(first.X, again.X)
    np.testing.assert_array_equal(first.image_embeddings.vectors, again.image_embeddings.vectors)
    np.testing.assert_array_equal(first.images.lookup(first.y), again.images.lookup(again.y))
    assert not np.array_equal(first.X, other.X)
    assert not np.array_equal(make_things_like(**SMALL).X, make_things_like(**SMALL).X)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


@pytest.mark.parametrize("modality", ["eeg", "meg"])
def test_bits_do_not_depend_on_threads(modality):
    from threadpoolctl import threadpool_limits

    free = make_things_like(**SMALL, modality=modality, random_state=0)
    with threadpool_limits(1):
        one = make_things_like(**SMALL, modality=modality, random_state=0)
    np.testing.assert_array_equal(free.X, one.X)
    np.testing.assert_array_equal(free.truth.noise_cov, one.truth.noise_cov)


def test_a_subject_does_not_depend_on_the_others_nor_test_pictures_on_training():
    one = make_things_like(**SMALL, random_state=0)
    two = make_things_like(**SMALL, n_subjects=2, random_state=0)
    np.testing.assert_array_equal(one.X, two.X[two.subject == "sub-01"])
    assert not np.allclose(one.truth.patterns[0], two.truth.patterns[1])
    more = make_things_like(**{**SMALL, "n_train_concepts": 9}, random_state=0)
    test = one.y[one.split == "test"]
    assert test.tolist() == more.y[more.split == "test"].tolist()
    np.testing.assert_array_equal(one.images.lookup(test), more.images.lookup(test))


@pytest.mark.parametrize(
    ("modality", "sfreq", "duration", "shape"),
    [("eeg", None, 1.0, (63, 100)), ("eeg", 250, 1.0, (63, 250)), ("meg", None, 1.0, (271, 201))],
)
def test_shapes_of_the_papers(modality, sfreq, duration, shape):
    data = make_things_like(**SMALL, modality=modality, sfreq=sfreq, duration=duration, tmin=-0.1)
    assert data.X.shape[1:] == shape
    assert data.info["sfreq"] == (sfreq or {"eeg": 100, "meg": 200}[modality])
    assert data.times[0] == -0.1
    assert np.diff(data.times) == pytest.approx(1 / data.info["sfreq"])
    assert sum(map(len, data.truth.regions.values())) == shape[0]


def test_size_of_the_signals(data):
    noise = data.X[:, :, data.times < 0.08].std()
    assert 10 * np.exp(-1.35) < noise < 10 * np.exp(1.35)  # microvolts; three standard deviations of people
    assert noise == pytest.approx(np.sqrt(np.trace(data.truth.noise_cov[0]) / 63), rel=0.05)
    spread = np.linalg.norm(data.truth.patterns[0], axis=0).max()
    assert 0.2 < spread / noise < 1.5
    covariance = np.cov(data.X[:, :, 60].T)  # after the responses
    expected = data.truth.noise_cov[0]
    assert np.abs(covariance - expected).max() < 0.15 * expected.max()


def test_noise_is_stronger_at_low_frequencies(data):
    after = data.X[:, :, data.times >= 0.5]
    power = (np.abs(np.fft.rfft(after, axis=2)) ** 2).mean(axis=(0, 1))
    frequency = np.fft.rfftfreq(after.shape[2], 0.01)
    low, alpha, high = (
        power[(frequency > a) & (frequency < b)].mean() for a, b in ((2, 6), (9, 11), (30, 45))
    )
    assert low > 4 * high
    assert alpha > 3 * high


def test_planted_windows(data):
    assert data.truth.windows == {"low_level": (0.08, 0.25), "high_level": (0.15, 0.45)}
    kinds = data.truth.feature_kinds
    for kind, (start, stop) in data.truth.windows.items():
        outside = (data.times < start) | (data.times > stop)
        patterns = data.truth.patterns[0][kinds == kind]
        assert np.abs(patterns[:, :, ~outside]).max() > 1
        assert np.abs(patterns[:, :, outside]).max() == 0


def test_patterns_are_in_the_recording(data):
    """The mean response to each feature, estimated from the epochs, is the planted one."""
    rows = {stimulus: row for row, stimulus in enumerate(data.images.ids)}
    features = data.truth.features[[rows[stimulus] for stimulus in data.y]]
    design = np.column_stack([features, np.ones(len(features))])
    window = (data.times > 0.1) & (data.times < 0.4)
    estimate = np.linalg.lstsq(design, data.X[:, :, window].reshape(len(design), -1), rcond=None)[0][:-1]
    planted = data.truth.patterns[0][:, :, window].reshape(len(estimate), -1)
    assert np.corrcoef(estimate.ravel(), planted.ravel())[0, 1] > 0.5
    slope = (estimate * planted).sum() / (
        planted**2
    ).sum()  # least squares is unbiased, however strong the noise
    assert slope == pytest.approx(1, abs=0.15)


def test_noise_has_the_covariance_that_the_knowing_decoder_uses():
    """Against the whole matrix, the sum of two Kronecker products that SciPy inverts."""
    rng = np.random.default_rng(0)
    roots = rng.standard_normal((2, 4, 6))
    noise = Noise(roots @ roots.transpose(0, 2, 1), 5, 50.0)
    whole = sum(np.kron(s, t) for s, t in zip(noise.spatial, temporal_covariances(5, 50.0), strict=True))
    X = rng.standard_normal((3, 4, 5))
    np.testing.assert_allclose(noise.solve(X).reshape(3, -1).T, np.linalg.solve(whole, X.reshape(3, -1).T))
    drawn = np.zeros((20_000, 4, 5), dtype=np.float32)
    noise.add(drawn, rng)
    found = np.cov(drawn.reshape(len(drawn), -1).T)
    scale = np.sqrt(np.outer(whole.diagonal(), whole.diagonal()))
    assert np.abs((found - whole) / scale).max() < 0.05  # seven standard errors, sqrt(1 / 20,000)


def test_people_differ_in_amplitude_electrodes_and_ongoing_activity():
    cortex = make_cortex("eeg", 50.0, 2, 2, np.random.default_rng(0))
    people = [
        make_subject(cortex, np.arange(25) / 50, 1.0, np.random.default_rng(seed)) for seed in range(30)
    ]
    spatial = np.stack([one.noise.spatial for one in people])
    power = np.trace(spatial, axis1=2, axis2=3)
    assert np.log(power.sum(axis=1)).std() / 2 == pytest.approx(0.45, rel=0.35)
    logit = np.log(power[:, 1] / power[:, 0])
    assert logit.std() == pytest.approx(1.0, rel=0.35)
    assert logit.mean() == pytest.approx(np.log(0.16 / 0.84), abs=0.6)
    posterior = np.isin(cortex.head.info["ch_names"], ["POz", "Oz", "PO3", "PO4", "Pz"])
    background, alpha = np.einsum("pkcc->kpc", spatial) / power.T[:, :, None]
    assert (alpha[:, posterior].mean(axis=1) > background[:, posterior].mean(axis=1)).mean() > 0.8


def test_decoding_is_best_in_the_planted_time(data):
    before, peak, after = (_ridge(data, window=w) for w in ((0, 0.08), (0.15, 0.45), (0.47, 1.0)))
    assert before < 5 * data.truth.chance
    assert after < 5 * data.truth.chance
    assert peak > 15 * data.truth.chance
    assert _ridge(data, window=(0.08, 0.25)) > 4 * data.truth.chance


def test_decoding_is_best_over_the_planted_places(data):
    score = {region: _ridge(data, _picks(data, region), (0.08, 0.45)) for region in data.truth.regions}
    assert score["occipital"] > score["temporal"] > max(score["frontal"], score["central"])
    assert score["parietal"] > max(score["frontal"], score["central"])


@pytest.mark.slow
def test_knowing_decoder_is_above_trained_ones_and_below_certainty():
    data = make_things_like(n_train_concepts=200, random_state=0)
    trained = _ridge(data, window=(0.08, 0.45), step=2)
    assert data.truth.accuracy < 0.95
    assert data.truth.accuracy > 2 * trained
    assert trained > 10 * data.truth.chance
    assert data.truth.accuracy == data.truth.accuracy_by_subject["sub-01"]


def test_snr_sets_the_difficulty():
    accuracy = [
        make_things_like(
            n_train_concepts=1, n_images_per_concept=1, n_test_concepts=100, snr=snr, random_state=0
        ).truth.accuracy
        for snr in (0, 0.05, 1, 20)
    ]
    assert accuracy[0] == 0.01
    assert accuracy == sorted(accuracy)
    assert accuracy[1] < 0.5 < accuracy[2] < accuracy[3]


@pytest.mark.slow
def test_an_epoch_tells_what_snr_promises_of_each_feature():
    """The squared Mahalanobis distance between the responses to 0 and to 1: 0.3 and 0.38, times snr."""
    cortex = make_cortex("eeg", 100.0, 4, 10, np.random.default_rng(0))
    times, snr, found = np.arange(50) / 100, 2.0, []
    for seed in range(40):
        subject = make_subject(cortex, times, snr, np.random.default_rng(seed))
        found.append((subject.noise.solve(subject.patterns) * subject.patterns).sum(axis=(1, 2)))
    # The square of the gain, and mixing of features, ten per cent of one in another, add some per cent.
    low, high = np.mean(found, axis=0)[:4].mean() / snr, np.mean(found, axis=0)[4:].mean() / snr
    assert low == pytest.approx(0.3, rel=0.15)
    assert low / high == pytest.approx(0.3 / 0.38, rel=0.08)


@pytest.mark.slow
def test_other_subjects_help_but_less_than_ones_own():
    data = make_things_like(
        n_subjects=3, n_train_concepts=120, n_test_concepts=60, n_test_repetitions=6, snr=4.0, random_state=0
    )
    window = {"window": (0.08, 0.45), "step": 2, "test": "sub-01"}
    own, others = _ridge(data, **window), _ridge(data, train=["sub-02", "sub-03"], **window)
    assert own > others > 5 * data.truth.chance


@pytest.mark.slow
def test_four_published_effects_have_their_sign():
    """Alignment of each person, averages of repetitions, 17 channels within a person, smoothing: all help."""
    path = Path(__file__).parents[2] / "examples" / "benchmarks" / "simulator_fit.py"
    found = [runpy.run_path(str(path))["effects"](seed) for seed in (0, 1)]
    for name in (
        "new person: aligned",
        "6 test repetitions, not 1",
        "within: 17 channels, not 63",
        "within: moving average of 5",
    ):
        without, with_it = np.concatenate([pairs[name] for pairs in found], axis=1)
        assert with_it.mean() > without.mean() + 0.01, name


def test_broken_electrodes_are_told_from_how_people_differ():
    """One loud electrode each, another one in everybody: told apart from noise that is the same in all."""
    path = Path(__file__).parents[2] / "examples" / "benchmarks" / "simulator_fit.py"
    statistics = runpy.run_path(str(path))["statistics"]
    rng, times = np.random.default_rng(0), np.arange(138) / 125 - 0.1
    X = np.einsum("cd,pkdt->pkct", np.eye(40) + 0.1, rng.standard_normal((10, 5, 40, 138)))
    X += 20 * rng.standard_normal((5, 40, 1)) * np.exp(-(((times - 0.25) / 0.05) ** 2))
    sound = statistics(X, times)
    broken = X.copy()
    broken[np.arange(10), :, np.arange(10)] *= np.geomspace(5, 20, 10)[:, None, None]
    broken = statistics(broken, times)
    noise, overlap = "log amplitude of the noise, spread", "overlap of people's noise covariances"
    assert sound["people with a loud electrode"] == 0
    assert sound[overlap] == pytest.approx(sound["overlap without loud electrodes"])
    assert broken["people with a loud electrode"] == 1
    assert broken[overlap] < 0.3 * sound[overlap]
    assert broken[noise] > 5 * sound[noise]
    assert (
        broken["the same without loud electrodes"] < 0.3 * broken[noise]
    )  # the mean over electrodes was subtracted
    assert broken["overlap without loud electrodes"] > 0.8 * sound[overlap]


def test_embeddings_behave_like_clip(data):
    def cosine(table, ids):
        return table.normalized().lookup(ids)

    train = data.split == "train"
    ids = np.unique(data.y[train])
    concepts = np.array([stimulus[:-3] for stimulus in ids])
    images, texts = cosine(data.image_embeddings, ids), cosine(data.text_embeddings, concepts)
    same = (concepts[:, None] == concepts) & ~np.eye(len(ids), dtype=bool)
    among_images = images @ images.T
    assert among_images[same].mean() > among_images[~same].mean() + 0.3
    # The gap: an image is nearer to most other images than to its own name, yet its name is the nearest one.
    across = images @ texts.T
    assert across.diagonal().mean() < among_images[same].mean() - 0.2
    own = concepts[across.argmax(axis=1)] == concepts
    assert own.mean() > 0.9


def test_pictures_differ_between_concepts_more_than_within(data):
    concepts = np.unique(data.concept[data.split == "train"])
    pictures = data.images.lookup([f"{c}_{n:02d}" for c in concepts for n in (1, 2)]).astype(float)
    first, second = pictures[::2], pictures[1::2]
    assert pictures.shape[1:] == (64, 64, 3)
    within = np.abs(first - second).mean()
    between = np.abs(first - np.roll(second, 1, axis=0)).mean()
    assert 0 < within < 0.7 * between
    assert pictures.std(axis=(1, 2)).mean() > 10  # an object stands out from its ground


@pytest.mark.slow
def test_meg_sensors_see_the_planted_sources():
    data = make_things_like(modality="meg", n_train_concepts=40, n_test_concepts=60, snr=4.0, random_state=0)
    assert data.info.get_channel_types(unique=True) == ["mag"]
    assert data.info["ch_names"] == sorted(data.info["ch_names"])
    assert 100 < data.X[:, :, data.times > 0.5].std() < 300  # femtotesla
    strength = np.linalg.norm(data.truth.patterns[0], axis=(0, 2))
    mean = {region: strength[_picks(data, region)].mean() for region in data.truth.regions}
    assert max(mean, key=mean.get) == "occipital"
    assert _ridge(data, _picks(data, "occipital"), (0.08, 0.45), step=4) > 5 * data.truth.chance


def test_info_can_be_drawn():
    import matplotlib as mpl
    import mne

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    for modality in ("eeg", "meg"):
        data = make_things_like(**SMALL, modality=modality, random_state=0)
        evoked = mne.EvokedArray(data.X.mean(axis=0), data.info, tmin=data.times[0], verbose="ERROR")
        figure, axes = plt.subplots()
        mne.viz.plot_topomap(evoked.data[:, 20], evoked.info, axes=axes, show=False)
        assert axes.has_data()
        plt.close(figure)


def test_window_without_response_is_chance():
    data = make_things_like(**SMALL, tmin=0.6, duration=0.3, random_state=0)
    assert data.truth.accuracy == data.truth.chance == 0.25


@pytest.mark.parametrize(
    ("parameter", "value", "error", "match"),
    [
        ("modality", "fmri", ValueError, "modality must be one of 'eeg', 'meg'"),
        ("n_subjects", 0, ValueError, r"n_subjects must lie in \[1, 99\], got 0"),
        ("n_train_concepts", 2.5, TypeError, "n_train_concepts must be an int"),
        ("n_test_concepts", 1, ValueError, "n_test_concepts must lie in"),
        ("n_train_concepts", 3999, ValueError, "must be at most 4000"),
        ("n_test_repetitions", 0, ValueError, "n_test_repetitions must lie in"),
        ("snr", -1, ValueError, "snr must lie in"),
        ("sfreq", 10, ValueError, "sfreq must lie in"),
        ("duration", 0, ValueError, "duration must lie in"),
        ("tmin", "0", TypeError, "tmin must be a number"),
        ("n_dims", 1, ValueError, "n_dims must lie in"),
        ("random_state", "seed", ValueError, "random_state must be"),
    ],
)
def test_bad_parameters_are_refused(parameter, value, error, match):
    with pytest.raises(error, match=match):
        make_things_like(**{**SMALL, parameter: value})
