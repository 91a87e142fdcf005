"""
How good is a decoder? n-way accuracy with intervals
====================================================

One test set gives many figures: top-1 or top-5, among 2 or 100 pictures, of single trials or of averages. This
example computes them all, with chance levels and intervals, for a network and for the baseline it has to beat.
"""

# %%
# Simulated recordings of one person: 800 training pictures, and 100 test pictures of other things.
import numpy as np
import pandas as pd

from skeegclip import EEGEncoder, EpochsView, ImageRetriever
from skeegclip.datasets import make_things_like
from skeegclip.preprocessing import average_repetitions

# sphinx_gallery_thumbnail_number = 2
data = make_things_like(n_train_concepts=200, n_images_per_concept=4, n_test_concepts=100, random_state=1)
view = EpochsView.from_arrays(
    data.X, stimulus=data.y, info=data.info, rows=pd.DataFrame({"split": data.split})
)
posterior = [name for name in view.ch_names if name.startswith(("P", "O"))]
view = view.pick(posterior).crop(0.05, 0.6)
train, test = view.select(split="train"), view.select(split="test")
train, test

# %%
# Two decoders
# ------------
# Both learn from the training pictures only, and both search the same gallery: the 100 test pictures.
from sklearn.linear_model import Ridge

table = data.image_embeddings
gallery = table.subset(np.unique(test.stimulus))
decoders = {
    "EEGEncoder": EEGEncoder(
        "eegproject", lr=1e-3, batch_size=256, max_epochs=15, validation=0.1, random_state=0
    ),
    "Ridge": Ridge(1e5),
}
decoders = {
    name: ImageRetriever(encoder, targets=table, gallery=gallery).fit(train, train.stimulus)
    for name, encoder in decoders.items()
}

# %%
# The network kept the weights of the pass with the lowest loss on *held-out training stimuli*. After that pass it
# only learns its training set by heart.
from skeegclip.plotting import plot_training_curve

ax_training = plot_training_curve(decoders["EEGEncoder"].encoder_.history_)

# %%
# Every n at once
# ---------------
# The test epochs are averaged over their eight repetitions, as in the papers on THINGS-EEG2. From the similarity of
# each mean to each picture of the gallery follow all n-way accuracies. None of them is drawn at random, so there is
# nothing to repeat; the interval is a bootstrap over the pictures.
from skeegclip.metrics import cosine_similarity, n_way_table


def evaluate(decoder, X, stimulus):
    """Exact n-way accuracies of a decoder."""
    similarity = cosine_similarity(decoder.embed(X), gallery.vectors)
    shown = np.searchsorted(gallery.ids, stimulus)  # the ids of this gallery are sorted
    return n_way_table(similarity, shown, random_state=0)


X_mean, y_mean, _ = average_repetitions(test, test.stimulus)
tables = {name: evaluate(decoder, X_mean, y_mean) for name, decoder in decoders.items()}
tables["EEGEncoder"].round(3)

# %%
# One and the same decoder is nearly always right between 2 pictures, and mostly wrong among 100. So a figure is worth
# little without its n, and without the chance level beside it.
from skeegclip.plotting import plot_n_way

ax_n_way = plot_n_way(tables)

# %%
# What is taken for what?
# -----------------------
# Pictures of a category may be taken for each other, or for anything. The categories, here the colour of the ground, come as
# a mapping from the stimulus; with THINGS they would be "animal", "food", "tool", ... `errors_only` leaves the true picture out,
# so that all that is found is a mistake: without it the diagonal mostly shows that the very picture was found.
from skeegclip.metrics import category_confusion
from skeegclip.plotting import plot_confusion

ground = {name: name.split("_on_")[1].split("_")[0] for name in gallery.ids}
confusion = category_confusion(
    cosine_similarity(decoders["Ridge"].embed(X_mean), gallery.vectors),
    np.searchsorted(gallery.ids, y_mean),
    ground,
    ids=gallery.ids,
    errors_only=True,
)
ax_confusion = plot_confusion(confusion)

# %%
# Mistakes stay within the colour twice as often as chance would have it, and many others go to a neighbouring colour.
within = confusion[confusion["true"] == confusion["found"]]
shares = np.average(within[["share", "chance"]], axis=0, weights=within["n_queries"])
print("mistakes within the category: {:.0%}, by chance {:.0%}".format(*shares))

# %%
# Single trials are harder
# ------------------------
# The same decoders, the same pictures, without averaging the eight repetitions. The interval still draws whole
# pictures, because the repetitions of one picture are not independent of each other.
queries = {"mean of 8": (X_mean, y_mean), "single trials": (test, test.stimulus)}
rows = {
    f"{name}, {of}": evaluate(decoder, X, y).query("n_way == 100 and k == 5").iloc[0]
    for name, decoder in decoders.items()
    for of, (X, y) in queries.items()
}
comparison = pd.DataFrame(rows).T
comparison[["accuracy", "low", "high", "chance"]].round(3)

# %%
from skeegclip.plotting import plot_accuracy_bars

ax_bars = plot_accuracy_bars(comparison, label="Top-5 accuracy among 100")

# %%
# The intervals of the network and of ridge regression overlap widely. They are computed on the same pictures, so the
# right question is whether the *difference* is clear of zero: bootstrap that.
from skeegclip.metrics import bootstrap_interval, n_way_probability

shown = np.searchsorted(gallery.ids, y_mean)
hits = {
    name: n_way_probability(cosine_similarity(decoder.embed(X_mean), gallery.vectors), shown, n_way=100, k=5)
    for name, decoder in decoders.items()
}
difference = hits["EEGEncoder"] - hits["Ridge"]
low, high = bootstrap_interval(difference, groups=y_mean, random_state=0)
print(f"EEGEncoder minus Ridge: {difference.mean():+.2f}, 95 % interval {low:+.2f} to {high:+.2f}")
