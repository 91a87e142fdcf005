"""DiffusionPrior: what it learns, how it samples, how it travels."""

import copy
import pickle

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_predict
from sklearn.utils.estimator_checks import parametrize_with_checks

from skeegclip import DiffusionPrior, EmbeddingTable
from skeegclip._utils.seeding import seeded_torch
from skeegclip.generation.prior.sampling import guided

# One set of small settings for all networks; of the closed form most are none.
pytestmark = pytest.mark.filterwarnings("ignore:.* cannot act. (net=.gaussian|reference_quirks)")

N, N_DIMS, N_CONDITIONS = 300, 6, 8
SMALL = {"widths": (48, 24), "n_time_features": 16, "dropout": 0.0}


@pytest.fixture(scope="module")
def data():
    """Embeddings on a scale far from the unit, and conditions that tell half of them."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((N, N_DIMS)) * [0.01, 1, 5, 30, 2, 1] + [0, 5, -40, 100, 1, 0]
    table = EmbeddingTable([f"s{i:03d}" for i in range(N)], vectors)
    standard = (vectors - vectors.mean(0)) / vectors.std(0)
    Z = standard @ rng.standard_normal((N_DIMS, N_CONDITIONS)) + 0.5 * rng.standard_normal((N, N_CONDITIONS))
    return Z.astype(np.float32), table


def make(table=None, **params):
    defaults = {
        "net_params": SMALL,
        "n_train_steps": 200,
        "n_steps": 20,
        "guidance_scale": 1.0,
        "scheduler": "ddim",
        "lr": 3e-3,
        "n_warmup": 10,
        "batch_size": 64,
        "max_epochs": 40,
        "ema": 0.98,
        "device": "cpu",
        "random_state": 0,
    }
    return DiffusionPrior(targets=table, **{**defaults, **params})


@pytest.fixture(scope="module")
def fitted(data):
    Z, table = data
    return make(table).fit(Z, table.ids)


def residual(x, vectors):
    """Mean squared error in units of each dimension's variance: 1 = predicting the mean, 2 = an unrelated embedding."""
    return float(np.mean((x - vectors) ** 2 / vectors.var(0)))


# -- what it learns ------------------------------------------------------------------------------------


def test_samples_are_near_the_truth_and_on_the_scale_of_the_targets(data, fitted):
    Z, table = data
    x = fitted.sample(Z, 1)[:, 0]
    assert (x.shape, x.dtype) == ((N, N_DIMS), np.float32)
    assert residual(x, table.vectors) < 0.7
    np.testing.assert_allclose(x.std(0), table.vectors.std(0), rtol=0.2)
    assert max(row["train_loss"] for row in fitted.history_) < 1


def test_the_mean_of_many_samples_is_nearer_than_one(data):
    Z, table = data
    prior = make(table, net="gaussian", net_params=None).fit(Z, table.ids)
    many = prior.sample(Z, 16)
    assert many.shape == (N, 16, N_DIMS)
    one, mean = residual(many[:, 0], table.vectors), residual(many.mean(1), table.vectors)
    assert one == pytest.approx(2 * mean, rel=0.25)  # the truth is itself a draw from the posterior
    np.testing.assert_allclose(
        prior.set_params(n_samples=16).transform(Z[:10]), many[:10].mean(1), rtol=1e-4, atol=1e-3
    )


@pytest.mark.parametrize(
    "params", [{"net": "mlp", "net_params": {"width": 48, "n_blocks": 2}}, {"net": "gaussian"}]
)
def test_other_networks_learn_too(data, params):
    Z, table = data
    prior = make(table, **{"net_params": None, **params}).fit(Z, table.ids)
    assert residual(prior.transform(Z), table.vectors) < 0.7


def test_guidance_pulls_towards_the_condition(data, fitted):
    Z, table = data
    prior = copy.copy(fitted)
    spread = {
        g: prior.set_params(guidance_scale=g).transform(Z[:80]) - table.vectors.mean(0) for g in (0, 1, 3)
    }
    truth = table.vectors[:80] - table.vectors.mean(0)
    along = {g: float(np.mean(x * truth / table.vectors.var(0))) for g, x in spread.items()}
    assert abs(along[0]) < 0.3 < along[1] < along[3]


