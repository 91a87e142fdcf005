"""A run that is killed goes on from its last pass and ends as if nothing had happened."""

import hashlib
import os
import pickle
import re
import subprocess
import sys
import textwrap
import threading
from functools import partial

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from torch import nn

from skeegclip import EEGEncoder
from skeegclip._training.run_file import RunFileError, check_run, pack, unpack
from skeegclip._utils.persistence import HOST

COMMON = """
    import os, signal, sys
    import numpy as np, torch
    from skorch.callbacks import Callback
    from skeegclip import EEGEncoder
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 3, 40)).astype("float32")
    y = np.repeat(rng.standard_normal((30, 8)), 2, axis=0)

    class Kill(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 4:
                os.kill(os.getpid(), signal.SIGKILL)

    def make(folder, callbacks=None, max_epochs=7, **params):
        return EEGEncoder("nice", max_epochs=max_epochs, batch_size=16, validation=0.2, device="cpu",
                          lr_scheduler="cosine", patience=6, net_params=dict(kernel_length=5, pool_length=8),
                          random_state=0, checkpoint_dir=folder, callbacks=callbacks, **params)
"""


@pytest.fixture
def script(tmp_path):
    def run(code):
        program = textwrap.dedent(COMMON) + textwrap.dedent(code)
        return subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)

    return run


@pytest.mark.slow
def test_a_killed_run_ends_bit_equal_to_an_uninterrupted_one(script, tmp_path):
    killed = script("make('runs', [Kill()]).fit(X, y)")
    assert killed.returncode == -9, killed.stderr
    assert len(os.listdir(tmp_path / "runs")) == 1
    # Another run in the same folder does not collide with it, and leaves it alone.
    other = script("make('runs', temperature=0.2).fit(X, y); assert len(os.listdir('runs')) == 1")
    assert other.returncode == 0, other.stderr
    resumed = script("""
        seen = []
        class Count(Callback):
            def on_epoch_begin(self, net, **kwargs):
                seen.append(len(net.history))
        encoder = make('runs', [Count()]).fit(X, y)
        plain = make(None).fit(X, y)
        for name, value in plain.net_.module_.state_dict().items():
            assert torch.equal(value, encoder.net_.module_.state_dict()[name]), name
        for name, value in plain.net_.criterion_.state_dict().items():
            assert torch.equal(value, encoder.net_.criterion_.state_dict()[name]), name
        losses = [[row[k] for k in ('epoch', 'train_loss', 'valid_loss', 'chosen')] for row in plain.history_]
        assert losses == [[row[k] for k in ('epoch', 'train_loss', 'valid_loss', 'chosen')] for row in encoder.history_]
        assert os.listdir('runs') == []
        print(len(seen))
    """)
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout.split() == ["4"]


def test_an_error_in_a_run_keeps_its_checkpoint(tmp_path):
    class Fail(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 3:
                raise RuntimeError("stop")

    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20, 2, 30)), rng.standard_normal((20, 3))
    encoder = EEGEncoder(
        "eegproject", max_epochs=4, random_state=0, checkpoint_dir=tmp_path, callbacks=[Fail()]
    )
    with pytest.raises(RuntimeError, match="stop"):
        encoder.fit(X, y)
    (path,) = tmp_path.iterdir()
    assert len(unpack(path, path.read_bytes(), "cpu")["history"]) == 2


def test_a_run_that_is_resumed_after_other_data_starts_anew(tmp_path):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20, 2, 30)), rng.standard_normal((20, 3))
    from skeegclip._training.checkpoint import run_path

    def path(**change):
        arrays = [change.get("X", X), y]
        return run_path(
            tmp_path, params={"lr": change.get("lr", 1)}, arrays=arrays, seed=change.get("seed", 0)
        )

    assert path() == path()
    assert len({path(), path(lr=2), path(seed=1), path(X=X + 1)}) == 4


class Wide(nn.Module):
    act = staticmethod(torch.relu)

    def __init__(self, n_outputs, n_chans, n_times, gains=None):
        super().__init__()
        self.map = nn.Linear(n_chans * n_times, n_outputs)

    def forward(self, x):
        return self.act(self.map(x.flatten(1)))


