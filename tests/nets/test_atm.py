"""ATM's own parts: subject tokens and positions."""

from __future__ import annotations

import pytest
import torch

from skeegclip.nets import ATM
from skeegclip.nets.subject_token import SubjectToken


def _atm(**params):
    torch.manual_seed(0)
    return ATM(8, 3, 80, n_subjects=3, **params)


def test_every_channel_reaches_the_output():
    x = torch.randn(4, 3, 80)
    for keep, last_counts_directly in ((False, True), (True, False)):
        net = _atm(keep_subject_token=keep).eval()
        with torch.no_grad():  # without attention, a channel counts only through its own token
            net.layers[0].attention.out.weight.zero_()
        changed = x.clone()
        changed[:, -1] += 1 + torch.randn(80)
        differs = (net(x) - net(changed)).abs().max() > 1e-4
        assert differs == last_counts_directly


def test_tokens_are_taken_row_by_row():
    net = _atm().eval()
    x = torch.randn(1, 3, 80).expand(4, 3, 80)
    z = net(x, torch.tensor([0, 2, -1, 0]))
    torch.testing.assert_close(z[0], z[3])
    assert torch.pdist(z[:3]).min() > 1e-4
    # An unknown subject in the batch changes nothing for the others, and None means that all are unknown.
    torch.testing.assert_close(net(x, torch.tensor([0, 2, 1, 0]))[:2], z[:2])
    torch.testing.assert_close(net(x)[0], z[2])


@pytest.mark.parametrize("unknown", ["shared", "mean"])
def test_token_of_an_unknown_subject(unknown):
    token = SubjectToken(3, 5, 0.0, unknown)
    expected = token.known.mean(0) if unknown == "mean" else token.shared[0]
    torch.testing.assert_close(token(torch.tensor([-1, 1]), 2), torch.stack([expected, token.known[1]]))
    torch.testing.assert_close(token(None, 2), expected.expand(2, -1))


def test_mean_of_no_known_subject_is_the_shared_token():
    token = SubjectToken(0, 5, 0.0, "mean")
    torch.testing.assert_close(token(torch.tensor([-1]), 1), token.shared)


def test_token_dropout_trains_the_shared_token_at_its_rate():
    torch.manual_seed(0)
    token = SubjectToken(2, 5, 0.25, "mean")
    subject = torch.arange(4000) % 2
    used_shared = (token(subject, 4000) == token.shared).all(1)
    assert used_shared.float().mean().item() == pytest.approx(0.25, abs=0.03)
    token(subject, 4000).sum().backward()
    assert token.shared.grad.abs().min() > 0
    token.eval()
    assert torch.equal(token(subject, 4000), token.known[subject])


@pytest.mark.parametrize(
    ("subject", "match"),
    [
        (torch.tensor([0, 3]), r"subject holds 3, but the network knows n_subjects=3: 0 to 2"),
        (torch.tensor([0]), r"subject must be integers of shape \(2,\).*got shape \(1,\)"),
        (torch.tensor([0.0, 1.0]), r"subject must be integers.*torch.float32"),
    ],
)
def test_bad_subjects(subject, match):
    with pytest.raises(ValueError, match=match):
        _atm()(torch.zeros(2, 3, 80), subject)


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"unknown_subject": "median"}, "unknown_subject must be 'shared' or 'mean', got 'median'"),
        ({"positional_encoding": "rotary"}, "positional_encoding must be .* got 'rotary'"),
        ({"subject_dropout": 1.5}, r"subject_dropout must be in \[0, 1\], got 1.5"),
        ({"n_subjects": -1}, "n_subjects must be a whole number of at least 0, got -1"),
        ({"depth": 0}, "depth must be a whole number of at least 1, got 0"),
        ({"dropout": 2.0}, "dropout probability"),
    ],
)
def test_bad_parameters(params, match):
    with pytest.raises(ValueError, match=match):
        ATM(8, 3, 80, **params)


@pytest.mark.parametrize("kind", ["sinusoidal", "learnable", "none"])
def test_positions_tell_channels_apart(kind):
    torch.manual_seed(0)
    net = ATM(8, 3, 81, positional_encoding=kind).eval()  # an odd width has one sine more than cosines
    seen = []
    net.layers[0].register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    net(torch.randn(1, 1, 81).expand(2, 3, 81))
    channels = seen[0][0, 1:]
    assert (torch.pdist(channels).min() > 0.1) == (kind == "sinusoidal")
    assert ("positions" in dict(net.named_parameters())) == (kind == "learnable")
    if kind == "sinusoidal":
        position, column = 2.0, 6
        angle = torch.tensor(position / 10000 ** (column / 81))
        torch.testing.assert_close(net.positions[2, [6, 7]], torch.stack([angle.sin(), angle.cos()]))


def test_depth_and_heads():
    net = ATM(8, 3, 80, depth=3, n_heads=500)
    assert len(net.layers) == 3
    assert net.layers[0].attention.n_heads == 80
    assert net(torch.zeros(2, 3, 80)).shape == (2, 8)
