"""What each word of `train` trains, and what it leaves exactly as it was."""

import sys
import warnings
from importlib.util import find_spec

import mne
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold
from skorch.callbacks import Callback
from small_nets import Blocks, TorchTransformer

from skeegclip import EEGEncoder, EpochsView, load
from skeegclip._training.callbacks import KeepPasses

N, N_CHANS, N_TIMES, N_DIMS = 60, 2, 12, 5
COMMON = {"max_epochs": 3, "batch_size": 20, "lr": 1e-2, "device": "cpu", "random_state": 0}
needs_peft = pytest.mark.skipif(find_spec("peft") is None, reason="peft is not installed")
WAYS = ["all", "head", pytest.param("lora", marks=needs_peft), "probe"]


@pytest.fixture
def data(rng):
    X = rng.normal(size=(N, N_CHANS, N_TIMES)).astype(np.float32)
    W = rng.normal(size=(N_CHANS * N_TIMES, N_DIMS)).astype(np.float32)
    return X, X.reshape(N, -1) @ W


@pytest.fixture
def start():
    """Weights of a network that was used, so that its statistics are not those of a new one."""
    torch.manual_seed(0)
    net = Blocks(N_DIMS, N_CHANS, N_TIMES)
    for _ in range(3):
        net(3 + torch.randn(50, N_CHANS, N_TIMES))
    return {name: value.clone() for name, value in net.state_dict().items()}


def fitted(start, data, net=Blocks, **params):
    return EEGEncoder(net, pretrained=start, **{**COMMON, **params}).fit(*data)


def changed(encoder, start):
    state = encoder.net_.module_.state_dict()
    assert list(state) == list(start)
    return {name for name, value in state.items() if not torch.equal(value, start[name])}


HEAD = {"final_layer.weight", "final_layer.bias"}
LINEAR = {"embed.weight", "blocks.0.mix.weight", "blocks.1.mix.weight"}


def test_all_trains_all(start, data):
    # A bias before the statistics of a batch has no gradient but rounding.
    assert changed(fitted(start, data), start) >= set(start) - {"embed.bias"}


def test_head_leaves_all_before_it_bit_by_bit(start, data):
    encoder = fitted(start, data, train="head")
    assert changed(encoder, start) == HEAD
    assert all(p.requires_grad for p in encoder.net_.module_.parameters())


@pytest.mark.slow
def test_head_learns_from_features_as_they_are_in_use(start, data):
    # Without dropout and with fixed statistics, the head is a linear layer on fixed features: torch alone, on those.
    X, y = data
    common = {"optimizer": "sgd", "batch_size": N, "loss_weight": 0, "validation": 0, "lr": 0.05}
    encoder = fitted(start, data, train="head", **common)
    spread = encoder.fitted_.spec.input_spread
    net = Blocks(N_DIMS, N_CHANS, N_TIMES)
    net.load_state_dict(start)
    net.eval()
    F, Y = net.features(torch.from_numpy(X) / spread).detach(), torch.from_numpy(y)
    optimizer = torch.optim.SGD(net.final_layer.parameters(), lr=0.05)
    for _ in range(3):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(net.final_layer(F), Y) / Y.var(0, correction=0).mean()
        loss.backward()
        optimizer.step()
    torch.testing.assert_close(
        encoder.net_.module_.final_layer.weight, net.final_layer.weight, rtol=1e-3, atol=1e-5
    )


def test_what_did_not_arrive_is_trained_with_the_head(start, data):
    part = {name: value for name, value in start.items() if not name.startswith(("blocks.1", "batch_norm"))}
    encoder = fitted(part, data, train="head")
    old = {name for name in start if name in part}
    assert changed(encoder, start) & old == HEAD
    state = encoder.net_.module_.state_dict()
    assert (
        state["batch_norm.num_batches_tracked"] == 9
    )  # its statistics follow the batches: three passes of three


