"""The picture of README and landing page: ``python docs/_ext/front_picture.py`` writes it for light and dark pages.

The person is one of the demo's, simulated: real recordings are not shown, because their pictures have owners.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from skeegclip import recipes
from skeegclip.commands.demo.config import FULL
from skeegclip.commands.demo.painting import paint_test
from skeegclip.commands.demo.trials import averaged
from skeegclip.datasets import make_things_like

STATIC = Path(__file__).parents[1] / "_static"
COLOURS = {
    "light": ("#1f2328", "#59636e", "#1a7f37"),
    "dark": ("#e6edf3", "#9198a1", "#3fb950"),
}  # text, small, found
N_SHOWN = 7


def look(seed: int = 0) -> dict[str, np.ndarray]:
    """Simulate a person as the demo does, decode the 200 test pictures, and return those that are shown."""
    data = make_things_like(**FULL.data, random_state=seed)
    train, test = (averaged(data, np.flatnonzero(data.split == part)) for part in ("train", "test"))
    gallery = data.image_embeddings.subset(test.y)
    decoder = recipes.linear(data.image_embeddings).fit(train.X, train.y)
    decoder[-1].set_params(gallery=gallery)
    decoder.fit(train.X, train.y)
    found = decoder.predict(test.X)
    painted = paint_test(decoder, data, train, test, seed=seed)
    # Drawn by the seed, and not by how well they were found.
    rows = np.sort(np.random.default_rng([seed, 1]).choice(len(test.y), N_SHOWN, replace=False))
    return {
        "shown": data.images.lookup(test.y[rows]),
        "retrieved": data.images.lookup(found[rows]),
        "painted": painted.pictures[rows],
        "hit": found[rows] == test.y[rows],
        "accuracy": np.mean(found == test.y),
    }


def draw(seen: dict[str, np.ndarray], mode: str) -> Figure:
    """Draw three rows of pictures on a transparent ground."""
    text, small, green = COLOURS[mode]
    figure = Figure(figsize=(8.4, 3.9))
    rows = {
        "seen": ("shown", ""),
        "retrieved": ("retrieved", "nearest of 200"),
        "painted": ("painted", "from EEG alone"),
    }
    axes = figure.subplots(3, N_SHOWN, gridspec_kw={"wspace": 0.08, "hspace": 0.12})
    figure.subplots_adjust(left=0.145, right=0.995, top=0.995, bottom=0.09)
    for line, (name, (key, below)) in zip(axes, rows.items(), strict=True):
        middle = line[0].get_position().y0 + line[0].get_position().height / 2
        figure.text(0.005, middle + 0.005, name, color=text, fontsize=12.5, weight="bold", va="bottom")
        figure.text(0.005, middle - 0.005, below, color=small, fontsize=9, va="top")
        for i, ax in enumerate(line):
            ax.imshow(seen[key][i])
            ax.axis("off")
            if key == "retrieved" and seen["hit"][i]:
                ax.add_patch(
                    Rectangle((0, 0), 1, 1, transform=ax.transAxes, fill=False, edgecolor=green, linewidth=5)
                )
    figure.text(
        0.145, 0.02,
        f"Simulated EEG of one person, pictures drawn at random; green: found ({seen['accuracy']:.0%} of 200, chance 0.5%)",
        color=small, fontsize=9,
    )  # fmt: skip
    return figure


if __name__ == "__main__":
    seen = look()
    print({name: value for name, value in seen.items() if name in ("hit", "accuracy")})
    for mode in COLOURS:
        figure = draw(seen, mode)
        figure.savefig(STATIC / f"front_{mode}.png", dpi=150, transparent=True, metadata={"Software": None})
