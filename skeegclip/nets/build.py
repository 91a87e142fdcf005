"""Networks that are built, and say in one sentence what they cannot take."""

from __future__ import annotations

import bisect
import contextlib
import logging
import math
import re
import textwrap
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .channel_layer import ChannelLayer, WithChannelLayer
from .facts import Told, accepted_by, facts_of_forward, locations, told_to_forward
from .heads import put_probe
from .layers import ProjectionHead
from .per_subject import SubjectLatent, SubjectLinear, WithSubjectLatent, WithSubjectLinear

_DROPOUT = 0.3  # of the head behind a map of each subject, as in EEGProject
# What networks say, or we of them, where the names or places of channels are missing.
_OF_PLACES = ("chs_info", "ch_names", "locations", "positions", "not finite")
_NOT_FETCHED = "could not fetch"
_QUICKENED = {"EEGNet", "EEGConformer"}
_FACTS = {"n_outputs", "n_chans", "n_times", "input_window_seconds", "sfreq", "chs_info", "ch_names"}
_CARRIERS = "mne.Epochs, or EpochsView.from_arrays(X, info=...)"


def build_net(cls: type[nn.Module], params: dict[str, Any]) -> nn.Module:
    """Build a network; one of braindecode's is tried on one epoch.

    braindecode's networks fail in their own ways where they cannot take the shape of the epochs, some only once
    they are used.

    Parameters
    ----------
    cls : class
        The network.
    params : dict
        Its arguments, and some that are no network's own: `subject_linear` holds those of a SubjectLinear layer to put
        before it, `channel_layer` those of a ChannelLayer before that, `subject_latent` those of a SubjectLatent layer to put
        behind it, and the `n_outputs` of the head
        behind that, `input_spread` is a number by which epochs are divided before anything else sees them, and
        `output_spread` one by which embeddings are multiplied, unless they are of unit length as such; `output_offset`, an
        array, is then added to them; `probe` says where a linear map takes the place of its last layers. `ch_names`, `chs_info` and `sfreq` also go to a network whose forward, not its
        constructor, asks for them (see `facts_of_forward`).

    Returns
    -------
    Module
        The network, in training mode.

    Raises
    ------
    ValueError
        If a network of braindecode cannot take epochs like these: what it said, and what to do.

    Examples
    --------
    >>> from skeegclip.nets import NICE
    >>> type(build_net(NICE, {"n_outputs": 8, "n_chans": 4, "n_times": 100})).__name__
    'NICE'
    """
    params = dict(params)
    layer, latent = params.pop("subject_linear", None), params.pop("subject_latent", None)
    channels = params.pop("channel_layer", None)
    divisor, factor = params.pop("input_spread", 1.0), params.pop("output_spread", 1.0)
    offset, probe = params.pop("output_offset", None), params.pop("probe", None)
    net = _build(cls, params)
    if latent is not None:
        n_outputs = latent["n_outputs"]
        layer_behind = SubjectLatent(**{key: value for key, value in latent.items() if key != "n_outputs"})
        head = ProjectionHead(latent["n_latents"], n_outputs, _DROPOUT)
        net = WithSubjectLatent(net, layer_behind, head)
    if probe is not None:
        put_probe(net, **probe)
    if (factor != 1 or offset is not None) and not getattr(net, "unit_norm", False):
        net.register_forward_hook(_Multiplied(factor) if offset is None else _Moved(factor, offset))
    if layer is not None:
        net = WithSubjectLinear(SubjectLinear(**layer), net)
    if channels is not None:
        net = WithChannelLayer(ChannelLayer(**channels), net)
    if divisor != 1:
        net.register_forward_pre_hook(_Divided(divisor))
    return net


# Hooks, not modules around it: the network keeps its class and the names of its weights.


@dataclass(frozen=True)
class _Divided:
    """Divides what goes into a network."""

    by: float

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return inputs[0] / self.by, *inputs[1:]