@pytest.mark.slow
def test_the_gaussian_draws_from_the_posterior():
    """Against the formula: x = 2 c + noise, so p(x | c) is known."""
    rng = np.random.default_rng(0)
    c = rng.standard_normal((4000, 1)).astype(np.float32)
    x = (2 * c + rng.standard_normal((4000, 1))).astype(np.float32)
    prior = DiffusionPrior(
        net="gaussian", guidance_scale=1, scheduler="ddpm", n_steps=200, random_state=0
    ).fit(c, x)
    points = np.linspace(-1.5, 1.5, 7, dtype=np.float32)[:, None]
    samples = prior.sample(points, 400)[..., 0]
    np.testing.assert_allclose(samples.mean(1), 2 * points[:, 0], atol=0.2)
    np.testing.assert_allclose(samples.std(1), 1, atol=0.12)


def test_the_gaussian_keeps_an_identity_that_few_rows_could_not_teach():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 60))
    z = x + rng.standard_normal((40, 60))
    prior = DiffusionPrior(net="gaussian", random_state=0).fit(z, x)
    assert prior.selection_["identity"] == pytest.approx(0.7, abs=0.1)
    fresh = rng.standard_normal((50, 60))
    near = prior.sample(fresh + rng.standard_normal((50, 60)), 8).mean(1)
    assert np.corrcoef(near.ravel(), fresh.ravel())[0, 1] > 0.5


def test_validation_holds_out_stimuli_and_keeps_the_best_pass(data):
    Z, table = data
    prior = make(table, max_epochs=30, patience=3, lr=2e-2).fit(np.tile(Z, (2, 1)), np.tile(table.ids, 2))
    losses = [row["valid_loss"] for row in prior.history_]
    assert prior.selection_ == {
        "rule": "validation",
        "epoch": int(np.argmin(losses)) + 1,
        "n_stimuli_held_out": N // 10,
    }
    assert [row["chosen"] for row in prior.history_].index(True) == np.argmin(losses)
    assert len(losses) == min(30, np.argmin(losses) + 1 + 3)
    last = make(table, max_epochs=2, validation=0).fit(Z, table.ids)
    assert last.selection_ == {"rule": "last", "epoch": 2, "n_stimuli_held_out": 0}
    assert "valid_loss" not in last.history_[0]


def test_ids_and_their_matrix_train_alike(data, fitted):
    Z, table = data
    by_matrix = make().fit(Z, table.vectors)
    np.testing.assert_allclose(by_matrix.transform(Z[:9]), fitted.transform(Z[:9]), rtol=1e-3, atol=1e-3)
    assert fitted.score(Z, table.ids) == pytest.approx(by_matrix.score(Z, table.vectors), abs=1e-4)


def test_score_is_the_mean_cosine(data, fitted):
    Z, table = data
    x = fitted.transform(Z)
    cosine = (x * table.vectors).sum(1) / np.linalg.norm(x, axis=1) / np.linalg.norm(table.vectors, axis=1)
    assert fitted.score(Z, table.ids) == pytest.approx(cosine.mean(), abs=1e-5)
    weight = np.arange(N)
    assert fitted.score(Z, table.ids, weight) == pytest.approx(np.average(cosine, weights=weight), abs=1e-5)


# -- how it samples ------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheduler", ["ddpm", "ddim", "dpmsolver++"])
def test_a_rows_samples_depend_on_nothing_but_the_row(data, fitted, scheduler):
    Z = data[0][:15]
    prior = copy.copy(fitted).set_params(scheduler=scheduler, guidance_scale=2.0)
    whole = prior.sample(Z, 3)
    alone = np.concatenate([prior.sample(row[None], 3) for row in Z])
    tolerance = {"rtol": 1e-4, "atol": 1e-3}
    np.testing.assert_allclose(alone, whole, **tolerance)
    order = np.random.default_rng(0).permutation(15)
    np.testing.assert_allclose(prior.sample(Z[order], 3), whole[order], **tolerance)
    np.testing.assert_allclose(prior.sample(Z, 5)[:, :3], whole, **tolerance)
    np.testing.assert_allclose(prior.sample(Z * np.float32(1 + 2e-7), 3), whole, **tolerance)
    assert np.ptp(whole, axis=1).min() > 0  # samples of a row differ
    noise = prior.sample(np.zeros((1, N_CONDITIONS)), 2000)[0]
    assert abs(np.corrcoef(noise[:-1, 0], noise[1:, 0])[0, 1]) < 0.1


