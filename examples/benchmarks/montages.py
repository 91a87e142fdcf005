"""Other caps: what a decoder of a new person is worth whose cap nobody in training wore, and as channels are lost.

Run with ``python examples/benchmarks/montages.py [--seeds 2] [--people 6]``; it writes two tables. Six simulated people
look at pictures; each of the first so many is left out in turn. Those in training wear five caps: all 63 channels twice,
two caps of 32 drawn by chance, and every second channel. The one left out wears another cap of 32 drawn by chance, or 17 of
the 10-20 system. Compared are:

- "same": everybody wears the cap of the one left out, and nothing is done about caps;
- "positions": ``EEGEncoder(montage="positions")``;
- "interpolation": ``InterpolateChannels`` to the 63 before the encoder;
- "zeros": zeros for the channels that an epoch lacks.

For the second table everybody in training wears all 63, and the one left out loses channels drawn by chance.

Epochs are clearer than real ones (snr=10): what is decoded of a new person has to be enough to tell the ways apart.
"""

import argparse
import time

import numpy as np
import pandas as pd

from skeegclip import EEGEncoder, EpochsView
from skeegclip.datasets import make_things_like
from skeegclip.metrics import cosine_similarity, ranks
from skeegclip.preprocessing import InterpolateChannels

LOST = (0, 8, 16, 32, 48, 56)
TEN_TWENTY = [
    "Fp1",
    "Fp2",
    "F7",
    "F3",
    "F4",
    "F8",
    "T7",
    "C3",
    "Cz",
    "C4",
    "T8",
    "P7",
    "P3",
    "Pz",
    "P4",
    "P8",
    "Oz",
]


def simulate(seed):
    """Training epochs, and averages of test pictures, of six people."""
    data = make_things_like(
        n_subjects=6,
        n_train_concepts=100,
        n_images_per_concept=2,
        n_test_concepts=100,
        n_train_repetitions=1,
        n_test_repetitions=12,
        sfreq=50,
        tmin=0.06,
        duration=0.4,
        n_dims=64,
        snr=10.0,
        random_state=seed,
    )
    view = EpochsView.from_arrays(
        data.X, subject=data.subject, stimulus=data.y, info=data.info, rows={"split": data.split}
    )
    return view.select(split="train"), view.select(split="test").average().load(), data.image_embeddings


def fit(X, table, montage=None):
    """Ridge regression beside a small network."""
    encoder = EEGEncoder(
        targets=table,
        net_params={"attention": False, "conv_position": "none"},
        subject_layer="none",
        montage=montage,
        max_epochs=10,
        device="cpu",
        random_state=0,
    )
    return encoder.fit(X, X.stimulus)


def found(encoder, X, table):
    """Rank of the picture seen among the test pictures."""
    return ranks(cosine_similarity(encoder.transform(X), table.lookup(X.stimulus)), np.arange(len(X)))


def zeros(view, names):
    """The channels of `names`, zeros where the view has none."""
    block = np.asarray(view)
    own = {name: k for k, name in enumerate(view.ch_names)}
    made = np.zeros((len(block), len(names), block.shape[2]), dtype=np.float32)
    for k, name in enumerate(names):
        if name in own:
            made[:, k] = np.nan_to_num(block[:, own[name]])
    return EpochsView.from_arrays(made, subject=view.subject, stimulus=view.stimulus)


def one_person(train, test, table, person, rng):
    """Rows of both tables for one person left out."""
    names = list(train.ch_names)
    others = [s for s in np.unique(train.subject) if s != person]

    def drawn(n):
        return rng.permutation(names)[:n].tolist()

    worn = [names, drawn(32), names[::2], names, drawn(32)]
    own = test.select(subject=person)
    everybody = train.select(subject=others)
    mixed = EpochsView.join([train.select(subject=s).pick(cap) for s, cap in zip(others, worn, strict=True)])
    to_all = InterpolateChannels(names).fit(mixed)
    plain = fit(everybody, table)
    by_place, by_place_63 = fit(mixed, table, "positions"), fit(everybody, table, "positions")
    splined = fit(to_all.transform(mixed).load(), table)
    zeroed = fit(zeros(mixed, names), table)
    for cap, chosen in (("63", names), ("32", drawn(32)), ("17", TEN_TWENTY)):
        same = plain if cap == "63" else fit(everybody.pick(chosen), table)
        yield "caps", cap, "same", found(same, own.pick(chosen), table)
        yield "caps", cap, "positions", found(by_place, own.pick(chosen), table)
        yield "caps", cap, "interpolation", found(splined, to_all.transform(own.pick(chosen)), table)
        yield "caps", cap, "zeros", found(zeroed, zeros(own.pick(chosen), names), table)
    for lost in LOST:
        kept = own.pick(sorted(rng.permutation(len(names))[lost:].tolist()))
        yield "lost", lost, "positions", found(by_place_63, kept, table)
        yield "lost", lost, "interpolation", found(plain, to_all.transform(kept), table)
        yield "lost", lost, "zeros", found(plain, zeros(kept, names), table)


def interval(draws):
    """In percent, with an interval of 95 %, of draws of which the first is the sample itself."""
    low, high = np.nanpercentile(draws[1:], [2.5, 97.5])
    return f"{draws[0]:.1%} ({low:.1%} to {high:.1%})"


def shown(table, reference, k):
    """Accuracies, and what they are of that of the reference, over people and pictures drawn anew."""
    rows = []
    for cap, part in table.groupby("cap", sort=False):
        hits = {how: np.stack(own["rank"].to_list()) <= k for how, own in part.groupby("how", sort=False)}
        n, m = hits[reference].shape
        rng = np.random.default_rng(0)
        cells = [np.ix_(np.arange(n), np.arange(m))]
        cells += [np.ix_(rng.integers(n, size=n), rng.integers(m, size=m)) for _ in range(2000)]
        means = {how: np.array([values[cell].mean() for cell in cells]) for how, values in hits.items()}
        row = {"cap": cap, **{how: interval(mean) for how, mean in means.items()}}
        others = [how for how in means if how != reference]
        rows.append(row | {f"{how} / {reference}": interval(means[how] / means[reference]) for how in others})
    return pd.DataFrame(rows).set_index("cap")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--people", type=int, default=6)
    args = parser.parse_args()
    start, rows = time.process_time(), []
    for seed in range(args.seeds):
        train, test, table = simulate(seed)
        for number, person in enumerate(np.unique(train.subject)[: args.people]):
            rng = np.random.default_rng([seed, number])
            rows += [(seed, person, *row) for row in one_person(train, test, table, person, rng)]
            print(f"seed {seed}, {person}: {time.process_time() - start:.0f} s of CPU", flush=True)
    table = pd.DataFrame(rows, columns=["seed", "person", "what", "cap", "how", "rank"])
    for what, reference in (("caps", "same"), ("lost", "positions")):
        for k in (1, 5):
            print(f"\n{what}, top {k} of 100")
            print(shown(table[table["what"] == what], reference, k).T.to_string())


if __name__ == "__main__":
    main()
