"""
A new person, a few minutes of recording
========================================

An encoder was trained on several people. Then somebody comes whom it has never seen. Their brain answers to the same
pictures, but not in the same channels: an encoder that treats them as a stranger loses some of what it could find.
:meth:`EEGEncoder.calibrate <skeegclip.EEGEncoder.calibrate>` learns one thing about the new person, a linear map of
their channels, and leaves all else as it is. How much recording does it take?
"""

# %%
# Five simulated people
# ---------------------
# Four are there for training; the fifth, ``sub-05``, is the new one.
import numpy as np
import pandas as pd

from skeegclip import EEGEncoder, EpochsView
from skeegclip.datasets import make_things_like

data = make_things_like(
    n_subjects=5,
    n_train_concepts=150,
    n_images_per_concept=2,
    n_test_concepts=60,
    n_dims=64,
    snr=2,
    random_state=0,
)
rows = pd.DataFrame({"split": data.split})
view = EpochsView.from_arrays(
    data.X / data.X.std(), subject=data.subject, stimulus=data.y, info=data.info, rows=rows
)
others = view.select(split="train", subject=["sub-01", "sub-02", "sub-03", "sub-04"])
recorded = view.select(split="train", subject="sub-05")
test = view.select(split="test", subject="sub-05").average().load()
len(others), len(recorded), len(test)

# %%
# Training on the four
# --------------------
# ``subject_layer="linear"`` puts a map of the channels in front of the network, one for each person and one that is
# shared. It works with any network; ``"eegproject"`` is the quickest.
encoder = EEGEncoder(
    "eegproject",
    subject_layer="linear",
    targets=data.image_embeddings,
    lr=2e-3,
    batch_size=256,
    max_epochs=12,
    validation=0.05,
    random_state=0,
    device="cpu",
).fit(others, others.stimulus)
encoder.subjects_

# %%
# As a stranger the new person gets the shared map. The 60 test pictures are new too, to everybody.
shared = encoder.score(test, test.stimulus)
print(f"found with the shared map: {shared:.0%} of 60 pictures, chance {1 / 60:.0%}")

# %%
# Calibration
# -----------
# With more and more epochs of the new person, drawn three times. The number of passes is chosen by cross-validation
# over the calibration pictures, so that with very few of them nothing is learned rather than something wrong. The
# test pictures are never among them.
import copy

assert not set(recorded.stimulus) & set(test.stimulus)
sizes = [20, 50, 100, 200, 400]
curve = []
for n_epochs in sizes:
    for seed in range(3):
        some = recorded[np.random.default_rng(seed).permutation(len(recorded))[:n_epochs]]
        calibrated = copy.deepcopy(encoder).calibrate(some, some.stimulus)
        curve.append(
            {
                "n_epochs": n_epochs,
                "passes": calibrated.selection_["calibrated"]["sub-05"]["epoch"],
                "accuracy": calibrated.score(test, test.stimulus),
            }
        )
curve = pd.DataFrame(curve)
curve.groupby("n_epochs").agg({"passes": "median", "accuracy": ["mean", "min", "max"]}).round(2)

# %%
# Nothing but the new map has changed: what the encoder says of the others is the same to the last bit.
known = others[:200]
assert np.array_equal(calibrated.transform(known), encoder.transform(known))
calibrated.subjects_

# %%
# For comparison: an encoder trained on the new person alone, with all the epochs there are.
alone = EEGEncoder(
    "eegproject",
    targets=data.image_embeddings,
    lr=2e-3,
    batch_size=256,
    max_epochs=25,
    validation=0.05,
    random_state=0,
    device="cpu",
).fit(recorded, recorded.stimulus)
own = alone.score(test, test.stimulus)

# %%
import matplotlib.pyplot as plt

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
mean = curve.groupby("n_epochs")["accuracy"].mean()
ax.plot([0, *mean.index], [shared, *mean], color="C0", label="calibrated (mean of 3 draws)")
ax.plot(curve["n_epochs"], curve["accuracy"], ".", color="C0", alpha=0.6)
ax.axhline(shared, color="C1", linestyle="--", label="as a stranger: the shared map")
ax.plot(len(recorded), own, "s", color="C2", label="trained on the new person alone")
ax.axhline(1 / 60, color="0.6", linestyle=":", label="chance")
ax.set(xlabel="epochs of the new person", ylabel="top-1 accuracy among 60", ylim=(0, None))
ax.legend(fontsize="small", loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)

# %%
# One test set of 60 pictures: differences of less than about ten points are within noise. The subject *token* of
# ``atm-s`` (``subject_layer="token"``, the default) can be calibrated in the same way, but it is one token among 64:
# in this simulation it made no difference that could be measured.
