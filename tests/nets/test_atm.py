"""ATM's own parts: subject tokens, positions, and what can be left out or exchanged."""

from __future__ import annotations

import functools

import pytest
import torch

from skeegclip.nets import ATM, NICE, EEGProject
from skeegclip.nets.names import ReferenceATMS
from skeegclip.nets.per_subject import SubjectToken
from skeegclip.nets.transformer import EncoderLayer


def _atm(**params):
    torch.manual_seed(0)
    return ATM(8, 3, 80, n_subjects=3, **params)


def test_every_channel_reaches_the_output():
    x = torch.randn(4, 3, 80)
    for cls, last_counts_directly in ((ATM, True), (ReferenceATMS, False)):
        net = cls(8, 3, 80, n_subjects=3).eval()
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
        ({"token_embedding": "conv"}, "token_embedding must be one of 'linear', 'conv1d', got 'conv'"),
        ({"feed_forward": "both"}, "feed_forward must be one of 'temporal', 'spatial', 'none', got 'both'"),
        ({"aggregation": "sum"}, "aggregation must be one of 'keep', 'mean', 'flatten', got 'sum'"),
        (
            {"aggregation": "mean"},
            "aggregation='mean' leaves one vector.* Set conv_position='none' or 'before'",
        ),
        ({"conv_position": "first"}, "conv_position must be one of .* got 'first'"),
        ({"conv": "deep"}, "conv must be one of 'shallow', 'eegnet', got 'deep'"),
        ({"width": 0}, "width must be a whole number of at least 1, got 0"),
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


# -- the ablations -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "params",
    [
        {"token_embedding": "conv1d"},
        {"positional_encoding": "learnable"},
        {"positional_encoding": "none"},
        {"feed_forward": "spatial"},
        {"feed_forward": "none"},
        {"aggregation": "mean", "conv_position": "none"},
        {"aggregation": "flatten", "conv_position": "none"},
        {"aggregation": "mean", "conv_position": "before"},
        {"conv_position": "before"},
        {"conv_position": "both"},
        {"conv": "eegnet"},
        {"conv": "eegnet", "conv_position": "before"},
        {"conv": "eegnet", "conv_position": "both"},
        {"width": 76, "depth": 2, "n_heads": 3},
        {"attention": False},
        {"attention": False, "conv_position": "none"},
    ],
    ids=lambda params: "-".join(map(str, params.values())),
)
def test_every_variant_trains_and_is_a_network_of_its_own(params):
    torch.manual_seed(0)
    x = torch.randn(6, 3, 80)
    net = ATM(8, 3, 80, n_subjects=2, **params)
    subject = torch.tensor([0, 1, -1, 0, 1, -1])
    z = net(x, subject)
    assert z.shape == (6, 8)
    z.square().mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters())
    plain = ATM(8, 3, 80, n_subjects=2)
    assert {k: v.shape for k, v in net.state_dict().items()} != {
        k: v.shape for k, v in plain.state_dict().items()
    } or params == {"positional_encoding": "none"}


def _same_function(ours, other, keys=lambda key: key):
    """Give both the same weights, and compare in training and evaluation."""
    ours.load_state_dict({keys(key): value for key, value in other.state_dict().items()})
    x = torch.randn(6, 3, 80)
    for training in (True, False):
        ours.train(training)
        other.train(training)
        torch.testing.assert_close(ours(x), other(x))


def test_without_attention_it_is_nice():
    off = {"conv_dropout": 0.0, "head_dropout": 0.0}
    _same_function(ATM(8, 3, 80, attention=False, **off), NICE(8, 3, 80, **off))


def test_without_attention_and_convolution_it_is_a_projection_of_the_epoch():
    ours = ATM(8, 3, 80, attention=False, conv_position="none", head_dropout=0.0)
    _same_function(ours, EEGProject(8, 3, 80, dropout=0.0))


def test_conv1d_embedding_is_the_linear_one_with_neighbours():
    net, linear = ATM(8, 3, 80, token_embedding="conv1d"), ATM(8, 3, 80)
    kernel = net.embedding.conv.weight
    with torch.no_grad():
        kernel[:, :, [0, 2]] = 0
        linear.embedding.weight.copy_(kernel[:, :, 1])
        linear.embedding.bias.copy_(net.embedding.conv.bias)
    x = torch.randn(2, 3, 80)
    torch.testing.assert_close(net.embedding(x), linear.embedding(x))
    with torch.no_grad():
        kernel[:, :, 0] = 1
    # The token of a channel gains what the channel before it holds; the first channel has none before it.
    gained = net.embedding(x) - linear.embedding(x)
    torch.testing.assert_close(gained[:, 1:, 0], x[:, :-1].sum(-1), atol=1e-4, rtol=1e-4)
    assert gained[:, 0].abs().max() < 1e-4


