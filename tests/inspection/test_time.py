"""Time courses on planted windows."""

import mne
import numpy as np
import pandas as pd
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge

from skeegclip import EmbeddingTable, EpochsView, ImageRetriever
from skeegclip.inspection import region_importance, repetition_curve, temporal_generalization, time_resolved
from skeegclip.model_selection import WithinSubject


@pytest.fixture(scope="module")
def sliding(view, setting):
    return time_resolved(X=view, mode="sliding", **setting)


@pytest.mark.parametrize("refit", [True, False])
def test_sliding_windows_rise_where_planted(view, setting, planted, refit):
    course = time_resolved(X=view, mode="sliding", refit=refit, **setting)
    table = course.table
    begin = min(window[0] for window in planted.truth.windows.values())
    end = max(window[1] for window in planted.truth.windows.values())
    outside = (table["stop"] < begin) | (table["start"] > end + 0.03)
    assert (table["p_corrected"][outside] > 0.05).all()
    assert table["similarity"][outside].abs().max() < 0.06
    high = planted.truth.windows["high_level"]
    best = table.loc[table["accuracy"].idxmax()]
    assert high[0] <= best["start"]
    assert best["stop"] <= high[1]
    assert best["accuracy"] > 5 * best["chance"]
    assert best["p_corrected"] < 0.01
    start, stop = course.first_above_chance()
    assert stop > begin
    assert start < high[1]
    inside = course.best_windows(by="subject", of="accuracy")
    assert inside["value"].item() == pytest.approx(best["accuracy"])


def test_growing_windows_rise_and_stay(view, setting, planted):
    table = time_resolved(X=view, **setting).table
    assert (table["start"] == -0.2).all()
    before = table[table["stop"] < 0.08]
    after = table[table["stop"] > 0.45]
    assert (before["p_corrected"] > 0.05).all()
    assert (after["p_corrected"] < 0.05).all()
    assert (after["similarity_low"] > before["similarity_high"].max()).all()


def test_intervals_hold_the_mean_and_queries_are_named(sliding, planted):
    table = sliding.table
    assert (table["low"] <= table["accuracy"]).all()
    assert (table["accuracy"] <= table["high"]).all()
    assert set(sliding.queries["stimulus"]) == set(planted.y[planted.split == "test"])
    assert set(sliding.queries["concept"]) == set(planted.concept[planted.split == "test"])
    np.testing.assert_allclose(sliding.hits.mean(axis=1), table["accuracy"])
    assert (table["p_corrected"] >= table["p"]).all()


def test_best_windows_lie_in_the_planted_window_for_most(sliding):
    best = sliding.best_windows()
    assert len(best) == 40
    middle = (best["start"] + best["stop"]) / 2
    assert middle.between(0.08, 0.46).mean() > 0.7


@pytest.mark.slow
def test_the_correction_keeps_its_word():
    """Where there is nothing to decode some window is called above chance about as rarely as said."""
    found = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        X, y = rng.normal(size=(70, 3, 20)), [f"image_{i:02d}" for i in range(70)]
        table = EmbeddingTable(y, rng.normal(size=(70, 4)))
        cv = WithinSubject(test_stimuli=y[:30])
        view = EpochsView.from_arrays(X, stimulus=y, info=mne.create_info(3, 100.0, "eeg"))
        course = time_resolved(Ridge(), view, targets=table, cv=cv, mode="sliding", random_state=seed)
        found.append((course.first_above_chance(0.2) is not None, (course.table["p"] < 0.2).any()))
    corrected, uncorrected = np.mean(found, axis=0)
    assert corrected < 0.4  # 8 of 40 expected; 17 or more has a probability below 0.001
    assert uncorrected > corrected


def test_epochs_and_views_give_the_same(view, setting, planted):
    want = time_resolved(X=view, mode="sliding", step=0.2, **setting).table
    rows = pd.DataFrame({"stimulus": planted.y, "subject": planted.subject, "split": planted.split})
    epochs = mne.EpochsArray(planted.X * 1e-6, planted.info, tmin=-0.2, metadata=rows, verbose=False)
    got = time_resolved(X=epochs, mode="sliding", step=0.2, **setting)
    np.testing.assert_allclose(got.table.to_numpy(), want.to_numpy(), atol=1e-4)


@pytest.mark.slow
def test_processes_and_progress_change_nothing(view, setting, capsys):
    asked = {"X": view, "mode": "sliding", "step": 0.3, **setting}
    want = time_resolved(**asked)
    got = time_resolved(n_jobs=2, verbose=1, **asked)
    np.testing.assert_allclose(got.table.to_numpy(), want.table.to_numpy(), atol=1e-6)
    assert "inspecting: 100%" in capsys.readouterr().err