def test_fits_are_repeatable_and_leave_global_generators_alone(data):
    Z, table = data
    before = (torch.get_rng_state(), np.random.get_state()[1].copy())  # noqa: NPY002
    one, again, other = (
        make(table, max_epochs=4, random_state=seed).fit(Z, table.ids).transform(Z[:5]) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(again, one)
    assert not np.array_equal(other, one)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


def test_guidance_by_hand():
    def net(x, t, c=None):
        return x if c is None else x + c

    x, t, c = torch.tensor([[1.0, 2.0]]), torch.tensor([5]), torch.tensor([[10.0, 20.0]])
    for scale in (0.0, 1.0, 2.5):
        torch.testing.assert_close(guided(net, x, t, c, scale), x + scale * c)


def test_unguided_sampling_asks_the_network_once_a_step(data, fitted):
    Z, _ = data
    calls = []
    prior = copy.copy(fitted)
    hook = prior.net_.register_forward_hook(lambda *args: calls.append(args))
    counts = []
    for scale in (1.0, 0.0, 2.0):
        calls.clear()
        prior.set_params(guidance_scale=scale, n_steps=5).sample(Z[:3], 1)
        counts.append(len(calls))
    calls.clear()
    prior.set_params(guidance_scale=1.0).transform(Z[:3])
    hook.remove()
    assert counts == [5, 5, 10]
    assert len(calls) == 1  # an expectation is no sample


# -- how it travels ------------------------------------------------------------------------------------


@pytest.mark.parametrize("net", ["unet", "gaussian"])
def test_saved_and_pickled_priors_give_the_same_samples(data, tmp_path, net):
    Z, table = data
    prior = make(table, net=net, net_params=SMALL if net == "unet" else None, max_epochs=2).fit(Z, table.ids)
    x = prior.transform(Z[:6])
    prior.save(tmp_path / "prior")
    loaded = DiffusionPrior.load(tmp_path / "prior", device="cpu")
    for other in (loaded, pickle.loads(pickle.dumps(prior)), copy.deepcopy(prior)):
        np.testing.assert_array_equal(other.transform(Z[:6]), x)
    assert loaded.get_params()["n_steps"] == 20
    assert loaded.targets == table
    assert loaded.history_ == prior.history_


def test_a_prior_half_saved_is_no_prior(fitted, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"is not a folder that skeegclip saved"):
        DiffusionPrior.load(tmp_path)
    fitted.save(tmp_path)
    (weights,) = tmp_path.glob("saved-*/weights.safetensors")
    with open(weights, "ab") as file:
        file.write(b" ")
    with pytest.raises(ValueError, match=r"which is not what was saved"):
        DiffusionPrior.load(tmp_path)


# -- in scikit-learn -----------------------------------------------------------------------------------

TINY = {
    "net_params": {"widths": (8, 4), "n_time_features": 4},
    "max_epochs": 2,
    "n_steps": 3,
    "scheduler": "ddim",
}


@pytest.mark.usefixtures("checks_in_single_precision")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(
    [
        DiffusionPrior(**TINY, device="cpu", random_state=0),
        DiffusionPrior(net="gaussian", n_steps=3, scheduler="ddim", device="cpu", random_state=0),
    ]
)
def test_estimator_checks(estimator, check):
    check(estimator)


def test_a_grid_over_guidance(data):
    Z, table = data
    search = GridSearchCV(
        make(table, max_epochs=2), {"guidance_scale": [1, 2]}, cv=GroupKFold(2), error_score="raise"
    )
    search.fit(Z, table.ids, groups=table.ids)
    assert search.best_params_["guidance_scale"] in (1, 2)
    out = cross_val_predict(make(max_epochs=1), Z, table.vectors, cv=2)
    assert out.shape == table.vectors.shape
    assert clone(make(table)).targets is table
    prior = make(table, max_epochs=1).fit(Z, table.ids).set_output(transform="pandas")
    assert prior.transform(Z[:2]).shape == (2, N_DIMS)
    assert len(joblib.hash(make(table))) == 32


# -- the reference -------------------------------------------------------------------------------------


def test_a_reference_checkpoint_is_taken_over(data, tmp_path, fitted):
    state = {f"module.{key}": value for key, value in fitted.net_.network.state_dict().items()}
    torch.save(state, tmp_path / "prior.pt")
    prior = DiffusionPrior.from_reference(tmp_path / "prior.pt", n_steps=5, random_state=0, device="cpu")
    assert (prior.n_dims_, prior.n_features_in_) == (N_DIMS, N_CONDITIONS)
    x = torch.randn(4, N_DIMS, generator=torch.Generator().manual_seed(0))
    t = torch.tensor([1, 10, 100, 150])
    torch.testing.assert_close(prior.net_(x, t), fitted.net_.network(x, t))
    drawn = prior.transform(data[0][:5])
    assert np.abs(drawn).max() < 1.5  # clipped at one, unlike ours
    assert np.abs(fitted.sample(data[0][:5], 1)).max() > 50
    mlp = make(data[1], net="mlp", net_params={"width": 16, "n_blocks": 3}, max_epochs=1).fit(
        data[0], data[1].ids
    )
    again = DiffusionPrior.from_reference(mlp.net_.network.state_dict())
    assert again.net_params == {"width": 16, "n_blocks": 3, "n_time_features": 512}


def test_weights_of_another_network_are_refused():
    with pytest.raises(ValueError, match=r"weights have no 'input_layer\.0\.weight'.*first names: a, b"):
        DiffusionPrior.from_reference({"a": torch.zeros(1), "b": torch.zeros(1)})
    state = make(net="mlp", net_params={"width": 4, "n_blocks": 1}, max_epochs=1)
    state = state.fit(np.eye(4), np.eye(4)).net_.network.state_dict()
    state.pop("output_layer.bias")
    with pytest.raises(ValueError, match=r"the mlp that these weights describe does not take them"):
        DiffusionPrior.from_reference(state)


def test_quirks_are_those_of_the_published_code(data):
    Z, table = data
    unit = table.normalized()
    quirky = make(unit, reference_quirks=True, max_epochs=3, scheduler="ddpm").fit(Z, unit.ids)
    assert quirky.prediction_ == "epsilon"
    np.testing.assert_array_equal(quirky.target_scale_, 1)
    np.testing.assert_array_equal(quirky.condition_mean_, 0)
    ours, theirs = make()._scheduler("ddpm"), quirky._scheduler("auto")
    assert type(theirs).__name__ == "DDPMScheduler"
    assert (ours.config.thresholding, theirs.config.clip_sample) == (False, True)
    assert (ours.config.timestep_spacing, theirs.config.timestep_spacing) == ("trailing", "leading")


def test_conditions_are_dropped_by_row_and_in_the_reference_by_batch(data):
    from skeegclip.generation.prior.noising import Noised

    Z, table = data
    for quirks in (False, True):
        prior = make(condition_dropout=0.5, reference_quirks=quirks)
        kept = prior._scheduler("ddpm").alphas_cumprod
        noised = Noised(prior, None, Z, table.vectors.copy(), None, kept, np.arange(N), "cpu")
        with seeded_torch(0, "cpu"):
            seen = [noised.batch(np.arange(N))[0]["keep"] for _ in range(20)]
        shares = [float(keep.float().mean()) for keep in seen]
        assert all(0.3 < share < 0.7 for share in shares) if not quirks else set(shares) == {0.0, 1.0}


# -- what it refuses -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"net": "unte"},
            r"net must be one of 'unet', 'mlp', 'gaussian', got 'unte'\. Did you mean 'unet'\?",
        ),
        (
            {"net_params": {"width": 3}},
            r"net_params: the network 'unet' has no parameter 'width'; it takes widths",
        ),
        (
            {"net": "gaussian", "net_params": {"width": 3}},
            r"'gaussian' has no parameter 'width'; it takes none",
        ),
        (
            {"net": "gaussian", "net_params": None, "prediction": "epsilon"},
            r"it goes with prediction=\"sample\"",
        ),
        ({"prediction": "v"}, r"prediction must be one of 'sample', 'epsilon'"),
        ({"n_train_steps": 10}, r"n_train_steps must lie in \[25, 100000\]"),
        ({"n_steps": 300}, r"n_steps must lie in \[1, 200\]"),
        ({"guidance_scale": -1}, r"guidance_scale must lie in \[0, 1000\]"),
        ({"condition_dropout": 1.0}, r"condition_dropout must lie in \[0, 1\]"),
        ({"scheduler": "euler"}, r"scheduler must be one of 'auto', 'ddpm', 'ddim', 'dpmsolver\+\+'"),
        ({"reference_quirks": True, "scheduler": "dpmsolver++"}, r"clips in every step, which .* cannot"),
        ({"n_samples": 0}, r"n_samples must lie in \[1, 100000\]"),
        ({"lr": 0}, r"lr must lie in \(0, inf\]"),
        ({"validation": 1}, r"validation must lie in"),
        ({"ema": 1}, r"ema must lie in"),
        ({"lr": 1e30, "validation": 0}, r"The (train|valid) loss became .* in pass \d+\. Lower lr"),
    ],
)
def test_parameters_that_are_refused(data, params, message):
    Z, table = data
    prior = make(table, max_epochs=3).set_params(**params)
    with pytest.raises(ValueError, match=message):
        prior.fit(Z, table.ids)
    assert not hasattr(prior, "net_")
    assert not hasattr(prior, "n_features_in_")