@pytest.mark.parametrize("kind", ["temporal", "spatial", "none"])
def test_feed_forward_mixes_what_it_says(kind):
    torch.manual_seed(0)
    layer = EncoderLayer(6, n_heads=2, d_ff=5, dropout=0.0, feed_forward=kind, n_tokens=4).eval()
    with torch.no_grad():  # nothing but the feed-forward part
        layer.attention.out.weight.zero_()
        layer.attention.out.bias.zero_()
    x = torch.randn(1, 4, 6)
    changed = x.clone()
    changed[0, 2] = torch.randn(6)
    moved = (layer(changed) - layer(x)).abs().amax(-1)[0] > 1e-6
    assert moved.tolist() == ([True] * 4 if kind == "spatial" else [False, False, True, False])
    if kind == "none":
        torch.testing.assert_close(layer(x), layer.attention_norm(x))


def test_mean_of_the_tokens_is_what_is_projected():
    net = ATM(8, 3, 80, aggregation="mean", conv_position="none").eval()
    seen = []
    net.norm.register_forward_hook(lambda module, args, out: seen.append(out))
    z = net(torch.randn(2, 3, 80))
    assert seen[0].shape == (2, 3, 80)
    torch.testing.assert_close(z, net.head(seen[0].mean(1)))


def test_a_convolution_before_attention_gives_it_filters_as_tokens():
    net = ATM(8, 3, 80, conv_position="before", n_filters=7, kernel_length=10, pool_length=11, pool_stride=2)
    seen = []
    net.embedding.register_forward_pre_hook(lambda module, args: seen.append(args[0].shape))
    net(torch.randn(2, 3, 80))
    n_windows = (80 - 10 - 11 + 1) // 2 + 1
    assert seen == [(2, 7, n_windows)]
    assert net.tsconv is None


class Smooth(torch.nn.Module):
    """A user's convolution."""

    def __init__(self, n_chans, n_times, flat=False):
        super().__init__()
        self.conv, self.flat = torch.nn.Conv1d(n_chans, 5, 3, stride=2), flat

    def forward(self, x):
        x = self.conv(x)
        return x.flatten(1) if self.flat else x


@pytest.mark.parametrize("position", ["after", "before", "both"])
def test_a_convolution_of_ones_own(position):
    net = ATM(8, 3, 80, conv=Smooth, conv_position=position)
    assert net(torch.randn(2, 3, 80)).shape == (2, 8)
    assert sum(isinstance(module, Smooth) for module in net.modules()) == 1 + (position == "both")
    flat = functools.partial(Smooth, flat=True)
    assert ATM(8, 3, 80, conv=flat)(torch.randn(2, 3, 80)).shape == (2, 8)
    if position != "after":
        with pytest.raises(ValueError, match=r"conv must map .* got output shape \(batch, 195\)"):
            ATM(8, 3, 80, conv=flat, conv_position=position)


def test_atm_e_has_the_published_convolution():
    with torch.device("meta"):
        net = ATM(1024, 63, 250, conv="eegnet")
    assert sum(p.numel() for p in net.tsconv.parameters()) == 1_653_168
    assert net.head.inputs.in_features == 1440


def test_lengths_that_do_not_fit_the_width_of_a_token():
    with pytest.warns(
        UserWarning, match="Tokens of width=30 are too short .* kernel_length 25 -> 10"
    ) as record:
        net = ATM(8, 3, 80, width=30)
    assert record[0].filename == __file__
    assert net.tsconv.temporal.weight.shape[-1] == 10
    with pytest.warns(
        UserWarning, match="Epochs of n_times=9 are too short .* pool2_kernel_size 8 -> 5, width"
    ):
        ATM(8, 3, 9, conv="eegnet")


def test_a_batch_in_parts_is_the_batch(monkeypatch):
    torch.manual_seed(0)
    net = ATM(
        8, 5, 100, n_subjects=2, subject_dropout=0.0, dropout=0.0, conv_dropout=0.0, head_dropout=0.0
    ).double()
    x, subject = torch.randn(7, 5, 100, dtype=torch.float64), torch.tensor([0, 1, -1, 0, 1, 1, -1])
    sizes, results = [], []
    net.layers[0].register_forward_pre_hook(lambda module, args: sizes.append(len(args[0])))
    for values in (2**22, 1):
        monkeypatch.setattr("skeegclip.nets.atm._PART", values)
        for given in (subject, None):
            z = net(x, given)
            z.square().mean().backward()
            results.append([z.detach(), *(p.grad for p in net.parameters() if p.grad is not None)])
            net.zero_grad()
    assert sizes == 2 * [7] + 2 * [4, 3]  # in fours, which sum as the whole batch does
    for given in (0, 1):
        torch.testing.assert_close(results[2 + given], results[given])
    assert not torch.equal(results[0][0], results[1][0])
