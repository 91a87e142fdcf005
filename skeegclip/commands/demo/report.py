"""The report of the demo: that of the evaluation, with pictures and what was simulated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..._version import __version__
from ...model_selection import page
from ...model_selection.page import Card, Cell, Measured, Picture, Section
from ...model_selection.report import as_document
from .decoders import LINEAR, RIDGE
from .example import example_code
from .output import versions
from .painting import METRICS
from .real import LOGISTIC, NETWORK, Real
from .results import Results

_SIMULATED = (
    "Real recordings come first, in two sections. All others are of a simulated person: no brain was recorded for them. Their"
    " numbers measure the decoders and the simulator alike, because how much a response says was set by us. They show that the"
    " software works, not how well a real person can be decoded."
)
_QUICK = (
    " This was the quick demo: its person answers twice as strongly as that of the full one, and its network has few trials"
    " and passes. Leave out --quick for a fairer race."
)


def make_report(results: Results, figures: Mapping[str, bytes]) -> str:
    """Write the page.

    Parameters
    ----------
    results : Results
        What the demo found.
    figures : mapping of str to bytes
        PNG files by name.

    Returns
    -------
    str
        HTML.
    """
    found = as_document(results.report)
    n_test = len(results.test.y)
    known = f"{100 * results.data.truth.accuracy:.1f} %"
    quick = _QUICK if results.config.name == "quick" else ""
    numbers = ", ".join(f"{name} {number}" for name, number in versions().items())
    document = replace(
        found,
        title="What did the brain see?",
        note=_SIMULATED,
        lead=f"A person looks at a picture; sensors on the head record; a decoder picks, among {n_test} pictures it has never"
        f" seen, the one that was on the screen.\n\n{_real_lead(results.real)}\n\nSimulated: {found.lead}",
        cards=[
            *_real_cards(results.real),
            *(card._replace(name=f"Simulated: {card.name}") for card in found.cards),
            Card("Simulated: knowing", known, "upper reference", is_quiet=True),
        ],
        below_cards=f"Of pictures: {found.below_cards} Of faces and houses: area under the ROC curve, with its 95 % interval."
        f" Guessing: 0.5. The knowing decoder was told how the simulation was made, which no real one is.{quick}",
        picture=None,
        sections=[
            *_real(results, figures),
            _retrieved(results, figures),
            _when(results, figures),
            _where(results, figures),
            *_simulated(results),
            Section(
                "The decoders side by side",
                "Of the simulated person, among all test pictures.",
                picture=found.picture,
            ),
            *found.sections,
            _standing(results),
            _training(results, figures),
            _painted(results, figures),
            _alike(results, figures),
            _seconds(results),
            _code(results),
        ],
        footer=f"skeegclip {__version__}, {results.config.name} demo, seed {results.seed}. All figures, parameters and"
        f" versions are in metrics.json beside this file. {numbers}.",
    )
    return page.html(document)


def _real_lead(real: Real) -> str:
    found, faces = real.rungs.iloc[0], real.faces.loc[LOGISTIC]
    return (
        f"Real: the published embeddings of one person's EEG find the right one of 200 pictures at the first try in"
        f" {100 * found['found']:.1f} % of all cases (95 % interval {100 * found['found_low']:.1f} to"
        f" {100 * found['found_high']:.1f}; guessing: 0.5 %). Logistic regression on single trials of another person tells faces from houses with"
        f" an area under the ROC curve of {faces['auc']:.3f} ({faces['auc_low']:.2f} to {faces['auc_high']:.2f}; guessing: 0.5)."
    )


def _real_cards(real: Real) -> list[Card]:
    found, faces = _percent(real.rungs.iloc[0], "found"), _area(real.faces.loc[LOGISTIC])
    return [
        Card("Real: 1 of 200 pictures", f"{found.value} %", f"{found.low} to {found.high}"),
        Card("Real: face or house", faces.value, f"{faces.low} to {faces.high}"),
    ]


def _retrieved(results: Results, figures: Mapping[str, bytes]) -> Section:
    return Section(
        "The simulated person: seen, and found",
        f"At the left the picture that was shown. Beside it the five that {results.first} found most similar to the"
        f" response, best first; the right one is framed and ticked. These {_n_shown(results)} were drawn at random, not"
        " picked for their success.",
        picture=Picture(
            figures["retrieved"],
            "Test pictures and the five pictures retrieved for each",
            "Below each picture: the cosine between its embedding and that of the response.",
        ),
    )


def _when(results: Results, figures: Mapping[str, bytes]) -> Section:
    best, n_windows = results.when_where.best, len(results.when_where.course.table)
    found = _percent(best.rename({"low": "accuracy_low", "high": "accuracy_high"}), "accuracy")
    return Section(
        "When: accuracy over time",
        f"Each window of a tenth of a second has a decoder of its own, {LINEAR} with the directions that training pictures"
        f" chose for whole epochs. Most is read from {best['start']:.2f} to {best['stop']:.2f} s:"
        f" {found.value} % of the pictures (95 % interval {found.low} to {found.high}; as the largest of {n_windows} windows it is"
        " rather too high). The simulation answers to light and colour from 0.08 s on, to the object from 0.15 to 0.45 s.",
        picture=Picture(
            figures["when"],
            "Accuracy in sliding windows of time",
            "Band: 95 % interval over pictures. Dots: windows above chance, corrected for all windows (permutations, largest"
            " accuracy).",
        ),
    )


def _where(results: Results, figures: Mapping[str, bytes]) -> Section:
    channels = results.when_where.channels
    most = channels.nlargest(3, "similarity_loss")["channel"].tolist()
    return Section(
        "Where: channels that matter, and the evoked response",
        f"Hidden one after the other in the test responses, channels cost {LINEAR} most at {most[0]}, {most[1]} and"
        f" {most[2]}. That is what this decoder takes from a channel: how responses to different pictures differ there, or noise that"
        " it subtracts from other channels. It need not be where the response to all is large, nor where the sources are.",
        picture=Picture(
            figures["where"],
            "Heads from above: what each channel is worth, and the mean response",
            "a: cosine of the embedding with that of the picture shown, less the mean with all others: what is lost when the"
            " channel is hidden under its mean over training. b: mean response to all test pictures when it differs most over the"
            " head. Between channels colours are interpolated.",
        ),
    )


def _simulated(results: Results) -> list[Section]:
    data, design, n_test = results.data, results.config.data, len(results.test.y)
    _, n_chans, n_times = data.X.shape
    n_train = int((data.split == "train").sum())
    recorded = (
        f"{n_chans} EEG sensors in the places of THINGS-EEG2, {n_times} samples in one second, one person. Sources in a"
        " spherical head answer to what is on the screen: occipital ones to light, colour and contrast from 80 ms on,"
        " occipito-temporal and parietal ones to the object from 150 to 450 ms. Ongoing activity (1/f, alpha waves,"
        " correlated over sensors) and a response of the person's own cover the answer."
    )
    shown = (
        f"Training: {design['n_train_concepts']} concepts with {design['n_images_per_concept']} pictures each, every"
        f" picture shown {design['n_train_repetitions']} times. Test: {n_test} other concepts, one picture each, shown"
        f" {design['n_test_repetitions']} times. Every picture and every concept's name has a vector of"
        f" {data.image_embeddings.n_dims} numbers in one common space, as CLIP would give."
    )
    trained = (
        f"{' and '.join(results.config.encoders)} learned from {n_train:,} single trials, {LINEAR} and Ridge from averages"
        f" over the repetitions. {LINEAR} inverts an encoding model and compares {results.n_components} directions, a number"
        f" that it chose on held-out training pictures; Ridge chose its penalty ({results.alpha:g}) by leaving out one training"
        f" picture at a time. The {design['n_test_repetitions']} repetitions of each test picture were averaged, as is usual"
        f" with THINGS. For all but {LINEAR}, every channel was centred and divided by its spread over the training data."
    )
    untouched = (
        "Never seen in training: any test picture, any other picture of a test concept, or any test score. Training on"
        " single trials rather than averages was settled beforehand, on held-out training concepts; the learning rate was"
        " not tuned, and the number of passes is what a demo has time for. A run looks at the test set once, at the end,"
        " and no decoder is chosen by it. The best window and the channels that are named above describe the test responses."
    )
    return [
        Section("What was simulated", f"{recorded}\n\n{shown}"),
        Section("What the decoders saw", f"{trained}\n\n{untouched}"),
    ]


def _standing(results: Results) -> Section:
    network = next(iter(results.config.encoders))
    n_passes, n_train = len(results.history[network]), int((results.data.split == "train").sum())
    return Section(
        f"Where {network} stands",
        f"{network} found {results.found(network)} of the pictures, {LINEAR} {results.found(LINEAR)} and a ridge regression"
        f" {results.found(RIDGE)}. The network was made for 66,160 trials of a person; here it had {n_train:,}, and"
        f" {n_passes} passes for all of its weights. {LINEAR} is told what the network would have to learn: responses and"
        " noise have few places on the head and few courses in time, so that there are few numbers to learn. That is how the"
        " simulation was made, and a real brain need not be so: for a recording of yours this page is no reason to prefer"
        " either. Evaluate both.",
    )


def _training(results: Results, figures: Mapping[str, bytes]) -> Section:
    return Section(
        "How the networks learned",
        picture=Picture(
            figures["training"],
            "Training curves",
            "Loss and accuracy of each pass. Validation runs on single trials and a smaller gallery, so its accuracy does"
            " not compare with the test's.",
        ),
    )


def _painted(results: Results, figures: Mapping[str, bytes]) -> Section:
    table = results.painted.table
    rows: list[list[Cell]] = [
        [
            str(name).capitalize(),
            *(
                Measured(f"{row[m]:.3f}", f"{row[f'{m}_low']:.2f}", f"{row[f'{m}_high']:.2f}")
                for m in METRICS
            ),
        ]
        for name, row in table.iterrows()
    ]
    how = (
        f"The same {_n_shown(results)} pictures again. From the embedding of a response ({results.first}) a ridge"
        " regression paints the picture to be expected: what is not known, such as the turn of an object, is blurred away."
        " Low-level is painted from the first quarter of a second at the back of the head alone, without any embedding."
        " Nearest is the training picture nearest to the embedding: it looks perfect, and is what a painter has to beat."
    )
    scores = (
        "PixCorr: correlation of the pixels, with its 95 % interval. By its pixels, a reconstruction is told from another"
        f" test picture in {100 * results.painted.identified:.1f} % of all pairs (guessing: 50). The painter learned from"
        " embeddings of the training pictures' own responses, which are too good; with time, let the reconstructor hold"
        " stimuli out (cross_fit)."
    )
    return Section(
        "Painting what was seen",
        f"{how}\n\n{scores}",
        ["", *METRICS],
        rows,
        Picture(
            figures["reconstructed"],
            "Test pictures, low-level pictures, reconstructions and nearest training pictures",
            "No diffusion model took part: its weights are gigabytes. Another generator is one word in the code.",
        ),
    )


def _alike(results: Results, figures: Mapping[str, bytes]) -> Section:
    return Section(
        "Which pictures are alike",
        picture=Picture(
            figures["similarity"],
            "Similarity of each response to each test picture",
            "Each row is the response to one test picture, each column a picture, sorted by the shape of the object"
            f" ({results.first}). A bright diagonal is success; a bright square means that shapes are told apart even"
            " where the picture is not.",
        ),
    )


def _real(results: Results, figures: Mapping[str, bytes]) -> list[Section]:
    real = results.real
    rungs: list[list[Cell]] = [
        [
            str(name),
            _percent(row, "found"),
            "–" if number == 0 else _percent(row, "gain"),
            "no" if number == 0 else "yes",
        ]
        for number, (name, row) in enumerate(real.rungs.iterrows())
    ]
    faces: list[list[Cell]] = [[str(name), _area(row)] for name, row in real.faces.iterrows()]
    more = real.faces.loc[NETWORK, ["more", "more_low", "more_high"]]
    difference = Measured(*(f"{value:+.{digits}f}" for value, digits in zip(more, (3, 2, 2), strict=True)))
    faces.append([f"{NETWORK} minus {LOGISTIC.lower()}", difference])
    return [
        Section(
            "On real brains: which of 200 pictures",
            "These are no simulations. Subject 8 of THINGS-EEG2 saw 200 pictures, 80 times each; the published ATM-S encoder"
            " embedded the mean responses, and the picture is searched by its CLIP embedding. Nothing was trained here. Which pass of"
            " training these embeddings are of is not told, and the paper reports the best one on the test pictures: the figures may"
            " be rather high. The rungs below the first look at all 200 responses together, which a single response in real time"
            " does not allow.",
            ["", "Found first (%)", "Gain (points)", "Looks at all queries"],
            rungs,
        ),
        Section(
            "On real brains: faces or houses",
            f"One person, a headband of four dry electrodes, {real.n_epochs:,} single trials; each fifth of the recording was left"
            f" out once. Logistic regression sees means over time bins; {NETWORK} sees all samples and learns in"
            f" {results.config.n_real_passes} passes. Chance: 0.5; intervals: 95 %, over trials.",
            ["", "Area under the ROC curve"],
            faces,
            Picture(
                figures["faces"],
                "Responses to faces and houses above the ears, and when they can be told apart",
                "a: mean response, and its standard error over trials; faces evoke a deeper dip near 0.2 s, the N170. b: logistic"
                " regression in windows of a tenth of a second, at their middle: mean over the five fifths, and its standard"
                " error.",
            ),
        ),
    ]


def _percent(row: Any, name: str) -> Measured:
    return Measured(*(f"{100 * row[key]:.1f}" for key in (name, f"{name}_low", f"{name}_high")))


def _area(row: Any) -> Measured:
    return Measured(f"{row['auc']:.3f}", f"{row['auc_low']:.2f}", f"{row['auc_high']:.2f}")


def _seconds(results: Results) -> Section:
    rows = [[step[0].upper() + step[1:], f"{s:.1f}"] for step, s in results.seconds.items()]
    return Section("Where the time went", "", ["Step", "Seconds"], rows)


def _code(results: Results) -> Section:
    network = next(iter(results.config.encoders))
    return Section(
        "Do it yourself",
        f"These lines train {results.first} and {network} as above and print their accuracies, {results.found(results.first)}"
        f" and {results.found(network)}. Put your own epochs, stimulus ids and table of embeddings in place of data.",
        code=example_code(results.config, results.seed),
    )


def _n_shown(results: Results) -> int:
    return min(results.config.n_shown, len(results.test.y))
