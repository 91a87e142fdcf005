"""Downloads: resumed where they stopped, checked, and named only when whole; archives that stay in their folder."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from .._utils.persistence import room_told
from .._utils.scratch import scratch_folder

_CHUNK = 1 << 16  # what is lost at most when a connection ends
_TIMEOUT = 60  # seconds without a byte
_RETRIES = 3
_RATIO, _ANY_RATIO = 100, 2**26  # unpacked to packed; below so many bytes it does not matter


@dataclass(frozen=True)
class Remote:
    """A file to download.

    Attributes
    ----------
    name : str
        Path below the folder of downloads.
    url : str
        Address.
    size : int | None
        Bytes.
    hash : str | None
        "sha256:..." or "md5:...".
    etag : str | None
        The server's mark of this version.
    """

    name: str
    url: str
    size: int | None = None
    hash: str | None = None
    etag: str | None = None


def download(files: Sequence[Remote], folder: Path, *, verbose: int) -> None:
    """Download what is not there yet.

    A file that is there with the size expected is left as it is.

    Parameters
    ----------
    files : sequence of Remote
        What to download.
    folder : Path
        Where to put it.
    verbose : int
        1 shows progress bars.

    Raises
    ------
    FileExistsError
        If something else has the name of a file; it is left as it is.
    ConnectionError
        If a download fails; what came in time stays, and the next call goes on from there.
    ValueError
        If a file is not what its publisher says.
    """
    for file in files:
        target = path_below(folder, file.name)
        if target.is_file() and file.size in (None, target.stat().st_size):
            continue
        if os.path.lexists(target):  # ours get their names only when whole
            raise FileExistsError(
                f"{str(target)!r} is not {file.name} of {file.size} bytes from {file.url}, and would be replaced. Move it"
                " away, or choose another folder."
            )
        _download_one(file, target, folder / ".downloads", verbose)


def _download_one(file: Remote, target: Path, parts: Path, verbose: int) -> None:
    import pooch
    import requests
    from filelock import FileLock, Timeout

    parts.mkdir(parents=True, exist_ok=True)
    name = file.name.replace("/", "--")
    try:
        with (
            FileLock(parts / f"{name}.lock", timeout=0),
            _quiet(pooch.get_logger()),
            # pooch keeps what it checks under names that it draws: in a folder that goes with the process.
            scratch_folder("download", parts) as scratch,
        ):
            source = pooch.create(
                scratch, base_url="", registry={name: None}, urls={name: file.url}, retry_if_failed=_RETRIES
            )
            whole = source.fetch(name, downloader=_Resumed(file, _part(file, parts, name), verbose))
            target.parent.mkdir(parents=True, exist_ok=True)
            Path(whole).replace(target)
    except Timeout:
        raise BlockingIOError(f"{file.name} is being downloaded by another process. Wait for it.") from None
    except ValueError as error:
        raise ValueError(f"{file.name} from {file.url} is not what its publisher says: {error}") from error
    except requests.RequestException as error:
        raise ConnectionError(
            f"{file.name} could not be downloaded from {file.url} ({error}). Run this again: it goes on where it stopped."
        ) from error


def _part(file: Remote, parts: Path, name: str) -> Path:
    """Where a download stands: a name for each version of the file, so that no two versions are joined."""
    version = hashlib.blake2s(f"{file.hash} {file.etag} {file.size}".encode(), digest_size=4).hexdigest()
    part = parts / f"{name}.{version}.part"
    ours = re.compile(rf"{re.escape(name)}\.[0-9a-f]{{8}}\.part")
    for old in parts.iterdir():
        if ours.fullmatch(old.name) and (old != part or old.is_symlink()):
            old.unlink()
    return part


@contextlib.contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Keep pooch from announcing each file: the progress bar does."""
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


