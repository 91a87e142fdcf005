"""How often a p value is below 0.05 where there is nothing to find, in simulated evaluations.

Nothing ties the targets to what the decoder gives: both are drawn at random. With "the same errors" the decoder gives
each picture the same embedding whoever saw it, as where all brains respond alike to a picture but the targets say
nothing about that; without, every person has embeddings of their own.

* against chance: ``report.summary()["p"]`` of top-1
* any window: whether any of five windows of a time course has ``p_corrected`` below 0.05
* in pairs: ``report.compare()["p"]`` of two such decoders
* classes: a nearest-mean classifier of classes without any response, trained on the other people: folds that train on each
  other's test epochs

and, as power, the share below 0.05 of the first where there is something (half of an embedding's variance). Of three pictures only six orders
exist, so that no p is below 0.167.

Run: ``python examples/benchmarks/type_one_error.py`` (five minutes)
"""

import argparse

import numpy as np
import pandas as pd

from skeegclip._evaluation.permutation import Answers, permutation_p, trials
from skeegclip._evaluation.statistics import paired_p
from skeegclip.inspection._look import ranked
from skeegclip.inspection._statistics import p_values

N_DIMS, N_WINDOWS, N_PERMUTATIONS = 8, 5, 200


def similarities(rng, n_classes, n_people, shared, signal=0.0, n_variants=1):
    """Similarity of what each person's decoder gives to each target (variants, people, classes, classes)."""
    targets = rng.standard_normal((n_classes, N_DIMS))
    shape = (n_variants, 1 if shared else n_people, n_classes, N_DIMS)
    given = rng.standard_normal(shape) + np.sqrt(signal / max(1 - signal, 1e-9)) * targets
    cosine = given @ (targets / np.linalg.norm(targets, axis=1, keepdims=True)).T
    return np.broadcast_to(cosine, (n_variants, n_people, n_classes, n_classes))


def against_chance(rng, n_classes, n_people, shared, signal=0.0):
    """P value of top-1."""
    names = np.array([f"image_{i:02d}" for i in range(n_classes)])
    weight = np.full((n_classes, 1), 1 / (n_classes * n_people))
    found = similarities(rng, n_classes, n_people, shared, signal)[0].argmax(axis=2)
    sets = [Answers(names, names, names[best][:, None], weight) for best in found]
    return permutation_p(sets, rng, N_PERMUTATIONS)[0]


def any_window(rng, n_classes, n_people, shared):
    """Smallest corrected p value of a time course."""
    names = np.array([f"image_{i:02d}" for i in range(n_classes)])
    target = np.arange(n_classes)
    folds = []
    for person in similarities(rng, n_classes, n_people, shared, n_variants=N_WINDOWS).transpose(1, 0, 2, 3):
        looks = [ranked(window, target, 1) for window in person]
        fold = {name: np.stack([look[name] for look in looks]) for name in looks[0]}
        fold |= {"target": np.tile(target, (N_WINDOWS, 1)), "labels": np.zeros(N_WINDOWS, bool)}
        folds.append(fold | {"stimulus": names, "subject": np.full(n_classes, str(len(folds)))})
    return p_values(folds, int(rng.integers(2**31)), N_PERMUTATIONS)[1].min()


def in_pairs(rng, n_classes, n_people, shared):
    """P value of the difference between two decoders."""
    found = similarities(rng, n_classes, n_people, shared, n_variants=2).argmax(axis=3)
    hits = (found == np.arange(n_classes)).astype(float)
    return paired_p(hits[0] - hits[1], rng, N_PERMUTATIONS)[0]


def classes(rng, n_classes, n_people):
    """P value of a classifier trained on the other people."""
    names = np.array([f"class_{i:02d}" for i in range(n_classes)])
    means = rng.standard_normal((n_people, n_classes, N_DIMS))
    people = [np.full(n_classes, f"person {i}") for i in range(n_people)]
    units = trials((f"fold {i}", people[i], names) for i in range(n_people))
    sets = []
    for i in range(n_people):
        best = (means[i] @ np.delete(means, i, axis=0).mean(axis=0).T).argmax(axis=1)
        weight = np.full((n_classes, 1), 1 / (n_classes * n_people))
        sets.append(Answers(units[i], names, names[best][:, None], weight))
    return permutation_p(sets, rng, N_PERMUTATIONS)[0]


def share_below(function, n_draws, *args, alpha=0.05, **keywords):
    """Share of the draws with p of `alpha` or below; each draw has a generator of its own."""
    return np.mean(
        [function(np.random.default_rng(draw), *args, **keywords) <= alpha for draw in range(n_draws)]
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=500, help="simulated evaluations in a cell of the table")
    args = parser.parse_args()
    rows = []
    for n_classes in (3, 4, 5, 7, 8, 12):
        for n_people in (1, 8, 46):
            for shared in (False, True)[: 1 + (n_people > 1)]:
                case = (args.draws, n_classes, n_people)
                rows.append(
                    {
                        "pictures": n_classes,
                        "people": n_people,
                        "the same errors": "yes" if shared else "no",
                        "against chance": share_below(against_chance, *case, shared),
                        "any window": share_below(any_window, args.draws // 5, n_classes, n_people, shared),
                        "in pairs": share_below(in_pairs, *case, shared),
                        "classes": np.nan if shared or n_people < 2 else share_below(classes, *case),
                        "power": share_below(against_chance, *case, shared, signal=0.5),
                    }
                )
                print(rows[-1], flush=True)
    print(
        pd.DataFrame(rows).to_string(index=False, float_format=lambda share: f"{100 * share:.1f}", na_rep="")
    )


if __name__ == "__main__":
    main()
