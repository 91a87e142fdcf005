"""The layer-by-layer networks that ours must equal, and the weights of the parity figures."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

_PLAIN = Path(__file__).parents[2] / "examples" / "benchmarks" / "layer_by_layer.py"


@pytest.fixture(scope="session")
def plain():
    """Module with PlainATM, PlainNICE, PlainTSConv and plain_state."""
    spec = importlib.util.spec_from_file_location("layer_by_layer", _PLAIN)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _hash_values(n: int) -> np.ndarray:
    i = np.arange(n, dtype=np.int64)
    return (((i % 65521) ** 2 * 31 + i * 7919 + n) % 65521) / 65521 - 0.5


@pytest.fixture(scope="session")
def hashed():
    """Function that makes an input of the given shape out of hash values, in [-1, 1)."""
    return lambda *shape: torch.tensor(2 * _hash_values(int(np.prod(shape))), dtype=torch.float32).view(shape)


@pytest.fixture(scope="session")
def fill_weights():
    """Function that fills a network with hash values, parameter by parameter as the published networks have them."""

    def fill(shape: torch.Size) -> torch.Tensor:
        n = int(np.prod(shape))
        values = _hash_values(n) * 2 / np.sqrt(n / shape[0]) if len(shape) > 1 else _hash_values(n) + 0.5
        return torch.tensor(values, dtype=torch.float32).view(shape)

    def fill_net(net: torch.nn.Module) -> None:
        with torch.no_grad():
            for name, parameter in net.named_parameters():
                # The published network has one matrix each for queries, keys and values.
                parts = parameter.chunk(3) if ".qkv." in name else [parameter]
                for part in parts:
                    part.copy_(fill(part.shape))

    return fill_net
