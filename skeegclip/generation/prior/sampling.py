"""Noise schedules of the prior, and how samples are drawn."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import gen_batches

from ..._utils.progress import tqdm
from .._sharing import device_of

if TYPE_CHECKING:
    import torch

SCHEDULERS = ("auto", "ddpm", "ddim", "dpmsolver++")
_ROWS_AT_ONCE = 512
_NOISES = 8  # draws of noise that an expectation is averaged over


def make_scheduler(name: str, *, n_train_steps: int, prediction: str, reference_quirks: bool) -> Any:
    """A diffusers scheduler.

    The betas are those of DDPM, scaled so that every number of training steps ends in noise. One class serves all
    three names: the first-order solver of the reverse SDE is DDPM's ancestral step, that of the ODE is DDIM. The
    reference has diffusers' own two, which clip the embedding at plus and minus one in each step and begin one stride
    short of pure noise.
    """
    from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler

    params: dict[str, Any] = {
        "num_train_timesteps": n_train_steps,
        "beta_start": 0.1 / n_train_steps,
        "beta_end": 20 / n_train_steps,
        "prediction_type": "v_prediction" if prediction == "velocity" else prediction,
    }
    if reference_quirks:
        scheduler = DDIMScheduler if name == "ddim" else DDPMScheduler
        return scheduler(**params, clip_sample=True, timestep_spacing="leading")
    first_order = name in ("ddpm", "ddim")
    return DPMSolverMultistepScheduler(
        **params,
        algorithm_type="sde-dpmsolver++" if name == "ddpm" else "dpmsolver++",
        solver_order=1 if first_order else 2,
        timestep_spacing="trailing",
    )


def time_steps(n_steps: int, n_train_steps: int) -> np.ndarray:
    """Which of the training's steps sampling takes, the noisiest first: as cubes, so that most have little noise.

    What is finer than the noise of the last steps does not come out. Evenly spaced steps lose the spread of every
    direction that the condition tells well: of a standard deviation of 0.03 they keep a third at 50 steps, these 0.96.
    """
    i = np.arange(n_steps)
    cubes = np.round((n_train_steps - 1) * (i / max(n_steps - 1, 1)) ** 3)
    return np.maximum(i, cubes).astype(int)[::-1].copy()


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


def draw_samples(
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

    seeds = row_seeds(conditions, seed, n_samples)
    out = np.empty((len(conditions), n_samples, n_dims), dtype=np.float32)
    blocks = list(gen_batches(len(conditions), max(1, _ROWS_AT_ONCE // n_samples)))
    bar = tqdm(total=len(blocks) * n_steps, desc="sampling", unit="step") if verbose else None
    try:
        for block in blocks:
            c = np.repeat(conditions[block], n_samples, axis=0)
            generators = [torch.Generator().manual_seed(s) for row in seeds[block] for s in row]
            with _at_work(net, precision) as device:
                c = torch.from_numpy(c).to(device)
                x = _denoise(net, scheduler, c, generators, n_dims, n_steps, guidance_scale, bar)
            out[block] = x.float().cpu().numpy().reshape(-1, n_samples, n_dims)
    finally:
        if bar is not None:
            bar.close()
    return out


def expect(
    net: torch.nn.Module,
    scheduler: Any,
    conditions: np.ndarray,
    *,
    n_dims: int,
    guidance_scale: float,
    precision: str,
    prediction: str,
) -> np.ndarray:
    """Conditional means of all rows, shape (n, n_dims), on the scale the network was trained on.

    Where all is noise, the clean embedding to be expected is that which the condition alone tells. A trained network
    still takes a little of the noise for signal, and an expectation has no direction of its own in it: so it is
    averaged over a few draws and their opposites, the same for every row.
    """
    import torch

    from .nets.corrected import as_clean

    noise = torch.randn(_NOISES // 2, n_dims, generator=torch.Generator().manual_seed(0))
    noise = torch.cat([noise, -noise])
    kept = scheduler.alphas_cumprod[-1]
    out = np.empty((len(conditions), n_dims), dtype=np.float32)
    for block in gen_batches(len(conditions), _ROWS_AT_ONCE // _NOISES):
        with _at_work(net, precision) as device:
            c = torch.from_numpy(np.repeat(conditions[block], _NOISES, axis=0)).to(device)
            x = noise.repeat(len(c) // _NOISES, 1).to(device)
            t = torch.tensor([len(scheduler.alphas_cumprod) - 1], device=device)
            clean = as_clean(guided(net, x, t, c, guidance_scale).float(), x, kept.to(device), prediction)
        out[block] = clean.reshape(-1, _NOISES, n_dims).mean(dim=1).cpu().numpy()
    return out


@contextmanager
def _at_work(net: torch.nn.Module, precision: str) -> Iterator[torch.device]:
    """The device of a network, for use in that precision."""
    import torch

    device = device_of(net)
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        yield device


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

    with warnings.catch_warnings():
        # diffusers 0.42 turns tensors into arrays in a way that numpy will no longer allow one day.
        warnings.filterwarnings("ignore", "__array__ implementation doesn't accept a copy keyword")
        if scheduler.config.timestep_spacing == "leading":  # the reference
            scheduler.set_timesteps(n_steps, device=c.device)
        else:
            steps = time_steps(n_steps, scheduler.config.num_train_timesteps)
            scheduler.set_timesteps(timesteps=steps, device=c.device)
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
