"""Our networks against the published figures and against their layer-by-layer form."""

from __future__ import annotations

import pytest
import torch

from skeegclip.nets import ATM, MLP, NICE, EEGProject
from skeegclip.nets.names import ReferenceATMS


def test_nice_gives_the_published_figures(fill_weights, hashed):
    net = NICE(1024, 63, 250).eval()
    fill_weights(net)
    z = net(hashed(2, 63, 250)).detach()
    expected = torch.tensor([0.058877, -0.033933, 0.031552, 0.299475, 0.650263])
    torch.testing.assert_close(z[0, :5], expected, atol=2e-6, rtol=0)
    assert z.double().sum().item() == pytest.approx(1425.42830, abs=1e-3)
    assert z.norm().item() == pytest.approx(46.90374, abs=1e-4)


def test_atm_gives_the_published_figures(fill_weights, hashed):
    # The published code dropped the last channel's token rather than the subject token.
    net = ReferenceATMS(1024, 63, 250, n_subjects=10).eval()
    fill_weights(net)
    z = net(hashed(2, 63, 250), torch.tensor([8, 8])).detach()
    expected = torch.tensor([0.059308, -0.030464, 0.020068, 0.277774, 0.628761])
    torch.testing.assert_close(z[0, :5], expected, atol=2e-6, rtol=0)
    assert z.double().sum().item() == pytest.approx(1425.43569, abs=1e-3)
    assert z.norm().item() == pytest.approx(46.90481, abs=1e-4)


def test_attention_block_gives_the_published_figures(fill_weights, hashed):
    net = ReferenceATMS(1024, 63, 250, n_subjects=10).eval()
    fill_weights(net)
    seen = []
    net.tsconv.register_forward_pre_hook(lambda module, args: seen.append(args[0].detach()))
    net(hashed(2, 63, 250), torch.tensor([1, 1]))
    expected = torch.tensor([0.000729, 0.018663, 0.042377, 0.314480, 0.300785])
    torch.testing.assert_close(seen[0][0, 0, :5], expected, atol=2e-6, rtol=0)
    assert seen[0].double().sum().item() == pytest.approx(23280.68395, abs=2e-3)
    assert seen[0].norm().item() == pytest.approx(215.21743, abs=1e-3)


def _twins(plain, name, shape=(63, 250)):
    """One of our networks without dropout and its layer-by-layer twin with the same weights."""
    torch.manual_seed(0)
    off = {"conv_dropout": 0.0, "head_dropout": 0.0}
    if name == "atm":
        ours, twin = (
            ATM(32, *shape, dropout=0.0, **off),
            plain.PlainATM(32, *shape, dropout=0.0, conv_dropout=0.0),
        )
    elif name == "eegproject":
        ours, twin = EEGProject(32, *shape, dropout=0.0), plain.PlainEEGProject(32, *shape, dropout=0.0)
    elif name == "mlp":
        ours, twin = MLP(32, *shape, dropout=0.0), plain.PlainMLP(32, *shape, dropout=0.0)
    else:
        ours, twin = NICE(32, *shape, **off), plain.PlainNICE(32, *shape, dropout=0.0)
    with torch.no_grad():  # running statistics and scales that matter in evaluation mode
        for key, value in ours.state_dict().items():
            if "norm" in key and value.ndim:
                value.uniform_(0.5, 1.5)
    twin.load_state_dict(plain.plain_state(ours.state_dict()))
    if name == "atm":  # float32 tables that differ in the last digit would hide differences in float64
        torch.testing.assert_close(twin.positions, ours.positions)
        twin.positions = ours.positions
    return ours, twin


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("name", ["atm", "nice", "eegproject", "mlp"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_same_function_as_layer_by_layer(plain, name, training, dtype, tolerance):
    ours, twin = (net.to(dtype).train(training) for net in _twins(plain, name))
    generator = torch.Generator().manual_seed(1)
    # Smooth, with an offset; nine epochs are several chunks of the filter bank, the last one smaller.
    x = torch.randn(9, 63, 250, dtype=dtype, generator=generator).cumsum(-1) / 8 + 3
    weights = torch.randn(9, 32, dtype=dtype, generator=generator) / 32
    inputs = [x.clone().requires_grad_(), x.clone().requires_grad_()]
    outputs = [ours(inputs[0]), twin(inputs[1])]
    torch.testing.assert_close(outputs[0], outputs[1], atol=tolerance, rtol=tolerance)
    for z in outputs:
        (z * weights).sum().backward()
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad, atol=tolerance, rtol=tolerance)
    gradients = plain.plain_state({key: p.grad for key, p in ours.named_parameters()})
    assert gradients.keys() == dict(twin.named_parameters()).keys()
    for key, p in twin.named_parameters():
        # Each a sum of thousands of terms of both signs, which round like the terms, not like the sum.
        torch.testing.assert_close(
            gradients[key],
            p.grad,
            atol=5 * tolerance,
            rtol=tolerance,
            msg=lambda m, key=key: f"{key}: {m}",
        )
    buffers = plain.plain_state(dict(ours.named_buffers()))
    for key, buffer in twin.named_buffers():
        torch.testing.assert_close(buffers[key], buffer, atol=tolerance, rtol=tolerance)


def test_path_of_other_devices_is_the_same_function(plain, monkeypatch):
    # Accelerators take the other branch; on the CPU it can be tested by saying that this is none.
    import skeegclip.nets.tsconv as tsconv

    monkeypatch.setattr(tsconv, "on_cpu", lambda x: False)
    for training in (True, False):
        ours, twin = (net.double().train(training) for net in _twins(plain, "nice", (5, 100)))
        x = torch.randn(6, 5, 100, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
        torch.testing.assert_close(ours(x), twin(x), atol=1e-12, rtol=1e-12)
        for key, buffer in twin.named_buffers():
            torch.testing.assert_close(dict(ours.named_buffers())[key], buffer, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("name", ["atm", "nice"])
def test_bfloat16_autocast_stays_near_float32(plain, name):
    ours, _ = _twins(plain, name)
    x = torch.randn(8, 63, 250, generator=torch.Generator().manual_seed(4))
    exact = ours(x)
    with torch.autocast("cpu", torch.bfloat16):
        rough = ours(x)
    rough.float().square().mean().backward()
    assert torch.nn.functional.cosine_similarity(exact, rough.float()).min() > 0.999
    assert all(torch.isfinite(p.grad).all() for p in ours.parameters())


@pytest.mark.parametrize("net", [ATM, NICE])
def test_no_epochs_give_no_embeddings(net):
    assert net(4, 3, 80).eval()(torch.zeros(0, 3, 80)).shape == (0, 4)
