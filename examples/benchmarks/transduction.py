"""A ladder of transduction: what looking at all test queries together adds, rung by rung.

Part 1 compares settings of the rungs on simulated people, some drawn from a model of embeddings, some of them epochs of
``make_things_like`` through a Ridge, of the same or of other people. Part 2 looks at the published embeddings of subject 8 of
THINGS-EEG2, with the library's defaults, which part 1 chooses; nothing is chosen there.

Four tests: each of 200 pictures seen once ("all"); queries of a random 100 ("half") or 20 ("few") of the 200 pictures that are searched;
four noisier epochs of each of 50 ("four times").

Run: ``python examples/benchmarks/transduction.py choose`` (about four minutes of one core)
``python examples/benchmarks/transduction.py subject8 FOLDER`` (about one minute; the folder has eeg_embeddings.npy and
image_embeddings.npy)
"""

import argparse
import itertools
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.linalg import expm
from sklearn.linear_model import Ridge
from sklearn.preprocessing import normalize

from skeegclip import EmbeddingTable, ImageRetriever, SubjectWhitening
from skeegclip.datasets import make_things_like
from skeegclip.decoders.gallery.procrustes import turned
from skeegclip.metrics import bootstrap_interval, cosine_similarity, csls, sinkhorn, top_k_accuracy

N = 200
TESTS = ("all", "half", "few", "four times")
WHITEN = (None, 0.25, 0.5, 0.75, 1.0)
TEMPERATURES, STRENGTHS = (0.2, 0.3, 0.5), (0.9, 0.95, 1.0)
ROUNDS, CAUTION = (2, 5), (1.0, 3.0, 10.0)


def drawn_person(seed, n_dims=256):
    """Pictures with a spectrum, and queries: noisy, unevenly scaled, shifted and turned; the noise gives a drawn top-1."""
    rng = np.random.default_rng([16, seed])
    spread = np.arange(1, n_dims + 1) ** -rng.uniform(0.7, 1.3)
    spread /= spread.sum()
    shared, gain, turn, goal = rng.uniform((0.2, 0, 0, 0.2), (0.6, 1, 0.8, 0.5))
    axes = np.linalg.qr(rng.standard_normal((n_dims, n_dims)))[0]
    latent = rng.standard_normal((N, n_dims)) * np.sqrt(spread)
    common = normalize(rng.standard_normal((1, n_dims)))
    pictures = normalize(np.sqrt(shared) * common + np.sqrt(1 - shared) * latent @ axes)
    offset = rng.uniform(0, 0.7) * normalize(rng.standard_normal((1, n_dims)))
    skew = rng.standard_normal((n_dims, n_dims)) / np.sqrt(n_dims)
    rotation = expm(turn * (skew - skew.T) / 2)
    noise = rng.standard_normal((5, N, n_dims))
    quality = np.exp(rng.uniform(0, 0.6) * rng.standard_normal((N, 1)))

    def queries(size, noise):
        kept = (spread / (spread + size**2)) ** gain * (latent + size * quality * noise)
        kept /= np.sqrt(np.square(kept).sum(axis=1).mean())
        return np.sqrt(shared) * common + np.sqrt(1 - shared) * kept @ rotation @ axes + offset

    low, high = 1e-3, 1.0
    for _ in range(12):
        size = np.sqrt(low * high)
        enough = top_k_accuracy(cosine_similarity(queries(size, noise[4]), pictures), np.arange(N)) > goal
        low, high = (size, high) if enough else (low, size)
    return queries(size, noise[4]), np.stack([queries(1.5 * size, part) for part in noise[:4]]), pictures


def encoded_people(seed):
    """One person's epochs through a Ridge that was trained on the same person, or on two others."""
    data = make_things_like(
        n_subjects=3,
        n_train_concepts=250,
        n_images_per_concept=3,
        n_test_repetitions=20,
        sfreq=50,
        snr=(1, 4)[seed % 2],
        random_state=1600 + seed,
    )
    X, table = data.X.reshape(len(data.X), -1), data.image_embeddings
    held, train = data.subject == "sub-01", data.split == "train"
    test = held & ~train
    order = np.lexsort((data.repetition[test], data.y[test]))
    names = np.unique(data.y[test])
    X_test = X[test][order].reshape(len(names), 4, 5, -1).mean(axis=2).swapaxes(0, 1)
    for mine in (held, ~held):
        encoder = Ridge(1e5).fit(X[train & mine], table.lookup(data.y[train & mine]))
        repeated = np.stack([encoder.predict(part) for part in X_test])
        yield repeated.mean(axis=0), repeated, table.lookup(names)


def tests(person, rng):
    """Queries and true columns of each test."""
    queries, repeated, _ = person
    some = rng.permutation(N)
    rows = {"all": np.arange(N), "half": some[:100], "few": some[:20]}
    yield from ((name, queries[chosen], chosen) for name, chosen in rows.items())
    yield "four times", repeated[:, some[:50]].reshape(200, -1), np.tile(some[:50], 4)


def whitened(Z, pictures, strength):
    if strength is None:
        return Z
    table = EmbeddingTable([str(i) for i in range(len(pictures))], pictures)
    return (
        SubjectWhitening("passthrough", targets=table, strength=strength)
        .fit(Z, table.ids[[0] * len(Z)])
        .embed(Z)
    )


