"""One encoder for people with different caps: what it embeds, who may follow, and how it is kept."""

import pickle

import mne
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, LeaveOneGroupOut, cross_val_score
from skorch.callbacks import Callback

from skeegclip import (
    AveragedTraining,
    EEGEncoder,
    EmbeddingTable,
    EpochsView,
    ImageRetriever,
    OnlineDecoder,
    ZeroShotClassifier,
    evaluate,
    load,
)
from skeegclip.epochs.places import places_of
from skeegclip.epochs.sites import THINGS_EEG_CHANNELS
from skeegclip.model_selection import LeaveOneSubjectOut
from skeegclip.preprocessing import average_repetitions

NAMES = list(THINGS_EEG_CHANNELS)
CAPS = {"ana": NAMES[::3], "ben": NAMES[1::3][:16], "eva": NAMES[::4][::-1]}
N_IDS = 24
FEW_STEPS = {"net_params": {"d_ff": 8, "n_filters": 4}, "max_epochs": 2, "lr": 1e-6}


def field(view, vectors):
    """A smooth field of each stimulus over the head, the same whatever the cap."""
    places = places_of(view)[:, :3]
    basis = np.column_stack([places, places**2])
    waves = np.sin(np.arange(1, 3)[:, None] * np.linspace(0, 3, 60))
    return np.einsum("nwk,ck,wt->nct", vectors.reshape(len(vectors), 2, 6), basis, waves)


def recorded(names, table, subject, seed, noise=0.15, kind="eeg"):
    info = mne.create_info(list(names), 100.0, kind)
    ids = np.tile(table.ids, 2)
    empty = EpochsView.from_arrays(np.zeros((len(ids), len(names), 60)), stimulus=ids, info=info)
    rng = np.random.default_rng(seed)
    X = field(empty, table.lookup(ids))
    return EpochsView.from_arrays(
        10 * (X + noise * rng.normal(size=X.shape)), stimulus=ids, subject=subject, info=info
    )


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    return EmbeddingTable([f"s{k:02d}" for k in range(N_IDS)], rng.normal(size=(N_IDS, 12)))


@pytest.fixture(scope="module")
def people(table):
    return [recorded(cap, table, name, seed) for seed, (name, cap) in enumerate(CAPS.items())]


def make(table, net="ridge+atm-s", **params):
    params = {**(FEW_STEPS if "atm" in net else {"max_epochs": 2}), **params}
    return EEGEncoder(
        net,
        targets=table,
        montage="positions",
        random_state=0,
        device="cpu",
        precision="float32",
        **params,
    )


pytestmark = pytest.mark.filterwarnings("ignore:Epochs of n_times=60 are too short")


@pytest.fixture(scope="module")
def fitted(people, table):
    return make(table).fit(EpochsView.join(people), np.tile(table.ids, 6))


@pytest.fixture(scope="module")
def unseen(table):
    return recorded(NAMES[2::5], table, "kim", 9)


def test_the_order_of_channels_does_not_matter(fitted, people):
    view = people[0]
    order = np.random.default_rng(0).permutation(view.shape[1])
    z = fitted.transform(view)
    assert np.allclose(z, fitted.transform(view.pick(order.tolist())), atol=1e-5 * np.abs(z).max())


def test_planted_truth_is_found_in_a_cap_that_nobody_wore(fitted, people, unseen, table):
    ids = unseen.stimulus
    assert fitted.score(EpochsView.join(people), np.tile(table.ids, 6)) > 0.9
    assert fitted.score(unseen, ids) > 0.6
    wrong = unseen._replace(info=mne.create_info(NAMES[4::5][::-1] + ["Fp1"], 100.0, "eeg"), known=None)
    assert fitted.score(wrong, ids) < 0.5  # what channels are called decides
    assert fitted.score(unseen.pick(list(range(6))), ids) > 3 / N_IDS


