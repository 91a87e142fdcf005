"""
Fine-tune a pretrained network
==============================

Other people have been recorded, and a network was trained on them. Of a new person there are a few minutes. What are the
others worth? ``EEGEncoder(pretrained=...)`` starts from their weights, and ``train=`` says how much of them is learned anew
(:doc:`/user_guide/pretrained`).
"""

# %%
# Simulated people
# ----------------
# Three are there for pretraining; the fourth is the new one. Everybody sees other noise and has another head; the test
# pictures have been seen by nobody. The channels over the back of the head are enough.
import warnings

import numpy as np
import pandas as pd

from skeegclip import EEGEncoder, recipes
from skeegclip.datasets import make_things_like

data = make_things_like(
    n_subjects=4,
    n_train_concepts=60,
    n_images_per_concept=5,
    n_test_concepts=40,
    n_dims=48,
    snr=8,
    random_state=0,
)
back = [name[0] in "OP" for name in data.info.ch_names]
X, new = data.X[:, back], data.subject == "sub-04"
train = data.split == "train"
X_new, y_new = X[new & train][::5], data.y[new & train][::5]
test = new & ~train
X_test, y_test = X[test].reshape(40, 8, *X.shape[1:]).mean(axis=1), data.y[test][::8]
len(X[~new & train]), len(X_new), len(X_test)

# %%
# Pretraining
# -----------
# No layer for each person: what all share is wanted.
common = {"targets": data.image_embeddings, "random_state": 0, "device": "cpu", "subject_layer": "none"}
others = EEGEncoder("nice", max_epochs=15, batch_size=64, lr=1e-3, **common)
others.fit(X[~new & train], data.y[~new & train])
state = others.net_.module_.state_dict()
print(f"as it is, for the new person: {others.score(X_test, y_test):.0%} of {len(X_test)}")

# %%
# Four ways
# ---------
# The settings are those of the recipe, which are the field's. "nothing" is the same network without the weights.
ways = {
    "nothing": {"pretrained": None, "layer_decay": 1.0},
    "all": {"train": "all"},
    "head": {"train": "head"},
    "probe": {"train": "probe"},
}
scores = {"as it is": others.score(X_test, y_test)}
for name, params in ways.items():
    encoder = recipes.finetune("nice", **{"pretrained": state, "max_epochs": 20, **common, **params})
    encoder = encoder["retriever"].encoder.fit(X_new, y_new)
    scores[name] = encoder.score(X_test, y_test)
pd.Series(scores).round(3)

# %%
import matplotlib.pyplot as plt

fig, ax = plt.subplots(figsize=(6, 2.6), layout="constrained")
ax.barh(list(scores), list(scores.values()))
ax.axvline(data.truth.chance, color="grey", linestyle=":", label="chance")
ax.set(xlabel=f"top-1 accuracy among {len(X_test)}, new person")
ax.invert_yaxis()
ax.legend()

# %%
# What arrived
# ------------
# Everything did, for it is the same network on the same channels. A head of another size would be listed with the reason.
{key: encoder.pretrained_[key] for key in ("source", "n_tensors", "n_parameters", "not_arrived")}

# %%
# Weights that do not belong to a network are an error, not a start from nothing.
try:
    EEGEncoder("eegproject", pretrained={"conv1.weight": np.ones((4, 4))}, **common).fit(X_new, y_new)
except ValueError as error:
    print(error)

# %%
# Weights that only partly do are a warning.
part = {name: value for name, value in state.items() if name.startswith("tsconv.spatial_norm")}
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    EEGEncoder("nice", pretrained=part, max_epochs=1, **common).fit(X_new, y_new)
print(told[0].message)
