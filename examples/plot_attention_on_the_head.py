"""
What attention looks at
=======================

In ATM every channel is a token, and the tokens look at each other before the convolution sees them. Which channels
are looked at most?

A word of caution first. Attention says where the network *mixes*, not what it needs: a channel that nobody looks at
still goes on to the convolution, and two channels that say the same can stand in for each other. To ask what is
needed, leave channels out and train again.
"""

# %%
# A small encoder on simulated EEG of one person:
import mne

from skeegclip import EEGEncoder, EpochsView
from skeegclip.datasets import make_things_like

mne.set_log_level("ERROR")
data = make_things_like(
    n_train_concepts=100,
    n_images_per_concept=4,
    n_test_concepts=20,
    n_train_repetitions=1,
    snr=4.0,
    random_state=0,
)
view = EpochsView.from_arrays(data.X, info=data.info)
train, test = data.split == "train", data.split == "test"
encoder = EEGEncoder(
    "atm-s",
    targets=data.image_embeddings,
    lr=1e-3,
    batch_size=128,
    max_epochs=10,
    random_state=0,
    device="cpu",
).fit(view[train], data.y[train])
print(f"Right picture among 20: {encoder.score(view[test], data.y[test]):.0%}, chance 5%")

# %%
# Attention has one row for each channel that looks and one column for each that is looked at; a row sums to one.
attention = encoder.attention(view[test])
attention.shape

# %%
# Averaged over test epochs and heads. The map shows the share that the other channels take from each channel (with
# 63 channels and no preference, 1.6 % each), the arrows the strongest links.
from skeegclip.plotting import plot_attention

ax = plot_attention(attention, data.info)

# %%
# The four heads do not look at the same:
import matplotlib.pyplot as plt

fig, grid = plt.subplots(2, 2, figsize=(7, 5.4), layout="compressed")
for head, axes in enumerate(grid.flat):
    plot_attention(attention[:, head], data.info, axes, n_links=6)
    axes.set_title(f"Head {head + 1}")
