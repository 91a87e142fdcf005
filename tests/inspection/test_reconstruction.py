"""Pictures painted from windows and regions, on planted ones."""

import mne
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from skeegclip import EEGImageReconstructor, EpochsView, ImageRetriever
from skeegclip._utils.seeding import set_seeds
from skeegclip.generation import LinearGenerator
from skeegclip.inspection import reconstruct_by_region, reconstruct_over_time
from skeegclip.metrics import reconstruction_scores
from skeegclip.model_selection import WithinSubject
from skeegclip.preprocessing import EpochScaler, PickChannels

pytestmark = pytest.mark.slow

FEW = {"step": 0.4, "width": 0.15}  # ends at -0.06 (before the picture), 0.34 and 0.74 s


@pytest.fixture(scope="module")
def painter(planted):
    return EEGImageReconstructor(
        Ridge(1e4),
        targets=planted.image_embeddings,
        images=planted.images,
        generator=LinearGenerator(size=16, n_components=30),
        cross_fit=2,
    )


@pytest.fixture(scope="module")
def tests(planted):
    return np.unique(planted.y[planted.split == "test"])


@pytest.fixture(scope="module")
def over(view, painter):
    return reconstruct_over_time(painter, view, cv=WithinSubject(), **FEW)


def test_pictures_come_with_the_planted_windows(over):
    table = over.table
    assert table["start"].tolist() == [-0.2] * 3
    before, *after = table["two-way"]
    assert abs(before - 0.5) < 0.1
    assert table["two-way_low"][1:].min() > before
    assert min(after) > 0.65
    assert (table["PixCorr"][1:] > table["PixCorr_high"][0]).all()
    assert over.labels[1] == "-0.2 to 0.34 s"


def test_scores_are_those_of_the_pictures(over, planted, tests):
    assert over.pictures.shape == (3, 40, 16, 16, 3)
    assert sorted(over.queries["stimulus"]) == tests.tolist()
    for picture, name in zip(over.shown, over.queries["stimulus"], strict=True):
        np.testing.assert_array_equal(picture, planted.images[name])
    want = reconstruction_scores(over.shown, over.pictures[1], ["PixCorr", "SSIM"], verbose=0)
    for name in ("PixCorr", "SSIM"):
        assert over.table[name][1] == pytest.approx(want[name].item())
        np.testing.assert_allclose(over.scores[name].mean(axis=1), over.table[name])


def test_the_whole_epoch_is_the_reconstructor_itself(view, painter):
    whole = reconstruct_over_time(painter, view, cv=WithinSubject(), width=1.0, random_state=3)
    train, test = view.select(split="train"), view.select(split="test").average()
    alone = clone(painter).set_params(verbose=0)
    set_seeds(alone, np.random.default_rng(3))
    alone.fit(train, train.stimulus)
    order = [test.stimulus.tolist().index(name) for name in whole.queries["stimulus"]]
    np.testing.assert_array_equal(whole.pictures[0], alone.transform(test)[order])
    assert whole.table["two-way"].item() == pytest.approx(alone.score(test, test.stimulus))


@pytest.mark.slow
def test_regions_rank_as_planted(view, painter, tests):
    found = reconstruct_by_region(painter, view, cv=WithinSubject(), stimuli=tests[::2]).table.set_index(
        "region"
    )
    assert found.index.tolist() == ["all", "frontal", "central", "temporal", "parietal", "occipital"]
    assert found.loc["all", "n_channels"] == 63
    score = found["two-way"]
    assert score[["all", "occipital", "parietal"]].min() > score[["frontal", "central"]].max() + 0.1


@pytest.mark.slow
def test_masking_keeps_the_whole_and_hides_the_rest(view, painter, planted, tests):
    given = {"everywhere": list(planted.info["ch_names"]), "front": ["Fp1", "Fp2", "AF7"]}
    frozen = FrozenEstimator(
        clone(painter).fit(view.select(split="train"), view.select(split="train").stimulus)
    )
    asked = {"cv": WithinSubject(), "stimuli": tests[::2], "refit": False}
    masked = reconstruct_by_region(frozen, view, regions=given, **asked)
    np.testing.assert_array_equal(masked.pictures[0], masked.pictures[1])
    assert masked.table["two-way"][2] < masked.table["two-way"][1] - 0.1
    frozen.estimator.set_params(out_dir="elsewhere", random_state=0)
    piped = make_pipeline(PickChannels(list(planted.info["ch_names"])), frozen)
    again = reconstruct_by_region(piped, view, regions=given, **asked)
    np.testing.assert_array_equal(again.pictures, masked.pictures)
    assert frozen.estimator.out_dir == "elsewhere"
    windows = reconstruct_over_time(frozen, view, width=0.2, step=0.8, **asked)
    np.testing.assert_array_equal(windows.pictures[1], masked.pictures[0])
    assert windows.table["two-way"][0] < masked.table["two-way"][0] - 0.1


