"""Small networks of torch's own layers, as somebody else would write them."""

import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm, self.mix = nn.LayerNorm(width), nn.Linear(width, width)

    def forward(self, x):
        return x + torch.tanh(self.mix(self.norm(x)))


class Blocks(nn.Module):
    """An embedding, statistics of batches, dropout, blocks, a norm and a head."""

    def __init__(self, n_outputs, n_chans, n_times, width=12, depth=2, dropout=0.3):
        super().__init__()
        self.token = nn.Parameter(torch.zeros(width))
        self.embed, self.batch_norm = nn.Linear(n_chans * n_times, width), nn.BatchNorm1d(width)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(width) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.final_layer = nn.Linear(width, n_outputs)

    def features(self, x):
        z = self.dropout(self.batch_norm(self.embed(x.flatten(1)))) + self.token
        for block in self.blocks:
            z = block(z)
        return self.norm(z)

    def forward(self, x):
        return self.final_layer(self.features(x))


class TorchTransformer(nn.Module):
    """Torch's own transformer layer, which in use takes another way than in training."""

    def __init__(self, n_outputs, n_chans, n_times):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(n_times, 4, 16, dropout=0.0, batch_first=True)
        self.final_layer = nn.Linear(n_chans * n_times, n_outputs)

    def forward(self, x):
        return self.final_layer(self.layer(x).flatten(1))
