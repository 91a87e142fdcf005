"""Tokens of many pictures on disk: written batch by batch, memory-mapped when read."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from .._utils.params import check_option
from .._utils.persistence import conforming, open_regular, read_regular, sweep, write_whole

_FORMAT = "skeegclip-patch-tokens-1"
_LOCK = ".lock"
_LIMIT = 2**30  # bytes: ids of a hundred million pictures


def load_patch_tokens(folder: str | os.PathLike) -> tuple[np.ndarray, np.ndarray]:
    """Open the tokens that :meth:`~skeegclip.CLIPEmbedder.save_patch_tokens` wrote.

    Parameters
    ----------
    folder : path-like
        The folder.

    Returns
    -------
    ids : ndarray of str, shape (n,)
        Ids of the pictures.
    tokens : memmap, shape (n, n_tokens, width)
        Read-only, read from disk where it is indexed.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ValueError
        If it does not hold tokens.

    Examples
    --------
    >>> from skeegclip.embeddings import load_patch_tokens
    >>> load_patch_tokens("nowhere")
    Traceback (most recent call last):
    FileNotFoundError: [Errno 2] No such file or directory: 'nowhere/about.json'
    """
    folder = Path(folder)
    try:
        about = conforming(_About, json.loads(read_regular(folder / "about.json", limit=_LIMIT)))
        if about.format != _FORMAT:
            raise ValueError(about.format[:80])
        ids, tokens = np.array(about.ids), _mapped(folder / "tokens.npy", "r")
        if tokens.ndim != 3 or len(tokens) != len(ids) or tokens.dtype != about.dtype:
            raise ValueError(f"{len(ids)} ids, tokens {tokens.shape} of {tokens.dtype}")
    except FileNotFoundError:
        raise
    except (ValueError, RecursionError, OSError) as error:
        raise ValueError(f"{folder} does not hold patch tokens ({_FORMAT}): {str(error)[:300]}.") from error
    return ids, tokens


@dataclass(frozen=True)
class _About:
    """What a folder of tokens says of itself."""

    format: str
    ids: list[str]
    settings: dict[str, Any]
    dtype: Literal["float16", "float32"]

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}


@dataclass(frozen=True)
class _State:
    """How far a run has come."""

    format: str
    run: str
    done: int

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}


def _mapped(path: Path, mode: Literal["r", "r+"]) -> np.ndarray:
    """Map an array of a plain file."""
    open_regular(path, os.O_RDWR if mode == "r+" else os.O_RDONLY).close()
    try:
        return np.lib.format.open_memmap(path, mode=mode)
    except Exception as error:  # numpy reads a header as Python
        raise ValueError(f"{path.name} cannot be read ({str(error)[:200]})") from error


def write_patch_tokens(
    folder: str | os.PathLike,
    ids: np.ndarray,
    batches: Callable[[int], Iterator[tuple[np.ndarray, np.ndarray]]],
    *,
    contents: Sequence[str],
    settings: dict[str, Any],
    dtype: str,
    verbose: int,
) -> None:
    """Write tokens to ``<folder>.partial`` and rename it when it is complete.

    Parameters
    ----------
    folder : path-like
        The folder to make.
    ids : ndarray of str, shape (n,)
        Ids.
    batches : callable
        From the first row wanted to batches of ids and tokens.
    contents : sequence of str
        What each picture holds.
    settings : dict
        What decides the tokens besides.
    dtype : {"float16", "float32"}
        Type on disk.
    verbose : int
        Whether to show a bar.
    """
    check_option("dtype", dtype, ["float16", "float32"])
    folder = Path(folder)
    partial = folder.with_name(folder.name + ".partial")
    about = {"format": _FORMAT, "ids": ids.tolist(), "settings": settings, "dtype": dtype}
    run = hashlib.sha256(json.dumps([about, list(contents)], sort_keys=True).encode()).hexdigest()
    _refuse_taken(folder)
    _rows_done(partial, run, len(ids))  # before the lock, which would be a change
    with _only_writer(partial):
        _refuse_taken(folder)
        _write(partial, run, ids, batches, dtype, verbose)
        write_whole(partial / "about.json", json.dumps(about, ensure_ascii=False).encode())
        os.replace(partial, folder)
        (folder / "state.json").unlink()
        with contextlib.suppress(OSError):  # Windows keeps it while it is held
            (folder / _LOCK).unlink()


def _refuse_taken(folder: Path) -> None:
    if os.path.lexists(folder):
        raise FileExistsError(f"folder={str(folder)!r} exists already. Remove it, or name another one.")


@contextlib.contextmanager
def _only_writer(partial: Path) -> Iterator[None]:
    """Hold the lock of an unfinished folder; one in which nothing is does not stay."""
    from filelock import FileLock, Timeout

    lock = partial / _LOCK
    if os.path.lexists(lock):
        open_regular(lock).close()  # no link
    partial.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(lock, timeout=0):
            try:
                yield
            finally:
                with contextlib.suppress(OSError):
                    if os.listdir(partial) == [_LOCK]:
                        lock.unlink()
                        partial.rmdir()
    except Timeout:
        raise BlockingIOError(
            f"{str(partial)!r} is being written by another process or thread. Wait for it, or name another folder."
        ) from None


def _write(
    partial: Path,
    run: str,
    ids: np.ndarray,
    batches: Callable[[int], Iterator[tuple[np.ndarray, np.ndarray]]],
    dtype: str,
    verbose: int,
) -> None:
    """Write the tokens that are not there yet."""
    from .._utils.progress import tqdm

    state, data = partial / "state.json", partial / "tokens.npy"
    done = _rows_done(partial, run, len(ids))
    tokens: Any = _mapped(data, "r+") if done else None
    with tqdm(total=len(ids), initial=done, unit="image", disable=not verbose) as bar:
        for _, batch in batches(done) if done < len(ids) else ():
            with np.errstate(over="ignore"):  # checked below
                values = batch.astype(dtype)
            if not np.isfinite(values).all():
                raise ValueError(
                    f'dtype={dtype!r} cannot hold the tokens of {str(ids[done])!r} or one soon after. Use "float32".'
                )
            if tokens is None:
                # First of all, as it says that the folder is ours; and of another run, whose file is about to go.
                write_whole(state, _told(run, 0))
                data.unlink(missing_ok=True)
                tokens = np.lib.format.open_memmap(
                    data, mode="w+", dtype=dtype, shape=(len(ids), *values.shape[1:])
                )
            tokens[done : done + len(values)] = values
            tokens.flush()
            done += len(values)
            write_whole(state, _told(run, done))
            bar.update(len(values))


def _told(run: str, done: int) -> bytes:
    return json.dumps(asdict(_State(_FORMAT, run, done))).encode()


def _rows_done(partial: Path, run: str, n_rows: int) -> int:
    """How many rows an earlier, stopped call with the same pictures and settings has written."""
    if not os.path.lexists(partial):
        return 0
    if partial.is_dir() and not partial.is_symlink():
        sweep(partial)
        if set(os.listdir(partial)) <= {_LOCK}:
            return 0
    try:
        found = conforming(_State, json.loads(read_regular(partial / "state.json", limit=_LIMIT)))
        if found.format != _FORMAT:
            raise ValueError(found.format[:80])
    except (OSError, ValueError, RecursionError) as error:
        raise FileExistsError(
            f"{str(partial)!r} is in the way: it is not of a run that was stopped ({str(error)[:200]}). Remove it."
        ) from error
    return found.done if found.run == run and 0 <= found.done <= n_rows else 0
