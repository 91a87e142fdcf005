"""load_reference_checkpoint: published weights as a fitted EEGEncoder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._utils.state_dicts import read_state_dict
from ..._utils.stated import Stated
from ..encoder import EEGEncoder
from .formats import ADAPT, FORMATS, POSITIONS, Format, Keys

if TYPE_CHECKING:
    from ..._training.net import EncoderNet
    from ..._training.spec import NetSpec
    from ...embeddings import EmbeddingTable

_SHOWN = 3  # keys named in an error


def load_reference_checkpoint(
    path_or_state_dict: str | os.PathLike | Mapping[str, Any],
    *,
    targets: EmbeddingTable | None = None,
    n_times: int | None = None,
    device: str = "auto",
) -> EEGEncoder:
    """Make a fitted encoder of weights that the published code of ATM saved.

    The network is recognised by the names of its weights: ATMS, ATM_E, NICE, MLP (the class `Projector`),
    MetaEEG or EEGNetv4. The encoder gives the embeddings that the published code gives, its peculiarities
    included: see the user guide. They live in this encoder alone: a clone of it, or another fit, trains the
    network that `net` names, without them.

    Parameters
    ----------
    path_or_state_dict : path-like | dict of str to Tensor
        A ``.pth`` or ``.pt`` file, read without running code from it, a ``.safetensors`` file, or what such a
        file holds. Weights that lie in an entry such as ``"state_dict"``, or whose names begin with
        ``"module."``, are found.
    targets : EmbeddingTable | None
        Vectors of the stimuli, for ``score`` and for the classifier and the retriever around the encoder.
    n_times : int | None
        Number of samples of an epoch, where the weights do not tell. The weights of NICE and EEGNetv4 fit
        several lengths: None takes 250 (or 201, of MEG) where it is among them, else the shortest.
    device : str
        Torch device to put the encoder on.

    Returns
    -------
    EEGEncoder
        Fitted. Epochs must have the channels and the preprocessing that the weights were trained on; with 63
        channels these are THINGS-EEG2's, whose names and order are then compared where X has names.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    TypeError
        If the argument is neither a path nor a state dict.
    ValueError
        If the file holds more than weights or is cut short, or if the weights are not those of one of the six
        networks: the nearest one is named, with the keys that are missing or left over.

    References
    ----------
    Li et al., "Visual Decoding and Reconstruction via EEG Embeddings with Guided Diffusion", NeurIPS 2024,
    arXiv:2403.07721.

    Examples
    --------
    >>> import torch
    >>> from skeegclip import load_reference_checkpoint
    >>> net = {  # a network of eight outputs, four channels and two filters, as the published code names it
    ...     "enc_eeg.0.tsconv.0": torch.nn.Conv2d(1, 2, (1, 25)),
    ...     "enc_eeg.0.tsconv.2": torch.nn.BatchNorm2d(2),
    ...     "enc_eeg.0.tsconv.4": torch.nn.Conv2d(2, 2, (4, 1)),
    ...     "enc_eeg.0.tsconv.5": torch.nn.BatchNorm2d(2),
    ...     "enc_eeg.0.projection.0": torch.nn.Conv2d(2, 2, 1),
    ...     "proj_eeg.0": torch.nn.Linear(72, 8),
    ...     "proj_eeg.1.fn.1": torch.nn.Linear(8, 8),
    ...     "proj_eeg.2": torch.nn.LayerNorm(8),
    ... }
    >>> state = {f"{name}.{key}": value for name, layer in net.items() for key, value in layer.state_dict().items()}
    >>> encoder = load_reference_checkpoint({**state, "logit_scale": torch.tensor(2.66)}, device="cpu")
    >>> encoder.net, encoder.n_chans_, encoder.n_times_in_
    ('nice', 4, 250)
    >>> encoder.transform(torch.zeros(3, 4, 250)).shape
    (3, 8)
    """
    from ...nets.names import find_net

    state = read_state_dict(path_or_state_dict)
    found, keys = _recognise(state)
    try:
        name, params = found.net(state)
        _check_positions(state)
        weights, named = _convert(state, keys)
    except (IndexError, StopIteration, ZeroDivisionError, RuntimeError):
        raise ValueError(
            f"path_or_state_dict has the keys of {found.name}, but its weights have other shapes than any that"
            " network can have."
        ) from None
    params = params if n_times is None else {**params, "n_times": n_times}
    encoder = EEGEncoder(found.trains_as, targets=targets, device=device, precision="float32")
    spec, net = _build(find_net(name), params, weights, named, encoder)
    _make_fitted(encoder, found, spec, net)
    return encoder


def _recognise(state: Mapping) -> tuple[Format, Keys]:
    """The format whose keys are those of `state`, and what they become."""
    nearest, likeness = FORMATS[0], -1.0
    for known in FORMATS:
        keys = known.keys(state)
        if keys.keys() == state.keys():
            return known, keys
        alike = len(keys.keys() & state.keys()) / len(keys.keys() | state.keys())
        if alike > likeness:
            nearest, likeness = known, alike
    names = ", ".join(known.name for known in FORMATS)
    if likeness == 0:
        raise ValueError(
            f"path_or_state_dict: none of its {len(state)} keys ({_some(state)}) is one of a published network"
            f" ({names}). A folder that EEGEncoder.save wrote is read by EEGEncoder.load."
        )
    expected = nearest.keys(state)
    missing = [key for key in expected if key not in state]
    left = [key for key in state if key not in expected]
    parts = []
    if missing:
        parts.append(f"{len(missing)} of its keys are missing ({_some(missing)})")
    if left:
        parts.append(f"{len(left)} keys are left over ({_some(left)})")
    raise ValueError(
        f"path_or_state_dict is not the whole state dict of a published network ({names}). The nearest is"
        f" {nearest.name}: {' and '.join(parts)}. Pass the state dict as model.state_dict() gives it."
    )


def _some(keys: Any) -> str:
    shown = [repr(key) for key in list(keys)[:_SHOWN]]
    return ", ".join(shown) + (", ..." if len(keys) > _SHOWN else "")


def _make_fitted(encoder: EEGEncoder, found: Format, spec: NetSpec, net: EncoderNet) -> None:
    from ..._training.fitted import FittedNet
    from ...epochs.sites import THINGS_EEG_CHANNELS

    params = spec.net_params
    n_chans = params["n_chans"]
    encoder.n_chans_ = encoder.n_features_in_ = n_chans
    encoder.n_times_in_ = params["n_times"]
    encoder.ch_names_ = THINGS_EEG_CHANNELS if n_chans == len(THINGS_EEG_CHANNELS) else None
    encoder.fitted_ = FittedNet(
        spec=spec,
        net=net,
        subjects=np.array(found.subjects, dtype=str),
        n_outputs=params["n_outputs"],
        history=[],
        selection={"rule": "published", "epoch": None, "n_stimuli_held_out": 0},
        trained_on={},  # on what, is not in a checkpoint
        stated=Stated(ch_names=encoder.ch_names_),
    )


def _build(
    cls: type,
    params: dict[str, Any],
    weights: dict[str, np.ndarray],
    named: dict[str, str],
    encoder: EEGEncoder,
) -> tuple[NetSpec, EncoderNet]:
    from ..._training.sharing import WeightsError, rebuild_net
    from ..._training.spec import NetSpec

    # The published loss: neither does it exponentiate its factor, nor scale the EEG's side to unit length.
    criterion = {"temperature_mode": "raw", "normalize": "image", "same_stimulus": "negative"}
    spec = NetSpec(cls, params, criterion)
    try:
        return spec, rebuild_net(spec, weights, device=encoder.device, precision=encoder.precision)
    except WeightsError as error:
        raise ValueError(
            f"path_or_state_dict: {named.get(error.key, error.key)!r} has shape {error.got}, but the other weights"
            f" ask for {error.wanted}."
        ) from None


def _convert(state: Mapping, keys: Keys) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The weights under our names, and for each of these names the (first) published one."""
    import torch

    parts: dict[str, list] = {}
    named: dict[str, str] = {}
    for theirs, ours in keys.items():
        value = state[theirs]
        if not torch.isfinite(value).all():
            raise ValueError(
                f"path_or_state_dict: {theirs!r} holds NaN or inf. This training run had diverged."
            )
        if ours is not None:
            part = "criterion_" if ours.startswith("clip.") else "module_"
            parts.setdefault(f"{part}.{ours}", []).append(ADAPT.get(ours, _as_it_is)(value))
            named.setdefault(f"{part}.{ours}", theirs)
    weights = {ours: torch.cat(values) if len(values) > 1 else values[0] for ours, values in parts.items()}
    return {ours: value.numpy() for ours, value in weights.items()}, named


def _as_it_is(value: Any) -> Any:
    return value


def _check_positions(state: Mapping) -> None:
    """The published tables of positions are not learned; one that differs is from other code."""
    import torch

    from ...nets.tokens import positions

    for key in POSITIONS & state.keys():
        table = state[key].reshape(-1, state[key].shape[-1])[:64]
        if not torch.allclose(table, positions("sinusoidal", *table.shape), atol=1e-4):
            raise ValueError(
                f"path_or_state_dict: {key!r} is not the table of sines and cosines that the published code adds."
            )
