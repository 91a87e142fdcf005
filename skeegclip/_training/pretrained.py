"""Weights that somebody trained before, put into a network: what arrived, what did not, and why."""

from __future__ import annotations

import itertools
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn

from ..nets.heads import Probe, beginnings, head_of
from ..nets.per_subject import PerSubject
from .weights_source import WeightsSource

# Names that may stand before those of the network, and what share of a file must begin so to be tried.
_DEEPEST, _SHARE = 3, 0.05
_SHOWN = 3


def load_into(net: nn.Module, source: WeightsSource, ch_names: Sequence[str] | None = None) -> dict[str, Any]:
    """Copy all weights whose name and shape the network has.

    Names are compared without what stands before them in the file ("module.", "student.", ...) or in the network (behind a
    map of each subject): of all such beginnings those are left out with which the most parameters arrive. What was learned
    of each known person stays behind, for people have other numbers here; all of them start as an unknown person does.

    Parameters
    ----------
    net : Module
        Changed in place.
    source : WeightsSource
        The weights.
    ch_names : sequence of str | None
        Names of the channels that the network will see, to compare with those that the weights were learned on.

    Returns
    -------
    dict
        "source", ... (what names the weights), "n_tensors" and "n_parameters", each [arrived, of the network], "dropped"
        and "added" (beginnings of names), "not_arrived" (by name, why) and "left_over" (names in the file).

    Raises
    ------
    ValueError
        If no parameter arrived, or a weight is not finite.
    """
    skipped = _within(net.state_dict(), _not_taken(net))
    wanted = {name: value for name, value in net.state_dict().items() if name not in skipped}
    dropped, added = _best_beginnings(wanted, source.state, beginnings(net))
    offered = {
        added + key.removeprefix(dropped): (key, value)
        for key, value in source.state.items()
        if key.startswith(dropped)
    }
    learned = {name: p.numel() for name, p in net.named_parameters() if name in wanted}
    arrived, why = {}, {}
    head = _within(wanted, head_of(net))
    for name, mine in wanted.items():
        if name not in offered:
            why[name] = "no such name"
            continue
        key, value = offered[name]
        if value.shape != mine.shape:
            size = f"{tuple(value.shape)} there, {tuple(mine.shape)} here"
            why[name] = f"the head has another size: {size}" if name in head else f"another shape: {size}"
            continue
        if value.is_floating_point() != mine.is_floating_point():
            # A quantised file holds its scales elsewhere.
            why[name] = f"another type: {value.dtype} there, {mine.dtype} here"
            continue
        if not torch.isfinite(value).all() and torch.isfinite(mine).all():
            raise ValueError(
                f"pretrained: {key!r} holds NaN or inf: the training that wrote it had diverged. Take other weights."
            )
        arrived[name] = value
    report = {
        **source.named,
        "n_tensors": [len(arrived), len(wanted)],
        "n_parameters": [sum(learned.get(name, 0) for name in arrived), sum(learned.values())],
        "dropped": dropped,
        "added": added,
        "not_arrived": why,
        "left_over": sorted(set(source.state) - {offered[name][0] for name in arrived}),
    }
    _refuse_nothing(report, wanted, source.state)
    net.load_state_dict(arrived, strict=False)
    _start_as_unknown(net, arrived)
    _warn_of_little(report, learned, head)
    _warn_of_channels(source, ch_names)
    return report


def summary(report: dict[str, Any]) -> str:
    """The report in one sentence."""
    (tensors, all_tensors), (numbers, all_numbers) = report["n_tensors"], report["n_parameters"]
    why = [f"{name} ({reason})" for name, reason in report["not_arrived"].items()]
    missing = f"; not {_some(why)}" if why else ""
    return (
        f"pretrained: {tensors} of {all_tensors} tensors ({numbers:,} of {all_numbers:,} parameters) arrived from"
        f" {report['source']}{missing}"
    )