def test_inputs_that_are_refused(data, fitted):
    Z, table = data
    with pytest.raises(NotFittedError):
        make().transform(Z)
    with pytest.raises(ValueError, match=r"targets is None, but y holds stimulus ids"):
        make().fit(Z, table.ids)
    with pytest.raises(KeyError, match=r"1 of 300 ids are not in the table"):
        make(table).fit(Z, ["unknown", *table.ids[1:]])
    with pytest.raises(ValueError, match=r"X has 300, y has 299"):
        make(table).fit(Z, table.ids[1:])
    with pytest.raises(ValueError, match=r"X has 3 features, but DiffusionPrior is expecting 8"):
        fitted.transform(Z[:, :3])
    with pytest.raises(ValueError, match=r"Input X contains NaN"):
        fitted.transform(np.full((2, N_CONDITIONS), np.nan))
    with pytest.raises(ValueError, match=r"n_samples must lie"):
        fitted.sample(Z, 0)
    with pytest.raises(ValueError, match=r"Found array with dim 3"):
        make(table).fit(Z[:, :, None], table.ids)
    with pytest.raises(ValueError, match=r"n_samples=1 \(distinct stimuli\): a Gaussian prior"):
        DiffusionPrior(net="gaussian").fit(Z[:4], np.tile(table.vectors[:1], (4, 1)))


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"net": "gaussian", "patience": 7}, "patience=7"),
        ({"net": "gaussian", "max_epochs": 3}, "max_epochs=3"),
        ({"net": "gaussian", "ema": None}, "ema=None"),
        ({"net": "unet", "validation": 0, "patience": 7, "max_epochs": 1}, "patience=7"),
        ({"net": "unet", "reference_quirks": True, "ema": 0.5, "max_epochs": 1}, "ema=0.5"),
    ],
)
def test_parameters_that_change_nothing_say_so(data, params, name):
    Z, table = data
    with pytest.warns(UserWarning, match=rf"{name} cannot act: ") as told:
        DiffusionPrior(**params, random_state=0, device="cpu").fit(Z, table.vectors)
    assert all(warning.filename == __file__ for warning in told)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("net", ["gaussian", "unet"])
def test_defaults_say_nothing(data, net):
    small = {} if net == "gaussian" else {"max_epochs": 1}
    DiffusionPrior(net=net, random_state=0, device="cpu", **small).fit(data[0], data[1].vectors)


def test_ctrl_c_leaves_the_prior_as_it_was(data, fitted, monkeypatch):
    from skeegclip.generation.prior.noising import Noised

    Z, table = data
    prior = copy.deepcopy(fitted)
    before = prior.transform(Z[:3])

    def interrupted(self, rows):
        raise KeyboardInterrupt

    monkeypatch.setattr(Noised, "batch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prior.set_params(max_epochs=1).fit(Z, table.ids)
    np.testing.assert_array_equal(prior.transform(Z[:3]), before)


def test_progress_bars_are_shown_on_demand(data, capsys):
    Z, table = data
    make(table, max_epochs=2).fit(Z, table.ids).transform(Z[:3])
    assert capsys.readouterr().err == ""
    make(table, max_epochs=2, verbose=1).fit(Z, table.ids).sample(Z[:3], 1)
    shown = capsys.readouterr().err
    assert "training" in shown
    assert "valid_loss" in shown
    assert "sampling" in shown
