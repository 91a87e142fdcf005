"""The command ``skeegclip``. Nothing heavy is imported until a command runs: ``--help`` answers at once."""

from __future__ import annotations

import os
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from .._version import __version__
from ._shell import NoFolderError, output_folder, refusals, stoppable

app = typer.Typer(
    help="Decode what a person sees from EEG or MEG.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_BAD_INPUT = (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    RuntimeError,
)  # of saved parts, of epochs, of a device
_GOES_ON = "Stopped. The same command goes on from here."


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"skeegclip {__version__}")
        raise typer.Exit


@app.callback()
def _skeegclip(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


@app.command()
def demo(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="Folder for the results; made if missing.")] = Path(
        "skeegclip-demo"
    ),
    quick: Annotated[bool, typer.Option("--quick", help="Fewer data and passes: under a minute.")] = False,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of data and training.")] = 0,
) -> None:
    """Simulate a THINGS-like experiment, decode it, and write a report.

    Trains a linear decoder, ATM-S, NICE and a ridge regression on
    simulated EEG, and tests them on pictures and concepts that they have
    never seen; then decodes two real recordings. Downloads nothing; takes about two minutes on two CPU cores.
    """
    from .demo.output import FILES

    # Nothing else that goes wrong is anybody's fault but the demo's.
    with (
        stoppable("Stopped."),
        refusals(context, wrong=(NoFolderError,)),
        output_folder(out, FILES) as folder,
    ):
        from .demo.config import FULL, QUICK
        from .demo.run import run_demo

        run_demo(folder, QUICK if quick else FULL, seed=seed)


_SEVERAL = ("--subjects", "--what", "--recipes")


