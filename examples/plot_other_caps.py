"""
Other caps in one fit
=====================

Laboratories wear different caps. Here five people wear caps of 63, 32 and 17 channels, in no common order, and one decoder
learns from all of them. It is then tried on a sixth person, whose cap nobody has worn.
"""

# %%
# Six people, several caps
# ------------------------
# Each person's recording is a view of its own (or ``mne.Epochs``). Channels have names; where an info has no positions,
# places come from the names.
import numpy as np

from skeegclip import EpochsView
from skeegclip.datasets import make_things_like

data = make_things_like(
    n_subjects=6,
    n_train_concepts=80,
    n_images_per_concept=2,
    n_train_repetitions=1,
    n_test_concepts=50,
    n_test_repetitions=12,
    sfreq=50,
    tmin=0.06,
    duration=0.4,
    n_dims=64,
    snr=3,
    random_state=0,
)
view = EpochsView.from_arrays(
    data.X, subject=data.subject, stimulus=data.y, info=data.info, rows={"split": data.split}
)
names = list(view.ch_names)
rng = np.random.default_rng(0)
small = [
    "Oz",
    "Pz",
    "Cz",
    "P3",
    "P4",
    "P7",
    "P8",
    "C3",
    "C4",
    "T7",
    "T8",
    "F3",
    "F4",
    "F7",
    "F8",
    "Fp1",
    "Fp2",
]
caps = [names, names[::2], small, rng.permutation(names)[:32].tolist(), names[::-1]]
people = [view.select(subject=f"sub-{k:02d}", split="train").pick(cap) for k, cap in enumerate(caps, start=1)]
[person.shape for person in people]

# %%
# One view of all
# ---------------
# :meth:`~skeegclip.EpochsView.join` copies nothing. The view has every channel that anybody has, and reads NaN where a
# person lacks one.
train = EpochsView.join(people)
train

# %%
# Learning by position
# --------------------
# ``montage="positions"`` puts a layer before the network that weighs channels by where they are. The network is ridge
# regression beside a small one, for speed.
from skeegclip import EEGEncoder

quick = {
    "net_params": {"attention": False, "conv_position": "none"},
    "max_epochs": 10,
    "subject_layer": "none",
}
encoder = EEGEncoder(
    targets=data.image_embeddings, montage="positions", random_state=0, device="cpu", **quick
)
encoder.fit(train, train.stimulus)

# %%
# The baseline: splines
# ---------------------
# :class:`~skeegclip.preprocessing.InterpolateChannels` brings everybody to the 63 channels, and any encoder may stand
# behind it.
from sklearn.pipeline import make_pipeline

from skeegclip.preprocessing import InterpolateChannels

splined = make_pipeline(
    InterpolateChannels(names),
    EEGEncoder(targets=data.image_embeddings, random_state=0, device="cpu", **quick),
)
splined.fit(train, train.stimulus)

# %%
# A cap that nobody wore
# ----------------------
# The sixth person loses channels, drawn by chance. Both decoders take whatever remains.
import matplotlib.pyplot as plt

new = view.select(subject="sub-06", split="test").average().load()
kept = [63, 48, 32, 24, 16, 8, 4]
order = rng.permutation(63)
curves = {
    name: [model.score(new.pick(sorted(order[:n].tolist())), new.stimulus) for n in kept]
    for name, model in {"positions": encoder, "splines": splined}.items()
}
fig, ax = plt.subplots(layout="constrained")
for name, curve in curves.items():
    ax.plot(kept, curve, "o-", label=name)
ax.axhline(data.truth.chance, color="grey", linestyle=":", label="chance")
ax.set(xlabel="channels of the new person", ylabel=f"top-1 accuracy among {len(new)}", ylim=(0, None))
ax.legend()
