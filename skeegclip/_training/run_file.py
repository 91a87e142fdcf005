"""The file of a run: read only as far as it says what a run of this net could have written."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from .._utils.persistence import write_whole

PARTS = ("module_", "criterion_", "optimizer_")
_KEYS = {*PARTS, "callbacks", "history", "passes", "frozen", "rng"}
_OWN = "skeegclip_"  # how the names of callbacks begin that are not the user's
_MAGIC = b"skeegclip run 1\n"


class RunFileError(ValueError):
    """A file in `checkpoint_dir` that is not what this run has written."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"checkpoint_dir: {path} is not what a run with these parameters and data writes ({why}). Delete it, and the"
            " run starts anew."
        )


def pack(state: dict[str, Any]) -> bytes:
    """The content of a file; its digest comes first, so that every changed bit is noticed."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    return b"".join([_MAGIC, hashlib.sha256(content).hexdigest().encode(), b"\n", content])


def write_run(path: Path, state: dict[str, Any]) -> None:
    """Write the state of a run, whole or not at all."""
    write_whole(path, pack(state))


def unpack(path: Path, content: bytes, device: Any) -> dict[str, Any]:
    """The state in a file's content; no code in it is run."""
    start = len(_MAGIC) + 65
    head, body = content[:start], content[start:]
    if head != _MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n":
        raise RunFileError(path, "it is cut short, changed, or of another version")
    try:
        state = torch.load(io.BytesIO(body), map_location=device, weights_only=True)
    except Exception as error:  # torch names a dozen, and tells some of them to trust the file
        raise RunFileError(path, f"torch cannot read it: {type(error).__name__}") from None
    return state


def check_run(path: Path, state: Any, net: Any, n_processes: int) -> None:
    """Refuse a state that `net`, initialised but not trained, cannot go on from."""
    try:
        _check(state, net, n_processes)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise RunFileError(path, f"{type(error).__name__}: {error}") from None
    except ValueError as error:
        raise RunFileError(path, str(error)) from None


def _check(state: Any, net: Any, n_processes: int) -> None:
    _need(isinstance(state, dict) and set(state) == _KEYS, f"it needs {', '.join(sorted(_KEYS))}")
    for part in PARTS[:2]:
        _check_weights(state[part], getattr(net, part).state_dict(), part)
    _check_optimizer(state["optimizer_"], net.optimizer_)
    most = net.max_epochs + len(net.history)
    rows, passes = state["history"], state["passes"]
    _need(type(rows) is list and 0 < len(rows) <= most, f"history: 1 to {most} passes are possible")
    _need(
        type(passes) is int and 0 < passes <= min(net.max_epochs, len(rows)),
        "passes: not so many are possible",
    )
    needed = ["train_loss", *(["valid_loss"] if net.train_split is not None else [])]
    for number, row in enumerate(rows, 1):
        _need(type(row) is dict and type(row.get("batch")) is dict, f"history: row {number} is no row")
        _need(row.get("epoch") == number, f"history: row {number} is of another pass")
        for name in needed:
            loss = row.get(name)
            _need(
                type(loss) is float and math.isfinite(loss), f"history: {name} of pass {number} is {loss!r}"
            )
    names = {name for name, _ in net.get_all_learnable_params()}
    _need(type(state["frozen"]) is list and set(state["frozen"]) <= names, "frozen: no such weights")
    rng = state["rng"]
    _need(type(rng) is list and len(rng) == n_processes, f"rng: {n_processes} processes train")
    now = torch.default_generator.get_state()
    for one in rng:
        told = one["cpu"]
        _need(told.dtype == torch.uint8 and told.shape == now.shape, "rng: no state of torch's generator")
    _check_callbacks(state["callbacks"], net, len(rows))


def key_of(name: str, callback: Any) -> str:
    """The name of a callback's state: another kind of callback under its name is not given it."""
    return f"{name} {type(callback).__qualname__}"


def _need(holds: Any, what: str) -> None:
    if not holds:
        raise ValueError(what)


def _check_weights(given: Any, now: Mapping[str, Any], where: str) -> None:
    _need(isinstance(given, Mapping) and given.keys() == now.keys(), f"{where}: weights of another network")
    for key, value in now.items():
        _check_tensor(given[key], value, f"{where}.{key}")


def _check_tensor(given: Any, now: torch.Tensor, where: str) -> None:
    _need(isinstance(given, torch.Tensor), f"{where}: no tensor")
    _need(
        (given.shape, given.dtype) == (now.shape, now.dtype),
        f"{where}: shape {tuple(given.shape)} of {given.dtype}",
    )
    # What is infinite from the start, a mask, may stay so.
    _need((torch.isfinite(given) | ~torch.isfinite(now)).all(), f"{where} holds NaN or inf")


def _check_optimizer(given: Any, optimizer: torch.optim.Optimizer) -> None:
    now = optimizer.state_dict()
    _need(given.keys() == now.keys(), "optimizer_: of another kind")
    _need(len(given["param_groups"]) == len(now["param_groups"]), "optimizer_: other groups")
    for mine, theirs in zip(given["param_groups"], now["param_groups"], strict=True):
        _need(mine["params"] == theirs["params"], "optimizer_: other weights")
        # Schedulers add `initial_lr`.
        _need(theirs.keys() <= mine.keys() <= {*theirs.keys(), "initial_lr"}, "optimizer_: other settings")
        _need(0 <= mine["lr"] < math.inf, f"optimizer_: lr is {mine['lr']}")
    shapes = [p.shape for group in optimizer.param_groups for p in group["params"]]
    for place, values in given["state"].items():
        for name, value in values.items():
            if isinstance(value, torch.Tensor):
                _need(value.ndim == 0 or value.shape == shapes[place], f"optimizer_: {name} of another shape")
                _need(torch.isfinite(value).all(), f"optimizer_: {name} holds NaN or inf")


def _check_callbacks(given: Any, net: Any, n_rows: int) -> None:
    known = {key_of(name, callback): callback for name, callback in net.callbacks_}
    own = {key for key in {*given, *known} if key.startswith(_OWN)}
    _need(own <= given.keys() & known.keys(), f"callbacks: not these, {', '.join(sorted(own))}")
    for name in given.keys() & known.keys():  # the user's may come and go
        for attribute, entry in given[name].items():
            where = f"callbacks: {name}.{attribute}"
            _need(
                attribute.endswith("_") and not attribute.startswith("__"), f"{where} is nothing that is kept"
            )
            _need(type(entry) is dict and len(entry) == 1, f"{where} is not told")
            now = getattr(known[name], attribute, None)
            if "state_dict" in entry:
                _need(entry["state_dict"].keys() == now.state_dict().keys(), f"{where} is of another kind")
                continue
            value = entry["value"]
            if now is not None and value is not None:
                numbers = (bool, int, float)
                _need(
                    type(value) is type(now) or (type(value) in numbers and type(now) in numbers),
                    f"{where}: {value!r}",
                )
            if isinstance(value, dict) and value.keys() == {*PARTS[:2]}:  # the best weights, or their average
                for part in PARTS[:2]:
                    _check_weights(value[part], getattr(net, part).state_dict(), f"{where}.{part}")
            if attribute == "pass_":
                _need(0 <= value <= n_rows, f"{where}: pass {value} of {n_rows}")
