"""Resume a run that was killed, ending with the same weights as one that was not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from skorch.callbacks import Callback

from .._utils.identity import UnknownIdentityError, identity
from .._utils.persistence import open_regular
from .._version import __version__
from .ranks import ALONE, Ranks
from .run_file import PARTS, RunFileError, check_run, key_of, unpack, write_run


class RunCheckpoint(Callback):
    """Write the whole state of a run after each pass, and start from it where it exists.

    It must be the last callback: then it sees the others' state at the end of a pass, and restores it after
    they have reset themselves at the start.

    Parameters
    ----------
    path : Path
        One file per run.
    ranks : Ranks
        The processes that train together: the first one reads and writes the file.
    runs : list of Path | None
        Where the run is one of several, which are finished together: the file is kept, and added here.
    """

    def __init__(self, path: Path, ranks: Ranks = ALONE, runs: list[Path] | None = None) -> None:
        self.path, self.ranks, self.runs = path, ranks, runs

    def on_train_begin(self, net, **kwargs) -> None:
        self._before = len(net.history)
        content = self.ranks.agree(self._read())
        if content is None:
            return
        state = unpack(self.path, content, net.device)
        check_run(self.path, state, net, self.ranks.size)
        try:
            self._restore(net, state)
        except Exception as error:
            raise RunFileError(self.path, f"{type(error).__name__}: {error}") from error

    def _restore(self, net: Any, state: dict[str, Any]) -> None:
        for part in PARTS:
            getattr(net, part).load_state_dict(state[part])
        for name, callback in net.callbacks_:
            _restore(callback, state["callbacks"].get(key_of(name, callback), {}))
        net.history.clear()
        for row in state["history"]:
            net.history.new_epoch()
            if row["batch"]:
                net.history.new_batch()
            for key, value in row["batch"].items():
                net.history.record_batch(key, value)
            for key, value in row.items():
                if key != "batch":
                    net.history.record(key, value)
        net.passes_done_ = state["passes"]
        self._before = len(net.history) - net.passes_done_
        for name, parameter in net.get_all_learnable_params():
            parameter.requires_grad_(name not in state["frozen"])
        _set_rng(state["rng"][self.ranks.rank], net.device)

    def _read(self) -> bytes | None:
        if self.ranks.rank:
            return None
        try:
            with open_regular(self.path) as file:
                return file.read()
        except FileNotFoundError:
            return None
        except ValueError:  # a link, a folder, a pipe: content that all processes refuse
            return b""

    def on_epoch_end(self, net, **kwargs) -> None:
        rng = self.ranks.collect(_get_rng(net.device))
        if self.ranks.rank:
            return
        state: dict[str, Any] = {part: getattr(net, part).state_dict() for part in PARTS}
        state["callbacks"] = {
            key_of(name, callback): _state_of(callback) for name, callback in net.callbacks_
        }
        # Of a pass's batches the last: what skorch's Checkpoint looks at.
        state["history"] = [
            {**_plain_row(row), "batch": _plain_row(row["batches"][-1] if row["batches"] else {})}
            for row in net.history
        ]
        state["passes"] = len(net.history) - self._before
        state["frozen"] = [name for name, p in net.get_all_learnable_params() if not p.requires_grad]
        state["rng"] = rng
        write_run(self.path, state)

    def on_train_end(self, net, **kwargs) -> None:
        if self.runs is not None:
            self.runs.append(self.path)
        elif self.ranks.rank == 0:
            self.path.unlink(missing_ok=True)


def _state_of(callback: Any) -> dict:
    """A callback's fitted attributes (trailing underscore), as plain values and state dicts."""
    state = {}
    for name, value in vars(callback).items():
        if name.endswith("_") and not name.startswith("__"):
            if hasattr(value, "state_dict") and not isinstance(value, type):
                state[name] = {"state_dict": value.state_dict()}
            elif _is_plain(value):
                state[name] = {"value": value}
    return state


def _restore(callback: Any, state: dict) -> None:
    for name, entry in state.items():
        if "state_dict" in entry:
            getattr(callback, name).load_state_dict(entry["state_dict"])
        else:
            setattr(callback, name, entry["value"])


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, (str, int)) and _is_plain(item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return all(_is_plain(item) for item in value)
    return value is None or type(value) in (bool, int, float, str) or isinstance(value, torch.Tensor)


def _plain_row(row: dict) -> dict:
    return {key: _plain_number(value) for key, value in row.items() if key != "batches"}


def _plain_number(value: Any) -> Any:
    # User callbacks record numpy numbers, which a weights-only load refuses.
    return value.item() if isinstance(value, np.generic) else value


def _get_rng(device: str) -> dict:
    state = {"cpu": torch.default_generator.get_state()}
    if torch.device(device).type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def _set_rng(state: dict, device: str) -> None:
    torch.default_generator.set_state(state["cpu"].cpu())
    if "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"].cpu(), device)


def run_path(folder: str | os.PathLike, *, params: dict, arrays: list, seed: int) -> Path:
    """The file of one run, named by a fingerprint of all that decides its outcome, the user's own code included."""
    try:
        told = identity((__version__, torch.__version__, seed, params, arrays))
    except UnknownIdentityError as error:
        raise ValueError(
            f"checkpoint_dir: this run cannot be told from one with other parameters ({error}) Leave that parameter out, or"
            " fit without checkpoint_dir."
        ) from error
    return Path(folder) / f"run-{told}.pt"
