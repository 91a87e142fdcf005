"""What a network's attention looks at."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._utils.params import check_number
from ..nets.transformer import SelfAttention
from .net import EncoderNet, batches, evaluating

_BATCH_SIZE = 128  # the attention of one epoch of 63 channels is as large as the epoch itself


def channel_attention(net: EncoderNet, X: Any, subject: Any, layer: int) -> np.ndarray:
    """Attention of every channel to every channel, (n_epochs, n_heads, n_chans, n_chans); rows sum to one.

    The first token is the subject's, as in ATM. Its row and column are left out, and what remains of a row is
    scaled to one again.
    """
    layers = [module for module in net.module_.modules() if isinstance(module, SelfAttention)]
    name, n_chans = type(net.module_).__name__, X.shape[1]
    if not layers:
        raise TypeError(
            f"attention: the network {name} has no attention between channels. Use net='atm-s', with its attention."
        )
    check_number("layer", layer, low=-len(layers), high=len(layers) - 1, integer=True)
    chosen, seen, parts = layers[layer], [], []
    handle = chosen.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    try:
        with evaluating(net):
            for inputs in batches(net, X, subject, _BATCH_SIZE):
                net.infer(inputs)
                tokens = seen.pop()
                if tokens.shape[1] != n_chans + 1:
                    raise TypeError(
                        f"attention: the tokens of this {name} are not channels ({tokens.shape[1] - 1} tokens,"
                        f" {n_chans} channels), because a convolution stands before attention."
                    )
                weights = chosen.weights(tokens.float())[:, :, 1:, 1:]
                parts.append((weights / weights.sum(-1, keepdim=True)).cpu().numpy())
    finally:
        handle.remove()
    return np.concatenate(parts)
