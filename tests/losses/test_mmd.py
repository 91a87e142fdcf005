"""Maximum mean discrepancy, against Gretton's statistic written with numpy."""

import numpy as np
import pytest
import torch
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.preprocessing import normalize

from skeegclip.losses import MMDLoss


def v_statistic(z, target):
    """Equation 5 of Gretton et al., with scikit-learn's kernel."""
    z, target = normalize(z), normalize(target)
    n = len(target)
    mean = np.sum((target[:, None] - target) ** 2) / n**2

    def kernel(a, b):
        return np.mean(
            [rbf_kernel(a, b, gamma=1 / (factor * mean)) for factor in (0.25, 0.5, 1, 2, 4)], axis=0
        )

    return kernel(z, z).mean() - 2 * kernel(z, target).mean() + kernel(target, target).mean()


@pytest.fixture
def sets():
    rng = np.random.default_rng(0)
    return 3 + rng.normal(size=(12, 5)), 7 * rng.normal(size=(12, 5))


def test_it_is_the_v_statistic(sets):
    z, target = sets
    loss = MMDLoss()(torch.tensor(z), torch.tensor(target))
    assert loss.item() == pytest.approx(v_statistic(z, target), rel=1e-5)
    assert loss.item() > 0.2


def test_equal_sets_have_none_in_any_order_and_at_any_length(sets):
    target = torch.tensor(sets[1])
    z = 5 * target[torch.randperm(12, generator=torch.Generator().manual_seed(0))]
    assert MMDLoss()(z, target).item() == pytest.approx(0, abs=1e-6)


def test_a_weight_of_two_is_a_row_twice(sets):
    z, target = (torch.tensor(part) for part in sets)
    weight = torch.tensor([2.0, 0, *[1] * 10])
    rows = torch.tensor([0, 0, *range(2, 12)])
    torch.testing.assert_close(MMDLoss()(z, target, weight), MMDLoss()(z[rows], target[rows]))
    torch.testing.assert_close(MMDLoss()(z, target, 3 * weight), MMDLoss()(z, target, weight))


def test_gradients(sets):
    z, target = (torch.tensor(part[:5]) for part in sets)
    step = 1e-3

    def loss(z):
        return MMDLoss()(z, target).item()

    given = z.clone().requires_grad_()
    MMDLoss()(given, target).backward()
    for place in ((0, 1), (3, 4)):
        move = torch.zeros_like(z)
        move[place] = step * 30
        slope = (loss(z + move) - loss(z - move)) / (60 * step)
        assert given.grad[place].item() == pytest.approx(slope, abs=2e-3)


def test_targets_that_are_all_equal_leave_it_finite():
    z = torch.randn(4, 3, requires_grad=True, generator=torch.Generator().manual_seed(0))
    loss = MMDLoss()(z, torch.ones(4, 3))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(z.grad).all()
