"""Dimensions of human judgement, decoded from published embeddings of EEG: THINGS-EEG2, subject 8, 200 test pictures.

The folder holds ``eeg_embeddings.npy`` and ``image_embeddings.npy`` (200, 1024), and ``stimuli.csv`` with a column ``concept``. The
dimensions are fetched, or read from a table of ``EmbeddingTable.save``. Each tenth of the objects is decoded by what was learned on
embeddings of the others: of their pictures, and of pictures and EEG. Then the same of ``--nulls`` data sets in which the
EEG embeddings of objects are exchanged: how many of them call any dimension decoded, of which 5 % may.

Run: ``OMP_NUM_THREADS=1 python examples/benchmarks/dimensions.py FOLDER --nulls 200``
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupKFold, cross_val_predict

from skeegclip import DimensionDecoder, EmbeddingTable
from skeegclip.datasets import fetch_dimensions
from skeegclip.inspection import dimension_correlations
from skeegclip.plotting import plot_dimensions


def maps_of(images, objects, dimensions, cv):
    """Maps that were learned on pictures of the other objects, and the rows that each is for."""
    return [
        (DimensionDecoder(dimensions).fit(images[train], objects[train]), test)
        for train, test in cv.split(images, groups=objects)
    ]


def applied(maps, eeg):
    """Values of each object's EEG embedding."""
    values = np.empty((len(eeg), len(maps[0][0].names_)))
    for fitted, test in maps:
        values[test] = fitted.predict(eeg[test])
    return values


def of_both(images, eeg, objects, dimensions, cv):
    """The same, learned on pictures and EEG of the others."""
    X, y = np.concatenate([images, eeg]), np.tile(objects, 2)
    return cross_val_predict(DimensionDecoder(dimensions), X, y, groups=y, cv=cv)[len(images) :]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--table", help="file of an EmbeddingTable; else the 82 dimensions are fetched")
    parser.add_argument("--seeds", type=int, default=3, help="ways to make the folds")
    parser.add_argument("--nulls", type=int, default=200)
    parser.add_argument("--figure", help="file for a figure")
    args = parser.parse_args()
    dimensions = fetch_dimensions(82) if args.table is None else EmbeddingTable.load(args.table)
    images, eeg = (np.load(args.folder / f"{kind}_embeddings.npy") for kind in ("image", "eeg"))
    objects = pd.read_csv(args.folder / "stimuli.csv")["concept"].to_numpy().astype(str)
    for with_eeg in (False, True):
        for seed in range(args.seeds):
            cv = GroupKFold(10, shuffle=True, random_state=seed)
            if with_eeg:
                values = of_both(images, eeg, objects, dimensions, cv)
            else:
                maps = maps_of(images, objects, dimensions, cv)
                values = applied(maps, eeg)
            report = dimension_correlations(values, objects, dimensions)
            figures = report.identification.iloc[0]
            print(
                f"learned on pictures{' and EEG' if with_eeg else ''}, folds {seed}: r {figures['mean_r']:.3f}, two-way"
                f" {figures['two_way']:.3f} (among the tested {figures['two_way_tested']:.3f}), median rank"
                f" {figures['median_rank']:g} of {figures['n_table']:g}, {len(report.significant())} of"
                f" {dimensions.n_dims} dimensions decoded",
                flush=True,
            )
    if args.figure:
        plot_dimensions(report).figure.savefig(args.figure)
    start, called, best = time.process_time(), 0, []
    for seed in range(args.nulls):
        order = np.random.default_rng(seed).permutation(len(eeg))
        values = applied(maps, eeg[order])
        null = dimension_correlations(values, objects, dimensions, n_permutations=499, random_state=seed)
        called += not null.significant().empty
        best.append(null.identification["mean_r"].item())
    if args.nulls:
        print(
            f"{called} of {args.nulls} sets with exchanged objects call a dimension decoded (5 % may); their mean r is"
            f" {np.mean(best):.4f}, {time.process_time() - start:.0f} s of CPU time"
        )


if __name__ == "__main__":
    main()
