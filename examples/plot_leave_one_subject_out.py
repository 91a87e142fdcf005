"""
A new person and new pictures: leave one subject out
====================================================

The hardest question one can ask of a decoder: does it work for somebody it has never seen, who looks at pictures that
nobody has shown it? The test must then leave out the person *and* the pictures. This example makes such splits, and
shows two ways in which the encoder learns whose brain it sees.
"""

# %%
# Epochs that know their subject
# ------------------------------
# Four people look at the same pictures. :class:`~skeegclip.EpochsView` keeps who saw what with the epochs, through
# any slicing. (With ``mne.Epochs`` a column "subject" of the metadata does the same.)
import numpy as np
import pandas as pd

from skeegclip import EEGEncoder, EpochsView, ImageRetriever
from skeegclip.datasets import make_things_like

data = make_things_like(
    n_subjects=4, n_train_concepts=150, n_images_per_concept=2, n_test_concepts=50, snr=2, random_state=3
)
rows = pd.DataFrame({"split": data.split, "concept": data.concept})
view = EpochsView.from_arrays(data.X, subject=data.subject, stimulus=data.y, info=data.info, rows=rows)
posterior = [name for name in view.ch_names if name.startswith(("P", "O"))]
view = view.pick(posterior).crop(0.05, 0.6)
view

# %%
# Splits that leave out both
# --------------------------
# :class:`~skeegclip.model_selection.LeaveOneSubjectOut` finds in the view who saw what, and which pictures are for
# testing. Of the others only the epochs with training pictures are kept for training, and of the person left out only
# those with test pictures for testing. :func:`~skeegclip.model_selection.audit_split` tells what a split shares.
from skeegclip.model_selection import LeaveOneSubjectOut, WithinSubject, audit_split

splits = list(LeaveOneSubjectOut().split(view))
print(audit_split(*splits[0], view))

# %%
# Cross-validation
# ----------------
# The view goes in as it is. In each fold the encoder learns a token for each of the three people it trains on, and one
# that is shared; the fourth person, unknown to it, gets the shared one.
from sklearn.model_selection import cross_validate

from skeegclip.metrics import make_retrieval_scorer

table = data.image_embeddings
encoder = EEGEncoder(
    "atm-s",
    net_params={"kernel_length": 7, "pool_length": 11, "pool_stride": 3},  # shorter epochs than the paper's
    targets=table,
    lr=2e-3,
    batch_size=128,
    max_epochs=6,
    validation=0.1,
    random_state=0,
)
scorer = make_retrieval_scorer()  # the gallery is the 50 test pictures: chance is 2 %
network = cross_validate(
    encoder, view, view.stimulus, cv=splits, scoring=scorer, return_estimator=True, error_score="raise"
)
[fitted.subjects_.tolist() for fitted in network["estimator"]]

# %%
# The baseline takes the same view; the retriever flattens the epochs for it. It knows nothing of subjects.
from sklearn.linear_model import Ridge

baseline = cross_validate(
    ImageRetriever(Ridge(1e5), targets=table),
    view,
    view.stimulus,
    cv=splits,
    scoring=scorer,
    error_score="raise",
)

# %%
# For comparison, what each person's own training data are worth: trained and tested on one person, again with test
# pictures that are not in training. It needs recordings of that very person.
within = cross_validate(
    ImageRetriever(Ridge(1e5), targets=table),
    view,
    view.stimulus,
    cv=WithinSubject(),
    scoring=scorer,
    error_score="raise",
)

# %%
# People differ, so each person's figure is shown; the bar is their mean. Single trials, not averages, were decoded.
from skeegclip.plotting import plot_accuracy_bars

points = {
    "ATM-S, new person": network["test_score"],
    "Ridge, new person": baseline["test_score"],
    "Ridge, same person": within["test_score"],
}
summary = pd.DataFrame(
    {name: {"accuracy": scores.mean(), "chance": 1 / 50} for name, scores in points.items()}
).T
ax = plot_accuracy_bars(summary, points=points, label="Top-1 accuracy among 50")

# %%
pd.DataFrame(points, index=np.unique(view.subject)).rename_axis("left out").round(3)

# %%
# All at once
# -----------
# :func:`~skeegclip.evaluate` does the whole comparison in one call: it averages the repetitions of a test picture, and gives
# intervals that speak of other people and other pictures. Here three ways of searching with the same baseline; the second
# looks at all queries together, which the report flags.
from skeegclip import evaluate
from skeegclip.plotting import plot_encoder_comparison

searches = {
    "cosine": ImageRetriever(Ridge(1e5)),
    "CSLS": ImageRetriever(Ridge(1e5), hubness="csls"),
    "whitened": ImageRetriever(Ridge(1e5), whiten=0.5),
}
report = evaluate(searches, view, targets=table, cv=LeaveOneSubjectOut())
ax_searches = plot_encoder_comparison(report)

# %%
report.compare()[["estimator", "minus", "difference", "low", "high", "p_holm"]].round(3)

# %%
# The other way: metadata routing
# -------------------------------
# Where X is a plain array, the subject can be routed. scikit-learn then hands it to ``fit``, and to the scorer, which
# passes it on. Nothing has to be requested: every estimator of skeegclip asks for ``subject`` by itself. But a bare
# ``predict`` of a pipeline or a search never gets it, so a view is the safer way.
import sklearn

X = np.asarray(view)
with sklearn.config_context(enable_metadata_routing=True):
    routed = cross_validate(
        encoder,
        X,
        view.stimulus,
        cv=splits[:1],
        scoring=scorer,
        params={"subject": view.subject},
        error_score="raise",
    )
print("first fold, subject carried by the view:", network["test_score"][0])
print("first fold, subject routed:             ", routed["test_score"][0])