@dataclass(frozen=True)
class _Multiplied:
    """Multiplies what comes out of a network."""

    by: float

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        return output * self.by


@dataclass(frozen=True, eq=False)
class _Moved:
    """Multiplies what comes out of a network, and adds to it."""

    by: float
    plus: np.ndarray

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        plus = torch.tensor(self.plus, dtype=torch.float32, device=output.device)
        return output * self.by + plus


def _build(cls: type[nn.Module], params: dict[str, Any]) -> nn.Module:
    if not is_braindecode(cls):
        return _made(cls, params)
    with _without_deprecations():
        try:
            net = _made(cls, params)
            if cls.__name__ in _QUICKENED:
                from .quickened import quicken

                quicken(net)
            shape = _shape_of_output(net, params)
        except Exception as error:
            if isinstance(error, Warning) and _NOT_FETCHED not in str(error):
                raise  # warnings that the user turned into errors
            raise ValueError(_sentence(cls, params, error)) from error
    if shape is not None and shape != (params.get("n_outputs"),):
        raise ValueError(
            f"net must map (n_epochs, n_chans, n_times) to (n_epochs, n_outputs), got output shape (n_epochs, "
            f"{', '.join(map(str, shape))}) from {cls.__name__}. Choose a model with one vector per epoch."
        )
    return net


def _made(cls: type[nn.Module], params: dict[str, Any]) -> nn.Module:
    late = facts_of_forward(cls) - accepted_by(cls).keys()
    net = cls(**{name: value for name, value in params.items() if name not in late})
    if told := told_to_forward(cls, params):
        net.register_forward_pre_hook(Told(told), with_kwargs=True)
    return net


def is_braindecode(cls: type) -> bool:
    """Whether a class is one of braindecode's own."""
    return cls.__module__.split(".")[0] == "braindecode"


@contextlib.contextmanager
def _without_deprecations() -> Iterator[None]:
    """Hide what no user of ours could change: arguments that braindecode will rename, how its convolutions pad.

    That a file could not be fetched becomes an error.
    """

    def keep(record: logging.LogRecord) -> bool:
        return "deprecated" not in record.getMessage()

    # braindecode warns through MNE, which may write a warning into its log as well.
    log = logging.getLogger("mne")
    log.addFilter(keep)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=DeprecationWarning)
            warnings.filterwarnings("ignore", "Using padding='same' with even kernel lengths")
            # It would take channels in another order than where the file is there, and so would a loaded encoder.
            warnings.filterwarnings("error", f".*{_NOT_FETCHED}")
            warnings.filterwarnings("ignore", "enable_nested_tensor is True")
            warnings.filterwarnings("ignore", "Labram chs_info does not match")  # it is told at every call
            yield
    finally:
        log.removeFilter(keep)


def _shape_of_output(net: nn.Module, params: dict[str, Any]) -> tuple[int, ...] | None:
    if not {"n_chans", "n_times"} <= params.keys():
        return None  # it takes epochs of any size: there is none to try
    size = (1, params["n_chans"], params["n_times"])
    net.eval()
    with torch.no_grad():
        z = net(torch.arange(math.prod(size)).sin().reshape(size))
    net.train()
    if not isinstance(z, torch.Tensor):
        raise TypeError(f"it returns a {type(z).__name__}, not one tensor.")
    if not z.is_meta and not z.isfinite().all():
        raise ValueError("its output is not finite")
    return tuple(z.shape[1:])


def _sentence(cls: type, params: dict[str, Any], error: Exception) -> str:
    sfreq = params.get("sfreq")
    rate = "an unknown sampling rate" if sfreq is None else f"sfreq={sfreq:g}"
    sizes = f"n_chans={params.get('n_chans')}, n_times={params.get('n_times')} and {rate}"
    # einops puts its reason last, everybody else first.
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    reason = textwrap.shorten(lines[-1 if type(error).__name__ == "EinopsError" else 0], 250).rstrip(".")
    if "download" in reason.lower() or _NOT_FETCHED in reason:
        reason = re.split(r"\. | \(", reason)[0]
    return f"net={cls.__name__!r} cannot take epochs of {sizes}: {reason}. {_remedy(cls, params, error)}"


