"""Training and evaluation as research code usually has them: what skeegclip's speed is measured against.

A Dataset that hands out one epoch at a time, a DataLoader in the main process, networks written layer by layer
(`layer_by_layer`) or braindecode's own, the CLIP loss, AdamW, a loss read from the network at every step, and an evaluation that takes
the test epochs one by one and, for each number of ways, draws distractors at random. Nothing is done badly on
purpose: the published code does more (it also computes training accuracies at each step).

``tests/_training/test_plain_training.py`` copies the weights of an EEGEncoder into it and checks that it computes the same
function, the same loss and the same learning curve.
"""

from __future__ import annotations

import math
import random
from contextlib import nullcontext

import torch
from layer_by_layer import PlainATM, PlainEEGProject, PlainMLP, PlainNICE
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from skeegclip.nets import get_net


def _of_braindecode(name):
    """Build a network of braindecode with the published hyper-parameters, as it is."""

    def build(n_outputs, n_chans, n_times):
        import braindecode.models

        cls, params = get_net(name, n_times)
        own = getattr(braindecode.models, cls.__name__)
        return own(n_outputs=n_outputs, n_chans=n_chans, n_times=n_times, sfreq=250.0, **params)

    return build


NETS = {
    "atm-s": PlainATM,
    "nice": PlainNICE,
    "eegproject": PlainEEGProject,
    "mlp": PlainMLP,
    "eegnet": _of_braindecode("eegnet"),
    "eegconformer": _of_braindecode("eegconformer"),
}
N_WAYS = (2, 4, 10, 50, 100, 200)


class EpochsAndImages(Dataset):
    """One epoch, the number of its image, and the embedding of that image.

    Parameters
    ----------
    X : array or tensor of shape (n_epochs, n_chans, n_times)
        Epochs.
    image : sequence of int
        Which image each epoch shows.
    vectors : array or tensor of shape (n_images, n_dims)
        Embeddings of the images.
    """

    def __init__(self, X, image, vectors):
        self.X, self.image, self.vectors = torch.as_tensor(X), list(image), torch.as_tensor(vectors)

    def __len__(self):
        return len(self.X)

    def __getitem__(self, index):
        image = self.image[index]
        return self.X[index], image, self.vectors[image]


class PlainClipLoss(nn.Module):
    """Cross-entropy of the cosines over the batch, in both directions, with a learned temperature."""

    def __init__(self, temperature=0.07):
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / temperature)))

    def forward(self, z, target):
        z = z / z.norm(dim=-1, keepdim=True)
        target = target / target.norm(dim=-1, keepdim=True)
        similarity = self.log_scale.exp() * z @ target.T
        labels = torch.arange(len(z), device=z.device)
        return (F.cross_entropy(similarity, labels) + F.cross_entropy(similarity.T, labels)) / 2


def make_training(name, n_outputs, n_chans, n_times, *, lr=3e-4, device="cpu", **params):
    """Return a network, its loss and their optimizer."""
    net = NETS[name](n_outputs, n_chans, n_times, **params).to(device)
    criterion = PlainClipLoss().to(device)
    return net, criterion, torch.optim.AdamW([*net.parameters(), *criterion.parameters()], lr=lr)


def train_step(net, criterion, optimizer, x, target, *, bf16=False):
    """Run one step and return its loss."""
    optimizer.zero_grad()
    with torch.autocast(x.device.type, torch.bfloat16) if bf16 else nullcontext():
        z = net(x)
    loss = criterion(z.float(), target)
    loss.backward()
    optimizer.step()
    return loss.item()


def train_pass(net, criterion, optimizer, loader, *, device="cpu", bf16=False):
    """Go once through the training epochs and return the mean loss."""
    net.train()
    total, n_epochs = 0.0, 0
    for x, _, target in loader:
        x, target = x.to(device), target.to(device)
        total += train_step(net, criterion, optimizer, x, target, bf16=bf16) * len(x)
        n_epochs += len(x)
    return total / n_epochs


def train(net, criterion, optimizer, dataset, *, n_passes, batch_size=256, batches=None, **kwargs):
    """Train and return the loss of every pass.

    ``batches`` holds, for each pass, the rows of each batch; without it they are drawn at random.
    """
    losses = []
    for number in range(n_passes):
        if batches is None:
            loader = DataLoader(dataset, batch_size, shuffle=True, num_workers=0)
        else:
            loader = DataLoader(dataset, batch_sampler=batches[number], num_workers=0)
        losses.append(train_pass(net, criterion, optimizer, loader, **kwargs))
    return losses


def evaluate(net, dataset, gallery, n_ways=N_WAYS, *, device="cpu"):
    """Return the top-1 accuracy for each number of ways.

    The epochs go through the network one by one, once for each number of ways, and each is compared with its own
    image and with distractors drawn at random.
    """
    net.eval()
    gallery = (gallery / gallery.norm(dim=-1, keepdim=True)).to(device)
    accuracy = {}
    with torch.no_grad():
        for n_way in n_ways:
            hits = 0
            for x, image, _ in DataLoader(dataset, batch_size=1, num_workers=0):
                z = net(x.to(device))[0]
                image = image.item()
                others = random.sample([i for i in range(len(gallery)) if i != image], n_way - 1)
                candidates = [*others, image]
                similarity = gallery[candidates] @ (z / z.norm())
                hits += candidates[similarity.argmax().item()] == image
            accuracy[n_way] = hits / len(dataset)
    return accuracy
