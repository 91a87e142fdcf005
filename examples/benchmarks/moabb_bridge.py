"""MOABB's cross-subject evaluation of decoders of ours, beside our own leave-one-subject-out: equal to rounding.

MOABB numbers the classes in the order of their names, and so do we here: the codes that a classifier without targets makes are
those of its labels.

With ``--erps`` on evoked responses of real people (THINGS-EEG1: `erps.npz` with `X` (people, categories, channels, times) in
microvolts, `times`, `cats`, `ch_names`), else on simulated ones. Needs ``pip install 'skeegclip[moabb]'``.

Run: ``OMP_NUM_THREADS=1 python examples/benchmarks/moabb_bridge.py --erps erps.npz``
"""

import argparse
import tempfile
import warnings

import mne
import numpy as np
from moabb.evaluations import CrossSubjectEvaluation
from moabb.paradigms import P300
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneGroupOut, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelEncoder

from skeegclip import EpochsView, ZeroShotClassifier
from skeegclip.datasets import as_moabb_dataset
from skeegclip.preprocessing import EpochScaler


def real(path):
    """Each person's mean epoch of each category."""
    with np.load(path, allow_pickle=False) as file:
        X, times, cats, names = (file[name] for name in ("X", "times", "cats", "ch_names"))
    n_people, n_categories = X.shape[:2]
    info = mne.create_info(names.astype(str).tolist(), round(1 / np.diff(times).mean(), 6), "eeg")
    people = np.repeat([f"sub-{number:02d}" for number in range(n_people)], n_categories)
    labels = np.tile(cats.astype(str), n_people)
    X = X.reshape(-1, *X.shape[2:])
    return EpochsView.from_arrays(X, subject=people, stimulus=labels, info=info, tmin=float(times[0]))


def simulated(n_people=8, n_epochs=60):
    """People with one response to faces, each in noise of their own."""
    rng = np.random.default_rng(0)
    X = 10 * rng.normal(size=(n_people * n_epochs, 8, 50))
    labels = np.tile(["face", "house"], len(X) // 2)
    X[labels == "face"] += 3 * rng.normal(size=(8, 50))
    info = mne.create_info([f"E{i}" for i in range(8)], 100.0, "eeg")
    people = np.repeat([f"sub-{i:02d}" for i in range(n_people)], n_epochs)
    return EpochsView.from_arrays(X, subject=people, stimulus=labels, info=info, tmin=-0.1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--erps", help="file of evoked responses")
    args = parser.parse_args()
    view = simulated() if args.erps is None else real(args.erps)
    decoder = make_pipeline(EpochScaler(), ZeroShotClassifier(Ridge(1e3)))
    dataset = as_moabb_dataset(view)
    events = {"events": list(dataset.event_id), "ignore_relabelling": True}
    paradigm = P300(fmin=None, fmax=None, scorer="accuracy", **events)
    warnings.filterwarnings("ignore", message="Creating a dataset without passing data")  # of h5py, to MOABB
    with tempfile.TemporaryDirectory() as folder, mne.use_log_level("error"):
        evaluation = CrossSubjectEvaluation(
            paradigm=paradigm, datasets=[dataset], overwrite=True, hdf5_path=folder
        )
        theirs = evaluation.process({"ridge": decoder}).set_index("subject")["score"].sort_index()
    number = LabelEncoder().fit_transform(view.stimulus)
    ours = cross_val_score(
        decoder, view, number, groups=view.subject, cv=LeaveOneGroupOut(), error_score="raise"
    )
    print(
        f"{len(ours)} people, chance {1 / len(dataset.event_id):.3f}, MOABB {theirs.mean():.6f}, ours {ours.mean():.6f},"
        f" largest difference of a person {np.abs(theirs.to_numpy() - ours).max():.1e}"
    )


if __name__ == "__main__":
    main()
