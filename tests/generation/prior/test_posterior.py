"""Priors against a posterior that is known: x ~ N(10, 9 I), z = x W + noise, so that p(x | z) is a Gaussian in closed form."""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skeegclip import DiffusionPrior
from skeegclip._training.targets import Targets, hold_out_stimuli
from skeegclip.generation.prior.nets.gaussian import PriorGaussian
from skeegclip.generation.prior.sampling import draw_samples, make_scheduler

# One set of small settings for all networks; of the closed form most are none.
pytestmark = pytest.mark.filterwarnings("ignore:.* cannot act. (net=.gaussian|reference_quirks)")

NETS = {
    "unet": {"widths": (64, 32), "n_time_features": 32},
    "mlp": {"width": 64, "n_blocks": 2, "n_time_features": 32},
    "gaussian": None,
}


class Problem:
    """1000 pairs to learn from, 100 to draw for, and what should be drawn."""

    def __init__(self, n_dims=4, seed=0):
        rng = np.random.default_rng(seed)
        W = rng.normal(size=(n_dims, n_dims))
        self.x = rng.normal(size=(1100, n_dims)) * 3 + 10
        self.z = self.x @ W + 2 * rng.normal(size=self.x.shape)
        covariance = np.linalg.inv(np.eye(n_dims) / 9 + W @ W.T / 4)
        self.mean = (10 / 9 + self.z[1000:] @ W.T / 4) @ covariance
        self.sd = np.sqrt(np.diag(covariance))

    def fit(self, **params):
        defaults = {"random_state": 0, "device": "cpu"}
        return DiffusionPrior(**{**defaults, **params}).fit(self.z[:1000], self.x[:1000])

    def check(self, prior, tolerance=0.15):
        samples = prior.sample(self.z[1000:], 24).astype(float)
        spread = np.sqrt(samples.var(axis=1, ddof=1).mean(axis=0))
        np.testing.assert_allclose(spread / self.sd, 1, atol=tolerance)
        # Of 24 draws the mean strays by a fifth of their spread.
        off = np.sqrt(np.mean((samples.mean(axis=1) - self.mean) ** 2, axis=0))
        assert np.max(off / self.sd) < np.hypot(24**-0.5, tolerance) * 1.3
        expected = prior.set_params(n_samples=None).transform(self.z[1000:])
        assert np.max(np.sqrt(np.mean((expected - self.mean) ** 2, axis=0)) / self.sd) < 0.25


@pytest.fixture(scope="module")
def problem():
    return Problem()


@pytest.mark.parametrize("net", NETS)
@pytest.mark.slow
def test_a_prior_as_it_comes_draws_from_the_posterior(problem, net):
    problem.check(problem.fit(net=net, net_params=NETS[net]))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("scheduler", ["dpmsolver++", "ddim", "ddpm"])
@pytest.mark.parametrize("net", NETS)
def test_so_it_does_with_every_network_and_schedule(net, scheduler, seed):
    other = Problem(n_dims=8, seed=seed)
    other.check(other.fit(net=net, net_params=NETS[net], scheduler=scheduler))


@pytest.mark.slow
@pytest.mark.parametrize("net", ["unet", "gaussian"])
@pytest.mark.parametrize("prediction", ["velocity", "sample"])
def test_the_unit_of_what_goes_in_does_not_matter(problem, net, prediction):
    params = {"net": net, "net_params": NETS[net], "max_epochs": 3, "prediction": prediction}
    reference = problem.fit(**params).sample(problem.z[1000:1010], 3)
    for of_z, of_x in ((1000.0, 1.0), (1.0, 1000.0), (1e-4, 1e-4)):
        prior = DiffusionPrior(**params, random_state=0, device="cpu")
        prior.fit(problem.z[:1000] * of_z, problem.x[:1000] * of_x)
        drawn = prior.sample(problem.z[1000:1010] * of_z, 3) / of_x
        np.testing.assert_allclose(drawn, reference, rtol=1e-2, atol=2e-2)


# -- schedules alone: the network is the exact denoiser ------------------------------------------------

VARIANCES = np.array([0.003, 0.01, 0.03, 0.1, 0.3, 0.6, 1.0])  # of the posterior, where the marginal's are 1


def exactly(scheduler, n_steps, guidance_scale=1.0, n_samples=3000, n_train_steps=1000):
    """Samples with a perfect network, for the condition (1, 1, ...)."""
    steps = make_scheduler(
        scheduler, n_train_steps=n_train_steps, prediction="sample", reference_quirks=False
    )
    n = len(VARIANCES)
    net = PriorGaussian(n, n, n_train_steps)
    V = torch.from_numpy(VARIANCES)
    net.set_model(torch.diag((1 - V).sqrt()), torch.diag(V), torch.eye(n), steps.alphas_cumprod)
    x = draw_samples(
        net,
        steps,
        np.ones((1, n), np.float32),
        n_dims=n,
        n_samples=n_samples,
        n_steps=n_steps,
        guidance_scale=guidance_scale,
        seed=0,
        precision="float32",
        verbose=0,
    )
    return x[0].astype(float)


@pytest.mark.parametrize(
    ("scheduler", "n_steps", "tolerance"),
    [
        ("dpmsolver++", 20, 0.08),
        ("dpmsolver++", 50, 0.05),
        ("ddim", 50, 0.08),
        pytest.param("ddpm", 50, 0.13, marks=pytest.mark.slow),
    ],
)
def test_a_perfect_network_draws_the_posterior(scheduler, n_steps, tolerance):
    x = exactly(scheduler, n_steps)
    np.testing.assert_allclose(x.std(axis=0) / np.sqrt(VARIANCES), 1, atol=tolerance)
    np.testing.assert_allclose((x.mean(axis=0) - np.sqrt(1 - VARIANCES)) / np.sqrt(VARIANCES), 0, atol=0.08)


