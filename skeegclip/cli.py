"""The command ``skeegclip``. Nothing heavy is imported until a command runs: ``--help`` answers at once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from ._version import __version__

app = typer.Typer(
    help="Decode what a person sees from EEG or MEG.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)


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
    out: Annotated[Path, typer.Option(help="Folder for the results; made if missing.")] = Path(
        "skeegclip-demo"
    ),
    quick: Annotated[bool, typer.Option("--quick", help="Fewer data and passes: under a minute.")] = False,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of data and training.")] = 0,
) -> None:
    """Simulate a THINGS-like experiment, decode it, and write a report.

    Trains ATM-S, NICE and a ridge regression on simulated EEG, and tests
    them on pictures and concepts that they have never seen. Downloads
    nothing; takes about two minutes on two CPU cores.
    """
    from .demo.output import prepare_folder

    try:
        folder = prepare_folder(out)
    except OSError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    try:
        from .demo.config import FULL, QUICK
        from .demo.run import run_demo

        run_demo(folder, QUICK if quick else FULL, seed=seed)
    except KeyboardInterrupt:
        typer.echo("\nStopped.", err=True)
        raise typer.Exit(130) from None


def main() -> None:
    """Run the command line."""
    # torch's threads otherwise spin while they wait for each other: where another program has one of two cores,
    # a step of training then takes ten times as long. Read when torch is imported, so it must be said before.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    app(prog_name="skeegclip")