class _Resumed:
    """Downloader for pooch: goes on with the part that an earlier call left."""

    def __init__(self, file: Remote, part: Path, verbose: int) -> None:
        self.file, self.part, self.verbose = file, part, verbose

    def __call__(self, url: str, output_file: Any, pooch: Any) -> None:
        """Download to the part, check it, then hand it over."""
        import requests
        from pooch.hashes import hash_matches

        from .._utils.progress import tqdm

        start = self.part.stat().st_size if self.part.exists() else 0
        if self.file.size is None or start < self.file.size:
            headers = {"Accept-Encoding": "identity"}
            if start:
                headers["Range"] = f"bytes={start}-"
            with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
                response.raise_for_status()
                if response.status_code != 206:
                    start = 0  # the whole file is sent: it has changed, or the server cannot resume
                bar = tqdm(
                    desc=PurePosixPath(self.file.name).name,
                    total=self.file.size,
                    initial=start,
                    unit="B",
                    unit_scale=True,
                    disable=not self.verbose,
                )
                told = room_told(self.part, self.file.size)
                with told, bar, open(self.part, "ab" if start else "wb") as out:
                    for chunk in response.iter_content(_CHUNK):
                        out.write(chunk)
                        bar.update(len(chunk))
        size = self.part.stat().st_size
        if self.file.size is not None and size != self.file.size:
            if size < self.file.size:
                raise requests.ConnectionError(f"the connection ended after {size} of {self.file.size} bytes")
            self.part.unlink()
            raise ValueError(f"it has {size} bytes instead of {self.file.size}.")
        # Before it is handed over: a kill while a large file is read does not lose it.
        try:
            hash_matches(self.part, self.file.hash, strict=True, source=PurePosixPath(self.file.name).name)
        except ValueError:
            self.part.unlink()
            raise
        self.part.replace(output_file)


def unpack(archive: Path, target: Path, *, verbose: int) -> None:
    """Unpack a zip archive into a new folder, all of it or nothing.

    Parameters
    ----------
    archive : Path
        The archive. A single folder at its top, of the name of `target`, is left out.
    target : Path
        Folder to make.
    verbose : int
        1 shows a progress bar.

    Raises
    ------
    ValueError
        If the archive is damaged, or would write outside its folder.
    """
    import zipfile
    import zlib

    from .._utils.progress import tqdm

    damaged = f"{archive} is damaged or not a zip archive ({{}}). Download it again."
    if archive.exists() and not archive.is_file():  # a pipe would wait for a writer
        raise ValueError(damaged.format("it is a folder or a pipe"))
    try:
        content = zipfile.ZipFile(archive)
    except (zipfile.BadZipFile, OSError) as error:
        raise ValueError(damaged.format(error)) from error
    try:
        with content, scratch_folder("unpacking", target.parent) as scratch:
            fresh = scratch / target.name
            members = [member for member in content.infolist() if not _is_debris(member.filename)]
            for member in members:
                path_below(fresh, member.filename)
                if stat.S_ISLNK(member.external_attr >> 16):
                    raise ValueError(f"{archive} is refused: {member.filename!r} in it is a link.")
            needed = sum(member.file_size for member in members)
            # Recordings and pictures shrink to a tenth at best; what claims more is made to fill the disk.
            if needed > max(_ANY_RATIO, _RATIO * archive.stat().st_size):
                raise ValueError(
                    f"{archive} is refused: it would unpack to {needed} bytes, {needed // archive.stat().st_size} times"
                    " its own size."
                )
            with room_told(fresh, needed):
                for member in tqdm(
                    members, desc=f"Unpacking {target.name}", unit="file", disable=not verbose
                ):
                    content.extract(member, fresh)
            tops = list(fresh.iterdir()) if fresh.is_dir() else []
            top = tops[0] if len(tops) == 1 and tops[0].name == target.name and tops[0].is_dir() else fresh
            top.rename(target)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(damaged.format(error)) from error
    except OSError as error:
        if error.errno == errno.EINVAL:  # a table of contents that points before the file
            raise ValueError(damaged.format(error)) from error
        raise


def path_below(folder: Path, name: str) -> Path:
    """Return the path of `name` below `folder`; refuse a name that leads elsewhere."""
    path = PurePosixPath(name)
    odd = (
        not path.parts
        or path.is_absolute()
        or ".." in path.parts
        or "\\" in name
        or ":" in name
        or "\0" in name
    )
    if odd:
        raise ValueError(f"{name!r} is refused: it would be written outside of {str(folder)!r}.")
    return folder.joinpath(*path.parts)


def _is_debris(name: str) -> bool:
    """Whether a member of an archive is what macOS adds to it."""
    parts = PurePosixPath(name).parts
    return "__MACOSX" in parts or (bool(parts) and parts[-1] == ".DS_Store")