class Waved(Wide):
    act = staticmethod(torch.sin)


Waved.__name__ = Waved.__qualname__ = "Wide"


class Cut(Callback):
    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == 4:
            raise KeyboardInterrupt


RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((24, 2, 30)).astype("float32"), RNG.standard_normal((24, 3))
del RNG


def encoder(folder, net=Wide, callbacks=None, **params):
    defaults = {
        "max_epochs": 5,
        "validation": 0.2,
        "batch_size": 8,
        "ema": 0.9,
        "patience": 4,
        "random_state": 0,
    }
    defaults |= {"lr_scheduler": "cosine", "device": "cpu", "precision": "float32"}
    return EEGEncoder(net, checkpoint_dir=folder, callbacks=callbacks, **{**defaults, **params})


@pytest.fixture
def cut_run(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        encoder(tmp_path, callbacks=[Cut()]).fit(X, Y)
    (path,) = tmp_path.iterdir()
    return path


def weights(fitted):
    return torch.cat([value.flatten() for value in fitted.net_.module_.state_dict().values()])


def passes(fit):
    seen = []

    class Count(Callback):
        def on_epoch_begin(self, net, **kwargs):
            seen.append(len(net.history))

    fit([Count()])
    return seen


def test_a_run_goes_on_with_the_code_that_it_was_begun_with(cut_run):
    folder = cut_run.parent
    # A class of the same name that does something else, and an array that differs where repr does not look.
    assert passes(lambda watch: encoder(folder, Waved, watch).fit(X, Y)) == [1, 2, 3, 4, 5]
    array = np.zeros(3000)
    for place in (1500, 1501):
        gains = {"gains": np.where(np.arange(3000) == place, 1.0, array)}
        with pytest.raises(KeyboardInterrupt):
            encoder(folder, net_params=gains, callbacks=[Cut()]).fit(X, Y)
    assert len(list(folder.iterdir())) == 3
    assert passes(lambda watch: encoder(folder, callbacks=watch).fit(X, Y)) == [4, 5]


def test_a_run_of_which_nothing_can_be_told_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"checkpoint_dir: this run cannot be told .*lock"):
        encoder(tmp_path, net_params={"gains": threading.Lock()}).fit(X, Y)


