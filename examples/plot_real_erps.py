"""
Real EEG of 46 people: when and where do they tell categories apart?
====================================================================

THINGS-EEG1 shows pictures for 50 ms, ten a second. Here are its evoked responses: one average for each person and each
of five superordinate categories. A decoder learns from 45 people and names the categories of the one left out.

The file is not shipped (OpenNeuro ds003825, by way of the repository ``jaclaz/FDA-on-visual-ERPs``). Name its folder in
the environment variable ``SKEEGCLIP_TEST_DATA``; without it, simulated people stand in, and the output says so.
On the real file the decoder below named 79.1 % of the categories of new people (95 % interval over people 72.7 to
84.4 %, chance 20 %), best from the window around 240 ms, and most from channels at the back of the head; with each epoch
whitened by its own covariance first, 92.2 % (85.5 to 95.9 %).
"""

# %%
# The recordings
# --------------
import os
from pathlib import Path

import mne
import numpy as np

from skeegclip import EpochsView
from skeegclip.datasets import make_things_like

mne.set_log_level("ERROR")


def real_people(file):
    """Evoked responses of 46 people to five categories."""
    n_people, n_categories, n_chans, n_times = file["X"].shape
    info = mne.create_info([str(name) for name in file["ch_names"]], 250.0, "eeg")
    view = EpochsView.from_arrays(
        file["X"].reshape(-1, n_chans, n_times),
        subject=np.repeat(file["subjects"], n_categories),
        stimulus=np.tile(file["cats"], n_people),
        info=info.set_montage("colin27_1020"),
        tmin=-0.1,
    )
    return view, 0.05


def simulated_people():
    """Averages of 10 people for five things of one kind each: far easier than reality."""
    data = make_things_like(
        n_subjects=10,
        n_train_concepts=1,
        n_images_per_concept=1,
        n_test_concepts=5,
        n_test_repetitions=40,
        tmin=-0.1,
        snr=4.0,
        random_state=0,
    )
    view = EpochsView.from_arrays(data.X, subject=data.subject, stimulus=data.y, info=data.info, tmin=-0.1)
    return view[data.split == "test"].average(by=("subject", "stimulus")), 0.1


path = Path(os.environ.get("SKEEGCLIP_TEST_DATA", "")) / "things_eeg1_category_erps" / "erps.npz"
if path.is_file():
    with np.load(path) as file:
        view, picture = real_people(file)
    print("Real EEG: THINGS-EEG1")
else:
    view, picture = simulated_people()
    print("No real data here: what follows is SIMULATED")
view

# %%
# People never seen
# -----------------
# Ridge regression on the whole epoch, and every person left out once. With one response a category and five
# categories, intervals must speak of *other people*: it is people that are drawn.
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneGroupOut

from skeegclip import ZeroShotClassifier
from skeegclip.inspection import channel_importance, region_importance, time_resolved

decoder = ZeroShotClassifier(Ridge(1e4))
setting = {"cv": LeaveOneGroupOut(), "interval": "subject"}
regions = region_importance(decoder, view, **setting)
whole = regions.iloc[0]
print(f"Right category: {whole.accuracy:.1%} [{whole.low:.1%}, {whole.high:.1%}], chance {whole.chance:.0%}")

# %%
# The same decoder after each epoch was whitened by its own covariance. That looks at nothing else of the new person, so
# that it may be done beforehand, once, for everybody. What it wins is told by pairs, person by person.
from sklearn.model_selection import cross_val_predict

from skeegclip.metrics import bootstrap_interval
from skeegclip.preprocessing import SubjectAligner

aligned = SubjectAligner("epoch").fit_transform(view).load()
hits = {}
for name, epochs in (("as they are", view), ("each epoch aligned", aligned)):
    said = cross_val_predict(decoder, epochs, view.stimulus, cv=LeaveOneGroupOut(), groups=view.subject)
    hits[name] = (said == view.stimulus).astype(float)
    low, high = bootstrap_interval(hits[name], groups=view.subject, random_state=0)
    print(f"{name:20s} {hits[name].mean():.1%} [{low:.1%}, {high:.1%}]")
gain = hits["each epoch aligned"] - hits["as they are"]
low, high = bootstrap_interval(gain, groups=view.subject, random_state=0)
print(f"{'gain':20s} {gain.mean():+.1%} [{low:+.1%}, {high:+.1%}]")

# %%
# What follows asks *when* and *where*, of epochs as they are: a whitened sample holds something of all channels, and, by
# the covariance, of all times of its epoch.
#
# When
# ----
# A decoder for each window of 100 ms. Dots mark windows above chance, corrected for their number. The first one begins
# before anything can be known: what counts are its last samples. In the real recordings other pictures follow every
# 100 ms, so a late window may tell more of how averages and filters were made than of the picture.
from skeegclip.plotting import plot_importance, plot_regions, plot_time_course

course = time_resolved(decoder, view, mode="sliding", **setting)
print("First window above chance:", course.first_above_chance())
ax_time = plot_time_course(course, stimulus=(0, picture))

# %%
# The best window of each category. The largest of many values is too high, and noise has a best window too: compare
# the values with those before the picture.
course.best_windows()

# %%
# Where
# -----
# What each region holds alone, and what the others hold without it. Volume conduction carries the same source to many
# electrodes: a region that can be spared is not silent.
ax_regions = plot_regions(regions)

# %%
# Which electrode counts as which region:
from skeegclip.plotting import plot_region_map

ax_map = plot_region_map(view.info)

# %%
# What the decoder takes from each channel, as the loss when the channel is hidden from it.
channels = channel_importance(decoder, view, **setting)
ax_head = plot_importance(channels["similarity_loss"], view.info)