class _Several(TyperCommand):
    """A command some of whose options take several values: ``--subjects 1 2``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        repeated: list[str] = []
        option = None
        for arg, after in pairwise([*args, "-"]):
            if arg.startswith("-"):
                option = arg if arg in _SEVERAL and not after.startswith("-") else None
                repeated += [] if option else [arg]
            else:
                repeated += [option, arg] if option else [arg]
        return super().parse_args(ctx, repeated)


class Published(StrEnum):
    """Data sets that can be fetched."""

    EEG2 = "things-eeg2"
    MEG = "things-meg"


@app.command(cls=_Several)
def fetch(
    context: typer.Context,
    dataset: Annotated[Published, typer.Argument(help="What to download.")],
    subjects: Annotated[
        list[str] | None, typer.Option(help="One or several, as in --subjects 1 2. All, unless given.")
    ] = None,
    what: Annotated[
        list[str] | None,
        typer.Option(
            help="Of things-eeg2, any of preprocessed images features raw. The first three, unless given."
        ),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Where to put it. A folder in the cache, unless given.")
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Only look whether everything is there.")
    ] = False,
) -> None:
    """Download THINGS-EEG2 or THINGS-MEG.

    An interrupted download goes on where it stopped: give the same
    command again.
    """
    from ..datasets import fetch_things_eeg2, fetch_things_meg

    options: dict[str, Any] = {"folder": folder, "offline": offline}
    if what and dataset == Published.MEG:
        raise typer.BadParameter("things-meg has one thing to download, its epochs.", param_hint="--what")
    if what:
        options["what"] = what
    fetch_them = fetch_things_eeg2 if dataset == Published.EEG2 else fetch_things_meg
    with stoppable(_GOES_ON), refusals(context, wrong=(ValueError,), failed=(OSError,)):
        where = fetch_them(subjects, **options)
    typer.echo(str(where))


class Protocol(StrEnum):
    """Who is trained and tested on."""

    WITHIN = "within"
    LOSO = "loso"


@app.command(cls=_Several)
def evaluate(
    context: typer.Context,
    store: Annotated[Path, typer.Option(help="An EpochsStore, or a folder of THINGS-EEG2 files.")],
    recipes: Annotated[
        list[str],
        typer.Option(
            help="One or several of atm_paper nice strong linear contest shallow_alignment samga brain_hive enigma, or names of networks."
        ),
    ],
    protocol: Annotated[
        Protocol, typer.Option(help="Test each person after training on them, or on all others.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the report; made if missing.")] = Path(
        "skeegclip-report"
    ),
    targets: Annotated[
        Path | None,
        typer.Option(help="Embedding table of the pictures. THINGS-EEG2's own features, unless given."),
    ] = None,
    texts: Annotated[Path | None, typer.Option(help="Embedding table of the concepts' names.")] = None,
    subjects: Annotated[list[str] | None, typer.Option(help="One or several. All, unless given.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each recipe, with other seeds.")] = 1,
    jobs: Annotated[int | None, typer.Option(help="Trainings at the same time.")] = None,
    oracle: Annotated[
        bool, typer.Option(help="Add the figure of the pass that is best on the test set.")
    ] = True,
    batch_size: Annotated[
        int | None, typer.Option(min=2, help="In place of the recipes' own. linear and contest have none.")
    ] = None,
    max_epochs: Annotated[
        int | None, typer.Option(min=1, help="In place of the recipes' own. linear and contest have none.")
    ] = None,
) -> None:
    """Train and test recipes, and report them beside published figures.

    The report says how passes were chosen and what training and test
    share. An evaluation that was interrupted goes on where it stopped:
    give the same command again.
    """
    own = {"batch_size": batch_size, "max_epochs": max_epochs}
    with (
        stoppable(_GOES_ON),
        refusals(context, wrong=(OSError, ValueError, KeyError)),
        output_folder(out) as folder,
    ):
        from .evaluate import run_evaluation, text_table

        report = run_evaluation(
            store,
            recipes,
            folder,
            protocol=protocol.value,
            targets=targets,
            texts=texts,
            subjects=subjects,
            n_seeds=seeds,
            n_jobs=jobs,
            oracle=oracle,
            params={name: value for name, value in own.items() if value is not None},
        )
    typer.echo(text_table(report))
    typer.echo(str(folder / "report.html"))


@app.command()
def reconstruct(
    context: typer.Context,
    parts: Annotated[Path, typer.Argument(help="Folder that EEGImageReconstructor.save wrote.")],
    data: Annotated[
        Path, typer.Argument(help="Epochs: an EpochsStore, an -epo.fif file, or an array in .npy.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the pictures; made if missing.")] = Path(
        "skeegclip-pictures"
    ),
    average: Annotated[
        bool, typer.Option("--average", help="Average the epochs of each stimulus and subject.")
    ] = False,
    split: Annotated[str | None, typer.Option(help="Only this split, such as test.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only this subject.")] = None,
    n_images: Annotated[int, typer.Option(min=1, help="Pictures of each epoch.")] = 1,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the pictures.")] = 0,
    device: Annotated[str, typer.Option(help="Torch device.")] = "auto",
    trusted: Annotated[
        bool,
        typer.Option(
            "--trusted",
            help="Believe the folder: types of other libraries and models that it names are loaded, and may run any code.",
        ),
    ] = False,
) -> None:
    """Paint what was seen, with a saved reconstructor.

    Writes a picture for each epoch, and rows.csv, which says what each
    shows (of an array nothing is known). A run that was interrupted goes
    on where it stopped: give the same command again.
    """
    with stoppable(_GOES_ON), refusals(context, wrong=_BAD_INPUT), output_folder(out) as folder:
        from .reconstruct import reconstruct_epochs

        n_epochs = reconstruct_epochs(
            parts,
            data,
            folder,
            average=average,
            chosen={"split": split, "subject": subject},
            n_images=n_images,
            seed=seed,
            device=device,
            trusted=trusted,
        )
    typer.echo(f"Pictures of {n_epochs} epochs: {folder}")


def main() -> None:
    """Run the command line."""
    # torch's threads otherwise spin while they wait for each other: where another program has one of two cores,
    # a step of training then takes ten times as long. Read when torch is imported, so it must be said before.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    app(prog_name="skeegclip")
