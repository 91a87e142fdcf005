"""Noise schedules of the prior, and how samples are drawn."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm.auto import tqdm

from ._sharing import device_of

if TYPE_CHECKING:
    import torch

SCHEDULERS = ("ddpm", "ddim", "dpmsolver++")
_ROWS_AT_ONCE = 512


def make_scheduler(name: str, *, n_train_steps: int, prediction: str, reference_quirks: bool) -> Any:
    """A diffusers scheduler.

    The betas are those of DDPM, scaled so that every number of training steps ends in noise. The reference clips the
    embedding at plus and minus one in each step, and begins one stride short of pure noise.
    """
    from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler

    params: dict[str, Any] = {
        "num_train_timesteps": n_train_steps,
        "beta_start": 0.1 / n_train_steps,
        "beta_end": 20 / n_train_steps,
        "prediction_type": prediction,
        "timestep_spacing": "leading" if reference_quirks else "trailing",
    }
    if name == "dpmsolver++":
        return DPMSolverMultistepScheduler(
            **params, algorithm_type="dpmsolver++", thresholding=reference_quirks
        )
    scheduler = {"ddpm": DDPMScheduler, "ddim": DDIMScheduler}[name]
    return scheduler(**params, clip_sample=reference_quirks)


def row_seeds(conditions: np.ndarray, seed: int, n_samples: int) -> list[list[int]]:
    """Seeds of each row's samples, from the row itself.

    Not from its place, so that a row's samples depend neither on its batch nor on the order of the rows; and from the
    side of 64 random hyperplanes on which it lies rather than from its bits, so that the rounding of its last bits
    does not give other samples.

    Parameters
    ----------
    conditions : ndarray, shape (n, n_conditions)
        The rows.
    seed : int
        Seed of the prior.
    n_samples : int
        Samples of a row.

    Returns
    -------
    list of list of int
        Shape (n, n_samples).
    """
    rows = conditions.astype(np.float64)
    size = np.sqrt(np.mean(rows**2, axis=1, keepdims=True)).clip(min=1e-12)
    features = np.hstack([rows / size / np.sqrt(rows.shape[1]), np.log(size)])
    rng = np.random.default_rng([seed, 4])
    planes, offsets = rng.standard_normal((features.shape[1], 64)), rng.standard_normal(64) / 2
    sides = np.packbits(features @ planes > offsets, axis=1)
    return [[_hash(side.tobytes(), seed, number) for number in range(n_samples)] for side in sides]


def _hash(side: bytes, seed: int, number: int) -> int:
    digest = hashlib.blake2b(side + seed.to_bytes(8, "little") + number.to_bytes(8, "little"), digest_size=8)
    return int.from_bytes(digest.digest(), "little") >> 1


def draw(
    net: torch.nn.Module,
    scheduler: Any,
    conditions: np.ndarray,
    *,
    n_dims: int,
    n_samples: int,
    n_steps: int,
    guidance_scale: float,
    seed: int,
    precision: str,
    verbose: Any,
) -> np.ndarray:
    """Samples of all rows, shape (n, n_samples, n_dims), on the scale the network was trained on."""
    import torch

    device = device_of(net)
    seeds = row_seeds(conditions, seed, n_samples)
    out = np.empty((len(conditions), n_samples, n_dims), dtype=np.float32)
    step = max(1, _ROWS_AT_ONCE // n_samples)
    blocks = [slice(start, start + step) for start in range(0, len(conditions), step)]
    bar = tqdm(total=len(blocks) * n_steps, desc="sampling", unit="step") if verbose else None
    try:
        for block in blocks:
            c = torch.from_numpy(np.repeat(conditions[block], n_samples, axis=0)).to(device)
            generators = [torch.Generator().manual_seed(s) for row in seeds[block] for s in row]
            with (
                torch.inference_mode(),
                torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"),
            ):
                x = _denoise(net, scheduler, c, generators, n_dims, n_steps, guidance_scale, bar)
            out[block] = x.float().cpu().numpy().reshape(-1, n_samples, n_dims)
    finally:
        if bar is not None:
            bar.close()
    return out


def _denoise(
    net: Any,
    scheduler: Any,
    c: torch.Tensor,
    generators: list,
    n_dims: int,
    n_steps: int,
    guidance_scale: float,
    bar: Any,
) -> torch.Tensor:
    """From noise to samples, a row each."""
    import torch

    scheduler.set_timesteps(n_steps, device=c.device)
    x = torch.cat([torch.randn(1, n_dims, generator=g) for g in generators]).to(c.device)
    for t in scheduler.timesteps:
        predicted = guided(net, x, t.reshape(1), c, guidance_scale).float()
        x = scheduler.step(predicted, t, x, generator=generators).prev_sample
        if bar is not None:
            bar.update()
    return x


def guided(net: Any, x: torch.Tensor, t: torch.Tensor, c: torch.Tensor, scale: float) -> torch.Tensor:
    """Classifier-free guidance: unconditional + scale * (conditional - unconditional)."""
    if scale == 1:
        return net(x, t, c)
    without = net(x, t)
    return without if scale == 0 else without + scale * (net(x, t, c) - without)