def test_lists_views_and_epochs_are_one(fitted, people, table):
    ids = np.tile(table.ids, 6)
    of_list = make(table).fit(people, ids)
    epochs = [view.to_mne() for view in people]
    z = fitted.transform(EpochsView.join(people))
    for X in (people, epochs, tuple(epochs)):
        assert np.allclose(of_list.transform(X), z, atol=1e-4 * np.abs(z).max())
    rows = slice(len(people[0]), len(people[0]) + len(people[1]))
    assert np.allclose(of_list.transform(epochs[1]), z[rows], atol=1e-4 * np.abs(z).max())
    assert of_list.subjects_.tolist() == ["ana", "ben", "eva"]


def test_another_cap_is_refused_without_positions(people, table):
    strict = make(table).set_params(montage=None)
    with pytest.raises(ValueError, match=r"several caps.*montage='positions'"):
        strict.fit(EpochsView.join(people), np.tile(table.ids, 6))
    with pytest.raises(TypeError, match=r"EpochsView.join"):
        strict.fit(people, np.tile(table.ids, 6))
    with pytest.raises(ValueError, match="equalize_channels"):
        strict.fit([view.to_mne() for view in people], np.tile(table.ids, 6))


def test_what_positions_cannot_do_is_refused(fitted, people, table):
    with pytest.raises(ValueError, match="does not name its channels"):
        fitted.transform(np.zeros((2, 21, 60)))
    info = mne.create_info(["Oz", "E1"], 100.0, "eeg")
    with pytest.raises(ValueError, match=r"1 of 2 channels are not known \('E1'\)"):
        fitted.transform(EpochsView.from_arrays(np.zeros((2, 2, 60)), info=info))
    with pytest.raises(ValueError, match="X has 50 times"):
        fitted.transform(people[0].crop(0.0, 0.49))
    meg = mne.pick_info(mne.channels.read_meg_canonical_info("ctf275", verbose=False), range(4))
    with meg._unlock():
        meg["sfreq"] = 100.0
    with pytest.raises(ValueError, match="channels of type 'mag', but EEGEncoder was fitted with eeg alone"):
        fitted.transform(EpochsView.from_arrays(np.ones((2, 4, 60)), info=meg))
    with pytest.raises(ValueError, match="montage"):
        make(table).set_params(montage="names").fit(people, np.tile(table.ids, 6))


def test_it_is_kept_as_it_is(fitted, people, unseen, tmp_path):
    expected = fitted.transform(unseen)
    fitted.save(tmp_path / "encoder")
    for copy in (load(tmp_path / "encoder", device="cpu"), pickle.loads(pickle.dumps(fitted))):
        assert np.allclose(copy.transform(unseen), expected, atol=1e-6)
        assert np.allclose(
            copy.transform(EpochsView.join(people)), fitted.transform(EpochsView.join(people)), atol=1e-6
        )
    assert clone(fitted).montage == "positions"


