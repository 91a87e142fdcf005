"""What `test_ranks.py` trains, alone and in processes of a group: ``python over_ranks.py RANK SIZE FOLDER CASE ...``."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import Ridge
from skorch.callbacks import Callback
from torch import nn

from skeegclip import EEGEncoder, EmbeddingTable, evaluate


class TwoNorms(nn.Module):
    """Batch normalisation as torch has it, of signals and of features."""

    def __init__(self, n_outputs=None, n_chans=None, n_times=None):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Unflatten(1, (1, n_chans)),
            nn.Conv2d(1, 4, (n_chans, 5)),
            nn.BatchNorm2d(4, momentum=None),
            nn.ELU(),
            nn.Flatten(),
            nn.Linear(4 * (n_times - 4), 8),
            nn.BatchNorm1d(8, affine=False),
            nn.Linear(8, n_outputs),
        )

    def forward(self, x):
        return self.layers(x)


# One number would hide which of two processes was right: odd sizes make shares of different sizes.
N_STIMULI, N_EPOCHS, N_DIMS, SHAPE = 31, 93, 5, (3, 60)
_FIRST = {"lr": 0.05, "optimizer": "sgd", "batch_size": 93, "max_epochs": 1, "validation": 0}
_STILL = {"dropout": 0.0}
_SHORT = {"kernel_length": 5, "pool_length": 9, "pool_stride": 3, "conv_dropout": 0.0, "head_dropout": 0.0}
CASES = {
    # One step of plain gradient descent each: loss and gradient of one batch.
    "step, both losses": {"net_params": _STILL, "loss_weight": 0.5, **_FIRST},
    "step, texts and projector": {"net_params": _STILL, "text_weight": 0.3, "projector": 4, **_FIRST},
    "step, several targets": {
        "net_params": {**_STILL, "subject_dropout": 0.0},
        "targets": "several",
        "projector": 4,
        "mmd_weight": 0.3,
        "subject_layer": "linear",
        **_FIRST,
    },
    "step, masked": {"net_params": _STILL, "same_stimulus": "mask", **_FIRST},
    "step, batch norm": {"net": "nice", "net_params": _SHORT, **_FIRST},
    "step, attention and batch norm": {
        "net": "atm-s",
        "net_params": {**_SHORT, **_STILL, "subject_dropout": 0.0},
        **_FIRST,
    },
    "step, batch norm of torch": {"net": TwoNorms, **_FIRST},
    # Whole fits; in the second every process has dropout of its own.
    "fit": {
        "net": "nice",
        "net_params": _SHORT,
        "batch_size": 25,
        "max_epochs": 4,
        "validation": 0.2,
        "patience": 2,
    },
    "fit with dropout": {
        "batch_size": 25,
        "max_epochs": 2,
        "validation": 0.2,
        "subject_layer": "linear",
        "ema": 0.9,
    },
    "fit, any seed": {"batch_size": 25, "max_epochs": 1, "random_state": None, "verbose": 1},
    "fit, few to validate": {"batch_size": 25, "max_epochs": 1, "validation": 0.07},
}


class KeepGradients(Callback):
    """Gradients of every parameter, as the optimizer sees them, and how many epochs went through the network."""

    def on_train_begin(self, net, **kwargs):
        self.n_embedded = 0

    def on_batch_end(self, net, y_pred, **kwargs):
        self.n_embedded += len(y_pred)

    def on_grad_computed(self, net, **kwargs):
        parameters = [*net.module_.named_parameters(), *net.criterion_.named_parameters()]
        self.gradients = {name: p.grad.numpy().copy() for name, p in parameters if p.grad is not None}


def data(seed=0):
    rng = np.random.default_rng(seed)
    ids = [f"s{i:02d}" for i in range(N_STIMULI)]
    table, texts = (EmbeddingTable(ids, rng.standard_normal((N_STIMULI, N_DIMS))) for _ in range(2))
    y = np.repeat(ids, N_EPOCHS // N_STIMULI)
    X = (table.lookup(y) @ rng.standard_normal((N_DIMS, np.prod(SHAPE)))).reshape(-1, *SHAPE)
    return X + rng.standard_normal(X.shape), y, np.resize(["ann", "bob"], N_EPOCHS), table, texts


def make(case, **more):
    table, texts = data()[3:]
    params = {
        "net": "eegproject",
        "targets": table,
        "random_state": 0,
        "device": "cpu",
        **CASES[case],
        **more,
    }
    if params["targets"] == "several":
        parts = np.split(table.vectors, [2], axis=1)
        params["targets"] = [EmbeddingTable(table.ids, vectors) for vectors in parts]
    return EEGEncoder(text_targets=texts if params.get("text_weight") else None, **params)


def train(case):
    """Losses, gradients of the last step and final weights of a fit."""
    X, y, subject, *_ = data()
    torch.manual_seed(1)
    encoder = make(case, callbacks=[("keep", KeepGradients())]).fit(X, y, subject=subject)
    weights = {**encoder.net_.module_.state_dict(), **encoder.net_.criterion_.state_dict()}
    kept = dict(encoder.net_.callbacks)["keep"]
    found = {f"weight/{name}": value.numpy() for name, value in weights.items()}
    found |= {f"gradient/{name}": value for name, value in kept.gradients.items()}
    for name in ("train_loss", "valid_loss", "valid_top1", "chosen"):
        found[name] = np.array([row[name] for row in encoder.history_ if name in row], dtype=float)
    found["n_embedded"] = np.array(kept.n_embedded)
    found["embedding"] = encoder.transform(X, subject=subject)
    return found


def join(rank, size, folder):
    """Join a group of processes through a file in a folder."""
    torch.distributed.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=size)


class Die(Callback):
    """Kill the process at the end of a pass; or say that the pass is over, and take long."""

    def __init__(self, how):
        self.how = how

    def on_epoch_end(self, net, **kwargs):
        if self.how == "kill" and len(net.history) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "wait":
            print("pass", flush=True)


def fit_to_the_end(rank, folder, how):
    """A fit with checkpoints, in which the second process may die, or both wait to be interrupted."""
    X, y, subject, *_ = data()
    callbacks = [Die(how)] if rank == 1 or how == "wait" else []
    passes = 100_000 if how == "wait" else 4
    encoder = make("fit with dropout", max_epochs=passes, checkpoint_dir=folder / "runs", callbacks=callbacks)
    encoder.fit(X, y, subject=subject)
    np.savez(folder / f"{how}-rank{rank}.npz", embedding=encoder.transform(X, subject=subject))


def refused(rank):
    """The errors of processes that were given different data."""
    X, y, *_ = data()
    for other in ((X, y[::-1]), (X + rank, y)):
        try:
            make("fit").fit(*(other if rank else (X, y)))
        except ValueError as error:
            yield str(error)


def evaluated(folder=None):
    """Scores of the cells of an evaluation, whose fits need all processes."""
    X, y, _, table, _ = data()
    folds = [(np.flatnonzero(~test), np.flatnonzero(test)) for test in (y < "s10", y >= "s20")]
    report = evaluate(
        {"network": make("fit", max_epochs=1), "ridge": Ridge()}, X, y, cv=folds, targets=table, folder=folder
    )
    return report.scores["value"].tolist()


if __name__ == "__main__":
    torch.set_num_threads(1)
    rank, size, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    join(rank, size, folder)
    if sys.argv[4] in ("live", "kill", "wait"):
        fit_to_the_end(rank, folder, sys.argv[4])
    else:
        for number, case in enumerate(sys.argv[4:]):
            np.savez(folder / f"case{number}-rank{rank}.npz", **train(case))
        print(*refused(rank))
        print("evaluated:", *evaluated(folder / "results"))
    torch.distributed.destroy_process_group()
