"""How far simulated people differ as real ones do, and whether four published effects have their sign.

Real: THINGS-EEG1 category ERPs of 46 people (OpenNeuro ds003825, ``erps.npz``): five averages each, without what all
pictures share and low-passed by their makers. Simulated: as many averages of the people of ``make_things_like``. Both
go through the same band (2.5 to 13 Hz) and the same statistics; spreads in ``skeegclip/datasets/_recording.py`` were set
by hand to bring the two near one another. That of the noise sources (1.5, not 1 or 2) was settled when accuracies of 1.5
for seeds 0 and 1 had been seen. Some statistics are shown without loud electrodes too, of more than nine times the noise
power of a person's median one: in the file they are one or two here and there, and loose or broken. These are not simulated.
``--epochs`` and the distance of the
categories (``--snr``) are no property of people: they set how much noise is in an average.

With ``--trials``, how single epochs differ in their noise: those of one real person (faces and houses, four channels of a
headband whose reference is at FPz, 1 to 30 Hz, epochs above 75 microvolts left out by their makers), and of simulated ones.

With ``--effects``, the top-1 accuracy of ridge regression on simulated test pictures, and paired differences.

Run: ``python examples/benchmarks/simulator_fit.py [--erps path/to/erps.npz] [--trials path/to/n170_subject1.npz] [--effects 4]``
"""

import argparse

import numpy as np
import pandas as pd
import scipy.ndimage
import scipy.signal

from skeegclip.datasets import make_things_like
from skeegclip.datasets._recording import make_cortex, make_subject
from skeegclip.metrics import bootstrap_interval

SFREQ = 125.0
LOUD = 9.0  # times the median electrode's power
POSTERIOR = [
    "P7",
    "P5",
    "P3",
    "P1",
    "Pz",
    "P2",
    "P4",
    "P6",
    "P8",
    "PO7",
    "PO3",
    "POz",
    "PO4",
    "PO8",
    "O1",
    "Oz",
    "O2",
]


def real_averages(path):
    """Averages (46 people, 5 categories, 62 channels, 138 times), every second sample of a moving mean of two."""
    with np.load(path) as file:
        X, times = file["X"].astype(np.float64), file["times"]
    return X.reshape(*X.shape[:3], -1, 2).mean(axis=-1), times.reshape(-1, 2).mean(axis=1)


def simulated_averages(n_epochs, snr, seed, n_people=46, n_categories=5):
    """The same of simulated people; the noise of an average is that of an epoch over the root of their number."""
    cortex = make_cortex("eeg", SFREQ, 8, 16, np.random.default_rng(seed))
    times = np.arange(138) / SFREQ - 0.1
    features = 0.4 * np.random.default_rng([seed, 0]).standard_normal((n_categories, 24))
    X = np.zeros((n_people, n_categories, cortex.head.info["nchan"], len(times)), dtype=np.float32)
    for person, averages in enumerate(X):
        rng = np.random.default_rng([seed, 1, person])
        subject = make_subject(cortex, times, snr, rng)
        subject.noise.add(averages, rng)
        averages /= np.sqrt(n_epochs)
        averages += np.tensordot(features, subject.patterns, 1) + subject.common
    return X.astype(np.float64), times


