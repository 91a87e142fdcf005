"""How strongly to whiten the embeddings of a new person, on simulated people that nothing was tuned on.

Each line: people of one seed, each left out in turn; top-1 accuracy of the left-out person's averaged epochs among the test
pictures, by strength of ``SubjectWhitening`` ("none": the encoder alone). The last two columns are a strength chosen without the
test set, by leaving out one *training* person and some training pictures in the same way, and the accuracy with it.

Run: ``python examples/benchmarks/whitening_strength.py`` (about two minutes)
"""

import argparse

import numpy as np
import pandas as pd
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge

from skeegclip import SubjectWhitening
from skeegclip.datasets import make_things_like
from skeegclip.metrics import cosine_similarity, top_k_accuracy
from skeegclip.preprocessing import average_repetitions

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)


def accuracies(data, train, test):
    """Top-1 of the encoder alone, and at each strength."""
    table = data.image_embeddings
    encoder = Ridge(1e5).fit(data.X[train].reshape(train.sum(), -1), table.lookup(data.y[train]))
    X, y, _ = average_repetitions(data.X[test], data.y[test])
    X = X.reshape(len(X), -1)
    names, target = np.unique(y, return_inverse=True)
    found = {}
    for strength in (None, *STRENGTHS):
        frozen = FrozenEstimator(encoder)
        if strength is not None:
            frozen = SubjectWhitening(frozen, targets=table, strength=strength).fit(X, y)
        similarity = cosine_similarity(frozen.predict(X), table.lookup(names))
        found["none" if strength is None else strength] = top_k_accuracy(similarity, target)
    return found


def chosen_without_test(data, held, n_test, rng):
    """Best strength over the training people, each left out with as many training pictures as will be tested."""
    is_train = (data.split == "train") & (data.subject != held)
    pictures = np.unique(data.y[is_train])
    total = dict.fromkeys(STRENGTHS, 0.0)
    for person in np.unique(data.subject[is_train]):
        left = np.isin(data.y, rng.choice(pictures, n_test, replace=False))
        inner = accuracies(
            data, is_train & (data.subject != person) & ~left, is_train & (data.subject == person) & left
        )
        total = {strength: total[strength] + inner[strength] for strength in STRENGTHS}
    return max(total, key=total.get)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 102, 103])
    args = parser.parse_args()
    rows = []
    for n_test in (50, 150):
        for seed in args.seeds:
            data = make_things_like(
                n_subjects=5,
                n_train_concepts=200,
                n_images_per_concept=2,
                n_test_concepts=n_test,
                sfreq=50,
                n_dims=128,
                snr=4,
                random_state=seed,
            )
            rng = np.random.default_rng(seed)
            for held in np.unique(data.subject)[:2]:
                found = accuracies(
                    data,
                    (data.split == "train") & (data.subject != held),
                    (data.split == "test") & (data.subject == held),
                )
                choice = chosen_without_test(data, held, n_test, rng)
                rows.append(
                    {"pictures": n_test, "seed": seed} | found | {"chosen": choice, "with it": found[choice]}
                )
    table = pd.DataFrame(rows)
    print(table.groupby(["pictures", "seed"]).mean().round(3).to_string())
    print(table.drop(columns="seed").groupby("pictures").mean().round(3).to_string())


if __name__ == "__main__":
    main()