@pytest.mark.slow
def test_epochs_views_and_few_stimuli_give_the_same(over, planted, painter, tests):
    few = tests[[7, 2]]
    cv = WithinSubject(test_stimuli=tests)
    asked = {"cv": cv, "stimuli": few, **FEW}
    rows = pd.DataFrame({"stimulus": planted.y, "subject": planted.subject})
    epochs = mne.EpochsArray(planted.X * 1e-6, planted.info, tmin=-0.2, metadata=rows, verbose=False)
    own = EpochsView.from_arrays(planted.X, rows=rows, info=planted.info, tmin=-0.2)
    for X in (own, epochs):
        got = reconstruct_over_time(painter, X, **asked)
        rows = [over.queries["stimulus"].tolist().index(name) for name in got.queries["stimulus"]]
        assert set(got.queries["stimulus"]) == set(few)
        difference = got.pictures.astype(int) - over.pictures[:, rows]
        assert np.abs(difference).max() <= 1
        # The pictures that were not painted are still there to be confused with.
        np.testing.assert_allclose(got.scores["two-way"], over.scores["two-way"][:, rows], atol=1e-3)
    one = reconstruct_over_time(painter, own, **asked | {"stimuli": few[:1], "step": 0.8})
    assert one.table[["two-way_low", "SSIM_high"]].isna().all().all()


def test_pipelines_several_people_and_several_pictures(planted, painter, tests):
    X, y = np.concatenate([planted.X, planted.X[::-1]]), np.concatenate([planted.y, planted.y[::-1]])
    subject = np.repeat(["ana", "ben"], len(planted.X))
    split = np.isin(y, tests)
    pipe = make_pipeline(EpochScaler(), clone(painter).set_params(n_images=2))
    got = reconstruct_over_time(
        pipe,
        EpochsView.from_arrays(X, stimulus=y, subject=subject, info=planted.info),
        cv=[(np.flatnonzero(~split), np.flatnonzero(split))],
        stimuli=tests[:3],
        interval="subject",
        width=0.9,
    )
    assert got.pictures.shape == (1, 6, 2, 16, 16, 3)
    assert got.queries["subject"].value_counts().to_dict() == {"ana": 3, "ben": 3}
    # Two people who are alike are no proof that all are: one degree of freedom leaves nearly everything open.
    assert got.table["two-way_high"].item() - got.table["two-way_low"].item() > 0.9
    assert got.table["PixCorr_low"].item() == pytest.approx(got.table["PixCorr_high"].item())


def test_finished_parts_are_found_again(view, painter, tests, tmp_path, monkeypatch):
    from skeegclip.inspection import _partial

    calls, real = [], _partial._trained
    monkeypatch.setattr(_partial, "_trained", lambda *args: (calls.append(1), real(*args))[1])
    asked = {"cv": WithinSubject(), "stimuli": tests[:2], "folder": tmp_path, **FEW}
    first = reconstruct_over_time(painter, view, **asked)
    painter.set_params(verbose=1)  # changes no picture
    again = reconstruct_over_time(painter, view, **asked)
    assert len(calls) == 3
    np.testing.assert_array_equal(first.pictures, again.pictures)
    assert first.table.equals(again.table)
    reconstruct_over_time(painter, view, **asked | {"stimuli": tests[2:4]})
    assert len(calls) == 6  # other stimuli are not taken for these
    painted = clone(painter).set_params(out_dir=tmp_path / "pictures", random_state=0)
    reconstruct_over_time(painted, view, **asked)
    assert not (tmp_path / "pictures").exists()
    assert len(calls) == 6  # nor does it change a picture where they are written


def test_bad_input(view, painter, planted):
    cv = WithinSubject()
    with pytest.raises(TypeError, match="reconstructor must be an EEGImageReconstructor"):
        reconstruct_over_time(ImageRetriever(Ridge()), view, cv=cv)
    with pytest.raises(ValueError, match="reconstructor has images=None"):
        reconstruct_over_time(clone(painter).set_params(images=None), view, cv=cv)
    with pytest.raises(KeyError, match=r"stimuli holds 'dragon', which is in no test set"):
        reconstruct_over_time(painter, view, cv=cv, stimuli=["dragon"])
    with pytest.raises(KeyError, match="stimuli is empty"):
        reconstruct_by_region(painter, view, cv=cv, stimuli=[])
    with pytest.raises(ValueError, match="mode must be one of"):
        reconstruct_over_time(painter, view, cv=cv, mode="shrinking")
    with pytest.raises(ValueError, match="refit must be one of"):
        reconstruct_over_time(painter, view, cv=cv, refit="yes")
    with pytest.raises(ValueError, match="interval='subject' needs at least two"):
        reconstruct_over_time(painter, view, cv=cv, interval="subject")
    with pytest.raises(ValueError, match="interval must be one of"):
        reconstruct_over_time(painter, view, cv=cv, interval="concept")
    with pytest.raises(ValueError, match="channels of X have no names"):
        reconstruct_by_region(
            painter,
            EpochsView.from_arrays(planted.X, stimulus=planted.y),
            cv=WithinSubject(test_stimuli=np.unique(planted.y)[:5]),
        )