def test_people_are_learned_beside_a_head(start, data):
    X, y = data
    encoder = EEGEncoder(Blocks, pretrained=start, train="head", subject_layer="linear", **COMMON)
    encoder.fit(X, y, subject=["a", "b"] * (N // 2))
    state = encoder.net_.module_.state_dict()
    moved = {name for name in start if not torch.equal(state[f"net.{name}"], start[name])}
    assert moved == HEAD
    assert state["subject.known"].abs().sum() > 0
    encoder.calibrate(X[:20], y[:20], subject="c", max_epochs=2)
    assert encoder.subjects_.tolist() == ["a", "b", "c"]
    after = encoder.net_.module_.state_dict()
    assert all(torch.equal(after[f"net.{name}"], state[f"net.{name}"]) for name in start)


@pytest.mark.slow
@pytest.mark.parametrize("train", WAYS[1:])
def test_a_layer_of_channels_stands_before_what_arrives(data, train):
    info = mne.create_info(["O1", "O2"], 100.0, "eeg").set_montage("standard_1020")
    X, y = EpochsView.from_arrays(data[0], info=info), data[1]
    first = EEGEncoder(Blocks, montage="positions", **{**COMMON, "max_epochs": 1}).fit(X, y)
    state = {name: value.clone() for name, value in first.net_.module_.state_dict().items()}
    encoder = EEGEncoder(Blocks, montage="positions", pretrained=state, train=train, **COMMON).fit(X, y)
    assert encoder.pretrained_["added"] == ""
    linear = {f"net.{name}" for name in LINEAR} if train == "lora" else set()
    moved = {name for name in changed(encoder, state) if not name.startswith("channel_layer.")}
    assert moved == {f"net.{name}" for name in HEAD} | linear
    assert train == "lora" or not any(name.startswith("channel_layer.") for name in changed(encoder, state))
    bare = {name.removeprefix("net."): value for name, value in state.items() if name.startswith("net.")}
    encoder = EEGEncoder(Blocks, montage="positions", pretrained=bare, **COMMON).fit(X, y)
    assert encoder.pretrained_["added"] == "net."


@needs_peft
@pytest.mark.parametrize("rank", [1, 3])
def test_lora_adds_updates_of_that_rank_to_linear_layers(start, data, rank):
    encoder = fitted(start, data, train="lora", lora_rank=rank)
    assert changed(encoder, start) == HEAD | LINEAR
    state = encoder.net_.module_.state_dict()
    for name in LINEAR:
        size = np.linalg.svd((state[name] - start[name]).double().numpy(), compute_uv=False)
        assert size[rank - 1] > 1e-4
        assert size[rank] < 1e-5 * size[0] + 1e-6
    assert type(encoder.net_.module_.embed) is torch.nn.Linear


class _Shown(Callback):
    """What the network gives while the updates still stand beside the weights."""

    def __init__(self, X):
        self.X = X

    def on_train_end(self, net, **kwargs):
        net.module_.eval()
        with torch.no_grad():
            self.z = net.module_(torch.from_numpy(self.X)).numpy()


@needs_peft
@pytest.mark.parametrize("net", [Blocks, TorchTransformer])
def test_updates_act_in_validation_as_they_do_when_they_are_added(net, data):
    torch.manual_seed(1)
    state, shown = net(N_DIMS, N_CHANS, N_TIMES).state_dict(), _Shown(data[0])
    encoder = fitted(state, data, net=net, train="lora", callbacks=[shown], lr=0.05)
    moved = {name for name in changed(encoder, state) if "final_layer" not in name}
    assert moved == (LINEAR if net is Blocks else {"layer.linear1.weight", "layer.linear2.weight"})
    np.testing.assert_allclose(encoder.transform(data[0]), shown.z, rtol=1e-4, atol=1e-5)
    without = fitted(state, data, net=net, train="head", lr=1e-12).transform(data[0])
    assert np.abs(without - shown.z).max() > 0.01


@needs_peft
def test_the_weights_of_a_pass_are_kept_as_the_network_has_them(start, data, tmp_path):
    keep = KeepPasses(tmp_path)
    encoder = fitted(start, data, train="lora", callbacks=[keep], validation=0)
    *_, last = keep.passes()
    kept = torch.load(last, weights_only=True)["module_"]
    state = encoder.net_.module_.state_dict()
    assert list(kept) == list(state)
    for name, value in state.items():
        torch.testing.assert_close(kept[name], value)
    none = KeepPasses(tmp_path)
    fitted(start, data, train="probe", callbacks=[none])
    assert none.passes() == []


def test_lora_needs_linear_layers_and_peft(start, data, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "peft", None)
        with pytest.raises(ImportError, match=r"train='lora' needs peft .*pip install 'skeegclip\[peft\]'"):
            fitted(start, data, train="lora")
    pytest.importorskip("peft")
    weights = EEGEncoder("eegproject", **COMMON).fit(*data).net_.module_.state_dict()
    with pytest.raises(ValueError, match="train='lora': EEGProject has no linear layer before its head"):
        fitted(weights, data, net="eegproject", train="lora")


def test_a_probe_is_ridge_regression_on_fixed_features(start, data):
    X, y = data
    encoder = fitted(start, data, train="probe", loss_weight=0)
    assert changed(encoder, start) == HEAD
    net = Blocks(N_DIMS, N_CHANS, N_TIMES)
    net.load_state_dict(start)
    net.eval()
    with torch.no_grad():
        F = net.features(torch.from_numpy(X / encoder.fitted_.spec.input_spread)).double().numpy()
    # scikit-learn's, at the penalty of its grid that was chosen.
    scale = F.std(axis=0)
    Z = (F - F.mean(0)) / scale
    best = min(
        np.abs(Ridge(alpha).fit(Z, y).predict(Z) - encoder.transform(X)).max()
        for alpha in np.logspace(-4, 3, 15) * np.mean(np.sum(Z**2, axis=1))
    )
    assert best < 1e-3 * np.abs(y).max()
    assert encoder.history_ == []
    assert encoder.selection_ == {"rule": "ridge", "epoch": 0, "n_stimuli_held_out": 0}


def test_a_probe_finds_a_planted_map(start, rng):
    X = rng.normal(size=(400, N_CHANS, N_TIMES)).astype(np.float32)
    net = Blocks(N_DIMS, N_CHANS, N_TIMES)
    net.load_state_dict(start)
    net.eval()
    with torch.no_grad():
        y = net.features(torch.from_numpy(X)).numpy() @ rng.normal(size=(12, N_DIMS)).astype(np.float32)
    y -= y.mean(axis=0)  # which directions have none of
    # Of unit spread, epochs are fed as they are.
    encoder = fitted(start, (X[:300], y[:300]), train="probe", loss_weight=0)
    error = np.mean((encoder.transform(X[300:]) - y[300:]) ** 2) / y.var()
    assert error < 0.02
    retrieved = fitted(start, (X[:300], y[:300]), train="probe").score(X[300:], y[300:])
    assert retrieved > 0.7


@pytest.mark.parametrize("train", WAYS)
@pytest.mark.parametrize("net", [None, "nice"])
def test_a_saved_encoder_holds_all_it_needs_once(start, data, tmp_path, train, net):
    if net == "nice":
        if train == "lora":
            pytest.skip("it has no linear layer")
        X, y = np.repeat(data[0], 8, axis=2), data[1]
        start = EEGEncoder(net, **{**COMMON, "max_epochs": 1}).fit(X, y).net_.module_.state_dict()
    else:
        X, y = data
    path = tmp_path / "weights.pt"
    torch.save(start, path)
    encoder = fitted(path, (X, y), net=net or Blocks, train=train)
    encoder.save(tmp_path / "saved")
    path.unlink()
    given = {} if net else {"net": Blocks}
    back = load(tmp_path / "saved", device="cpu", **given)
    np.testing.assert_array_equal(back.transform(X), encoder.transform(X))
    assert back.pretrained_ == encoder.pretrained_
    assert (back.train, back.pretrained) == (train, str(path))
    copied = clone(encoder)
    assert (copied.train, copied.pretrained) == (train, path)


def test_weights_in_memory_are_neither_copied_by_clones_nor_saved_twice(start, data, tmp_path):
    encoder = fitted(start, data, train="head")
    assert clone(encoder).pretrained is start
    encoder.save(tmp_path / "saved")
    n_bytes = sum(value.numel() * value.element_size() for value in start.values())
    stored = sum(path.stat().st_size for path in (tmp_path / "saved").rglob("*.safetensors"))
    assert stored < 1.5 * n_bytes + 5000
    back = load(tmp_path / "saved", net=Blocks)
    assert np.array_equal(back.transform(data[0]), encoder.transform(data[0]))
    # To fit it anew from nothing would be another experiment, in silence.
    for again in (back, clone(back)):
        with pytest.raises(ValueError, match=r"does not hold what its training started from \(state dict\)"):
            again.fit(*data)
    back.save(tmp_path / "again")
    assert load(tmp_path / "again", net=Blocks).pretrained == back.pretrained
    assert load(tmp_path / "saved", net=Blocks, pretrained=start).pretrained is start


def test_ways_and_decays_can_be_searched(start, data):
    grid = [{"train": ["all"], "layer_decay": [1.0, 0.5]}, {"train": ["head", "probe"]}]
    search = GridSearchCV(
        EEGEncoder(Blocks, pretrained=start, loss_weight=0, **COMMON), grid, cv=KFold(3), error_score="raise"
    ).fit(*data)
    scores = search.cv_results_["mean_test_score"]
    assert len(scores) == 4
    assert np.isfinite(scores).all()
    # Ridge regression is far ahead of three passes.
    assert search.best_params_ == {"train": "probe"}


class _Stop(Callback):
    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == 3:
            raise OSError("the machine went down")


@pytest.mark.parametrize("train", WAYS[:3])
def test_a_killed_run_goes_on(start, data, tmp_path, train):
    params = {"train": train, "lr_scheduler": "warmup-cosine", "max_epochs": 4, "validation": 0.2}
    if train != "head":
        params["layer_decay"] = 0.5
    whole = fitted(start, data, **params)
    with pytest.raises(OSError, match="went down"):
        fitted(start, data, checkpoint_dir=tmp_path, callbacks=[_Stop()], **params)
    assert len(list(tmp_path.iterdir())) == 1
    # Of other weights it is another run.
    other = {**start, "token": start["token"] + 1}
    fitted(other, data, checkpoint_dir=tmp_path, **params)
    assert len(list(tmp_path.iterdir())) == 1
    resumed = fitted(start, data, checkpoint_dir=tmp_path, **params)
    assert [row["train_loss"] for row in resumed.history_] == [row["train_loss"] for row in whole.history_]
    for name, value in whole.net_.module_.state_dict().items():
        assert torch.equal(resumed.net_.module_.state_dict()[name], value), name


@pytest.mark.slow
@pytest.mark.parametrize("train", WAYS[1:])
def test_onnx(start, data, tmp_path, train):
    onnxruntime = pytest.importorskip("onnxruntime")
    encoder = fitted(start, data, train=train)
    encoder.export(tmp_path / "net.onnx")
    (z,) = onnxruntime.InferenceSession(tmp_path / "net.onnx").run(None, {"epochs": data[0]})
    np.testing.assert_allclose(z, encoder.transform(data[0]), rtol=1e-4, atol=1e-5)


def test_parameters_that_cannot_act_are_told(start, data):
    for params, match in [
        ({"lora_rank": 4}, "lora_rank=4 cannot act: train is 'all'"),
        ({"train": "head", "layer_decay": 0.5}, "layer_decay=0.5 cannot act: train is 'head'"),
        ({"train": "probe", "head_lr": 0.5}, "head_lr=0.5 cannot act"),
    ]:
        with pytest.warns(UserWarning, match=match):
            fitted(start, data, **params)


def test_a_body_that_stays_random_is_told(data):
    with pytest.warns(UserWarning, match="train='head' leaves all before the head as it starts: random"):
        fitted(None, data, train="head")


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"train": "tail"}, "train must be one of 'all', 'head', 'lora', 'probe'"),
        ({"train": "probe", "projector": 4}, "projector=4 is learned by steps, and train='probe' takes none"),
        ({"layer_decay": 0}, r"layer_decay must lie in \(0, 1\]"),
        ({"head_lr": -1}, "head_lr must lie in"),
        ({"lora_rank": 0}, "lora_rank must lie in"),
    ],
)
def test_parameters_are_checked(data, params, match):
    with pytest.raises(ValueError, match=match):
        EEGEncoder(Blocks, **{**COMMON, **params}).fit(*data)


def test_a_probe_says_which_networks_it_does_not_fit(rng):
    X, y = rng.normal(size=(20, 4, 250)).astype(np.float32), rng.normal(size=(20, 5)).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match=r"train='probe' does not fit ATCNet: .* Use train='head'"):
            EEGEncoder("ATCNet", train="probe", **COMMON).fit(X, y)


def test_a_probe_of_the_default_network_is_one_of_atm_s(rng):
    X = rng.normal(size=(40, 3, 80)).astype(np.float32)
    y = rng.normal(size=(40, 4)).astype(np.float32)
    start = EEGEncoder(**{**COMMON, "max_epochs": 1}).fit(X, y).net_.module_
    encoder = EEGEncoder(pretrained=start.state_dict(), train="probe", **COMMON).fit(X, y)
    net = encoder.net_.module_
    assert net.linear is None
    assert net.head.in_features == start.head.inputs.in_features
    x = torch.from_numpy(X / encoder.fitted_.spec.input_spread)
    with torch.no_grad():
        F = start.eval().tsconv(start._attend(x, None)).flatten(1)
        np.testing.assert_allclose(encoder.transform(X), net.head(F), rtol=1e-4, atol=1e-5)
