"""A new subject after training: what calibrate learns, and all that it leaves alone."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from torch import nn

from skeegclip import EEGEncoder, EpochsView, ZeroShotClassifier
from skeegclip._training import calibrate, own_rows
from skeegclip._training.loader import EpochsDataset
from skeegclip._training.own_rows import FoldRows, OwnRows, fit_rows
from skeegclip._training.targets import Targets

N_CHANS, N_TIMES = 6, 24  # of the recordings


def make(
    recordings, net="eegproject", subject_layer="linear", subjects=("sub-01", "sub-02", "sub-04"), **params
):
    defaults = {"max_epochs": 25, "lr": 3e-3, "batch_size": 64, "random_state": 0, "device": "cpu"}
    encoder = EEGEncoder(
        net, targets=recordings.table, subject_layer=subject_layer, validation=0, **{**defaults, **params}
    )
    X, y, subject = recordings.train_set(list(subjects))
    return encoder.fit(X, y, subject=subject)


SMALL_ATM = {"kernel_length": 5, "pool_length": 6, "pool_stride": 2, "d_ff": 16, "n_filters": 8}


@pytest.fixture(scope="module")
def fitted(recordings):
    return make(recordings)


@pytest.fixture(scope="module")
def fitted_atm(recordings):
    return make(recordings, "atm-s", "token", net_params=SMALL_ATM, max_epochs=8)


@pytest.mark.slow
def test_it_helps_a_new_subject_on_pictures_never_seen(recordings, fitted):
    # Training, calibration and test share no picture.
    assert not set(recordings.unseen) & (set(recordings.trained) | set(recordings.shown))
    X, y = recordings.of("sub-03", recordings.shown), recordings.shown
    unseen = recordings.of("sub-03", recordings.unseen, seed=1)
    encoder = copy.deepcopy(fitted).calibrate(X, y, subject="sub-03")
    shared = fitted.score(unseen, recordings.unseen)
    own = encoder.score(unseen, recordings.unseen, subject="sub-03")
    n = len(recordings.unseen)
    # More pictures found than twice the standard error of the difference could explain.
    assert own - shared > 2 * ((own * (1 - own) + shared * (1 - shared)) / n) ** 0.5
    assert own > shared + 0.2
    chosen = encoder.selection_["calibrated"]["sub-03"]
    assert chosen.pop("epoch") > 0
    assert chosen == {"n_epochs": 30, "n_stimuli": 30}


@pytest.mark.slow
def test_a_token_that_is_learned_moves_its_person_alone(recordings, fitted_atm):
    """Whatever the unit: the number of passes is chosen by itself, and could come to none."""
    X, y = recordings.of("sub-03", recordings.shown), recordings.shown
    encoder = copy.deepcopy(fitted_atm).calibrate(X, y, subject="sub-03", max_epochs=30)
    assert encoder.selection_["calibrated"]["sub-03"]["epoch"] > 0
    before, after = fitted_atm.transform(X), encoder.transform(X, subject="sub-03")
    assert np.linalg.norm(after - before) > 0.05 * np.linalg.norm(before - before.mean(0))
    np.testing.assert_array_equal(encoder.transform(X), before)


class Rows(nn.Module):
    """Stands for rows that are fitted: what is learned makes no difference."""

    def __init__(self, n_folds):
        super().__init__()
        self.around = (nn.Identity(),)
        self.rows = nn.ParameterList(nn.Parameter(torch.zeros(1)) for _ in range(n_folds))

    def forward(self, x, subject, fold):
        return self.rows[fold] * x


class Planned(nn.Module):
    """A loss that is known for every fold and pass; the first target says which fold it is."""

    def __init__(self, losses):
        super().__init__()
        self.losses, self.passes = losses, [0] * len(losses)

    def forward(self, z, target):
        fold = int(target["target"][0, 0])
        if torch.is_grad_enabled():
            self.passes[fold] += 1
            return z.sum()
        return torch.tensor(float(self.losses[fold][self.passes[fold]]))


def fit_planned(losses):
    planned, n = Planned(losses), len(losses)
    targets = Targets(np.arange(n, dtype=np.float32)[:, None], np.repeat(np.arange(n), 4))
    X, codes = np.ones((4 * n, 1, 1), np.float32), np.zeros(4 * n, int)
    parts = [EpochsDataset(X, codes, targets, np.arange(4 * k, 4 * k + 4), "cpu") for k in range(n)]
    rows = Rows(n)
    best = fit_rows(
        rows, planned, FoldRows(parts), FoldRows(parts), lr=0.1, batch_size=9, max_epochs=len(losses[0]) - 1,
        patience=10, seed=0, device="cpu", verbose=0,
    )  # fmt: skip
    return best, planned.passes, [float(row.detach()) for row in rows.rows]


@pytest.mark.parametrize(
    ("losses", "best", "passes"),
    [
        ([[5, 4, 3, 4, 5], [5, 4, 4, 2, 5]], 3, 4),  # the sum counts
        ([[1, 2, 3, 4, 5]], 0, 4),  # nothing learned helps
        ([[9, 8, *[10] * 30]], 1, 11),  # ten passes without a gain end it
        ([[9, 8, *[10] * 8, 7, *[10] * 30]], 10, 20),
        ([[1.0, *[2.0] * 30]], 0, 10),
        ([[1.0, *np.linspace(3, 2, 30)]], 0, 10),  # nor do passes that only make up for the first
    ],
)
def test_the_number_of_passes_is_the_one_with_the_lowest_loss_held_out(losses, best, passes):
    found, done, rows = fit_planned(losses)
    assert found == best
    assert done == [passes] * len(losses)
    # Adam's steps are the learning rate where the slope keeps its sign: the rows are those after the best pass.
    np.testing.assert_allclose(rows, -0.1 * best, rtol=1e-4)


def test_a_loss_that_is_not_finite_is_told_of():
    with pytest.raises(ValueError, match=r"The valid loss became nan in pass 1\. Lower lr"):
        fit_planned([[1.0, np.nan, np.nan]])


def test_folds_hold_out_stimuli_or_rows_of_classes():
    stimulus = np.repeat(np.arange(7), 3)
    folds = calibrate._folds(Targets(np.eye(7), stimulus), 0)
    assert len(folds) == 3
    np.testing.assert_array_equal(np.sort(np.concatenate([held for _, held in folds])), np.arange(21))
    for fit, held in folds:
        assert not set(stimulus[fit]) & set(stimulus[held])
        assert len(set(stimulus[held])) >= 2
    classes = calibrate._folds(Targets(np.eye(2), np.arange(20) % 2, are_codes=True), 0)
    assert [len(held) for _, held in classes] == [4] * 5


@pytest.fixture
def three_passes(monkeypatch):
    """Skip the choice of the number of passes, which takes most of the time and may come to none."""
    monkeypatch.setattr(own_rows, "make_callbacks", lambda **params: [])
    monkeypatch.setattr(
        calibrate, "fit_rows", lambda *args, **params: fit_rows(*args, **{**params, "max_epochs": 3})
    )


@pytest.mark.parametrize("which", ["fitted", "fitted_atm"])
def test_all_else_stays_bit_for_bit(recordings, which, request, three_passes):
    before = request.getfixturevalue(which)
    encoder = copy.deepcopy(before)
    X, y = recordings.of("sub-03", recordings.shown), recordings.shown
    encoder.calibrate(X, y, subject="sub-03")
    assert encoder.subjects_.tolist() == ["sub-01", "sub-02", "sub-03", "sub-04"]
    old, new = before.net_.module_.state_dict(), encoder.net_.module_.state_dict()
    assert old.keys() == new.keys()
    for key, value in old.items():
        if key == "subject.known":
            assert torch.equal(new[key][[0, 1, 3]], value)
            assert (new[key][2] - old["subject.shared"][0]).abs().max() > 1e-3
        else:
            assert torch.equal(new[key], value), key
    for key, value in before.net_.criterion_.state_dict().items():
        assert torch.equal(encoder.net_.criterion_.state_dict()[key], value)
    for subject in ("sub-01", "sub-02", "sub-04", "sub-99", None):
        np.testing.assert_array_equal(
            encoder.transform(X, subject=subject), before.transform(X, subject=subject)
        )
    assert all(p.requires_grad for p in encoder.net_.module_.parameters())
    assert not any(module.training for module in encoder.net_.module_.modules())
    assert encoder.history_ == before.history_


@pytest.mark.parametrize("which", ["fitted", "fitted_atm"])
def test_the_new_subject_travels(recordings, which, request, tmp_path, three_passes):
    encoder = copy.deepcopy(request.getfixturevalue(which))
    X, y = recordings.of("sub-03", recordings.shown), recordings.shown
    z = encoder.calibrate(X, y, subject="sub-03").transform(X, subject="sub-03")
    assert not np.allclose(z, encoder.transform(X))
    encoder.save(tmp_path)
    for again in (EEGEncoder.load(tmp_path), pickle.loads(pickle.dumps(encoder)), copy.deepcopy(encoder)):
        np.testing.assert_array_equal(again.transform(X, subject="sub-03"), z)
        assert again.subjects_.tolist() == encoder.subjects_.tolist()
        assert again.selection_ == encoder.selection_
        again.calibrate(recordings.of("sub-05", recordings.shown), y, subject="sub-05")
        assert again.subjects_[-1] == "sub-05"
        np.testing.assert_array_equal(again.transform(X, subject="sub-03"), z)


def test_several_new_subjects_of_any_name(recordings, fitted, three_passes):
    encoder, y = copy.deepcopy(fitted), recordings.shown
    names = {"zoe with a long name": "sub-03", "sub-10": "sub-10", "a": "sub-05"}
    z = {}
    for name, real in names.items():
        X = recordings.of(real, y)
        z[name] = encoder.calibrate(X, y, subject=name).transform(X, subject=name)
    assert encoder.subjects_.tolist() == ["a", "sub-01", "sub-02", "sub-04", "sub-10", "zoe with a long name"]
    for name, real in names.items():
        np.testing.assert_array_equal(encoder.transform(recordings.of(real, y), subject=name), z[name])


@pytest.mark.parametrize("subject_layer", ["token", "linear"])
def test_an_encoder_fitted_without_subjects(recordings, subject_layer, three_passes):
    X, y, _ = recordings.train_set(["sub-01"])
    encoder = EEGEncoder(
        "atm-s", net_params=SMALL_ATM, targets=recordings.table, subject_layer=subject_layer, max_epochs=2,
        random_state=0, device="cpu",
    ).fit(X, y)  # fmt: skip
    before = encoder.transform(X)
    encoder.calibrate(recordings.of("sub-03", recordings.shown), recordings.shown, subject="sub-03")
    assert encoder.subjects_.tolist() == ["sub-03"]
    np.testing.assert_array_equal(encoder.transform(X), before)


def test_mean_of_the_known_counts_the_new_one(recordings):
    encoder = make(recordings, unknown_subject="mean", max_epochs=3)
    start = encoder.net_.module_.subject.known.detach().mean(0)
    X, y = recordings.of("sub-03", recordings.shown), recordings.shown
    encoder.calibrate(X, y, subject="sub-03", max_epochs=3)
    known = encoder.net_.module_.subject.known.detach()
    torch.testing.assert_close(encoder.net_.module_.subject.of_unknown()[0].detach(), known.mean(0))
    # It started from the mean of the others: a few steps of Adam do not lead far.
    assert (known[2] - start).abs().max() <= 3 * 3e-3 * 1.01


def test_with_a_projector_of_the_targets(recordings, three_passes):
    encoder = make(recordings, projector=5, max_epochs=2)
    X, y = recordings.of("sub-03", recordings.shown), recordings.shown
    project = encoder.net_.criterion_.project.weight.detach().clone()
    encoder.calibrate(X, y, subject="sub-03")
    assert encoder.transform(X, subject="sub-03").shape == (30, 5)
    assert torch.equal(encoder.net_.criterion_.project.weight, project)


def test_the_subject_may_travel_in_the_view(recordings, fitted, three_passes):
    X, y = recordings.of("sub-03", recordings.shown), recordings.shown
    view = EpochsView.from_arrays(X, subject=np.full(len(X), "sub-03"), stimulus=y)
    by_view = copy.deepcopy(fitted).calibrate(view, view.stimulus)
    by_name = copy.deepcopy(fitted).calibrate(X, y, subject="sub-03")
    np.testing.assert_array_equal(by_view.transform(view), by_name.transform(X, subject="sub-03"))


def test_class_labels_are_calibrated_on_too(recordings):
    X, y, subject = recordings.train_set(["sub-01", "sub-02"])
    labels = np.where(recordings.table.lookup(y)[:, 0] > 0, "light", "dark")
    encoder = EEGEncoder("eegproject", subject_layer="linear", max_epochs=5, random_state=0, device="cpu")
    classifier = ZeroShotClassifier(encoder).fit(X, labels, subject=subject)
    new = classifier.encoder_.calibrate(X[:40], labels[:40], subject="sub-03", max_epochs=5)
    assert new.selection_["calibrated"]["sub-03"]["n_stimuli"] == 2
    assert set(classifier.predict(X[:10], subject="sub-03")) <= {"light", "dark"}


def test_it_is_reproducible_and_touches_no_global_generator(recordings, fitted):
    X, y = recordings.of("sub-03", recordings.shown), recordings.shown
    state = torch.get_rng_state()
    z = [
        copy.deepcopy(fitted).calibrate(X, y, subject="x", max_epochs=5).transform(X, subject="x")
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*z)
    assert torch.equal(torch.get_rng_state(), state)


def test_progress_is_shown_when_asked_for(recordings, fitted, capsys):
    encoder = copy.deepcopy(fitted).set_params(verbose=1)
    encoder.calibrate(
        recordings.of("sub-03", recordings.shown), recordings.shown, subject="sub-03", max_epochs=2
    )
    assert "calibrating" in capsys.readouterr().err


# -- what goes wrong -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"subject": None}, "subject is None and X carries none: calibrate needs a name"),
        (
            {"subject": "sub-02"},
            "subject='sub-02' is known already, and what was learned .* is left as it is",
        ),
        (
            {"subject": ["a"] * 15 + ["b"] * 15},
            r"subject names 2 subjects \(a, b, ...\).*Call it once for each",
        ),
        ({"n": 3}, "Too few epochs to calibrate: got 3 of 3 stimuli, and it takes 4 stimuli"),
        ({"n": 0}, "0 sample"),
        ({"max_epochs": 0}, "max_epochs must lie in"),
        ({"lr": 0}, "lr must lie in"),
        (
            {"y": np.ones((30, 5))},
            "y holds vectors of 5 dimensions, but the encoder was fitted to vectors of 8",
        ),
        ({"y": ["s000"] * 30}, "Too few epochs to calibrate: got 30 of 1 stimuli"),
        ({"X": np.zeros((30, 5, N_TIMES), "float32")}, "X has 5 features"),
    ],
)
def test_bad_calls_are_refused_and_change_nothing(recordings, fitted, arguments, match):
    arguments = dict(arguments)
    n = arguments.pop("n", 30)
    X, y = recordings.of("sub-03", recordings.shown)[:n], recordings.shown[:n]
    call = {"X": X, "y": y, "subject": "sub-03", **arguments}
    encoder = copy.deepcopy(fitted)
    with pytest.raises(ValueError, match=match):
        encoder.calibrate(**call)
    assert encoder.subjects_.tolist() == fitted.subjects_.tolist()
    assert encoder.selection_ == fitted.selection_


@pytest.mark.parametrize(("net", "subject_layer"), [("eegproject", "token"), ("atm-s", "none")])
def test_a_network_without_anything_of_a_subjects_own(recordings, net, subject_layer):
    params = SMALL_ATM if net == "atm-s" else {}
    encoder = make(recordings, net, subject_layer, net_params=params, max_epochs=1)
    with pytest.raises(ValueError, match=f"net='{net}' with subject_layer='{subject_layer}' holds nothing"):
        encoder.calibrate(recordings.of("sub-03", recordings.shown), recordings.shown, subject="sub-03")


def test_not_fitted(recordings):
    with pytest.raises(NotFittedError):
        EEGEncoder(targets=recordings.table).calibrate(np.zeros((4, 2, 9)), list("abcd"), subject="x")


def test_ctrl_c_changes_nothing(recordings, fitted, monkeypatch):
    def interrupt(self, **inputs):
        raise KeyboardInterrupt

    monkeypatch.setattr(OwnRows, "forward", interrupt)
    encoder = copy.deepcopy(fitted)
    X = recordings.of("sub-03", recordings.shown)
    with pytest.raises(KeyboardInterrupt):
        encoder.calibrate(X, recordings.shown, subject="sub-03")
    assert encoder.subjects_.tolist() == fitted.subjects_.tolist()
    np.testing.assert_array_equal(encoder.transform(X), fitted.transform(X))
