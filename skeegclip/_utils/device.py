"""Where the numbers are crunched, and how precisely."""

from __future__ import annotations

from typing import Any

from .params import check_option


def resolve_device(device: Any) -> str:
    """Return the torch device to use: "auto" is the GPU where there is one, else the CPU."""
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        resolved = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f'device must be "auto" or a torch device such as "cpu" or "cuda:0", got {device!r}.'
        ) from error
    if resolved.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f'device={device!r} but torch sees no CUDA device. Use device="auto" or "cpu".')
    return str(resolved)


def device_here(device: Any) -> str:
    """Return the device as `resolve_device` does, and the CPU where a net was fitted on a GPU and there is none."""
    try:
        return resolve_device(device)
    except ValueError:
        return "cpu"


def resolve_precision(precision: Any, device: str) -> str:
    """Return "float32" or "bfloat16": "auto" is bfloat16 on a GPU that has it, else float32."""
    import torch

    check_option("precision", precision, ["auto", "float32", "bfloat16"])
    if precision != "auto":
        return precision
    return "bfloat16" if device.startswith("cuda") and torch.cuda.is_bf16_supported() else "float32"
