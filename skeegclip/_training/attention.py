"""What a network's attention looks at."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from .._utils.params import check_number
from ..nets.atm import ATM
from .net import EncoderNet, batches, evaluating

_BATCH_SIZE = 128  # the attention of one epoch of 63 channels is as large as the epoch itself


def channel_attention(
    net: EncoderNet, X: Any, subject: Any, layer: int, places: np.ndarray | None = None
) -> np.ndarray:
    """Attention of every channel to every channel, (n_epochs, n_heads, n_chans, n_chans); rows sum to one.

    The first token is the subject's, as in ATM. Its row and column are left out, and what remains of a row is
    scaled to one again.
    """
    atm = next((module for module in net.module_.modules() if isinstance(module, ATM)), None)
    name = type(net.module_ if atm is None else atm).__name__
    if atm is None or not atm.has_attention:
        raise TypeError(
            f"attention: the network {name} has no attention between channels. Use net='atm-s', with its attention."
        )
    if atm.tsconv_before is not None:
        raise TypeError(
            f"attention: the tokens of this {name} are filters, not channels. Use conv_position='after'."
        )
    check_number("layer", layer, low=-len(atm.layers), high=len(atm.layers) - 1, integer=True)
    attention, seen, parts = atm.layers[layer].attention, [], []
    handle = attention.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    try:
        with evaluating(net):
            for inputs in batches(net, X, subject, _BATCH_SIZE, places):
                net.infer(inputs)
                weights = attention.weights(torch.cat(seen).float())[:, :, 1:, 1:]
                seen.clear()
                parts.append((weights / weights.sum(-1, keepdim=True)).cpu().numpy())
    finally:
        handle.remove()
    return np.concatenate(parts)
