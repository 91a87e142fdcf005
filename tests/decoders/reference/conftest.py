"""State dicts in the published format, filled with the numbers that the published figures were made with."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch


@pytest.fixture(scope="session")
def plain():
    """The published networks, layer by layer."""
    spec = importlib.util.spec_from_file_location("published", Path(__file__).with_name("published.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _hash_values(n: int) -> np.ndarray:
    i = np.arange(n, dtype=np.int64)
    return (((i % 65521) ** 2 * 31 + i * 7919 + n) % 65521) / 65521 - 0.5


@pytest.fixture(scope="session")
def hashed():
    """Function that makes epochs out of hash values, in [-1, 1)."""
    return lambda *shape: (2 * _hash_values(int(np.prod(shape)))).astype(np.float32).reshape(shape)


@pytest.fixture(scope="session")
def fill():
    """Function that fills the parameters of a network with hash values and leaves its buffers alone."""

    def values(shape: torch.Size) -> torch.Tensor:
        n = int(np.prod(shape))
        flat = _hash_values(n) * 2 / np.sqrt(n / shape[0]) if len(shape) > 1 else _hash_values(n) + 0.5
        return torch.tensor(flat, dtype=torch.float32).reshape(shape)

    def fill_net(net: torch.nn.Module) -> torch.nn.Module:
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.copy_(values(parameter.shape))
        return net.eval()

    return fill_net
