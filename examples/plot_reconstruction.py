"""
From EEG to pictures, and how to judge them
===========================================

An encoder maps each epoch into the space of picture embeddings; a generator paints from there. Real work needs Stable
Diffusion XL for the second step, gigabytes of weights and a GPU (see :doc:`../user_guide/reconstruction`). Here the
closed-form :class:`~skeegclip.generation.LinearGenerator` paints instead: blurry, but in seconds, and everything around
it is the same.

The recordings are simulated, of a person who looks at drawn shapes, with a clearer response than real EEG has.
"""

# %%
# Data
# ----
# Training pictures were shown twice each, test pictures, of other concepts, eight times. Repetitions are averaged.
from skeegclip.datasets import make_things_like
from skeegclip.preprocessing import average_repetitions

data = make_things_like(
    n_train_concepts=300, n_images_per_concept=4, n_test_concepts=100, snr=5, random_state=0
)
X = data.X / data.X[data.split == "train"].std(axis=(0, 2), keepdims=True)
parts = {
    part: average_repetitions(X[data.split == part], data.y[data.split == part]) for part in ("train", "test")
}
(X_train, y_train, _), (X_test, y_test, _) = parts["train"], parts["test"]
data.images

# %%
# A reconstructor
# ---------------
# The generator does not learn from the encoder's embeddings of its own training epochs, which are far too good, but from
# those of stimuli left out (`cross_fit`), as in stacking.
from sklearn.linear_model import Ridge

from skeegclip import EEGImageReconstructor, EpochsView

encoder = Ridge(1e4)
reconstructor = EEGImageReconstructor(
    encoder, targets=data.image_embeddings, images=data.images, generator="linear", random_state=0
)
reconstructor.fit(X_train, y_train)
pictures = reconstructor.transform(X_test)
pictures.shape

# %%
# What was painted?
# -----------------
# Six test pictures (the first six, not the best), and beside each the reconstruction and the nearest training picture.
# The last is what a generator has to beat: it paints nothing, and looks perfect.
from sklearn.frozen import FrozenEstimator

from skeegclip.plotting import plot_reconstruction_grid

nearest = EEGImageReconstructor(
    FrozenEstimator(reconstructor.encoder_),
    targets=data.image_embeddings,
    images=data.images,
    generator="nearest",
).fit(X_train, y_train)
fig = plot_reconstruction_grid(
    {
        "shown": data.images.lookup(y_test[:6]),
        "reconstructed": pictures[:6],
        "nearest": nearest.transform(X_test[:6]),
    }
)

# %%
# How good are they?
# ------------------
# The report always sets two baselines beside the reconstructions. PixCorr and SSIM compare pixels and need no weights;
# leave `metrics` out for all eight columns of the papers.
table = reconstructor.report(X_test, y_test, metrics=["PixCorr", "SSIM"], random_state=0, verbose=0)
table.round(3)

# %%
# The score is two-way identification by pixels: the probability that a reconstruction is more like its own picture than
# like another one.
print(f"Two-way identification: {reconstructor.score(X_test, y_test):.1%} (chance: 50 %)")

# %%
# When can it be painted, and from where?
# ---------------------------------------
# The same reconstructor for windows that begin with the picture and end ever later: each has its own, trained on that window.
# Above each column stands the two-way score over 40 test pictures. In the first 100 ms there is nothing to paint from but
# the mean of all pictures.
import numpy as np

from skeegclip.generation import LinearGenerator
from skeegclip.inspection import reconstruct_by_region, reconstruct_over_time
from skeegclip.model_selection import WithinSubject
from skeegclip.plotting import plot_partial_reconstructions

painter = EEGImageReconstructor(
    encoder,
    targets=data.image_embeddings,
    images=data.images,
    generator=LinearGenerator(size=32, n_components=64),
    cross_fit=3,
)
view = EpochsView.from_arrays(
    np.concatenate([X_train, X_test]), stimulus=np.concatenate([y_train, y_test]), info=data.info
)
asked = {"cv": WithinSubject(test_stimuli=y_test), "stimuli": y_test[:40]}
over_time = reconstruct_over_time(painter, view.crop(tmax=0.595), step=0.1, **asked)
time_fig = plot_partial_reconstructions(over_time, y_test[:4])

# %%
# And from all channels, or from one region alone.
by_region = reconstruct_by_region(painter, view, **asked)
region_fig = plot_partial_reconstructions(by_region, y_test[:4])

# %%
# Scores come with intervals over the pictures.
by_region.table[["region", "n_channels", "two-way", "two-way_low", "two-way_high"]].round(2)

# %%
# What does guidance do?
# ----------------------
# A diffusion prior draws embeddings that look like those of pictures. A higher guidance scale pulls them towards what
# sets this EEG apart, and makes them more alike: similarity is bought with diversity. Here the closed-form "gaussian"
# prior, fitted on out-of-fold embeddings by the reconstructor.
from skeegclip import DiffusionPrior
from skeegclip.generation import guidance_curve, similarity_distributions
from skeegclip.plotting import plot_guidance_curve, plot_similarity_histograms

prior = DiffusionPrior(net="gaussian", scheduler="ddim", n_steps=20, random_state=0)
with_prior = reconstructor.set_params(prior=prior).fit(X_train, y_train)
eeg = with_prior.embed(X_test)
curve = guidance_curve(
    with_prior.prior_, eeg, [1, 2, 3, 5, 7.5, 10], n_samples=5, truth=data.image_embeddings.lookup(y_test)
)
curve_fig = plot_guidance_curve(curve)

# %%
# More is not better: beyond some scale the samples move away again, from the EEG and from the picture that was shown.
curve.round(2)

# %%
# The embeddings drawn for an epoch are far more like its EEG than those of random training pictures are.
distributions = similarity_distributions(
    eeg,
    with_prior.prior_.sample(eeg, n_samples=5),
    data.image_embeddings.lookup(y_train[:200]),
    shown=data.image_embeddings.lookup(y_test),
)
ax = plot_similarity_histograms(distributions)

# %%
# With Stable Diffusion XL
# ------------------------
# With real recordings, CLIP ViT-H-14 embeddings as targets and the weights at hand, one word changes:
# ``EEGImageReconstructor(EEGEncoder("atm-s"), targets=table, prior=DiffusionPrior(), generator="sdxl-turbo")``.