def test_intervals_over_people(planted, setting):
    data = planted
    X, y = np.concatenate([data.X, data.X[::-1]]), np.concatenate([data.y, data.y[::-1]])
    subject = np.repeat(["ana", "ben"], len(data.X))
    train = np.flatnonzero(data.split == "train")
    test = np.flatnonzero(np.concatenate([data.split, data.split[::-1]]) == "test")
    others = setting | {"cv": [(train, test)]}
    view = EpochsView.from_arrays(X, stimulus=y, subject=subject, info=data.info)
    asked = {"X": view, "mode": "sliding", "step": 0.4, **others}
    course = time_resolved(interval="subject", **asked)
    # Both people have the same epochs, so that nothing differs between people; but two people are few.
    np.testing.assert_allclose(course.table["similarity_low"], course.table["similarity"], atol=1e-6)
    width = course.table["high"] - course.table["low"]
    by_stimulus = time_resolved(**asked).table
    assert (width > 2 * (by_stimulus["high"] - by_stimulus["low"])).all()
    assert set(course.queries["subject"]) == {"ana", "ben"}


def test_a_frozen_decoder_is_masked_and_not_trained(view, setting, planted):
    train = view.select(split="train")
    retriever = ImageRetriever(Ridge(1e4), targets=planted.image_embeddings).fit(train, train.stimulus)
    others = setting | {"estimator": FrozenEstimator(retriever)}
    got = time_resolved(X=view, mode="sliding", step=0.2, refit=False, **others).table
    want = time_resolved(X=view, mode="sliding", step=0.2, refit=False, **setting).table
    np.testing.assert_allclose(got.to_numpy(), want.to_numpy(), atol=1e-6)


def test_what_was_interrupted_goes_on(view, setting, tmp_path, monkeypatch):
    from skeegclip.inspection import _look

    calls, real = [], _look.fit

    def counted(*args):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr("skeegclip.inspection.time.fit", counted)
    asked = {"X": view, "mode": "sliding", "step": 0.2, "folder": tmp_path, **setting}
    with pytest.raises(KeyboardInterrupt):
        time_resolved(**asked)
    assert len(list(tmp_path.iterdir())) == 2
    first = time_resolved(**asked)
    assert len(calls) == 2 + 1 + len(first.table) - 2
    again = time_resolved(**asked)
    assert len(calls) == len(first.table) + 1
    np.testing.assert_array_equal(again.table.to_numpy(), first.table.to_numpy())
    np.testing.assert_array_equal(time_resolved(**(asked | {"folder": None})).hits, first.hits)
    time_resolved(**(asked | {"estimator": Ridge(1e3)}))
    assert len(calls) == 3 * len(first.table) + 1  # another estimator is not taken from the folder


def test_generalization_is_highest_on_the_diagonal(view, setting, sliding):
    result = temporal_generalization(X=view.crop(0.0, 0.6), **setting)
    n = len(result.start)
    assert result.accuracy.shape == (n, n)
    diagonal = np.diag(result.accuracy)
    assert diagonal.max() == result.accuracy.max() > 5 * result.chance
    assert diagonal.mean() > 2 * result.accuracy[~np.eye(n, dtype=bool)].mean()
    # The diagonal is the sliding time course.
    same = sliding.table.set_index("start")["accuracy"].reindex(result.start)
    np.testing.assert_allclose(diagonal, same)
    assert len(result.to_frame()) == n * n


def test_bad_input(view, setting, planted):
    with pytest.raises(ValueError, match="mode must be one of"):
        time_resolved(X=view, mode="shrinking", **setting)
    with pytest.raises(ValueError, match="width=9 s is longer than the epochs"):
        time_resolved(X=view, width=9, **setting)
    for arrays in (planted.X, planted.X.tolist()[:2]):
        with pytest.raises(TypeError, match=r"Make a view of it: EpochsView.from_arrays\(X, stimulus="):
            time_resolved(X=arrays, **setting)
    with pytest.raises(ValueError, match="X carries no stimuli"):
        time_resolved(X=EpochsView.from_arrays(planted.X, info=planted.info), **setting)
    with pytest.raises(ValueError, match="interval='subject' needs at least two"):
        time_resolved(X=view, step=0.4, interval="subject", **setting)
    with pytest.raises(ValueError, match="too few to choose 40 from"):
        time_resolved(X=view, k=40, **setting)
    with pytest.raises(TypeError, match="estimator must be an instance"):
        time_resolved(X=view, **setting | {"estimator": Ridge})


def test_an_interval_that_cannot_be_is_refused_before_any_training(view, setting, monkeypatch):
    for place in ("time.fit", "space.fit", "repetitions.fit"):
        monkeypatch.setattr(f"skeegclip.inspection.{place}", lambda *args: pytest.fail("trained"))
    for analysis in (time_resolved, temporal_generalization, region_importance, repetition_curve):
        with pytest.raises(ValueError, match="interval must be one of"):
            analysis(X=view, interval="concept", **setting)
        with pytest.raises(ValueError, match="interval='subject' needs at least two"):
            analysis(X=view, interval="subject", **setting)


def test_best_windows_and_alpha_are_checked(sliding):
    with pytest.raises(ValueError, match="by must be one of"):
        sliding.best_windows(by="colour")
    with pytest.raises(ValueError, match="alpha must lie in"):
        sliding.first_above_chance(0)


def test_views_without_rate_have_no_times(planted, setting):
    view = EpochsView.from_arrays(planted.X, subject=planted.subject, stimulus=planted.y)
    with pytest.raises(ValueError, match="times of X are not known"):
        time_resolved(X=view, **setting | {"cv": [(range(9), range(600, 700))]})
