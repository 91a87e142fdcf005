"""EEGNet and EEGConformer with their convolutions in another order, against braindecode's own."""

import copy
import pickle
import warnings

import braindecode.models
import pytest
import torch

from skeegclip.nets import get_net
from skeegclip.nets.build import build_net

NETS = {"eegnet": "EEGNet", "eegconformer": "EEGConformer"}
SIZES = {"n_outputs": 12, "n_chans": 7, "n_times": 120}


def twins(name, **more):
    """The network as we build it and as braindecode does, with the same weights."""
    torch.manual_seed(0)
    params = {**get_net(name, SIZES["n_times"])[1], **SIZES, **more}
    if name == "eegconformer":
        params["att_drop_prob"] = 0.0
    cls = getattr(braindecode.models, NETS[name])
    ours = build_net(cls, params)
    with warnings.catch_warnings(action="ignore"):
        plain = cls(**params)
    assert isinstance(ours, cls)
    for part in (*ours.modules(), *plain.modules()):
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    with torch.no_grad():
        for key, value in ours.state_dict().items():
            if key.endswith(("bias", "running_mean")):
                value.uniform_(-0.5, 0.5)
            elif key.endswith("running_var"):
                value.uniform_(0.5, 1.5)
    plain.load_state_dict(ours.state_dict())
    return ours, plain


def smooth(n_epochs, dtype=torch.float32):
    x = torch.randn(n_epochs, 7, 120, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return (x.cumsum(-1) / 8 + 3).to(dtype)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-11)])
def test_same_function_gradients_and_statistics(name, training, dtype, tolerance):
    ours, plain = (net.to(dtype).train(training) for net in twins(name))
    inputs = [smooth(6, dtype).requires_grad_() for _ in range(2)]
    outputs = [net(x) for net, x in zip((ours, plain), inputs, strict=True)]
    torch.testing.assert_close(outputs[0], outputs[1], atol=tolerance, rtol=tolerance)
    weights = torch.randn(6, 12, generator=torch.Generator().manual_seed(2)).to(dtype)
    for z in outputs:
        (z * weights).sum().backward()
    gradients = {key: p.grad for key, p in ours.named_parameters()} | {"x": inputs[0].grad}
    expected = {key: p.grad for key, p in plain.named_parameters()} | {"x": inputs[1].grad}
    size = max(float(value.abs().max()) for value in expected.values())
    torch.testing.assert_close(gradients, expected, atol=tolerance * size, rtol=tolerance)
    torch.testing.assert_close(ours.state_dict(), plain.state_dict(), atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("name", NETS)
def test_it_is_the_faster_order_that_runs_unless_a_layer_was_exchanged_or_is_watched(name, monkeypatch):
    ours, plain = twins(name)
    time = ours.conv_temporal if name == "eegnet" else ours.patch_embedding.shallownet[0]
    called = []
    convolve = torch.nn.Conv2d._conv_forward
    with monkeypatch.context() as patch:
        patch.setattr(
            torch.nn.Conv2d, "_conv_forward", lambda *args: [called.append(args[0]), convolve(*args)][1]
        )
        ours(smooth(2))
        assert all(part is not time for part in called)
        n_ours = len(called)
        plain(smooth(2))
        assert len(called) == 2 * n_ours + 2
    expected = plain(smooth(4))
    seen = []
    handle = time.register_forward_hook(lambda module, args, output: seen.append(output.shape))
    torch.testing.assert_close(ours(smooth(4)), expected, atol=1e-4, rtol=1e-4)
    handle.remove()
    assert len(seen) == 1

    class Doubled(torch.nn.Conv2d):
        def forward(self, x):
            return 2 * super().forward(x)

    time.__class__ = Doubled
    assert not torch.allclose(ours.eval()(smooth(4)), plain.eval()(smooth(4)), atol=1e-3)


@pytest.mark.parametrize("name", NETS)
def test_copies_and_other_processes_compute_the_same(name):
    ours, _ = twins(name)
    expected = ours.eval()(smooth(3))
    copies = [copy.deepcopy(ours)]
    if name == "eegconformer":  # torch pickles no layer whose weights are held to a norm
        copies.append(pickle.loads(pickle.dumps(ours)))
    for again in copies:
        torch.testing.assert_close(again(smooth(3)), expected, atol=0, rtol=0)
        with torch.no_grad():
            next(again.parameters()).mul_(2)
        assert not torch.allclose(again(smooth(3)), expected)  # of its own weights
    torch.testing.assert_close(ours(smooth(3)), expected, atol=0, rtol=0)


def test_statistics_that_are_frozen_stay():
    ours, plain = twins("eegnet")
    for net in (ours, plain):
        net.bnorm_temporal.eval()
    torch.testing.assert_close(ours(smooth(6)), plain(smooth(6)), atol=1e-4, rtol=1e-4)
    assert ours.bnorm_temporal.num_batches_tracked == plain.bnorm_temporal.num_batches_tracked


@pytest.mark.parametrize("name", NETS)
def test_bfloat16_stays_near_float32(name):
    ours, _ = twins(name)
    exact = ours(smooth(8))
    with torch.autocast("cpu", torch.bfloat16):
        rough = ours(smooth(8)).float()
    assert torch.nn.functional.cosine_similarity(exact, rough).min() > 0.99


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (1, 2), (0, 2), (1, 3), (2, 4), (0, 0)])
def test_a_slice_of_it_computes_what_its_layers_do(start, stop):
    ours, plain = (net.eval().patch_embedding.shallownet for net in twins("eegconformer"))
    x = plain[:start](smooth(3)[:, None])
    torch.testing.assert_close(ours[start:stop](x), plain[start:stop](x), atol=1e-4, rtol=1e-4)


def test_gradients_have_gradients():
    found = []
    for net in twins("eegnet"):
        x = smooth(4, torch.float64).requires_grad_()
        loss = net.double()(x).square().sum()
        (slope,) = torch.autograd.grad(loss, x, create_graph=True)
        slope.square().sum().backward()  # as a penalty on the gradient does
        found.append(
            {"x": x.grad, **{key: p.grad for key, p in net.named_parameters() if p.grad is not None}}
        )
    assert found[0]["x"].abs().max() > 1e-6
    size = max(float(value.abs().max()) for value in found[1].values())
    torch.testing.assert_close(found[0], found[1], atol=1e-10 * size, rtol=1e-8)


def test_it_is_called_what_the_user_called_it():
    ours, plain = twins("eegnet")
    assert repr(ours) == repr(plain)
    assert type(ours).__name__ == "EEGNet"
