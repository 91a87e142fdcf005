"""Do priors draw from the posterior? Against a conditional Gaussian, whose posterior is known.

Embeddings x ~ N(10, 9 I) of 6 dimensions, conditions z = x W + noise of standard deviation 2. Each prior learns from 1,300
pairs and draws 30 samples for each of 200 others. For each network, schedule and guidance: spread of the samples relative to
the posterior's (least and greatest over dimensions), and how far the mean of the samples and the prior's expectation lie from
the posterior's mean, in its standard deviations (root mean square; 30 perfect samples give 0.18).

Run: ``python examples/benchmarks/prior_calibration.py``
"""

import argparse

import numpy as np

from skeegclip import DiffusionPrior

N_PAIRS, N_NEW, N_SAMPLES, N_DIMS = 1300, 200, 30, 6
NETS = {
    "gaussian": {"net": "gaussian"},
    "unet": {"net_params": {"widths": (128, 64), "n_time_features": 64}},
    "mlp": {"net": "mlp", "net_params": {"width": 128}},
    "unet, sample": {
        "net_params": {"widths": (128, 64), "n_time_features": 64},
        "prediction": "sample",
    },
    "unet, epsilon": {
        "net_params": {"widths": (128, 64), "n_time_features": 64},
        "prediction": "epsilon",
    },
}
SETTINGS = [
    *((name, 50, 1.0) for name in ("dpmsolver++", "ddim", "ddpm")),
    ("dpmsolver++", 20, 1.0),
    *(("dpmsolver++", 50, g) for g in (2.0, 3.0, 5.0)),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    rng = np.random.default_rng(parser.parse_args().seed)
    W = rng.normal(size=(N_DIMS, N_DIMS))
    x = rng.normal(size=(N_PAIRS + N_NEW, N_DIMS)) * 3 + 10
    z = x @ W + 2 * rng.normal(size=x.shape)
    covariance = np.linalg.inv(np.eye(N_DIMS) / 9 + W @ W.T / 4)
    sd, new = np.sqrt(np.diag(covariance)), z[N_PAIRS:]
    mean = (10 / 9 + new @ W.T / 4) @ covariance

    def off(values):
        return np.sqrt(np.mean(((values - mean) / sd) ** 2))

    print(f"{'':16s} {'schedule':12s} steps  g   spread         mean  expectation")
    for name, params in NETS.items():
        prior = DiffusionPrior(**params, random_state=0, device="cpu").fit(z[:N_PAIRS], x[:N_PAIRS])
        for scheduler, n_steps, g in SETTINGS if name in ("gaussian", "unet") else SETTINGS[:1]:
            prior.set_params(scheduler=scheduler, n_steps=n_steps, guidance_scale=g)
            samples = prior.sample(new, N_SAMPLES).astype(float)
            spread = np.sqrt(samples.var(axis=1, ddof=1).mean(axis=0)) / sd
            print(
                f"{name:16s} {scheduler:12s} {n_steps:4d} {g:4g}   {spread.min():.2f} to {spread.max():.2f}"
                f"   {off(samples.mean(axis=1)):5.2f} {off(prior.transform(new)):5.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
