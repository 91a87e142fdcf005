"""Fine-tuning for a new person against training from nothing, by minutes of recording; time and memory of each `train=`.

    python finetune.py --people 3 --passes 15 --ways nothing all head probe     # what it is worth
    python finetune.py --net atm-s --minutes 5 --people 1 --passes 1 --fit-passes 20     # what it costs

People are simulated, with one picture in four seconds. The pretrained weights are made here, on other people, who saw the same
training pictures; the test pictures nobody has seen in training. Chance is 1 %.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from skorch.callbacks import Callback

from skeegclip import EEGEncoder, recipes
from skeegclip.datasets import make_things_like
from skeegclip.metrics import cosine_similarity, top_k_accuracy

PER_MINUTE = 15  # pictures
_WAYS = {
    "nothing": {"pretrained": None},
    "all": {"train": "all"},
    "lora": {"train": "lora"},
    "head": {"train": "head"},
    "probe": {"train": "probe"},
}


def people(n: int, n_pictures: int, seed: int):
    """Epochs of people in the channels over the back of the head, each picture twice, and averaged test epochs of 100 further pictures."""
    data = make_things_like(
        n_subjects=n,
        n_train_concepts=max(2, n_pictures // 5),
        n_images_per_concept=5,
        n_test_concepts=100,
        n_test_repetitions=8,
        n_dims=64,
        snr=4.0,
        random_state=seed,
    )
    kept = np.flatnonzero([name[0] in "OP" for name in data.info.ch_names])
    return data, np.ascontiguousarray(data.X[:, kept])


class Kept(Callback):
    """Megabytes that a step of the first batch keeps: what its backward pass needs, gradients, and AdamW's two moments."""

    megabytes = 0.0

    def on_batch_begin(self, net, training, **kwargs):
        if training and not self.megabytes:
            own = {p.untyped_storage().data_ptr() for p in net.module_.parameters()}
            self.sizes = {}

            def pack(tensor):
                storage = tensor.untyped_storage()
                if storage.data_ptr() not in own:
                    self.sizes[storage.data_ptr()] = storage.nbytes()
                return tensor

            self.hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
            self.hooks.__enter__()

    def on_batch_end(self, net, training, **kwargs):
        if training and not self.megabytes:
            self.hooks.__exit__(None, None, None)
            trained = sum(p.nbytes for p in net.module_.parameters() if p.requires_grad)
            self.megabytes = (sum(self.sizes.values()) + 3 * trained) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--net", default="nice")
    parser.add_argument("--minutes", type=int, nargs="+", default=[5, 15, 60])
    parser.add_argument("--ways", nargs="+", default=list(_WAYS), choices=list(_WAYS))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--people", type=int, default=4, help="trained on before")
    parser.add_argument("--passes", type=int, default=20, help="over the data of those before")
    parser.add_argument(
        "--fit-passes", type=int, help="over the data of the new person; else as many as usual"
    )
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    rows = []
    for seed in range(args.seeds):
        data, X = people(args.people + 1, PER_MINUTE * max(args.minutes) // 2, seed)
        new = data.subject == f"sub-{args.people + 1:02d}"
        train, test = np.flatnonzero(new & (data.split == "train")), new & (data.split == "test")
        order = np.random.default_rng(seed).permutation(train)
        X_test, shown = X[test].reshape(100, 8, *X.shape[1:]).mean(axis=1), data.y[test][::8]
        common = {
            "targets": data.image_embeddings,
            "random_state": seed,
            "device": "cpu",
            "subject_layer": "none",
        }
        before = EEGEncoder(args.net, max_epochs=args.passes, **common)
        others = ~new & (data.split == "train")
        started = time.process_time()
        before.fit(X[others], data.y[others])
        state = before.net_.module_.state_dict()
        made = time.process_time() - started

        def score(encoder, X_test=X_test, shown=shown, data=data):
            similarity = cosine_similarity(encoder.transform(X_test), data.image_embeddings.lookup(shown))
            return [top_k_accuracy(similarity, np.arange(100), k=k) for k in (1, 5)]

        rows.append([seed, 0, "as it is", *score(before), made, np.nan])
        print(*rows[-1], flush=True)
        for minutes in args.minutes:
            some = order[: PER_MINUTE * minutes]
            for way in args.ways:
                params = {
                    "pretrained": state,
                    "max_epochs": args.fit_passes or "auto",
                    **_WAYS[way],
                    **common,
                }
                if way == "nothing":
                    params["layer_decay"] = 1.0
                encoder = recipes.finetune(args.net, **params)["retriever"].encoder
                start = time.process_time()
                encoder.fit(X[some], data.y[some])
                spent = time.process_time() - start
                accuracy, kept = score(encoder), Kept()
                if way != "probe":
                    encoder.set_params(max_epochs=1, callbacks=[kept]).fit(X[some], data.y[some])
                rows.append([seed, minutes, way, *accuracy, spent, kept.megabytes])
                print(*rows[-1], flush=True)
    table = pd.DataFrame(rows, columns=["seed", "minutes", "way", "top1", "top5", "cpu_s", "step_mb"])
    if args.out is not None:
        table.to_csv(args.out, index=False)
    print(table.groupby(["minutes", "way"], sort=False).mean().drop(columns="seed").round(3).to_string())


if __name__ == "__main__":
    main()
