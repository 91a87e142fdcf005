"""A run that is killed goes on from its last pass and ends as if nothing had happened."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from skeegclip import EEGEncoder

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
    assert len(torch.load(path, weights_only=True)["history"]) == 2


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


def test_checkpoints_need_a_seed():
    encoder = EEGEncoder("eegproject", checkpoint_dir="runs")
    with pytest.raises(ValueError, match="checkpoint_dir needs random_state"):
        encoder.fit(np.zeros((4, 2, 3)), np.zeros((4, 2)))
