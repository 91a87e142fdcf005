"""Files of the Hugging Face hub, from its cache or its server, and what names a file by what it holds."""

from __future__ import annotations

import functools
import hashlib
import os


def from_hub(
    repository: str, names: list[str], model: str, revision: str | None = None, *, command: str, instead: str
) -> str:
    """Path of the first of some files that the hub's cache holds; else it is downloaded.

    The cache is asked first: published weights do not change, and without a network the hub's client would try for
    half a minute before it looks there.

    Parameters
    ----------
    repository : str
        ``owner/name``.
    names : list of str
        Files; any of them will do.
    model : str
        What an error calls it.
    revision : str | None
        Commit, tag or branch; None is ``main``.
    command, instead : str
        What an error proposes: what to call where there is a network, and what to pass otherwise.

    Returns
    -------
    str
        In the hub's cache, in a folder named by the commit.
    """
    import huggingface_hub

    for name in names:
        cached = huggingface_hub.try_to_load_from_cache(repository, name, revision=revision)
        if isinstance(cached, str):
            return cached
    for name in names:
        try:
            return huggingface_hub.hf_hub_download(repository, name, revision=revision)
        except Exception as error:  # the network's errors are of many kinds
            failure = error
            if isinstance(error, huggingface_hub.errors.LocalEntryNotFoundError):
                break  # no network, so none for the next name either
    cache = os.path.join(huggingface_hub.constants.HF_HUB_CACHE, f"models--{repository.replace('/', '--')}")
    raise OSError(
        f"The weights of {model} are not on this machine and cannot be downloaded ({first_line(failure)}): run"
        f" `{command}` where there is a network and copy the folder it fills in the hub's cache to {cache}, or"
        f" {instead}."
    ) from failure


def lacks_file(error: OSError) -> bool:
    """Whether `from_hub` failed because the repository is there, but not the file."""
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    cause = error.__cause__
    return isinstance(cause, EntryNotFoundError) and not isinstance(cause, LocalEntryNotFoundError)


def first_line(error: BaseException) -> str:
    """What went wrong, short enough to be put into a sentence."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].split(". ")[0].rstrip(".:")


def file_sha256(path: str) -> str:
    """SHA-256 of a file, remembered until the file changes (weights have gigabytes)."""
    status = os.stat(path)
    return _sha256(os.path.realpath(path), status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _sha256(path: str, size: int, time: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
