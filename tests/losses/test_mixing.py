"""Mixtures of several targets, by hand."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.preprocessing import normalize
from torch.nn import functional as F

from skeegclip.losses import ClipLoss, LayerMixing, MixedLoss

GAIN = 30


@pytest.fixture
def mixing():
    torch.manual_seed(0)
    mixing = LayerMixing((4, 4, 4), n_subjects=2)
    for parameter in mixing.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return mixing


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    z, vectors = torch.randn(6, 4, generator=generator), torch.randn(6, 12, generator=generator)
    return z, vectors, torch.tensor([0, 1, -1, 1, 0, -1])


def by_hand(mixing, vectors, subject):
    own = np.vstack([mixing.own.detach(), np.zeros(3)])[subject]
    weights = softmax(GAIN * (mixing.shared.detach().numpy() + own), axis=-1)
    layers = [normalize(part) for part in np.split(np.asarray(vectors), 3, axis=1)]
    return weights, np.einsum("l,lnd->nd", weights, np.array(layers))


def test_the_mixture_by_hand(mixing, batch):
    _, vectors, subject = batch
    for who in (0, 1, -1):
        weights, expected = by_hand(mixing, vectors, who)
        everybody = torch.full((6,), who)
        np.testing.assert_allclose(mixing.weights(everybody)[0].detach(), weights, rtol=1e-5)
        np.testing.assert_allclose(mixing(vectors, everybody).detach(), expected, rtol=1e-4, atol=1e-6)
    assert torch.allclose(mixing(vectors), mixing(vectors, torch.full((6,), -1)))
    # Rows of several subjects, each by its own.
    rows = [mixing(vectors, torch.full((6,), int(who)))[row] for row, who in enumerate(subject)]
    assert torch.allclose(mixing(vectors, subject), torch.stack(rows))


@pytest.mark.parametrize("unit", [True, False])
def test_every_embedding_is_compared_with_mixtures_of_its_own_subject(mixing, batch, unit):
    z, vectors, subject = batch
    products = mixing.products(z, vectors, subject, unit=unit)
    for row, who in enumerate(subject):
        mixture = mixing(vectors, torch.full((6,), int(who)))
        expected = z[row] @ (F.normalize(mixture, dim=1) if unit else mixture).T
        torch.testing.assert_close(products[row], expected)


@pytest.mark.parametrize("normalize", ["both", "image", "eeg", "none"])
@pytest.mark.parametrize("same", ["positive", "mask", "negative"])
def test_the_loss_of_one_subject_is_the_clip_loss_of_its_mixture(batch, normalize, same):
    z, vectors, _ = batch
    loss = MixedLoss(layers=(4, 4, 4), n_subjects=2, normalize=normalize, same_stimulus=same)
    torch.nn.init.normal_(loss.project.own, std=0.05)
    stimulus, weight = torch.tensor([0, 1, 0, 2, 3, 1]), torch.tensor([1.0, 2, 1, 0.5, 1, 1])
    for who in (0, 1, -1):
        subject = torch.full((6,), who)
        target = {"target": vectors, "stimulus": stimulus, "subject": subject}
        clip = ClipLoss(normalize=normalize, same_stimulus=same)
        mixture = loss.project(vectors, subject)
        torch.testing.assert_close(loss(z, target), clip(z, mixture, stimulus))
        torch.testing.assert_close(loss(z, {**target, "weight": weight}), clip(z, mixture, stimulus, weight))
    # Without subjects everybody's mixture counts.
    torch.testing.assert_close(loss(z, {"target": vectors, "stimulus": stimulus}), loss(z, target))


def test_gradients(mixing, batch):
    z, vectors, subject = (part.double() if part.is_floating_point() else part for part in batch)
    mixing.double()
    mixing.layers = lambda given: F.normalize(given.unflatten(1, (3, 4)), dim=-1)  # in double precision

    def products(shared, own):
        state = {"shared": shared, "own": own}
        return torch.func.functional_call(
            _Products(mixing), {f"mixing.{k}": v for k, v in state.items()}, (z, vectors, subject)
        )

    assert torch.autograd.gradcheck(products, (mixing.shared, mixing.own))


class _Products(torch.nn.Module):
    def __init__(self, mixing):
        super().__init__()
        self.mixing = mixing

    def forward(self, z, vectors, subject):
        return self.mixing.products(z, vectors, subject, unit=True)


def test_each_target_through_its_own_projector():
    mixing = LayerMixing((3, 5), n_outputs=4)
    vectors = torch.randn(7, 8)
    parts = [
        F.normalize(map_(part), dim=1)
        for map_, part in zip(mixing.maps, vectors.split((3, 5), 1), strict=True)
    ]
    torch.testing.assert_close(mixing(vectors), (parts[0] + parts[1]) / 2)


def test_what_cannot_be_mixed():
    with pytest.raises(
        ValueError, match="Vectors of widths 3, 5 cannot be mixed as they are. Give them one width"
    ):
        LayerMixing((3, 5))
    with pytest.raises(ValueError, match="widths must name two vectors or more"):
        LayerMixing((3,))
    with pytest.raises(ValueError, match=r"vectors must have shape \(n, 8\).* got \(2, 7\)"):
        LayerMixing((4, 4))(torch.zeros(2, 7))
    with pytest.raises(ValueError, match=r"several targets need loss_weight=1, got \(1, 0.5\)"):
        MixedLoss(layers=(4, 4), loss_weight=(1, 0.5))
