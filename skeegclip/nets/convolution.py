"""Which convolution stands in ATM."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ._braindecode import braindecode_models
from .build import build_net
from .published import eegnet
from .sizes import shrink_kernels
from .tsconv import TSConv


class EEGNetConv(nn.Module):
    """braindecode's EEGNet as a convolution, with the hyper-parameters of ATM-E.

    Parameters
    ----------
    n_chans : int
        Number of channels.
    n_times : int
        Number of samples.
    n_features : int or None, default=1440
        Length of the vector that comes out, as published; None leaves the last linear layer out, so that signals
        (batch, 160, n_windows) come out.

    References
    ----------
    Lawhern et al., "EEGNet: a compact convolutional neural network for EEG-based brain-computer interfaces",
    arXiv:1611.08024.

    Examples
    --------
    >>> import torch
    >>> EEGNetConv(n_chans=63, n_times=250)(torch.zeros(2, 63, 250)).shape
    torch.Size([2, 1440])
    """

    def __init__(self, n_chans: int, n_times: int, n_features: int | None = 1440) -> None:
        super().__init__()
        sizes = {"n_chans": n_chans, "n_times": n_times, "n_outputs": n_features or 1}
        self.net = build_net(braindecode_models().EEGNet, {**sizes, **eegnet(n_times)})
        if n_features is None:
            self.net.final_layer = nn.Flatten(2)

    def forward(self, x: Tensor) -> Tensor:
        """Map signals (batch, n_chans, n_times) to features."""
        return self.net(x)


def make_convolution(
    conv: str | Callable[..., nn.Module],
    n_chans: int,
    n_times: int,
    *,
    as_signal: bool,
    n_filters: int,
    kernel_length: int,
    pool_length: int,
    pool_stride: int,
    dropout: float,
) -> tuple[nn.Module, tuple[int, ...]]:
    """Build a convolution for signals (batch, n_chans, n_times).

    Parameters
    ----------
    conv : {"shallow", "eegnet"} or callable
        Which one. A callable, such as a class, is called with `n_chans` and `n_times`.
    n_chans, n_times : int
        What goes in.
    as_signal : bool
        Whether signals (batch, channels, times) have to come out, for the attention behind.
    n_filters, kernel_length, pool_length, pool_stride : int
        Sizes of the "shallow" one; lengths give way to a shorter `n_times`.
    dropout : float
        Dropout of the "shallow" one.

    Returns
    -------
    module : Module
        The convolution.
    shape : tuple of int
        Shape of what comes out, without the batch.

    Raises
    ------
    ValueError
        If signals have to come out and do not.

    Examples
    --------
    >>> sizes = {"n_filters": 40, "kernel_length": 25, "pool_length": 51, "pool_stride": 5, "dropout": 0.5}
    >>> make_convolution("shallow", 63, 250, as_signal=True, **sizes)[1]
    (40, 36)
    """
    if conv == "shallow":
        kernel, pool = shrink_kernels(n_times, kernel_length, pool_length)
        module: Any = TSConv(n_chans, n_times, n_filters, kernel, pool, pool_stride, dropout, as_signal)
        n_windows = module.n_outputs // n_filters
        return module, (n_filters, n_windows) if as_signal else (module.n_outputs,)
    if conv == "eegnet":
        module = EEGNetConv(n_chans, n_times, None if as_signal else 1440)
    else:
        assert callable(conv)
        module = conv(n_chans=n_chans, n_times=n_times)
    with torch.no_grad():
        shape = tuple(module.eval()(torch.zeros(2, n_chans, n_times)).shape[1:])
    if as_signal and len(shape) != 2:
        raise ValueError(
            "conv must map (batch, n_chans, n_times) to (batch, channels, times) where it stands before attention,"
            f" got output shape (batch, {', '.join(map(str, shape))}). Use conv_position='after' with this one."
        )
    return module.train(), shape


def fitting_lengths(
    conv: Any, n_times: int | None, kernel_length: int, pool_length: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the arguments of a convolution as wanted, and as they fit into `n_times` samples."""
    if n_times is not None and conv == "shallow":
        kernel, pool = shrink_kernels(n_times, kernel_length, pool_length)
        return (
            {"kernel_length": kernel_length, "pool_length": pool_length},
            {"kernel_length": kernel, "pool_length": pool},
        )
    if n_times is not None and conv == "eegnet":
        return eegnet(sys.maxsize), eegnet(n_times)
    return {}, {}
