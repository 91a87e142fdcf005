"""Tokens of many pictures on disk: written batch by batch, memory-mapped when read."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._utils.params import check_option
from .._utils.persistence import write_whole

_FORMAT = "skeegclip-patch-tokens-1"


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
        about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        if about["format"] != _FORMAT:
            raise ValueError(about["format"])
        tokens = np.load(folder / "tokens.npy", mmap_mode="r", allow_pickle=False)
        ids = np.array(about["ids"])
        if tokens.ndim != 3 or len(tokens) != len(ids):
            raise ValueError(f"{len(ids)} ids, tokens {tokens.shape}")
    except (KeyError, TypeError, ValueError, EOFError) as error:
        raise ValueError(f"{folder} does not hold patch tokens ({_FORMAT}): {error}.") from error
    return ids, tokens


def write_patch_tokens(
    folder: str | os.PathLike,
    ids: np.ndarray,
    batches: Callable[[int], Iterator[tuple[np.ndarray, np.ndarray]]],
    *,
    contents: Sequence[str],
    settings: dict[str, Any],
    dtype: str,
    progress: bool,
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
    progress : bool
        Whether to show a bar.
    """
    from tqdm.auto import tqdm

    check_option("dtype", dtype, ["float16", "float32"])
    folder = Path(folder)
    if folder.exists():
        raise FileExistsError(f"folder={str(folder)!r} exists already. Remove it, or name another one.")
    partial = folder.with_name(folder.name + ".partial")
    about = {"format": _FORMAT, "ids": ids.tolist(), "settings": settings, "dtype": dtype}
    run = hashlib.sha256(json.dumps([about, list(contents)], sort_keys=True).encode()).hexdigest()
    state, data = partial / "state.json", partial / "tokens.npy"
    done = _rows_done(state, run)
    tokens: Any = np.lib.format.open_memmap(data, mode="r+") if done else None
    with tqdm(total=len(ids), initial=done, unit="image", disable=not progress) as bar:
        for _, batch in batches(done) if done < len(ids) else ():
            with np.errstate(over="ignore"):  # checked below
                values = batch.astype(dtype)
            if not np.isfinite(values).all():
                raise ValueError(
                    f'dtype={dtype!r} cannot hold the tokens of {str(ids[done])!r} or one soon after. Use "float32".'
                )
            if tokens is None:
                partial.mkdir(parents=True, exist_ok=True)
                state.unlink(missing_ok=True)  # it belongs to another run, whose file is about to go
                tokens = np.lib.format.open_memmap(
                    data, mode="w+", dtype=dtype, shape=(len(ids), *values.shape[1:])
                )
            tokens[done : done + len(values)] = values
            tokens.flush()
            done += len(values)
            write_whole(state, json.dumps({"run": run, "done": done}).encode())
            bar.update(len(values))
    del tokens
    write_whole(partial / "about.json", json.dumps(about, ensure_ascii=False).encode())
    os.replace(partial, folder)
    (folder / "state.json").unlink()


def _rows_done(state: Path, run: str) -> int:
    """How many rows an earlier, stopped call with the same pictures and settings has written."""
    try:
        found = json.loads(state.read_text(encoding="utf-8"))
        return int(found["done"]) if found["run"] == run else 0
    except (OSError, KeyError, TypeError, ValueError):
        return 0
