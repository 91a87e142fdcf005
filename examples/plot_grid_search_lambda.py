"""
Choosing lambda by cross-validation
===================================

Lambda, ``loss_weight``, mixes the CLIP loss (which tells pictures apart) with the mean squared error (which asks for
the picture's vector itself). A grid search shows what is traded for what, on training data alone.
"""

# %%
# Simulated recordings of one person; the repetitions of each picture are averaged.
import numpy as np
import pandas as pd

from skeegclip import EEGEncoder, EpochsView
from skeegclip.datasets import make_things_like
from skeegclip.preprocessing import average_repetitions

data = make_things_like(
    n_train_concepts=200,
    n_images_per_concept=4,
    n_train_repetitions=4,
    n_test_concepts=2,
    snr=3,
    random_state=2,
)
view = EpochsView.from_arrays(
    data.X, stimulus=data.y, info=data.info, rows=pd.DataFrame({"split": data.split})
)
posterior = [name for name in view.ch_names if name.startswith(("P", "O"))]
view = view.select(split="train").pick(posterior).crop(0.05, 0.6)
X, y, _ = average_repetitions(view, view.stimulus)
concept_of = dict(zip(data.y, data.concept, strict=True))
concept = np.array([concept_of[stimulus] for stimulus in y])
X.shape

# %%
# Two scores
# ----------
# *Accuracy*: how often the right picture is first among 50 (chance 2 %). With a fixed ``n_way`` the folds are
# comparable, whatever their size. *Scaled error*: the mean squared error divided by the variance of the targets;
# 1 is what one gets by always predicting their mean.
from skeegclip.metrics import make_retrieval_scorer

table = data.image_embeddings
variance = table.lookup(y).var(axis=0).mean()


def scaled_error(estimator, X, y):
    """Mean squared error over variance, with a minus sign: scikit-learn maximises."""
    return -np.mean((estimator.predict(X) - table.lookup(y)) ** 2) / variance


scoring = {"accuracy": make_retrieval_scorer(n_way=50), "error": scaled_error}

# %%
# The search
# ----------
# The folds are made of *concepts*: a validation picture shows a thing that the training pictures of its fold never
# show. ``cv`` and ``groups`` must be given; trial-wise folds would measure memory.
from sklearn.model_selection import GridSearchCV, GroupKFold

encoder = EEGEncoder(
    "eegproject", targets=table, lr=1e-3, batch_size=128, max_epochs=12, validation=0.1, random_state=0
)
lambdas = [0.0, 0.1, 0.5, 0.9, 1.0]
search = GridSearchCV(
    encoder,
    {"loss_weight": lambdas},
    scoring=scoring,
    refit="accuracy",
    cv=GroupKFold(3, shuffle=True, random_state=0),
    error_score="raise",
)
search.fit(X, y, groups=concept)

# %%
results = pd.DataFrame(search.cv_results_).set_index("param_loss_weight").rename_axis("lambda")
scores = pd.DataFrame(
    {
        "accuracy": results["mean_test_accuracy"],
        "its sd over folds": results["std_test_accuracy"],
        "scaled error": -results["mean_test_error"],
    }
)
scores.round(3)

# %%
# Lambda does what it says. With lambda = 0 the embeddings come nearest to their targets. The more the CLIP loss weighs,
# the better pictures are told apart, up to a point, and the less do the embeddings resemble their targets: with
# lambda = 1 nothing ties their length to that of the targets, and the error is worse than that of no prediction at
# all (the dotted line). For retrieval take a large lambda; for painting from the embeddings a small one.
import matplotlib.pyplot as plt

fig, (left, right) = plt.subplots(1, 2, figsize=(6.4, 2.8), layout="constrained")
place = np.arange(len(lambdas))
left.errorbar(
    place, 100 * scores["accuracy"], 100 * scores["its sd over folds"], color="#0072B2", marker="o", capsize=3
)
left.axhline(100 / 50, color="0.45", ls=":")
left.text(0, 100 / 50 + 1, "chance", color="0.45", va="bottom", fontsize="small")
left.set(title="Accuracy: higher is better", ylabel="Top-1 among 50 (%)", ylim=(0, None))
right.plot(place, scores["scaled error"], color="#D55E00", marker="s")
right.axhline(1, color="0.45", ls=":")
right.text(0, 1.02, "always the mean", color="0.45", va="bottom", fontsize="small")
right.set(title="Error: lower is better", ylabel="MSE / variance of targets", ylim=(0, None))
for ax in (left, right):
    ax.set_xticks(place, [f"{value:g}" for value in lambdas])
    ax.set_xlabel("lambda (loss_weight)")
    ax.spines[["top", "right"]].set_visible(False)

# %%
# ``refit="accuracy"`` has fitted the winner on all of these data. A test set, which took no part in the search, may
# now be scored once.
search.best_params_

# %%
# All lambdas for little more than one fit
# ----------------------------------------
# The grid has trained three networks for each lambda, and one more. :class:`~skeegclip.LambdaPath` trains the network of the
# largest, and each smaller lambda goes on from there for a tenth of the passes. Its figures are of the *stimuli* that the
# encoder holds out, a tenth of them (``validation=0.1``): chance is one in 80, and they are fewer than the folds have.
from skeegclip import LambdaPath
from skeegclip.plotting import plot_lambda_path

path = LambdaPath(encoder, loss_weights=lambdas).fit(X, y)
pd.DataFrame(path.scores_).round(3)

# %%
ax_path = plot_lambda_path(path.scores_)

# %%
# The shape is the same: accuracy hardly depends on lambda where the CLIP loss weighs most, and the error falls with it. (The
# figures themselves differ: the networks of the grid have two thirds of the pictures to learn from, those of the path nine
# tenths.) ``path.encoder_`` is the encoder of ``path.best_``; ``path.lambda_path_`` has all of them, one for retrieval and one
# for painting, say.
path.best_
