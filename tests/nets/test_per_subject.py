"""What is learned of each subject: tokens, and linear maps of the channels."""

from __future__ import annotations

import pytest
import torch

from skeegclip.nets import NICE
from skeegclip.nets.build import build_net
from skeegclip.nets.per_subject import SubjectLinear, SubjectToken


def _layer(n_subjects=3, **params):
    torch.manual_seed(0)
    layer = SubjectLinear(n_subjects, 4, **params)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    return layer


def test_every_row_gets_the_map_of_its_subject():
    layer = _layer().eval()
    x = torch.randn(5, 4, 9)
    y = layer(x, torch.tensor([2, 0, -1, 2, 1]))
    for row, own in enumerate(
        [layer.known[2], layer.known[0], layer.shared[0], layer.known[2], layer.known[1]]
    ):
        torch.testing.assert_close(y[row], x[row] + own @ x[row])
    # Others in the batch change nothing, and None means that all are unknown.
    torch.testing.assert_close(layer(x[:2], torch.tensor([2, 0])), y[:2])
    torch.testing.assert_close(layer(x)[2], y[2])


def test_it_starts_as_the_identity():
    x = torch.randn(3, 4, 9)
    assert torch.equal(SubjectLinear(2, 4)(x, torch.tensor([0, 1, -1])), x)
    assert torch.equal(SubjectLinear(0, 4)(x), x)


@pytest.mark.parametrize("unknown", ["shared", "mean"])
def test_map_of_an_unknown_subject(unknown):
    layer = _layer(unknown=unknown).eval()
    x = torch.randn(2, 4, 9)
    own = layer.known.mean(0) if unknown == "mean" else layer.shared[0]
    for subject in (torch.tensor([-1, -1]), None):
        torch.testing.assert_close(layer(x, subject), x + own @ x)


def test_gradients_reach_the_subjects_in_the_batch_only():
    layer = _layer(dropout=0.0)
    layer(torch.randn(3, 4, 9), torch.tensor([2, 2, -1])).square().sum().backward()
    assert layer.known.grad.abs().amax((1, 2)).gt(0).tolist() == [False, False, True]
    assert layer.shared.grad.abs().max() > 0


def test_dropout_trains_the_shared_map_at_its_rate():
    layer = _layer(dropout=0.25)
    x = torch.ones(4000, 4, 1)
    y = layer(x, torch.arange(4000) % 3)
    shared = (y - (x + layer.shared @ x)).abs().amax((1, 2)) < 1e-5
    assert shared.float().mean().item() == pytest.approx(0.25, abs=0.03)


def test_a_network_behind_it_sees_the_mapped_channels():
    sizes = {"n_outputs": 8, "n_chans": 4, "n_times": 80}
    layer = {"n_subjects": 2, "n_chans": 4}
    net = build_net(NICE, {**sizes, "subject_linear": layer}).eval()
    torch.nn.init.normal_(net.subject.known)
    x, subject = torch.randn(3, 4, 80), torch.tensor([0, 1, -1])
    torch.testing.assert_close(net(x, subject), net.net(net.subject(x, subject)))
    torch.testing.assert_close(net(x, subject)[2:], net.net(x[2:]), atol=1e-5, rtol=1e-4)
    assert (net(x, subject) - net(x)).abs().amax(1)[:2].min() > 1e-3


@pytest.mark.parametrize("cls", [SubjectToken, SubjectLinear])
@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"n_subjects": -1}, "n_subjects must be a whole number of at least 0, got -1"),
        ({"dropout": 1.5}, r"subject_dropout must be in \[0, 1\], got 1.5"),
        ({"unknown": "median"}, "unknown_subject must be 'shared' or 'mean', got 'median'"),
    ],
)
def test_bad_parameters(cls, params, match):
    width = {"d_model" if cls is SubjectToken else "n_chans": 4}
    with pytest.raises(ValueError, match=match):
        cls(**{"n_subjects": 2, "dropout": 0.1, "unknown": "shared", **width, **params})


def test_bad_subjects():
    with pytest.raises(ValueError, match=r"subject must be integers of shape \(2,\)"):
        _layer()(torch.zeros(2, 4, 9), torch.tensor([0]))
    with pytest.raises(ValueError, match="subject holds 3, but the network knows n_subjects=3"):
        _layer()(torch.zeros(2, 4, 9), torch.tensor([0, 3]))
