"""What every network has in common: shapes, sizes, errors, purity, copies."""

from __future__ import annotations

import copy
import inspect
import pickle
import warnings

import pytest
import torch

from skeegclip.nets import ATM, MLP, NICE, EEGProject

NETS = [ATM, NICE, MLP, EEGProject]
SMALL = {MLP: {"n_hidden_times": 32, "n_hidden_chans": 8, "n_hidden_blocks": 0, "dropout": 0.1}}
every_net = pytest.mark.parametrize("cls", NETS)


def _build(cls, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Epochs of n_times", UserWarning)
        return cls(*args, **kwargs)


@every_net
@pytest.mark.parametrize(
    ("n_chans", "n_times", "n_outputs"),
    [(63, 250, 1024), (271, 201, 8), (1, 1, 1), (3, 1, 4), (1, 80, 2), (2, 9, 3)],
)
def test_shapes(cls, n_chans, n_times, n_outputs):
    net = _build(cls, n_outputs, n_chans, n_times)
    z = net(torch.randn(4, n_chans, n_times))
    assert z.shape == (4, n_outputs)
    assert z.dtype == torch.float32
    z.sum().backward()
    assert all(p.grad is not None for p in net.parameters() if p.numel())


@every_net
def test_signature_is_braindecodes(cls):
    parameters = inspect.signature(cls).parameters
    assert list(parameters)[:5] == ["n_outputs", "n_chans", "n_times", "sfreq", "chs_info"]
    assert all(p.default is None for p in list(parameters.values())[:5])
    assert all(p.kind is p.KEYWORD_ONLY for p in list(parameters.values())[5:])


@every_net
def test_number_of_channels_comes_from_chs_info(cls):
    chs_info = [{"ch_name": "O1"}, {"ch_name": "O2"}]
    assert cls(n_outputs=3, n_times=80, chs_info=chs_info)(torch.zeros(2, 2, 80)).shape == (2, 3)
    with pytest.raises(ValueError, match="n_chans=3, but chs_info lists 2"):
        cls(n_outputs=3, n_chans=3, n_times=80, chs_info=chs_info)


@every_net
def test_missing_sizes_are_named(cls):
    with pytest.raises(ValueError, match=r"needs n_outputs, n_times; got None"):
        cls(n_chans=3)
    with pytest.raises(
        ValueError, match=r"n_chans \(n_chans may also come from chs_info\)|may also come from chs_info"
    ):
        cls(n_outputs=3, n_times=80)
    with pytest.raises(ValueError, match="n_times must be a whole number of at least 1, got 0"):
        cls(3, 3, 0)
    with pytest.raises(ValueError, match="n_outputs must be a whole number of at least 1, got 2.5"):
        cls(2.5, 3, 80)


@pytest.mark.parametrize("cls", [ATM, NICE])
def test_short_epochs_shrink_kernels_with_one_warning(cls):
    with pytest.warns(UserWarning, match="too short") as record:
        net = cls(4, 3, 30)
    assert len(record) == 1
    message = str(record[0].message)
    assert "n_times=30" in message
    assert "kernel_length 25 -> 10" in message
    assert "pool_length 51 -> 21" in message
    assert record[0].filename == __file__
    assert net.tsconv.temporal.weight.shape[-1] == 10


@pytest.mark.parametrize("cls", [ATM, NICE])
def test_long_enough_epochs_do_not_warn(cls):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net = cls(4, 3, 75)
    assert net.tsconv.n_outputs == 40


@every_net
@pytest.mark.parametrize("n_times", [1, 2])
def test_embeddings_of_very_short_epochs_depend_on_the_input(cls, n_times):
    # Layer normalisation over one value would make the network a constant.
    torch.manual_seed(0)
    net = _build(cls, 4, 3, n_times).eval()
    z = net(torch.randn(3, 3, n_times))
    assert torch.pdist(z).min() > 1e-3


@every_net
def test_one_dimension_of_output_is_no_constant(cls):
    torch.manual_seed(0)
    params = {"unit_norm": False} if cls is MLP else {}
    net = cls(1, 3, 80, **params).eval()
    assert net(torch.randn(20, 3, 80)).std() > 1e-3


@every_net
def test_evaluation_is_a_pure_function_of_the_state(cls):
    net = cls(6, 3, 80)
    x = torch.randn(5, 3, 80)
    net(x)  # one step of training mode, so that running statistics are no defaults
    net.eval()
    before = copy.deepcopy(net.state_dict())
    z = net(x)
    assert torch.equal(z, net(x))
    torch.testing.assert_close(z[2:3], net(x[2:3]), atol=1e-5, rtol=1e-4)
    for key, value in net.state_dict().items():
        assert torch.equal(value, before[key])


@every_net
def test_copies_and_pickles_are_equal(cls):
    net = cls(6, 3, 80).eval()
    x = torch.randn(5, 3, 80)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(twin(x), net(x))
    fresh = cls(6, 3, 80).eval()
    fresh.load_state_dict(net.state_dict())
    assert torch.equal(fresh(x), net(x))


@every_net
def test_training_is_reproducible_from_torchs_generator(cls):
    def train():
        torch.manual_seed(7)
        net = cls(6, 3, 80, **SMALL.get(cls, {}))
        optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
        for _ in range(3):
            optimizer.zero_grad()
            net(x).square().mean().backward()
            optimizer.step()
        return net.eval()(x)

    x = torch.randn(8, 3, 80)
    assert torch.equal(train(), train())


@every_net
def test_learns_which_channel_carries_a_bump(cls):
    torch.manual_seed(0)
    x = torch.randn(64, 4, 80)
    y = torch.arange(64) % 4
    x[torch.arange(64), y, 20:60] += 2
    targets = torch.nn.functional.normalize(torch.randn(4, 16), dim=1)
    net = cls(16, 4, 80, **SMALL.get(cls, {}))
    optimizer = torch.optim.AdamW(net.parameters(), lr=5e-3)
    for _ in range(40):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(5 * net(x) @ targets.T, y).backward()
        optimizer.step()
    assert ((net.eval()(x) @ targets.T).argmax(1) == y).float().mean() > 0.9


@pytest.mark.parametrize("cls", [ATM, NICE])
def test_bad_counts_are_named(cls):
    with pytest.raises(ValueError, match="pool_stride must be a whole number of at least 1, got 0"):
        cls(3, 3, 80, pool_stride=0)


def test_mlp_has_unit_length_unless_told_otherwise():
    x = torch.randn(5, 3, 80)
    torch.testing.assert_close(MLP(6, 3, 80).eval()(x).norm(dim=1), torch.ones(5))
    assert (MLP(6, 3, 80, unit_norm=False).eval()(x).norm(dim=1) - 1).abs().max() > 1e-2


def test_eeg_project_is_its_equation():
    net = EEGProject(6, 3, 80).eval()
    x = torch.randn(5, 3, 80)
    first, second, norm = net.head.inputs, net.head.residual[1], net.head.norm
    h = x.reshape(5, -1) @ first.weight.T + first.bias
    gelu = 0.5 * h * (1 + torch.erf(h / 2**0.5))
    h = h + gelu @ second.weight.T + second.bias
    h = (h - h.mean(1, keepdim=True)) / (h.var(1, correction=0, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(net(x), h * norm.weight + norm.bias, atol=1e-5, rtol=1e-5)