def statistics(X, times):
    """What tells people apart, of averages (n_people, n_categories, n_chans, n_times)."""
    n_people = len(X)
    band = scipy.signal.butter(2, [2.5, 13], "bandpass", fs=SFREQ, output="sos")
    X = scipy.signal.sosfiltfilt(band, X - X.mean(axis=2, keepdims=True), axis=3, padlen=50)
    X = X - X.mean(axis=1, keepdims=True)  # what all categories share is not in the file
    early, late = (X[..., (times >= start) & (times < stop)] for start, stop in ((0.1, 0.4), (0.65, 0.95)))
    power, noise = ((part**2).mean(axis=(1, 2, 3)) for part in (early, late))
    seen = np.flatnonzero(1 - noise / power > 0.3)  # people whose response stands out
    response = np.sqrt(power - noise, where=power > noise, out=np.zeros(n_people))

    flat = early[seen].reshape(len(seen), -1)
    shared = flat @ flat.T / flat.shape[1] / np.outer(response[seen], response[seen])
    log_channel = np.log(late.std(axis=(1, 3)))
    log_channel -= np.median(log_channel, axis=1, keepdims=True)
    rows = late.transpose(0, 2, 1, 3).reshape(n_people, X.shape[2], -1)
    covariance = rows @ rows.transpose(0, 2, 1)
    covariance /= np.trace(covariance, axis1=1, axis2=2)[:, None, None]
    axes = np.linalg.eigvalsh(covariance)[:, ::-1]
    by_channel = late.var(axis=(1, 3))
    loud = by_channel > LOUD * np.median(by_channel, axis=1, keepdims=True)
    quiet = np.where(loud, np.nan, by_channel)
    spectrum = np.abs(np.fft.rfft(late * np.hanning(late.shape[3]), axis=3)) ** 2
    frequency = np.fft.rfftfreq(late.shape[3], 1 / SFREQ)
    theta, alpha = (
        spectrum[..., (frequency >= a) & (frequency < b)].mean(axis=(1, 3)) for a, b in ((3, 8), (8, 13))
    )
    rhythm = np.log(alpha / theta)
    return {
        "share of the response in 100 to 400 ms, median": np.median(1 - noise / power),
        "log amplitude of the response, spread": spread(np.log(response[seen])),
        "log amplitude of the noise, spread": spread(np.log(noise) / 2),
        "the same without loud electrodes": spread(np.log(np.nanmean(quiet, axis=1)) / 2),
        "people with a loud electrode": loud.any(axis=1).mean(),
        "correlation of people's responses, without noise": np.median(shared[off_diagonal(seen)]),
        "latency (ms), standard deviation": 1000 * latencies(X, response, seen, times).std(),
        "log amplitude of a channel, spread": spread(log_channel - np.median(log_channel, axis=0)),
        "noise in its first axis": np.median(axes[:, 0]),
        "noise in its first four axes": np.median(axes[:, :4].sum(axis=1)),
        "overlap of people's noise covariances": np.median(
            overlap(covariance, np.ones_like(loud))[off_diagonal(rows)]
        ),
        "overlap without loud electrodes": np.median(overlap(covariance, ~loud)[off_diagonal(rows)]),
        "log alpha over theta, spread over people": rhythm.mean(axis=1).std(),
        "log alpha over theta, spread over places": (rhythm - rhythm.mean(1, keepdims=True)).std(),
    }


def latencies(X, response, seen, times):
    """The shift, up to 60 ms, at which each person's response is most like the mean of the others'."""
    window, found = np.flatnonzero((times >= 0.1) & (times < 0.4)), []
    shifts = np.arange(-7, 8)
    unit = X / np.maximum(response, 1e-12)[:, None, None, None]
    for person in seen:
        others = unit[seen[seen != person]].mean(axis=0)[..., window]
        match = [(X[person][..., window + shift] * others).sum() for shift in shifts]
        found.append(shifts[np.argmax(match)] / SFREQ)
    return np.array(found)


def overlap(covariance, kept):
    """Cosine between the covariances of each two people, over the electrodes that both keep."""
    squared = covariance**2
    product = np.zeros((len(covariance), len(covariance)))
    for one, of_one in enumerate(covariance):
        for other, of_other in enumerate(covariance):
            both = kept[one] & kept[other]
            cross = np.ix_(both, both)
            powers = squared[one][cross].sum() * squared[other][cross].sum()
            product[one, other] = (of_one[cross] * of_other[cross]).sum() / np.sqrt(powers)
    return product


def spread(values):
    """Standard deviation of a normal distribution with these quartiles: outliers do not count."""
    return np.subtract(*np.percentile(values, [75, 25])) / 1.349


def off_diagonal(rows):
    return ~np.eye(len(rows), dtype=bool)


