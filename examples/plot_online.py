"""
A trial at a time: when to be sure
==================================

In rapid presentation a new picture comes every 200 ms. How many repetitions does a decoder need, and can its answer be
trusted? An :class:`~skeegclip.OnlineDecoder` gathers evidence until its posterior says that it is sure.

The recordings are simulated, with a clearer response than real EEG has.
"""

# %%
# Three sets of stimuli
# ---------------------
# One for training, one, of other concepts, for the calibration of the posterior, and test pictures of again other
# concepts, which are used for nothing but the figures.
import numpy as np

from skeegclip.datasets import make_things_like

data = make_things_like(
    n_train_concepts=300,
    n_images_per_concept=1,
    n_train_repetitions=12,
    n_test_concepts=100,
    n_test_repetitions=12,
    snr=20,
    random_state=0,
)
held_out = (data.split == "train") & np.isin(
    data.concept, np.unique(data.concept[data.split == "train"])[::3]
)
training = (data.split == "train") & ~held_out
test = data.split == "test"
X = data.X / data.X[training].std(axis=(0, 2), keepdims=True)

# %%
# Training and calibration
# ------------------------
# Both galleries hold 100 pictures.
from sklearn.linear_model import Ridge

from skeegclip import ImageRetriever, OnlineDecoder

galleries = {
    name: data.image_embeddings.subset(np.unique(data.y[rows]))
    for name, rows in (("held out", held_out), ("test", test))
}
retriever = ImageRetriever(Ridge(1e4), targets=data.image_embeddings, gallery=galleries["test"])
retriever.fit(X[training], data.y[training])
online = OnlineDecoder(retriever, threshold=0.9, max_repetitions=12)
online.calibrate(X[held_out], data.y[held_out], candidates=galleries["held out"])
print(f"temperature {online.temperature_:.3f}, correlation {online.correlation_:.2f}")

# %%
# The correlation is the share of a repetition's error that comes back with every repetition: what the encoder gets
# wrong of a picture. More repetitions do not help against it, and a decoder that took them for independent would be far
# too sure.
#
# One trial
# ---------
# Repetitions are handed over as they come, and :meth:`~skeegclip.OnlineDecoder.reset` begins the next trial.
shown = data.y[test][0]
for epoch in X[test][data.y[test] == shown]:
    result = online.update(epoch)
    print(f"{result.n_repetitions:2d}  {result.best}  {result.posterior[0]:.2f}")
    if result.stop:
        break
print("shown:", shown)
online.reset()

# %%
# All trials
# ----------
# `replay` does the same for recorded trials. The posterior should agree with the accuracy, at every number of
# repetitions.
replayed = online.replay(X[test], data.y[test])
curve = replayed.groupby("n_repetitions")[["hit", "posterior"]].mean()
curve.round(2)

# %%
# Accuracy and time to decision
# -----------------------------
# With 200 ms between onsets and only this picture repeated, the n-th repetition ends, at the end of its one-second
# epoch, 0.2 (n - 1) + 1 s after the first began. Each threshold gives one mean time and one accuracy. (Real epochs would
# overlap then, and share noise, which the simulated ones do not: calibrate with the presentation that you will use.)
import matplotlib.pyplot as plt
import pandas as pd


def seconds(n):
    return 0.2 * (n - 1) + 1.0


points = []
for threshold in (0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99):
    table = online.set_params(threshold=threshold).replay(X[test], data.y[test])
    decided = table[table["stop"]].groupby("trial").first()
    sure = decided[decided["sure"]]
    points.append(
        {
            "threshold": threshold,
            "seconds": seconds(decided["n_repetitions"]).mean(),
            "accuracy": decided["hit"].mean(),
            "sure": len(sure) / len(decided),
            "accuracy where sure": sure["hit"].mean(),
        }
    )
points = pd.DataFrame(points)

figure, (left, right) = plt.subplots(1, 2, sharey=True, figsize=(7, 2.8), layout="constrained")
left.plot(curve.index, 100 * curve["hit"], "o-", color="#0072B2", label="accuracy")
left.plot(curve.index, 100 * curve["posterior"], "s--", color="#D55E00", label="mean posterior of the best")
left.set(xlabel="Repetitions", ylabel="%", ylim=(0, 100))
left.legend(frameon=False, loc="lower right")
right.plot(seconds(curve.index), 100 * curve["hit"], "o-", color="#0072B2", label="fixed number")
right.plot(points["seconds"], 100 * points["accuracy"], "^-", color="#009E73", label="stop when sure")
right.set(xlabel="Mean time to decision (s)")
right.legend(frameon=False, loc="lower right")
for ax in (left, right):
    ax.spines[["top", "right"]].set_visible(False)

# %%
# Where the decoder says that it is sure, it should be right at least as often as the threshold says, but for chance: the
# column "sure" tells how many of the trials the last one rests on, as a share.
#
# In the mean over trials, stopping when sure is no faster here than the best fixed number, because errors are mostly
# shared by all repetitions and accuracy soon levels off. What it gives is which answers to trust: those of which the
# decoder is sure are right far more often than the rest.
points.round(2)