def _best_beginnings(wanted: dict[str, Any], state: dict[str, Any], own: list[str]) -> tuple[str, str]:
    """What to leave out of the names of a file, and to put before them, so that the most numbers arrive."""
    counts: Counter[str] = Counter()
    for key in state:
        parts = key.split(".")
        counts.update(".".join(parts[:n]) + "." for n in range(1, min(len(parts), _DEEPEST + 1)))
    before = {"", *(start for start, n in counts.items() if n > _SHARE * len(state))}

    def arriving(pair: tuple[str, str]) -> int:
        drop, add = pair
        inside = (
            (add + key.removeprefix(drop), value) for key, value in state.items() if key.startswith(drop)
        )
        return sum(
            value.numel() for name, value in inside if name in wanted and value.shape == wanted[name].shape
        )

    pairs = itertools.product(sorted(before, key=len), own)
    return max(pairs, key=arriving)  # of equal ones the first, which changes the least


def _not_taken(net: nn.Module) -> list[str]:
    """What a network holds of each known person, and the probe that will be computed."""
    people = [f"{name}.known" for name, module in net.named_modules() if isinstance(module, PerSubject)]
    return people + [name for name, module in net.named_modules() if isinstance(module, Probe)]


def _start_as_unknown(net: nn.Module, arrived: Iterable[str]) -> None:
    names = set(arrived)
    with torch.no_grad():
        for name, module in net.named_modules():
            if isinstance(module, PerSubject) and module.n_subjects and f"{name}.shared" in names:
                module.known.copy_(module.shared.expand_as(module.known))


def _within(names: Iterable[str], layers: Iterable[str]) -> set[str]:
    """Those of the names that are in one of the layers."""
    layers = tuple(layers)
    return {name for name in names if any(name == of or name.startswith(f"{of}.") for of in layers)}


def _refuse_nothing(report: dict[str, Any], wanted: dict[str, Any], state: dict[str, Any]) -> None:
    if report["n_parameters"][0]:
        return
    shapes = [f"{name} ({why})" for name, why in report["not_arrived"].items() if why != "no such name"]
    other = f" Equal names have other shapes: {_some(shapes)}." if shapes else ""
    raise ValueError(
        f"pretrained: none of the {len(state)} tensors from {report['source']} ({_some(state)}) is a parameter of the"
        f" network ({_some(wanted)}).{other} Choose the net that the weights belong to, with its net_params."
    )


def _warn_of_little(report: dict[str, Any], learned: dict[str, int], head: set[str]) -> None:
    body = {name: size for name, size in learned.items() if name not in head}
    arrived = sum(size for name, size in body.items() if name not in report["not_arrived"])
    if 2 * arrived < sum(body.values()):
        warnings.warn(
            f"{summary(report)}. Less than half of what stands before the head is pretrained: look at pretrained_, and at"
            " net and net_params.",
            UserWarning,
            stacklevel=5,
        )


def _warn_of_channels(source: WeightsSource, ch_names: Sequence[str] | None) -> None:
    """Weights of one channel would go to another in silence, where there are as many."""
    before, now = source.ch_names, None if ch_names is None else tuple(ch_names)
    if before is None or now is None or before == now or len(before) != len(now):
        return
    n = sum(a != b for a, b in zip(before, now, strict=True))
    advice = "look whether each stands where that one stood"
    if set(before) == set(now):
        advice = "pick them in the order of the first fit: EpochsView.pick([...])"
    there, here = next((a, b) for a, b in zip(before, now, strict=True) if a != b)
    warnings.warn(
        f"pretrained: {n} of {len(now)} channels have other names than in the fit that the weights are from, so that what was"
        f" learned of {there!r}, say, goes on as that of {here!r}. If the network knows channels by their number, {advice}.",
        UserWarning,
        stacklevel=5,
    )


def _some(texts: Iterable[str]) -> str:
    texts = list(texts)
    return ", ".join(texts[:_SHOWN]) + (f", ... ({len(texts)})" if len(texts) > _SHOWN else "")