def test_a_run_that_was_stopped_ends_with_the_same_weights(people, table, tmp_path):
    class Stop(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 3:
                raise RuntimeError("stopped")

    X, ids = EpochsView.join(people), np.tile(table.ids, 6)
    params = {"max_epochs": 4, "lr": 1e-3, "subject_layer": "linear"}
    straight = make(table, "eegproject", **params).fit(X, ids)
    resumable = make(table, "eegproject", checkpoint_dir=tmp_path / "runs", callbacks=[Stop()], **params)
    with pytest.raises(RuntimeError, match="stopped"):
        resumable.fit(X, ids)
    seen = []

    class Count(Callback):
        def on_epoch_begin(self, net, **kwargs):
            seen.append(len(net.history))

    resumed = resumable.set_params(callbacks=[Count()]).fit(X, ids)
    assert seen == [3, 4]
    assert np.array_equal(resumed.transform(X), straight.transform(X))
    weight = straight.net_.module_.channel_layer.weight
    assert weight.abs().max() > 0  # it has learned


def test_folds_over_people(people, table):
    X, ids = EpochsView.join(people), np.tile(table.ids, 6)
    encoder = make(table)
    scores = cross_val_score(encoder, X, ids, groups=X.subject, cv=LeaveOneGroupOut())
    assert scores.min() > 0.8
    quick = ImageRetriever(make(table, "eegproject", max_epochs=1))
    assert len(evaluate(quick, X, ids, cv=LeaveOneSubjectOut(test_stimuli=table.ids[:8])).audits) == 3
    retriever = ImageRetriever(encoder).fit(X[:96], ids[:96])
    assert retriever.score(X[96:], ids[96:]) > 0.8
    named = ZeroShotClassifier(encoder, candidates=table).fit(people[:2], ids[:96])
    assert named.score(X[96:], ids[96:]) > 0.8
    online = OnlineDecoder(retriever, temperature=0.05, threshold=0.5).reset()
    assert online.update(people[2][5:6].to_mne()).best == ids[5]
    search = GridSearchCV(
        make(table, "eegproject", max_epochs=1), {"montage": ["positions"]}, cv=LeaveOneGroupOut()
    )
    assert search.fit(X, ids, groups=X.subject).best_params_ == {"montage": "positions"}


def test_somebody_new_is_learned_in_another_cap(people, unseen, table):
    X, ids = EpochsView.join(people), np.tile(table.ids, 6)
    encoder = make(table, "eegproject", subject_layer="linear").fit(X, ids)
    encoder.calibrate(unseen, unseen.stimulus, max_epochs=3)
    assert "kim" in encoder.subjects_
    assert encoder.transform(unseen).shape == (len(unseen), 12)


def test_repetitions_are_averaged_before_it(people, table):
    both = EpochsView.join(people[:2])
    with pytest.raises(ValueError, match="EEGEncoder wants the same channels"):
        AveragedTraining(make(table).set_params(montage=None)).fit(both, both.stimulus)
    averaged = AveragedTraining(make(table)).fit(both, both.stimulus)
    means, ids, _ = average_repetitions(both, both.stimulus)
    by_hand = make(table).fit(means, ids)
    np.testing.assert_allclose(averaged.predict(people[2]), by_hand.predict(people[2]), rtol=1e-4, atol=1e-5)


def test_attention_is_between_the_channels_of_fit(fitted, unseen):
    n = fitted.n_chans_
    assert fitted.attention(unseen[:2]).shape[2:] == (n, n)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_meg_beside_eeg(people, table):
    helmet = mne.channels.read_meg_canonical_info("ctf275", verbose=False)
    helmet = mne.pick_info(helmet, range(0, 271, 18))
    with helmet._unlock():
        helmet["sfreq"] = 100.0
    rng = np.random.default_rng(0)
    ids = np.tile(table.ids, 2)
    empty = EpochsView.from_arrays(np.zeros((48, len(helmet["ch_names"]), 60)), stimulus=ids, info=helmet)
    X = 1000 * (field(empty, table.lookup(ids)) + 0.3 * rng.normal(size=empty.shape))
    meg = EpochsView.from_arrays(X, stimulus=ids, subject="meg", info=helmet)
    both = EpochsView.join([*people, meg])
    encoder = make(table).fit(both, both.stimulus)
    assert encoder.score(both.select(subject="meg"), ids) > 0.8
    assert encoder.score(people[0], people[0].stimulus) > 0.8
    gains = encoder.fitted_.spec.net_params["channel_layer"]["gains"]
    assert 50 < gains[0] / gains[8] < 200  # MEG's numbers are a hundred times those of EEG


def test_a_network_of_braindecode_is_told_the_channels_of_all_caps(people, table):
    encoder = make(table, "EEGNet").fit(people, np.tile(table.ids, 6))
    assert encoder.transform(people[2]).shape == (48, 12)
    assert encoder.n_chans_ == len(set().union(*CAPS.values()))


@pytest.mark.slow
def test_an_exported_file_takes_the_channels_of_fit(fitted, people, tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    fitted.export(tmp_path / "encoder.onnx")
    session = runtime.InferenceSession(tmp_path / "encoder.onnx", providers=["CPUExecutionProvider"])
    X = np.asarray(EpochsView.join(people))[[0, 60, 100]]
    given = {"epochs": X, "subject": np.array([0, 1, 2])}
    z = session.run(None, {key.name: given[key.name] for key in session.get_inputs()})[0]
    expected = fitted.transform(EpochsView.join(people)[[0, 60, 100]])
    assert np.allclose(z, expected, atol=1e-4 * np.abs(expected).max())