def _remedy(cls: type, params: dict[str, Any], error: Exception) -> str:
    text = f"{error} {error.__cause__ or ''}"
    low = text.lower()
    accepted = accepted_by(cls)
    patch = params.get("patch_size", getattr(accepted.get("patch_size"), "default", None))
    if says := re.search(r"patch_size \((\d+)\)", text):
        patch = int(says[1])
    # Parameters of its own that it speaks of ("groups" may be n_groups, "time_conv_size" time_conv_size_s).
    stems = {n: n.removeprefix("n_").removesuffix("_s") for n in accepted if "_" in n and n not in _FACTS}
    named = [name for name, stem in stems.items() if re.search(rf"\b(n_)?{stem}(_s)?\b", text)]
    unplaced = locations(params.get("chs_info")) is None
    if "download" in low or _NOT_FETCHED in low or isinstance(error, OSError):
        where = re.search(r"\S+\.\w+(?= first\b)", text)
        instead = f"put the file where it looks{f' ({where[0]})' if where else ''}"
        if named:
            instead = f"set {' and '.join(named)} in its net_params"
        return f"It fetches a file when it is built: connect this machine once, or {instead}."
    if wrapped := re.search(r"\bInterpolated[A-Z]\w*", text):
        first = f"pass epochs that carry names ({_CARRIERS})"
        if params.get("chs_info") or params.get("ch_names"):
            first = "pick those that it knows"
        return (
            f"It knows channels by name: {first}, or use net={wrapped[0]!r}, which interpolates to its own."
        )
    if unplaced and any(word in low for word in _OF_PLACES):
        return f"It needs names and places of the channels: pass epochs that carry them ({_CARRIERS}; set_montage)."
    if "sfreq" in low and params.get("sfreq") is None:
        return f"It needs the sampling rate: pass epochs that carry it ({_CARRIERS}), or net_params={{'sfreq': ...}}."
    n_times = params.get("n_times", 0)
    if isinstance(patch, int) and n_times % patch:
        below = n_times // patch * patch
        return (
            f"It reads patches of {patch} samples: crop or resample the epochs to a multiple of them"
            f" ({f'{below} or ' if below else ''}{below + patch})."
        )
    if "size of tensor" in low and hasattr(cls, "get_positions"):
        return (
            "It looks up places by the names of channels: rename those that it does not know, or pick others."
        )
    if named:
        return f"Set {' and '.join(named)} in its net_params."
    if "n_chans" in low or "channels, but got" in low:
        return "It takes another number of channels: pick them, or choose another net (skeegclip.nets.list_nets)."
    if ("kernel size" in low or "output size is too small" in low) and (
        enough := _enough_samples(cls, params)
    ):
        return f"It needs at least {enough} samples at this rate: cut longer epochs, or set its net_params."
    return (
        "Crop or resample the epochs, set its net_params, or choose another net (skeegclip.nets.list_nets)."
    )


def _enough_samples(cls: type, params: dict[str, Any]) -> int | None:
    """How long epochs must be for a network that fails on shorter ones; None where length is not what is missing."""

    def fits(n_times: int) -> bool:
        sizes = {**params, "n_times": n_times}
        try:
            with warnings.catch_warnings(action="ignore"):
                return _shape_of_output(_made(cls, sizes), sizes) == (params.get("n_outputs"),)
        except Exception:
            return False

    high = next((n for n in (params["n_times"] * factor for factor in (2, 4, 8)) if fits(n)), None)
    if high is None:
        return None
    return bisect.bisect_left(range(high), True, lo=high // 2, key=fits)