def trial_statistics(X, kind):
    """How unlike each other the single epochs (n_epochs, n_chans, n_times) of one person are."""
    noise = X.astype(np.float64)
    for one in np.unique(kind):
        noise[kind == one] -= noise[kind == one].mean(axis=0)
    noise -= noise.mean(axis=2, keepdims=True)
    level = np.log(np.sum(noise**2, axis=(1, 2))) / 2
    scaled = noise / noise.std(axis=(0, 2), keepdims=True)
    return {
        "log amplitude of an epoch, spread": level.std(),
        "correlation of one epoch's with the next one's": np.corrcoef(level[:-1], level[1:])[0, 1],
        "excess kurtosis, mean over channels": np.mean(scaled**4, axis=(0, 2)).mean() - 3,
    }


def simulated_trials(seed):
    """Epochs like those of the headband, of one simulated person, in a random order as they are recorded."""
    data = make_things_like(
        n_train_concepts=100, n_images_per_concept=1, n_test_concepts=2, n_train_repetitions=10, sfreq=256,
        tmin=-0.6, duration=1.9, random_state=seed,
    )  # fmt: skip
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(data.split == "train"))
    names = data.info["ch_names"]
    X = data.X[np.ix_(rows, [names.index(name) for name in ("TP9", "AF7", "AF8", "TP10")])]
    X = X - data.X[np.ix_(rows, [names.index("Fp1"), names.index("Fp2")])].mean(axis=1, keepdims=True)
    band = scipy.signal.butter(2, [1, 30], "bandpass", fs=256, output="sos")
    return scipy.signal.sosfiltfilt(band, X, axis=2)[:, :, 128:360], data.y[rows]


def align(X, subject, center):
    """Each person's epochs times the inverse root of their covariance, with a tenth of its mean added to it."""
    aligned = np.empty_like(X)
    for person in np.unique(subject):
        own = X[subject == person]
        own = own - own.mean(axis=0) if center else own
        flat = own.transpose(1, 0, 2).reshape(X.shape[1], -1)
        covariance = flat @ flat.T / flat.shape[1]
        covariance = 0.9 * covariance + 0.1 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
        values, vectors = np.linalg.eigh(covariance)
        aligned[subject == person] = (vectors / np.sqrt(values) @ vectors.T).astype(X.dtype) @ own
    return aligned


def smooth(X):
    """Moving average over 5 samples at 250 Hz."""
    return scipy.ndimage.uniform_filter1d(X, 5, axis=2)


def ridge(X, Y, groups, n_folds=5):
    """Ridge regression as a function of new inputs; its penalty is that of the least squared error on groups held out.

    The groups are concepts: a picture's repetitions, other people's epochs of it and other pictures of its concept would tell of it,
    and the test is on other concepts. With K the products of the rows and A = (K + penalty)^-1, rows S that are left
    out together miss their targets by (A_SS)^-1 (A Y)_S (Y centred on all rows), without another fit.
    """
    x_mean, y_mean = X.mean(axis=0), Y.mean(axis=0)
    centred, Y = (X - x_mean).astype(np.float64), (Y - y_mean).astype(np.float64)
    values, axes = np.linalg.eigh(centred @ centred.T)
    _, number = np.unique(groups, return_inverse=True)
    fold = np.random.default_rng(0).permutation(number.max() + 1)[number] % n_folds
    errors, along = {}, axes.T @ Y
    for penalty in values.clip(0).sum() / len(X) * np.geomspace(0.001, 100, 11):
        shrunk = axes / (values.clip(0) + penalty)
        errors[penalty] = 0.0
        for k in range(n_folds):
            rows = fold == k
            missed = np.linalg.solve(shrunk[rows] @ axes[rows].T, shrunk[rows] @ along)
            errors[penalty] += np.sum(missed**2)
    best = min(errors, key=errors.get)
    weights = centred.T @ (axes / (values.clip(0) + best) @ along)
    return lambda new: (new - x_mean) @ weights + y_mean


