"""How often the intervals of a report hold the true accuracy, in simulated evaluations.

A decoder's chance of a hit differs between people and between pictures (normal on the logit scale, with the standard
deviations below). Each simulated evaluation draws people and pictures, then hits; the true value is the mean over all
people and pictures there are, or over all pictures for these people, and so on. Beside the interval of the report
stands the percentile bootstrap over pictures.

Run: ``python examples/benchmarks/interval_coverage.py`` (two minutes)
"""

import argparse

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from skeegclip._evaluation.statistics import spreads
from skeegclip.metrics.intervals import share_interval

SD_PEOPLE, SD_PICTURES = 0.4, 1.0


def covered(rng, n_people, n_pictures, accuracy, n_runs):
    """Share of the runs whose 95 % interval holds the true value, for each source of variation."""
    inside = {"both": [], "pictures": [], "people": [], "bootstrap": []}
    many = rng.standard_normal(4000)
    true_both = expit(logit(accuracy) + np.hypot(SD_PEOPLE, SD_PICTURES) * rng.standard_normal(10**6)).mean()
    for _ in range(n_runs):
        people = SD_PEOPLE * rng.standard_normal((n_people, 1))
        pictures = SD_PICTURES * rng.standard_normal((1, n_pictures))
        hits = (rng.random((n_people, n_pictures)) < expit(logit(accuracy) + people + pictures)).astype(float)
        found, mean = spreads(hits), hits.mean()
        true_pictures = expit(logit(accuracy) + people + SD_PICTURES * many).mean()
        true_people = expit(logit(accuracy) + pictures.T + SD_PEOPLE * many).mean()
        checks = [("pictures", "stimuli", true_pictures)]
        if n_people > 1:
            checks += [("people", "subjects", true_people), ("both", "stimuli and subjects", true_both)]
        for name, over, true in checks:
            low, high = share_interval(mean, found[over], 0.95)
            inside[name].append(low <= true <= high)
        drawn = rng.integers(n_pictures, size=(1000, n_pictures))
        low, high = np.quantile(hits.mean(axis=0)[drawn].mean(axis=1), [0.025, 0.975])
        inside["bootstrap"].append(low <= true_pictures <= high)
    return {name: np.mean(values) if values else np.nan for name, values in inside.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1000, help="simulated evaluations in a line of the table")
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    rows = []
    for n_people in (1, 4, 10):
        for n_pictures, accuracy in (
            (200, 0.01),
            (200, 0.05),
            (200, 0.25),
            (200, 0.8),
            (50, 0.05),
            (50, 0.25),
        ):
            shares = covered(rng, n_people, n_pictures, accuracy, args.runs)
            rows.append(
                {"people": n_people, "pictures": n_pictures, "accuracy": f"{accuracy:.0%}"}
                | {f"other {name}": share for name, share in shares.items()}
            )
    table = pd.DataFrame(rows).rename(columns={"other bootstrap": "bootstrap over pictures"})
    print(table.to_string(index=False, float_format=lambda share: f"{100 * share:.1f}", na_rep=""))


if __name__ == "__main__":
    main()
