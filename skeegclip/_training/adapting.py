"""What of a network is trained: all of it, its head, low-rank updates beside it, or nothing by steps."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.utils import parametrize

from ..nets.build import build_net
from ..nets.heads import Probe, head_of, probe_of
from ..nets.linear_path import LinearPath
from ..nets.per_subject import PerSubject
from .depth import rates_of
from .net import EncoderNet
from .spec import NetSpec

_LORA = ".lora_"
_ALPHA = 2  # times the rank: by how much an update is multiplied


def with_probe(spec: NetSpec, n_chans: int, n_times: int) -> NetSpec:
    """The network with a linear map of its features in the place of its last layers.

    Raises
    ------
    ValueError
        If its last layer is not one that could be replaced.
    """
    kept = dict(spec.net_params)
    inside = {name: value for name, value in kept.items() if name not in ("subject_linear", "channel_layer")}
    n_chans = inside.get("n_chans", n_chans)  # behind a layer of channels there are others
    net = build_net(spec.net, inside)
    if isinstance(getattr(net, "linear", None), LinearPath):
        # Ridge regression of the epochs would stand beside that of the features.
        for params in (kept, inside):
            params.pop("linear")
        net = build_net(spec.net, inside)
    x = torch.arange(2 * n_chans * n_times).sin().reshape(2, n_chans, n_times)
    try:
        probe = probe_of(net, x)
        straight = _goes_straight_out(build_net(spec.net, {**inside, "probe": probe}), x)
    except (ValueError, RuntimeError, AttributeError, IndexError) as error:
        raise _unfit(spec, str(error).splitlines()[0]) from error
    if not straight:
        raise _unfit(spec, "what its last layer gives does not go straight out")
    return NetSpec(spec.net, {**kept, "probe": probe}, spec.criterion_params)


def _goes_straight_out(net: nn.Module, x: torch.Tensor) -> bool:
    """Whether what a network gives is what its probe gives, perhaps scaled."""
    probe = next(part for part in net.modules() if isinstance(part, Probe))
    given: list[torch.Tensor] = []
    handle = probe.register_forward_hook(lambda _, inputs, output: given.append(output))
    with torch.no_grad():
        z = net.eval()(x)
    handle.remove()
    return z.shape == given[0].shape and bool((torch.cosine_similarity(z, given[0], dim=1) > 1 - 1e-4).all())


def new_parameters(net: nn.Module, not_arrived: Collection[str]) -> set[str]:
    """Names of the head's parameters, of each person's, and of those that start from random numbers."""
    head = head_of(net)
    people = [name for name, module in net.named_modules() if isinstance(module, PerSubject)]
    return {
        name
        for name, _ in net.named_parameters()
        if name in not_arrived or any(name == of or name.startswith(f"{of}.") for of in (*head, *people))
    }


@contextlib.contextmanager
def adapted(
    net: EncoderNet,
    train: str,
    inputs: dict[str, Any],
    *,
    not_arrived: Collection[str],
    lora_rank: int,
    layer_decay: float,
    head_lr: float | None,
) -> Iterator[None]:
    """A block in which steps train that part of a network which `train` names, each at its own rate.

    At its end the network has the layers that it had: low-rank updates are added to the weights that they belong to.

    Parameters
    ----------
    net : EncoderNet
        Initialised; its optimizer is made anew.
    train : {"all", "head", "lora"}
        As in EEGEncoder.
    inputs : dict
        A few epochs, as `EncoderNet.forward_of` takes them, to see which layers a pass calls.
    not_arrived : collection of str
        Weights that are trained in any case, and statistics that follow the batches, since they were not pretrained.
    lora_rank, layer_decay, head_lr
        As in EEGEncoder.
    """
    module = net.module_
    if train == "all" and layer_decay == 1 and head_lr is None:
        yield
        return
    new = new_parameters(module, not_arrived)
    rates = rates_of(module, new, lr=net.lr, layer_decay=layer_decay, head_lr=head_lr)
    known = list(module.named_parameters())
    wanted = {name: p.requires_grad for name, p in known}
    with contextlib.ExitStack() as stack:
        if train == "lora":
            stack.enter_context(_low_rank(net, inputs, lora_rank, new))
        if train != "all":
            for name, p in module.named_parameters():
                p.requires_grad_(_LORA in name or wanted.get(name, False) and name in new)
            net.still = _still(module, train, new, not_arrived)
            for part in net.still:
                part.training = False
        net.groups = _groups(net, rates)
        net.initialize_optimizer()
        try:
            yield
        finally:
            net.groups, net.still = None, ()
            for name, p in known:
                p.requires_grad_(wanted[name])


def _groups(net: EncoderNet, rates: dict[str, float]) -> list[dict[str, Any]]:
    """Parameters that are trained, by learning rate; those of the loss have the plain one."""
    groups: dict[float, list[nn.Parameter]] = {}
    for name, p in net.module_.named_parameters():
        if p.requires_grad:
            # An update has the rate of the weight that it belongs to.
            of = f"{name.partition(_LORA)[0]}.weight" if _LORA in name else name
            groups.setdefault(rates[of], []).append(p)
    of_loss = [p for p in net.criterion_.parameters() if p.requires_grad]
    if of_loss:
        groups.setdefault(net.lr, []).extend(of_loss)
    return [{"params": params, "lr": lr} for lr, params in sorted(groups.items())]


def _still(
    module: nn.Module, train: str, new: set[str], not_arrived: Collection[str]
) -> tuple[nn.Module, ...]:
    """Frozen modules that stay as in use while the others train: of "head" all, of "lora" those with statistics of batches."""
    heads = head_of(module)
    still = []
    for name, part in module.named_modules():
        own = [f"{name}.{key}" for key in {**dict(part._parameters), **dict(part._buffers)}]
        in_head = any(name == of or name.startswith(f"{of}.") for of in heads)
        if name and not in_head and not any(key in new or key in not_arrived for key in own):
            has_statistics = isinstance(part, _NormBase) and part.track_running_stats
            if train == "head" or has_statistics:
                still.append(part)
    return tuple(still)


@contextlib.contextmanager
def _low_rank(net: EncoderNet, inputs: dict[str, Any], rank: int, new: set[str]) -> Iterator[None]:
    """A block in which each linear layer that is frozen has a low-rank update beside it, which it keeps."""
    peft, module = _import_peft(), net.module_
    targets = _linear_layers(net, inputs, new)
    if not targets:
        raise ValueError(
            f"train='lora': {type(module).__name__} has no linear layer before its head that could be updated. Use"
            " train='all', or 'head'."
        )
    exactly = "|".join(map(re.escape, targets))  # of a list peft would take endings of names
    config = peft.LoraConfig(r=rank, lora_alpha=_ALPHA * rank, target_modules=exactly)
    peft.inject_adapter_in_model(config, module)
    # In use torch's own layer takes weights past the modules that hold them, and so past the updates.
    fast = [part for part in module.modules() if isinstance(part, nn.TransformerEncoderLayer)]
    flags = [part.activation_relu_or_gelu for part in fast]
    for part in fast:
        part.activation_relu_or_gelu = 0
    try:
        yield
    finally:
        for name in targets:
            layer = module.get_submodule(name)
            layer.merge()
            module.set_submodule(name, layer.get_base_layer())
        for part, flag in zip(fast, flags, strict=True):
            part.activation_relu_or_gelu = flag


def merged_state(module: nn.Module) -> dict[str, torch.Tensor]:
    """A copy of the weights as they are when the updates have been added, by the names that the network always has."""
    state = {name: value.detach().clone() for name, value in module.state_dict().items()}
    for name, layer in module.named_modules():
        if hasattr(layer, "get_delta_weight"):
            state[f"{name}.base_layer.weight"] += layer.get_delta_weight("default").detach()
    return {name.replace(".base_layer.", "."): value for name, value in state.items() if _LORA not in name}


def _linear_layers(net: EncoderNet, inputs: dict[str, Any], new: set[str]) -> list[str]:
    """Frozen linear layers that a pass calls: of others (LaBraM's qkv) the forward reads the weights by hand."""
    module = net.module_
    linear = {
        part: name
        for name, part in module.named_modules()
        if isinstance(part, nn.Linear)
        and not parametrize.is_parametrized(part)
        and f"{name}.weight" not in new
    }
    called = set()
    handles = [part.register_forward_pre_hook(lambda part, _: called.add(part)) for part in linear]
    was_training = module.training
    try:
        module.eval()
        net.forward_of(inputs)  # with gradients, for without them torch's own layers call none of theirs
    finally:
        module.train(was_training)
        for handle in handles:
            handle.remove()
    return [name for part, name in linear.items() if part in called]


def _import_peft() -> Any:
    try:
        import peft
    except ImportError as error:
        raise ImportError(
            f"train='lora' needs peft ({error}). Install it with pip install 'skeegclip[peft]'."
        ) from error
    return peft


def _unfit(spec: NetSpec, why: str) -> ValueError:
    return ValueError(f"train='probe' does not fit {spec.net.__name__}: {why.rstrip('.')}. Use train='head'.")
