"""Hyper-parameters with which the ATM paper compared networks that braindecode has.

Each function gives a network's arguments for epochs of `n_times` samples. Lengths in samples are for 250 Hz, as
published; epochs too short for them shorten them.
"""

from __future__ import annotations

from typing import Any

from .sizes import shrink_kernels


def eegnet(n_times: int) -> dict[str, Any]:
    """EEGNet, also the convolution of ATM-E."""
    first = min(4, n_times)
    # Its kernels are even and padded by half their length: each of the two adds a sample.
    second = min(8, (n_times + 1) // first + 1)
    filters = {"F1": 8, "D": 20, "F2": 160, "kernel_length": 4, "drop_prob": 0.25}
    return {**filters, "pool1_kernel_size": first, "pool2_kernel_size": second}


def eegconformer(n_times: int) -> dict[str, Any]:
    """EEGConformer."""
    kernel, pool = shrink_kernels(n_times, 10, 25)
    return {
        "n_filters_time": 40,
        "filter_time_length": kernel,
        "pool_time_length": pool,
        "pool_time_stride": 5,
        "drop_prob": 0.25,
        "num_layers": 2,
        "num_heads": 1,
        "att_drop_prob": 0.5,
    }


def eegitnet(n_times: int) -> dict[str, Any]:
    """EEG-ITNet."""
    pool = min(4, max(1, n_times // 2))
    kernel = min(4, n_times // pool)
    return {"drop_prob": 0.4, "pool_kernel": pool, "tcn_kernel_size": kernel}


def shallow(n_times: int) -> dict[str, Any]:
    """ShallowFBCSPNet."""
    kernel, pool = shrink_kernels(n_times, 20, 25)
    return {
        "n_filters_time": 20,
        "filter_time_length": kernel,
        "n_filters_spat": 20,
        "pool_time_length": pool,
        "pool_time_stride": 5,
        "drop_prob": 0.5,
    }


def atcnet(n_times: int) -> dict[str, Any]:
    """ATCNet, which shortens its lengths, and warns, by itself."""
    return {
        "conv_block_n_filters": 8,
        "conv_block_kernel_length_1": 32,
        "conv_block_kernel_length_2": 8,
        "conv_block_pool_size_1": 4,
        "conv_block_pool_size_2": 3,
        "head_dim": 4,
        "num_heads": 2,
    }


def simpleconv(n_times: int) -> dict[str, Any]:
    """braindecode's BrainModule with the two residual blocks that decode pictures (the speech decoder has five)."""
    return {"depth": 4}