def hits(data, X, *, within, repetitions=None, single_trials=False):
    """Which test pictures ridge regression finds, people one after another; its penalty is chosen in training."""
    center, found = data.image_embeddings.vectors.mean(axis=0), []
    for person in np.unique(data.subject):
        known = (data.subject == person) == within
        train = np.flatnonzero(known & (data.split == "train"))
        test = np.flatnonzero((data.subject == person) & (data.split == "test"))
        test = test[data.repetition[test] < (repetitions or np.inf)]
        trials = 1 if single_trials else data.repetition[train].max() + 1
        inputs = X[train].reshape(len(train) // trials, trials, -1).mean(axis=1)
        ids = data.y[train[::trials]]
        n = data.repetition[test].max() + 1
        asked, shown = X[test].reshape(len(test) // n, n, -1).mean(axis=1), data.y[test[::n]]
        predict = ridge(inputs, data.image_embeddings.lookup(ids), data.concept[train[::trials]])
        gallery = data.image_embeddings.lookup(shown) - center
        gallery /= np.linalg.norm(gallery, axis=1, keepdims=True)
        similarity = (predict(asked) - center) @ gallery.T
        found.append(similarity.argmax(axis=1) == np.arange(len(shown)))
    return np.concatenate(found).astype(float)


def effects(seed):
    """Pairs of hits, without and with what is said to help."""
    data = make_things_like(
        n_subjects=4, n_train_concepts=100, n_images_per_concept=2, n_test_concepts=60, n_test_repetitions=6,
        n_dims=64, sfreq=250, duration=0.5, snr=2.0, random_state=seed,
    )  # fmt: skip
    X, names = data.X, np.array(data.info["ch_names"])
    few = X[:, np.isin(names, POSTERIOR)]
    own, new = hits(data, X, within=True), hits(data, X, within=False)
    return {
        "new person: aligned": (new, hits(data, align(X, data.subject, center=False), within=False)),
        "new person: aligned and centred": (
            new,
            hits(data, align(X, data.subject, center=True), within=False),
        ),
        "6 test repetitions, not 1": (hits(data, X, within=True, repetitions=1), own),
        "2 training repetitions averaged": (hits(data, X, within=True, single_trials=True), own),
        "within: 17 channels, not 63": (own, hits(data, few, within=True)),
        "new person: 17 channels, not 63": (new, hits(data, few, within=False)),
        "within: moving average of 5": (own, hits(data, smooth(X), within=True)),
        "new person: moving average of 5": (new, hits(data, smooth(X), within=False)),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--erps", help="erps.npz; without it only simulated people are described")
    parser.add_argument("--trials", help="n170_subject1.npz")
    parser.add_argument("--epochs", type=int, default=700, help="epochs in a simulated average")
    parser.add_argument("--snr", type=float, default=1.0)
    parser.add_argument("--seeds", type=int, default=3, help="simulated cortices; the table has their mean")
    parser.add_argument("--effects", type=int, default=0, help="number of seeds")
    args = parser.parse_args()
    columns = {"real": statistics(*real_averages(args.erps))} if args.erps else {}
    for seed in range(args.seeds):
        columns[seed] = statistics(*simulated_averages(args.epochs, args.snr, seed))
    table = pd.DataFrame(columns)
    print(table.assign(simulated=table[list(range(args.seeds))].mean(axis=1)).round(2).to_string())
    if args.trials:
        with np.load(args.trials) as file:
            columns = {"real": trial_statistics(file["X"], file["y"])}
        for seed in range(args.seeds):
            columns[seed] = trial_statistics(*simulated_trials(seed))
        print(pd.DataFrame(columns).round(2).to_string())
    pairs = {}
    for seed in range(args.effects):
        for name, pair in effects(seed).items():
            pairs.setdefault(name, []).append(pair)
    for name, found in pairs.items():
        without, with_it = np.concatenate(found, axis=1)
        # Pictures are drawn: those of a seed are the same for its four people.
        groups = np.repeat(np.arange(len(found)), 240) * 60 + np.tile(np.arange(60), 4 * len(found))
        low, high = bootstrap_interval(with_it - without, groups=groups, random_state=0)
        print(
            f"{name:34s} {without.mean():.3f} -> {with_it.mean():.3f}"
            f"  {with_it.mean() - without.mean():+.3f} [{low:+.3f}, {high:+.3f}]"
        )


if __name__ == "__main__":
    main()
