"""What is known of the epochs, told to networks whose forward asks for it."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn


def accepted_by(cls: type[nn.Module]) -> dict[str, inspect.Parameter]:
    """Arguments by name of a network's constructor; of one that hands some on, those of the class behind it as well."""
    accepted: dict[str, inspect.Parameter] = {}
    for parent in cls.__mro__[: cls.__mro__.index(nn.Module)]:
        own = inspect.signature(parent).parameters.values()
        named = {p.name: p for p in own if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
        accepted = {**named, **accepted}
        if not any(p.kind is p.VAR_KEYWORD for p in own):
            break
    return accepted


def facts_of_forward(cls: type[nn.Module]) -> set[str]:
    """Arguments of a network that it does not need when it is built, but at every call.

    Parameters
    ----------
    cls : class
        The network.

    Returns
    -------
    set of str
        Of "ch_names", "chs_info" and "sfreq" those that its forward asks for by name; "chs_info" also where it asks for
        `channel_locations`, which are read from it.

    Examples
    --------
    >>> from braindecode.models import LUNA, Labram
    >>> facts_of_forward(Labram), facts_of_forward(LUNA)
    ({'ch_names'}, {'chs_info'})
    """
    asked = set(inspect.signature(cls.forward).parameters)
    return (asked & {"ch_names", "chs_info", "sfreq"}) | (
        {"chs_info"} if "channel_locations" in asked else set()
    )


def told_to_forward(cls: type[nn.Module], params: dict[str, Any]) -> dict[str, Any]:
    """What a network's forward asks for, as far as it is known."""
    asked = inspect.signature(cls.forward).parameters
    chs_info = params.get("chs_info")
    facts = {
        "ch_names": [ch["ch_name"] for ch in chs_info] if chs_info else None,
        **params,
        "channel_locations": locations(chs_info),
    }
    return {
        name: facts[name]
        for name in ("ch_names", "chs_info", "sfreq", "channel_locations")
        if name in asked and facts.get(name) is not None
    }


def locations(chs_info: Any) -> np.ndarray | None:
    """Places of the sensors in metres, (n_chans, 3), where they are known."""
    places = [ch.get("loc") for ch in chs_info or ()]
    if not places or any(place is None for place in places):
        return None
    found = np.array([np.asarray(place)[:3] for place in places], dtype=np.float32)
    return found if np.isfinite(found).all() and found.any() else None


@dataclass(frozen=True, eq=False)
class Told:
    """Adds to a call what is known of the epochs and was not given."""

    facts: dict[str, Any]

    def __call__(
        self, module: nn.Module, inputs: tuple[Any, ...], given: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        facts = dict(self.facts)
        if "channel_locations" in facts:
            x = inputs[0]
            places = torch.tensor(facts["channel_locations"], dtype=x.dtype, device=x.device)
            facts["channel_locations"] = places.expand(x.shape[0], -1, -1)
        return inputs, {**facts, **given}