@pytest.mark.parametrize("n_train_steps", [25, 100, 400])
def test_as_many_steps_as_there_are_is_allowed(n_train_steps):
    x = exactly("dpmsolver++", n_train_steps, n_samples=1000, n_train_steps=n_train_steps)
    np.testing.assert_allclose(x.std(axis=0)[3:] / np.sqrt(VARIANCES[3:]), 1, atol=0.15)


@pytest.mark.parametrize("guidance_scale", [0.0, 1.0, 2.0, 5.0])
def test_guidance_follows_its_differential_equation(guidance_scale):
    """dx/ds = -beta / 2 (x + score), integrated by scipy for both ends of a spread: narrower than the posterior."""
    mean = np.sqrt(1 - VARIANCES)

    def slope(s, x):
        kept = np.exp(-0.1 * s - 19.9 * s**2 / 2)
        free = -x
        told = -(x - np.sqrt(kept) * mean) / (kept * VARIANCES + 1 - kept)
        return -(0.1 + 19.9 * s) / 2 * (x + free + guidance_scale * (told - free))

    low, high = (
        solve_ivp(slope, (1, 0), np.full(len(VARIANCES), end), rtol=1e-8).y[:, -1] for end in (-1, 1)
    )
    x = exactly("dpmsolver++", 200, guidance_scale, n_samples=4000)
    wide = (high - low) / 2 > 0.05
    np.testing.assert_allclose(x.std(axis=0)[wide], ((high - low) / 2)[wide], rtol=0.06)
    np.testing.assert_allclose(x.mean(axis=0), (low + high) / 2, atol=0.06)


# -- what validation must not see ----------------------------------------------------------------------


def test_held_out_stimuli_say_nothing_about_the_scale():
    """Their embeddings are a thousand times as large: neither mean nor scale may show it."""
    rng = np.random.default_rng(0)
    x, stimulus = rng.normal(size=(60, 3)).astype(np.float32), np.arange(60)
    small = {"net_params": NETS["unet"], "max_epochs": 1, "validation": 0.2, "device": "cpu"}
    seed = DiffusionPrior(random_state=3, **small).fit(x, x).seed_
    _, held = hold_out_stimuli(Targets(x, stimulus), 0.2, seed)
    strange = x.copy()
    strange[held] *= 1000
    prior = DiffusionPrior(random_state=3, **small).fit(strange, strange)
    seen = np.setdiff1d(stimulus, held)
    assert len(seen) == 48
    for kind in ("condition", "target"):
        np.testing.assert_allclose(
            getattr(prior, f"{kind}_mean_"), x[seen].mean(axis=0), rtol=1e-4, atol=1e-6
        )
        np.testing.assert_allclose(getattr(prior, f"{kind}_scale_"), x[seen].std(axis=0), rtol=1e-4)


# -- the default chain ---------------------------------------------------------------------------------


def cosine(a, b):
    return float(np.mean(np.sum(a * b, axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)))


@pytest.mark.slow
@pytest.mark.parametrize("net", ["unet", "gaussian"])
def test_what_a_reconstructor_paints_from_is_no_further_from_the_truth(net):
    from skeegclip.generation._parts import refine

    rng = np.random.default_rng(0)
    truth = rng.normal(size=(500, 12)) * np.linspace(3, 0.3, 12) + 1
    X = truth @ rng.normal(size=(12, 20)) + 4 * rng.normal(size=(500, 20))
    learn, test = slice(0, 400), slice(400, 500)
    ridge = Ridge(10.0)
    Z = cross_val_predict(ridge, X[learn], truth[learn], cv=KFold(5, shuffle=True, random_state=0))
    decoded = ridge.fit(X[learn], truth[learn]).predict(X[test])
    prior = DiffusionPrior(net=net, net_params=NETS[net], random_state=0, device="cpu").fit(Z, truth[learn])
    before, after = cosine(decoded, truth[test]), cosine(refine(prior, decoded, 1)[:, 0], truth[test])
    assert after > before - 0.003
    assert cosine(prior.sample(decoded, 1)[:, 0], truth[test]) < before  # as a draw must be


@pytest.mark.slow
def test_neither_is_it_on_real_pairs(things_eeg2_sub08):
    Z, images = things_eeg2_sub08
    reached = {"eeg": [], "ridge": [], "prior of eeg": [], "prior of ridge": []}
    for learn, test in KFold(5, shuffle=True, random_state=0).split(Z):
        ridge = make_pipeline(StandardScaler(), Ridge(1e4))
        inner = cross_val_predict(ridge, Z[learn], images[learn], cv=KFold(5, shuffle=True, random_state=1))
        decoded = ridge.fit(Z[learn], images[learn]).predict(Z[test])
        reached["eeg"].append(cosine(Z[test], images[test]))
        reached["ridge"].append(cosine(decoded, images[test]))
        for name, (rows, new) in {"eeg": (Z[learn], Z[test]), "ridge": (inner, decoded)}.items():
            prior = DiffusionPrior(net="gaussian", random_state=0, device="cpu").fit(rows, images[learn])
            reached[f"prior of {name}"].append(cosine(prior.transform(new), images[test]))
    mean = {name: np.mean(values) for name, values in reached.items()}
    assert mean["prior of eeg"] > mean["eeg"] + 0.4
    assert mean["prior of ridge"] > mean["ridge"] - 0.002
    assert mean["prior of eeg"] > mean["ridge"]
