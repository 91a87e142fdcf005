"""What all commands share: where they write, in what words they refuse, and how they stop."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import typer


class NoFolderError(OSError):
    """There is no writing where the user wants it."""


@contextmanager
def refusals(
    context: typer.Context,
    *,
    wrong: tuple[type[BaseException], ...],
    failed: tuple[type[BaseException], ...] = (),
) -> Iterator[None]:
    """End a command with one sentence where it cannot do what it was told.

    Parameters
    ----------
    context : typer.Context
        Of the command.
    wrong, failed : tuple of types
        Errors of what was asked for, exit code 2, and of what came in between, exit code 1. All others are nobody's
        fault but the program's, and keep their traceback.
    """
    try:
        yield
    except failed as error:
        refuse(context, error, 1)
    except wrong as error:
        refuse(context, error, 2)


def refuse(context: typer.Context, error: BaseException, code: int) -> None:
    """Say what an error says, in one line and with options in place of parameters, and end the command."""
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error) or type(error).__name__
    options = context.command.params
    flags = {str(option.name): option.opts[0] for option in options if option.opts[0].startswith("-")}
    # `path` is of a function within, no option of a command; which one is meant, the path says.
    typer.echo(in_flags(" ".join(text.split()).removeprefix("path: "), flags), err=True)
    raise typer.Exit(code) from None


def in_flags(text: str, flags: dict[str, str]) -> str:
    """The library's sentence with the options of a command in place of its parameters.

    Parameters
    ----------
    text : str
        Which may speak of ``name=value``, or begin with the name of a parameter.
    flags : dict of str
        Option by parameter.

    Examples
    --------
    >>> flags = {"offline": "--offline", "subjects": "--subjects"}
    >>> in_flags("offline=True, but a file is absent. Pass offline=False to download it.", flags)
    '--offline, but a file is absent. Leave out --offline to download it.'
    >>> in_flags("subjects must be among 1 to 10.", flags)
    '--subjects must be among 1 to 10.'
    """
    for name, flag in flags.items():
        text = re.sub(rf"\b[Pp]ass {name}=False\b", f"Leave out {flag}", text)
        text = re.sub(rf"(?<![\w-]){name}=True\b", flag, text)
        text = re.sub(rf"(?<![\w-]){name}=", f"{flag} ", text)
        text = re.sub(rf"^{name}(?=:| must\b| are\b| is\b)", flag, text)
    return text


@contextmanager
def stoppable(said: str) -> Iterator[None]:
    """End a command with what is to be said where somebody presses Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"\n{said}", err=True)
        raise typer.Exit(130) from None


@contextmanager
def output_folder(path: str | os.PathLike, names: Iterable[str] = ()) -> Iterator[Path]:
    """Make a folder to write in, and leave none behind that is empty where the command fails.

    Parameters
    ----------
    path : path-like
        A folder, or a path at which one can be made.
    names : iterable of str
        Files that are to be written: what is not ours must not have these names.

    Yields
    ------
    Path
        The folder.

    Raises
    ------
    NoFolderError
        If there is a file in the way, or one that would be replaced and is not ours, or writing is not allowed.
    """
    folder = Path(path)
    new = [part for part in (folder, *folder.parents) if not part.exists()]
    try:
        yield prepare_folder(folder, names)
    except BaseException:
        with suppress(OSError):  # one that holds something
            for part in new:
                part.rmdir()
        raise


def prepare_folder(folder: Path, names: Iterable[str] = ()) -> Path:
    """Make the folder and make sure that files can be written to it.

    Parameters
    ----------
    folder : Path
        A folder, or a path at which one can be made.
    names : iterable of str
        Files that are to be written: what is not ours must not have these names.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    NoFolderError
        If there is a file in the way, or one that would be replaced and is not ours, or writing is not allowed.
    """
    from .._utils.listed import check_unclaimed

    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Asking for permissions is not enough: a disk may be mounted read-only.
        tempfile.TemporaryFile(dir=folder).close()  # of a name that nobody has
    except (FileExistsError, NotADirectoryError):
        raise NoFolderError(f"--out: {folder} is a file or lies below one. Name a folder.") from None
    except OSError as error:
        raise NoFolderError(
            f"--out: cannot write to the folder {folder} ({error.strerror}). Name another one."
        ) from None
    try:
        check_unclaimed(folder, names)
    except FileExistsError as error:
        raise NoFolderError(f"--out: {error}") from None
    return folder
