"""The program in the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .config import Config

_CODE = """\
from mne.decoding import Scaler
from sklearn.pipeline import make_pipeline
from skeegclip import EEGEncoder, ImageRetriever, recipes
from skeegclip.datasets import make_things_like
from skeegclip.preprocessing import average_repetitions

data = make_things_like({data})
train, test = data.split == "train", data.split == "test"
X_test, y_test, _ = average_repetitions(data.X[test], data.y[test])

table = data.image_embeddings
gallery = table.subset(y_test)
linear = recipes.linear(table).set_params(retriever__gallery=gallery)
linear.fit(data.X[train], data.y[train])
print(linear.score(X_test, y_test))

encoder = EEGEncoder({encoder})
network = make_pipeline(Scaler(scalings="mean"), ImageRetriever(encoder, targets=table, gallery=gallery))
network.fit(data.X[train], data.y[train])
print(network.score(X_test, y_test))
"""


def example_code(config: Config, seed: int) -> str:
    """Return a program that trains the linear decoder and the first network as the demo does and prints their top-1."""
    net = dict(next(iter(config.encoders.values())))
    first = repr(net.pop("net"))
    return _CODE.format(
        data=_arguments({**config.data, "random_state": seed}, indent=4),
        encoder=_arguments({**net, "random_state": seed}, indent=4, first=first),
    )


def _arguments(arguments: Mapping[str, Any], indent: int, first: str = "") -> str:
    """Write arguments out, in lines of at most three."""
    parts = [*([first] if first else []), *(f"{name}={value!r}" for name, value in arguments.items())]
    lines = [", ".join(parts[start : start + 3]) for start in range(0, len(parts), 3)]
    gap = ",\n" + " " * indent
    return f"\n{' ' * indent}{gap.join(lines)},\n"