CONTENTS = {
    "empty": b"",
    "text": b"hello",
    "no zip": b"PK\x03\x04" + bytes(100),
    "a pickle that runs code": pickle.dumps(threading.Thread),
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
@pytest.mark.parametrize("sealed", [False, True])
def test_another_file_in_its_place_is_refused(cut_run, content, sealed):
    head = b"skeegclip run 1\n" + hashlib.sha256(content).hexdigest().encode() + b"\n" if sealed else b""
    cut_run.write_bytes(head + content)
    before = encoder(None, max_epochs=1).fit(X, Y)
    expected = weights(before).clone()
    before.set_params(checkpoint_dir=cut_run.parent, max_epochs=5)
    with pytest.raises(
        RunFileError, match=rf"checkpoint_dir: {re.escape(str(cut_run))} is not .* Delete it"
    ) as told:
        before.fit(X, Y)
    assert "weights_only" not in str(told.value)
    assert torch.equal(weights(before), expected)


@pytest.mark.parametrize("kind", ["link", "dangling", "folder", "pipe"])
def test_what_is_no_file_in_its_place_is_refused_and_left(cut_run, tmp_path, kind):
    elsewhere = tmp_path / "elsewhere"
    content = cut_run.read_bytes()
    cut_run.unlink()
    if kind == "link":
        elsewhere.write_bytes(content)
    {
        "link": lambda: cut_run.symlink_to(elsewhere),
        "dangling": lambda: cut_run.symlink_to(elsewhere),
        "folder": cut_run.mkdir,
        "pipe": lambda: os.mkfifo(cut_run),
    }[kind]()
    with pytest.raises(RunFileError, match="Delete it"):
        encoder(cut_run.parent).fit(X, Y)
    assert os.path.lexists(cut_run)


def average_of(state):
    return state["callbacks"]["skeegclip_averaged_weights AveragedWeights"]["average_"]["value"]["module_"]


def edits(state):
    """What a file may say that no run has written, each of a copy."""
    yield "many passes", lambda s: s.update(history=[{**s["history"][0], "epoch": n + 1} for n in range(500)])
    yield "no pass", lambda s: s.update(history=[])
    yield "nan loss", lambda s: s["history"][1].update(train_loss=float("nan"))
    yield "text for a loss", lambda s: s["history"][1].update(valid_loss="0.1")
    yield "other order", lambda s: s["history"].reverse()
    yield "no row", lambda s: s["history"].append(3)
    yield "passes", lambda s: s.update(passes=-1)
    yield "key", lambda s: s.update(more=1)
    yield "list", lambda s: [s.pop(key) for key in list(s)]
    yield "rng", lambda s: s.update(rng=[])
    yield "short rng", lambda s: s["rng"][0].update(cpu=s["rng"][0]["cpu"][:9])
    yield "frozen", lambda s: s.update(frozen=["nothing"])
    yield "stranger", lambda s: s["callbacks"].update({"skeegclip_stranger Stranger": {}})
    yield (
        "method",
        lambda s: s["callbacks"]["skeegclip_best_weights BestWeights"].update(on_epoch_end={"value": 1}),
    )
    yield (
        "best pass",
        lambda s: s["callbacks"]["skeegclip_best_weights BestWeights"].update(pass_={"value": 77}),
    )
    yield "no weights", lambda s: s.update(module_=None)
    for key in state["module_"]:
        yield f"nan in {key}", lambda s, key=key: s["module_"][key].view(-1)[:1].fill_(float("nan"))
        yield f"shape of {key}", lambda s, key=key: s["module_"].update({key: s["module_"][key][:1]})
        yield f"without {key}", lambda s, key=key: s["module_"].pop(key)
        yield f"average of {key}", lambda s, key=key: average_of(s)[key].fill_(float("inf"))
    yield "rate", lambda s: s["optimizer_"]["param_groups"][0].update(lr=float("nan"))
    yield "groups", lambda s: s["optimizer_"].update(param_groups=[])
    yield "moments", lambda s: s["optimizer_"]["state"][0]["exp_avg"].fill_(float("nan"))
    yield "shape of moments", lambda s: s["optimizer_"]["state"][0].update(exp_avg=torch.zeros(3))


def test_what_no_run_has_written_is_refused(cut_run):
    content = cut_run.read_bytes()
    read = partial(unpack, cut_run, content, "cpu")
    for name, edit in edits(read()):
        state = read()
        edit(state)
        cut_run.write_bytes(pack(state))
        try:
            encoder(cut_run.parent).fit(X, Y)
        except RunFileError:
            continue
        pytest.fail(f"{name} was taken")
    cut_run.write_bytes(content)
    assert torch.equal(weights(encoder(cut_run.parent).fit(X, Y)), weights(encoder(None).fit(X, Y)))


def test_500_changes_of_a_file_are_all_refused(cut_run):
    """Bits turned, bytes cut, doubled, swapped: whatever a disk or a copy does."""
    content, rng = cut_run.read_bytes(), np.random.default_rng(0)
    net = encoder(None, max_epochs=1).fit(X, Y).net_
    for number in range(500):
        changed = bytearray(content)
        at, to = sorted(rng.integers(0, len(content), 2).tolist())
        kind = number % 4
        if kind == 0:
            changed[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            del changed[at : to + 1]
        elif kind == 2:
            changed[at:at] = content[at : to + 1]
        else:
            changed[at : at + 8] = rng.bytes(8)
        if bytes(changed) != content:
            with pytest.raises(RunFileError):
                check_run(cut_run, unpack(cut_run, bytes(changed), "cpu"), net, 1)


def test_what_a_killed_write_has_left_is_swept(cut_run):
    left = cut_run.with_name(f".{cut_run.name}.{HOST}{'0' * 32}.tmp")
    left.write_bytes(b"half")
    encoder(cut_run.parent).fit(X, Y)
    assert list(cut_run.parent.iterdir()) == []


def test_checkpoints_need_a_seed():
    encoder = EEGEncoder("eegproject", checkpoint_dir="runs")
    with pytest.raises(ValueError, match="checkpoint_dir needs random_state"):
        encoder.fit(np.zeros((4, 2, 3)), np.zeros((4, 2)))
