"""A fitted encoder as what a folder holds, and back."""

from __future__ import annotations

import itertools
import os
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from .._utils.contents import Loading, facts_of, to_content
from .._utils.folders import Content, FolderError, checked
from .._utils.packing import Packer
from .._utils.plain import channels_from_plain, channels_to_plain
from .._utils.seen import Seen
from .._utils.stated import Stated
from ..nets.names import find_net, name_of
from ..nets.registry import get_net
from .bounds import check_sizes
from .budget import Budget
from .fitted import FittedNet
from .sharing import rebuild_net, weights_of
from .spec import NetSpec
from .weights_source import NOT_SAVED as WEIGHTS_NOT_SAVED

_PACKED = ("params", "net_params", "criterion_params", "history", "selection")
_OF_WEIGHTS = ("module_.", "criterion_.")
# What concerns the machine or the run, not the encoder.
NOT_SAVED = ("augment", "callbacks", "checkpoint_dir", "device", "random_state", "verbose", "warm_start")


@dataclass(frozen=True)
class Facts:
    """What the manifest says of an encoder. The dicts hold what `Packer` makes of them."""

    params: dict[str, Any]
    net: str | None
    net_class: str
    net_params: dict[str, Any]
    chs_info: list[dict[str, Any]] | None
    criterion_params: dict[str, Any]
    n_chans: int
    n_times: int
    n_outputs: int
    ch_names: list[str] | None
    subjects: list[str]
    history: list[dict[str, Any]]
    selection: dict[str, Any]
    trained_on: dict[str, dict[str, str]]
    stated: Stated
    budget: Budget | None = None  # older folders do not say it
    pretrained: dict[str, Any] | None = None


def encoder_content(encoder: Any) -> Content:
    """What a fitted encoder consists of: facts, weights, and its tables as parts."""
    pack = Packer(type(encoder).__name__, to_content)
    params = {name: value for name, value in encoder.get_params(deep=False).items() if name not in NOT_SAVED}
    params["net"] = params["net"] if isinstance(params["net"], str) else None
    # The weights are in the folder once, as those of the network; where they came from is told by `pretrained_`.
    given = params["pretrained"]
    fitted: FittedNet = encoder.fitted_
    if given is not None and not isinstance(given, (str, os.PathLike)):
        given = WEIGHTS_NOT_SAVED + (fitted.pretrained or {}).get("source", type(given).__name__)
    params["pretrained"] = None if given is None else os.fspath(given)
    net_params = dict(fitted.spec.net_params)
    chs_info = net_params.pop("chs_info", None)
    facts = Facts(
        params=pack(params, "params"),
        net=name_of(fitted.spec.net, encoder.net),
        net_class=fitted.spec.net.__qualname__,
        net_params=pack(net_params, "fitted.net_params"),
        chs_info=None if chs_info is None else channels_to_plain(chs_info),
        criterion_params=pack(fitted.spec.criterion_params, "fitted.criterion_params"),
        n_chans=int(encoder.n_chans_),
        n_times=int(encoder.n_times_in_),
        n_outputs=int(fitted.n_outputs),
        ch_names=None if encoder.ch_names_ is None else list(encoder.ch_names_),
        subjects=fitted.subjects.tolist(),
        history=pack(fitted.history, "fitted.history"),
        selection=pack(fitted.selection, "fitted.selection"),
        trained_on={name: seen.to_plain() for name, seen in fitted.trained_on.items()},
        stated=fitted.stated,
        budget=fitted.budget,
        pretrained=fitted.pretrained,
    )
    content = pack.content(asdict(facts))
    content.arrays.update(weights_of(fitted.net))
    return content


def encoder_from(cls: type, content: Content, loading: Loading) -> Any:
    """The encoder that a content describes; nothing is built before it was compared with the weights."""
    facts = checked(content.facts, Facts, loading.folder)
    if facts.net is None and loading.given.get("net") is None:
        raise ValueError(
            f"{loading.folder!r}: the network is a class, {facts.net_class!r:.80}. Pass it:"
            f" load(folder, {loading.prefix}net=...)."
        )
    try:
        values = facts_of(replace(content, facts={name: getattr(facts, name) for name in _PACKED}), loading)
        return _assembled(cls, facts, values, content.arrays, loading)
    except FolderError:
        raise
    except (KeyError, TypeError, AttributeError, RuntimeError, ValueError, OverflowError) as error:
        raise loading.refuse(f"{type(error).__name__}: {error}") from error


def _assembled(
    cls: Any, facts: Facts, values: dict[str, Any], arrays: dict[str, np.ndarray], loading: Loading
) -> Any:
    params, net = values["params"], loading.given.get("net")
    known = set(cls._get_param_names()) - set(NOT_SAVED)
    if unknown := sorted(set(params) - known):
        raise ValueError(f"{cls.__name__} has no parameter {unknown[0]!r:.60} in a folder")
    if net is not None:
        params["net"] = net
    if "pretrained" in loading.given:
        params["pretrained"] = loading.given["pretrained"]
    encoder = cls(**{**params, "device": loading.device})
    encoder._check_params()
    net_params = values["net_params"]
    if facts.chs_info is not None:
        net_params["chs_info"] = channels_from_plain(facts.chs_info)
    _check_alike(facts, net_params)
    # One of the two is there: `need` has asked for a class where no name was kept.
    found: Any = find_net(str(facts.net)) if net is None else get_net(net)[0]
    spec = NetSpec(found, net_params, values["criterion_params"])
    weights = {key: value for key, value in arrays.items() if key.startswith(_OF_WEIGHTS)}
    check_sizes(spec, weights)
    encoder.fitted_ = FittedNet(
        spec=spec,
        net=rebuild_net(spec, weights, device=loading.device, precision=encoder.precision),
        subjects=np.array(facts.subjects, dtype=str),
        n_outputs=facts.n_outputs,
        history=values["history"],
        selection=values["selection"],
        trained_on={name: Seen.from_plain(plain) for name, plain in facts.trained_on.items()},
        stated=facts.stated,
        budget=facts.budget,
        pretrained=facts.pretrained,
    )
    encoder.n_chans_ = encoder.n_features_in_ = facts.n_chans
    encoder.n_times_in_ = facts.n_times
    encoder.ch_names_ = None if facts.ch_names is None else tuple(facts.ch_names)
    return encoder


def _check_alike(facts: Facts, net_params: dict[str, Any]) -> None:
    """Refuse facts that contradict each other: an embedding would be another than was saved, or an error."""
    layer = net_params.get("subject_linear") or net_params.get("subject_latent") or {}
    for name, value, saying in (
        ("n_chans", facts.n_chans, net_params),
        ("n_times", facts.n_times, net_params),
        ("n_chans", facts.n_chans, layer),
        ("n_subjects", len(facts.subjects), layer),
    ):
        if saying.get(name, value) != value:
            raise ValueError(f"{name} is {value!r}, but {saying[name]!r:.40} in the network")
    if net_params.get("n_subjects") not in (None, 0, len(facts.subjects)):
        raise ValueError(
            f"n_subjects is {net_params['n_subjects']!r:.40}, but {len(facts.subjects)} are named"
        )
    if any(a >= b for a, b in itertools.pairwise(facts.subjects)):
        raise ValueError("its subjects are not sorted")
    if facts.ch_names is not None and len(facts.ch_names) != facts.n_chans:
        raise ValueError(f"n_chans is {facts.n_chans}, but {len(facts.ch_names)} are named")
