"""``recipes.contest`` against the baseline of the EEG-to-Image contest, on simulated people who were never seen.

The contest's shape: epochs from -0.2 to 0.8 s at 120 Hz, targets of 1536 numbers, top-5 among 200 pictures never seen,
for single epochs and for predictions averaged over the four epochs of a person and picture. The baseline is its organisers':
EEGNet (braindecode's), the cross-entropy of each epoch's cosines with the pictures of its batch (one-sided CLIP loss,
learned temperature), 20 passes of Adam at 1e-3; batches of 64. The recipe, and how clearly pictures are seen (``--snr``),
were chosen on seed 0; the table begins at 100. "Equal time" is the baseline's: the recipe may take no more, and takes less.

Run: ``python examples/benchmarks/contest.py [--seeds 3] [--snr 6] [--out contest.csv]``

Every seed is written to ``--out`` as it ends: the same command goes on from there.
"""

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy import stats
from sklearn.base import BaseEstimator
from torch.nn import functional as F

from skeegclip import recipes
from skeegclip.datasets import make_things_like
from skeegclip.metrics import make_retrieval_scorer

FIRST_SEED, PEOPLE, UNSEEN = 100, 6, ["sub-05", "sub-06"]
SCORES = {"single": None, "averaged": "embeddings"}


class Baseline(BaseEstimator):
    """EEGNet, a one-sided CLIP loss, 20 passes of Adam."""

    def __init__(self, table, seed, n_passes=20, batch_size=64):
        self.table, self.seed, self.n_passes, self.batch_size = table, seed, n_passes, batch_size

    def fit(self, X, y):
        """Train the network."""
        from braindecode.models import EEGNet

        torch.manual_seed(self.seed)
        vectors = self.table.lookup(y)
        self.net_ = EEGNet(n_chans=X.shape[1], n_outputs=vectors.shape[1], n_times=X.shape[2], sfreq=120)
        self.scale_ = float(X.std())
        X, target = torch.tensor(X / self.scale_), F.normalize(torch.tensor(vectors, dtype=torch.float32))
        log_scale = torch.nn.Parameter(torch.tensor(1 / 0.07).log())
        optimizer = torch.optim.Adam([*self.net_.parameters(), log_scale], lr=1e-3)
        for _ in range(self.n_passes):
            for rows in torch.randperm(len(X)).split(self.batch_size):
                logits = log_scale.exp() * F.normalize(self.net_(X[rows])) @ target[rows].T
                loss = F.cross_entropy(logits, torch.arange(len(rows)))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        self.net_.eval()
        return self

    def predict(self, X):
        """Predictions in the space of the targets."""
        with torch.inference_mode():
            parts = torch.tensor(X / self.scale_).split(256)
            return torch.cat([self.net_(part) for part in parts]).double().numpy()


def people(seed, snr, n_concepts=200):
    """Epochs, stimuli, people and vectors; two people are only tested."""
    data = make_things_like(
        n_subjects=PEOPLE, n_train_concepts=n_concepts, n_images_per_concept=2, n_test_concepts=200, n_train_repetitions=1,
        n_test_repetitions=4, sfreq=120, tmin=-0.2, duration=1.0, n_dims=1536, snr=snr, random_state=seed,
    )  # fmt: skip
    train = (data.split == "train") & ~np.isin(data.subject, UNSEEN)
    return data, train


def measure(seed, snr, **sizes):
    """Rows of scores of both decoders for everybody who was never seen."""
    data, train = people(seed, snr, **sizes)
    table, rows = data.image_embeddings, []
    for name, decoder in (("recipe", recipes.contest(table)), ("EEGNet", Baseline(table, seed))):
        start = time.process_time()
        decoder.fit(data.X[train], data.y[train])
        spent = time.process_time() - start
        for person in UNSEEN:
            test = (data.split == "test") & (data.subject == person)
            for score, average in SCORES.items():
                scorer = make_retrieval_scorer(table, k=5, average=average)
                value = scorer(decoder, data.X[test], data.y[test])
                rows.append(
                    {
                        "decoder": name,
                        "seed": seed,
                        "person": person,
                        "score": score,
                        "top5": value,
                        "cpu_s": spent,
                    }
                )
    return pd.DataFrame(rows)


def differences(found):
    """Means of both, and the paired difference with its 95 % interval over people (Student's t), in points."""
    table = found.pivot_table(index=["score", "seed", "person"], columns="decoder", values="top5")
    rows = {}
    for score, part in table.groupby("score"):
        lead = 100 * (part["recipe"] - part["EEGNet"])
        half = stats.t.ppf(0.975, len(lead) - 1) * lead.std() / np.sqrt(len(lead))
        means = 100 * part.mean()
        rows[score] = {
            "recipe": means["recipe"],
            "EEGNet": means["EEGNet"],
            "lead": lead.mean(),
            "low": lead.mean() - half,
            "high": lead.mean() + half,
            "people": len(lead),
        }
    return pd.DataFrame(rows).T


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--snr", type=float, default=6)
    parser.add_argument("--out", default="contest.csv")
    args = parser.parse_args()
    torch.set_num_threads(1)
    found = pd.read_csv(args.out) if Path(args.out).exists() else pd.DataFrame({"seed": []})
    for seed in range(args.first_seed, args.first_seed + args.seeds):
        if seed not in set(found["seed"]):
            found = pd.concat([found, measure(seed, args.snr)], ignore_index=True)
            found.to_csv(args.out, index=False)
    print(differences(found).round(1).to_string())
    cpu = found.groupby("decoder")["cpu_s"].mean()
    print(f"CPU seconds of training: recipe {cpu['recipe']:.0f}, EEGNet {cpu['EEGNet']:.0f}")


if __name__ == "__main__":
    main()
