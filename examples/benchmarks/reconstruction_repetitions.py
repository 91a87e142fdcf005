"""What should a generator learn from: single trials, averages, or the encoder's own training embeddings?

Simulated data, an encoder trained on single trials, and the linear generator fitted in four ways. Prints two-way
identification by pixels and the correlation of pixels at 64 x 64, for test pictures shown once and averaged over eight
repetitions. About four minutes on two cores.

    python examples/benchmarks/reconstruction_repetitions.py
"""

import argparse

import numpy as np
import pandas as pd
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge

from skeegclip import EEGImageReconstructor, ImageRetriever
from skeegclip.datasets import make_things_like
from skeegclip.metrics import reconstruction_scores
from skeegclip.preprocessing import average_repetitions

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--n-concepts", type=int, default=300)
parser.add_argument("--alpha", type=float, default=1e4, help="penalty of the encoder, a ridge regression")
parser.add_argument("--seed", type=int, default=0)
args = parser.parse_args()

data = make_things_like(
    n_train_concepts=args.n_concepts, n_test_concepts=100, n_train_repetitions=4, random_state=args.seed
)
train = data.split == "train"
X = (data.X / data.X[train].std(axis=(0, 2), keepdims=True)).astype("float32")
tables = {"targets": data.image_embeddings, "images": data.images}
tests = {}
for n in (1, 8):
    rows = ~train & (data.repetition < n)
    tests[n] = average_repetitions(X[rows], data.y[rows])[:2]

encoder = (
    ImageRetriever(Ridge(args.alpha), targets=data.image_embeddings).fit(X[train], data.y[train]).encoder_
)
ways = {
    f"out of fold, {what}": {"encoder": Ridge(args.alpha), "repetitions": what}
    for what in ("single", "both", "average")
}
ways["the encoder's own, average"] = {"encoder": FrozenEstimator(encoder), "repetitions": "average"}
found = {}
for name, params in ways.items():
    reconstructor = EEGImageReconstructor(**params, **tables, generator="linear", random_state=0, verbose=0)
    reconstructor.fit(X[train], data.y[train])
    for n, (X_test, y_test) in tests.items():
        scores = reconstruction_scores(
            data.images.lookup(y_test),
            reconstructor.transform(X_test),
            ["PixCorr"],
            n_resamples=0,
            verbose=0,
        )
        found[name, n] = {"two-way": reconstructor.score(X_test, y_test), "PixCorr": scores.iloc[0, 0]}
table = pd.DataFrame(found).T.rename_axis(["learned from", "test repetitions"])
print(np.round(table, 3).to_string())
