"""Networks that are built, and say in one sentence what they cannot take."""

from __future__ import annotations

import contextlib
import inspect
import logging
import textwrap
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .layers import ProjectionHead
from .per_subject import SubjectLatent, SubjectLinear, WithSubjectLatent, WithSubjectLinear

_DROPOUT = 0.3  # of the head behind a map of each subject, as in EEGProject
_CARRIERS = "mne.Epochs, or EpochsView.from_arrays(X, info=...)"


def build_net(cls: type[nn.Module], params: dict[str, Any]) -> nn.Module:
    """Build a network; one of braindecode's is tried on an epoch of zeros.

    braindecode's networks fail in their own ways where they cannot take the shape of the epochs, some only once
    they are used.

    Parameters
    ----------
    cls : class
        The network.
    params : dict
        Its arguments, and four that are no network's own: `subject_linear` holds those of a SubjectLinear layer to put
        before it, `subject_latent` those of a SubjectLatent layer to put behind it, and the `n_outputs` of the head
        behind that, `input_spread` is a number by which epochs are divided before anything else sees them, and
        `output_spread` one by which embeddings are multiplied, unless they are of unit length as such; `output_offset`, an
        array, is then added to them.

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
    divisor, factor = params.pop("input_spread", 1.0), params.pop("output_spread", 1.0)
    offset = params.pop("output_offset", None)
    net = _build(cls, params)
    if latent is not None:
        n_outputs = latent["n_outputs"]
        layer_behind = SubjectLatent(**{key: value for key, value in latent.items() if key != "n_outputs"})
        head = ProjectionHead(latent["n_latents"], n_outputs, _DROPOUT)
        net = WithSubjectLatent(net, layer_behind, head)
    if (factor != 1 or offset is not None) and not getattr(net, "unit_norm", False):
        net.register_forward_hook(_Multiplied(factor) if offset is None else _Moved(factor, offset))
    if layer is not None:
        net = WithSubjectLinear(SubjectLinear(**layer), net)
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
        return cls(**params)
    with _without_deprecations():
        try:
            net = cls(**params)
            shape = _shape_of_output(net, params)
        except Warning:
            raise  # warnings that the user turned into errors
        except Exception as error:
            raise ValueError(_sentence(cls, params, error)) from error
    if shape is not None and shape != (params.get("n_outputs"),):
        raise ValueError(
            f"net must map (n_epochs, n_chans, n_times) to (n_epochs, n_outputs), got output shape (n_epochs, "
            f"{', '.join(map(str, shape))}) from {cls.__name__}. Choose a model with one vector per epoch."
        )
    return net


def is_braindecode(cls: type) -> bool:
    """Whether a class is one of braindecode's own."""
    return cls.__module__.split(".")[0] == "braindecode"


@contextlib.contextmanager
def _without_deprecations() -> Iterator[None]:
    """Hide what no user of ours could change: arguments that braindecode will rename, how its convolutions pad."""

    def keep(record: logging.LogRecord) -> bool:
        return "deprecated" not in record.getMessage()

    # braindecode warns through MNE, which may write a warning into its log as well.
    log = logging.getLogger("mne")
    log.addFilter(keep)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=DeprecationWarning)
            warnings.filterwarnings("ignore", "Using padding='same' with even kernel lengths")
            yield
    finally:
        log.removeFilter(keep)


def _shape_of_output(net: nn.Module, params: dict[str, Any]) -> tuple[int, ...] | None:
    if not {"n_chans", "n_times"} <= params.keys():
        return None  # it takes epochs of any size: there is none to try
    net.eval()
    with torch.no_grad():
        z = net(torch.zeros(1, params["n_chans"], params["n_times"]))
    net.train()
    if not isinstance(z, torch.Tensor):
        raise TypeError(f"it returns a {type(z).__name__}, not one tensor.")
    return tuple(z.shape[1:])


def _sentence(cls: type, params: dict[str, Any], error: Exception) -> str:
    sfreq = params.get("sfreq")
    rate = "an unknown sampling rate" if sfreq is None else f"sfreq={sfreq:g}"
    sizes = f"n_chans={params.get('n_chans')}, n_times={params.get('n_times')} and {rate}"
    # einops puts its reason last, everybody else first.
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    reason = textwrap.shorten(lines[-1 if type(error).__name__ == "EinopsError" else 0], 250).rstrip(".")
    return f"net={cls.__name__!r} cannot take epochs of {sizes}: {reason}. {_remedy(cls, params, error)}"


def _remedy(cls: type, params: dict[str, Any], error: Exception) -> str:
    text = f"{error} {error.__cause__ or ''}".lower()
    accepted = inspect.signature(cls).parameters
    patch = params.get("patch_size", getattr(accepted.get("patch_size"), "default", None))
    if isinstance(error, OSError) or "download" in text:
        return (
            "It fetches a file when it is built: connect this machine once, or put the file where it looks."
        )
    if "chs_info" in text or "ch_names" in text or "locations" in text:
        return f"It needs names and places of the channels: pass epochs that carry them ({_CARRIERS})."
    if "sfreq" in text and params.get("sfreq") is None:
        return f"It needs the sampling rate: pass epochs that carry it ({_CARRIERS}), or net_params={{'sfreq': ...}}."
    if isinstance(patch, int) and params.get("n_times", 0) % patch:
        return f"It reads patches of {patch} samples: crop or resample the epochs to a multiple of them."
    return (
        "Crop or resample the epochs, set its net_params, or choose another net (skeegclip.nets.list_nets)."
    )
