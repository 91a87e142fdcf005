"""Six decoders, leave one subject out, on simulated data: the report, and what an oracle would have added.

Four people, 300 training pictures of 150 concepts, 100 test pictures of other concepts, two trainings of each network.
The data are simulated: the figures measure the simulator too, and say nothing of real people.

Run: ``python examples/benchmarks/loso_report.py --out FOLDER`` (about 15 minutes on two cores; interrupted, it goes on
where it stopped). No setting was chosen on these figures, except that the penalty of ridge regression was corrected for
the scale of the data after a first run.
"""

import argparse

import pandas as pd
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from skeegclip import (
    AveragedTraining,
    EEGEncoder,
    EnsembleEncoder,
    EpochsView,
    ImageRetriever,
    SubjectWhitening,
    evaluate,
)
from skeegclip.datasets import make_things_like
from skeegclip.model_selection import LeaveOneSubjectOut
from skeegclip.preprocessing import EpochScaler


def load(n_people, seed):
    """The recordings as a view that knows its rows, and the vectors of pictures and names."""
    data = make_things_like(
        n_subjects=n_people,
        n_train_concepts=150,
        n_images_per_concept=2,
        n_test_concepts=100,
        snr=2.0,
        random_state=seed,
    )
    rows = pd.DataFrame({"split": data.split, "concept": data.concept})
    view = EpochsView.from_arrays(data.X, subject=data.subject, stimulus=data.y, info=data.info, rows=rows)
    return view, data.image_embeddings, data.text_embeddings


def decoders(table, n_passes):
    """The ones compared, by name."""
    training = {"targets": table, "lr": 1e-3, "batch_size": 256, "max_epochs": n_passes, "validation": 0.1}
    # Lengths published in samples at 250 Hz, for the 100 Hz here.
    short = {"kernel_length": 10, "pool_length": 20, "pool_stride": 2}
    nice = EEGEncoder("nice", net_params=short, **training)
    encoders = {
        "Ridge": Ridge(1e3),  # 1e5 for microvolts, whose spread is about ten
        "EEGProject": EEGEncoder("eegproject", **training),
        "NICE": nice,
        "ATM-S": EEGEncoder("atm-s", net_params=short, **training),
        "NICE, averaged, 3 seeds": AveragedTraining(EnsembleEncoder([("nice", nice)], n_seeds=3)),
    }
    made = {name: ImageRetriever(encoder, targets=table) for name, encoder in encoders.items()}
    made["NICE, whitened, CSLS"] = ImageRetriever(SubjectWhitening(nice), targets=table, hubness="csls")
    return {name: make_pipeline(EpochScaler(), retriever) for name, retriever in made.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="loso-report", help="folder for the report and for finished cells")
    parser.add_argument("--people", type=int, default=4)
    parser.add_argument("--passes", type=int, default=10, help="training passes of the networks")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    view, images, names = load(args.people, seed=0)
    report = evaluate(
        decoders(images, args.passes),
        view,
        cv=LeaveOneSubjectOut(),
        candidates=names,
        n_seeds=args.seeds,
        n_jobs=args.jobs,
        oracle=True,
        folder=args.out,
        verbose=1,
    )
    report.save(args.out)
    columns = ["estimator", "mean", "low", "high", "sd_subjects", "sd_seeds", "chance", "p"]
    summary = report.summary(["top-1"]).query("task == 'retrieval'")
    print(summary[columns].round(3).to_string(index=False))
    print(report.bias().round(3).to_string(index=False))
    print(report.compare().round(3).to_string(index=False))


if __name__ == "__main__":
    main()