def choose(n_people):
    people = [drawn_person(seed) for seed in range(n_people)]
    people += [person for seed in range(n_people // 2) for person in encoded_people(seed)]
    rows = []
    for number, person in enumerate(people):
        kind, pictures = "drawn" if number < n_people else "encoded", person[2]

        def note(test, target, similarity, **settings):
            top1 = top_k_accuracy(similarity, target)
            rows.append({"kind": kind, "test": test, "top-1": top1} | settings)  # noqa: B023
            rows[-1]["whiten"] = str(settings["whiten"])

        for test, Z, target in tests(person, np.random.default_rng(number)):
            for strength in WHITEN:
                z = whitened(Z, pictures, strength)
                similarity = cosine_similarity(z, pictures)
                note(test, target, similarity, rung="cosine", whiten=strength)
                note(test, target, csls(similarity), rung="csls", whiten=strength)
                for T, w in itertools.product(TEMPERATURES, STRENGTHS):
                    assigned = sinkhorn(similarity, T, w)
                    note(test, target, assigned, rung="sinkhorn", whiten=strength, temperature=T, strength=w)
                if strength != 0.5:
                    continue
                for n_rounds, caution in itertools.product(ROUNDS, CAUTION):
                    similarity = cosine_similarity(turned(z, pictures, n_rounds, caution), pictures)
                    settings = {"whiten": strength, "rounds": n_rounds, "caution": caution}
                    note(test, target, similarity, rung="turned", **settings)
                    note(test, target, sinkhorn(similarity), rung="turned, sinkhorn", **settings)
        print(f"{number + 1} of {len(people)} people", flush=True)
    table = pd.DataFrame(rows)
    settings = ["rung", "whiten", "temperature", "strength", "rounds", "caution"]
    means = table.pivot_table("top-1", settings, ["kind", "test"], dropna=False).dropna(how="all")
    means.columns = [", ".join(column) for column in means.columns]
    over_all = means.mean(axis=1)
    print(means.assign(mean=over_all).round(3).to_string())
    # The defaults are these: the best on average over the whitenings, with which and without which they are used.
    over_whitenings = over_all.groupby(settings[:1] + settings[2:], dropna=False).mean()
    print(over_whitenings.loc[over_whitenings.groupby("rung").idxmax()].round(3).to_string())


def ladder():
    """The rungs at the library's defaults, the inductive one first."""
    yield from (
        ("cosine (inductive)", False, {}),
        ("CSLS", False, {"hubness": "csls"}),
        ("inverted softmax", False, {"hubness": "inverted_softmax"}),
        ("Sinkhorn", False, {"hubness": "sinkhorn"}),
        ("Sinkhorn, refine=5", False, {"hubness": "sinkhorn", "refine": 5}),
        ("whitening", True, {}),
        ("whitening, CSLS", True, {"hubness": "csls"}),
        ("whitening, Sinkhorn", True, {"hubness": "sinkhorn"}),
        ("whitening, Sinkhorn, refine=5", True, {"hubness": "sinkhorn", "refine": 5}),
    )


def subject8(folder, n_halves, random_state):
    Z, pictures = (np.load(Path(folder) / f"{name}_embeddings.npy") for name in ("eeg", "image"))
    table = EmbeddingTable([f"{i:03d}" for i in range(N)], pictures)
    rng = np.random.default_rng(random_state)
    halves = [rng.permutation(N)[: N // 2] for _ in range(n_halves)]
    shown = {"all": [np.arange(N)], "half": halves}
    white = {test: [whitened(Z[rows], pictures, 0.5) for rows in parts] for test, parts in shown.items()}
    plain = {}
    for rung, is_white, options in ladder():
        said = [rung]
        for test, parts in shown.items():
            sums, counts = np.zeros((2, N))
            for number, rows in enumerate(parts):
                z = white[test][number] if is_white else Z[rows]
                retriever = ImageRetriever("passthrough", gallery=table, **options).fit(z)
                sums[rows] += retriever.rank(z, table.ids[rows]) == 1
                counts[rows] += 1
            asked = counts > 0  # few halves may leave out a picture
            hits = sums[asked] / counts[asked]
            plain.setdefault(test, hits)
            for name, values in ((test, hits), ("gain", hits - plain[test]))[
                : 1 if hits is plain[test] else 2
            ]:
                low, high = bootstrap_interval(values, random_state=0)
                said.append(f"{name} {100 * values.mean():.1f} [{100 * low:.1f}, {100 * high:.1f}]")
        print(" | ".join(said), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = parser.add_subparsers(dest="part", required=True)
    chooser = parts.add_parser("choose")
    chooser.add_argument("--people", type=int, default=6, help="of either kind")
    look = parts.add_parser("subject8")
    look.add_argument("folder")
    look.add_argument("--halves", type=int, default=20)
    look.add_argument("--random-state", type=int, default=0)
    args = parser.parse_args()
    if args.part == "choose":
        choose(args.people)
    else:
        subject8(args.folder, args.halves, args.random_state)


if __name__ == "__main__":
    main()
