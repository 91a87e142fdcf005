"""Files that are written whole or not at all, and read only where they are plain files that say what they should."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import platform
import re
import stat
import uuid
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

Facts = TypeVar("Facts")

# Names of temporary files tell the machine that writes them: only there does a lock that is free prove that the
# writer is dead, because network file systems may keep locks to one machine.
HOST = hashlib.blake2s(platform.node().encode(), digest_size=4).hexdigest()
# What a system says of a disk, a quota or a file that is full; not each of them knows all.
FULL = {getattr(errno, name, errno.ENOSPC) for name in ("ENOSPC", "EDQUOT", "EFBIG")}
_LEFT = re.compile(rf"\..+\.{HOST}[0-9a-f]{{32}}\.tmp", re.DOTALL)


def write_whole(path: str | os.PathLike, content: bytes | Iterable[Any] | Callable[[BinaryIO], None]) -> None:
    """Write `content` to `path`: a kill at any moment leaves the old file or the new one.

    What killed writes to the same folder have left is removed; a file that is being written is not.

    Parameters
    ----------
    path : path-like
        File to write or replace. Missing parent folders are made.
    content : bytes | iterable of bytes-like | callable
        The new content, or its parts in their order, for what should not be in memory at once. A callable is given the
        open file, for what must go back to where it was before.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent)
    # The temporary file lies in the same folder: os.replace is atomic only inside one file system.
    # Not tempfile.mkstemp, whose files only their owner may read.
    file, temporary = locked(path)
    try:
        with file:
            if callable(content):
                content(file)
            else:
                parts: Iterable[Any] = [content] if isinstance(content, bytes) else content
                file.writelines(parts)
            settle(file)
            os.replace(temporary, path)  # locked until it has its name
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Bring the names of files to the disk, so that they survive a power cut too; Windows has no such thing."""
    if hasattr(os, "O_DIRECTORY"):
        number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(number)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network drives cannot
                raise
        finally:
            os.close(number)


def settle(file: BinaryIO) -> None:
    """Bring an open temporary file to the disk, ready to get its name."""
    file.flush()
    os.fsync(file.fileno())
    if os.name == "nt":  # where an open file cannot be moved, nor taken away by others
        file.close()


def sweep(folder: Path) -> None:
    """Remove the temporary files in a folder whose writers are dead: nobody holds their lock."""
    for name in filter(_LEFT.fullmatch, os.listdir(folder)):
        with contextlib.suppress(OSError, ValueError), open_regular(folder / name) as file:
            if lock(file):
                (folder / name).unlink()


def locked(path: Path) -> tuple[BinaryIO, Path]:
    """A new temporary file beside `path`, locked for as long as it is open."""
    while True:
        temporary = path.with_name(f".{path.name}.{HOST}{uuid.uuid4().hex}.tmp")
        file = open(temporary, "xb")  # noqa: SIM115
        # Who sweeps at this very moment may have taken the lock first, and the file away.
        if lock(file) in (True, None) and temporary.exists():
            return file, temporary
        file.close()
        temporary.unlink(missing_ok=True)


def lock(file: BinaryIO) -> bool | None:
    """Take the lock of an open file, which its process loses when it dies.

    Returns
    -------
    bool | None
        Whether it was free; None where there are no such locks.
    """
    try:
        import fcntl
    except ImportError:  # Windows, where an open file cannot be removed anyway
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def open_regular(path: str | os.PathLike, flags: int = os.O_RDONLY) -> BinaryIO:
    """Open a file that is there and is one: no link, no folder, no pipe, which would wait for a writer.

    Parameters
    ----------
    path : path-like
        The file.
    flags : int
        ``os.O_RDONLY``, or ``os.O_RDWR``; then the file must have no other name either, which links it elsewhere.

    Returns
    -------
    binary file
        Open.

    Raises
    ------
    FileNotFoundError
        If there is nothing.
    ValueError
        If it is something else than a plain file.
    """
    more = ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY")
    for name in more:
        flags |= getattr(os, name, 0)
    odd = ValueError(
        f"{os.fspath(path)!r} is a link, a folder or a pipe, not a plain file; it is not touched."
    )
    try:
        if not hasattr(os, "O_NOFOLLOW") and os.path.islink(path):
            raise odd
        number = os.open(path, flags)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK, errno.ENXIO, errno.EISDIR):
            raise odd from None
        raise
    try:
        found = os.fstat(number)
        writes = flags & (os.O_RDWR | os.O_WRONLY)
        if not stat.S_ISREG(found.st_mode):
            raise odd
        if writes and found.st_nlink > 1:
            raise ValueError(
                f"{os.fspath(path)!r} has {found.st_nlink} names (hard links), and writing would change what the others"
                " show. Copy it, and replace it by the copy."
            )
        return os.fdopen(number, "r+b" if writes else "rb", buffering=0 if writes else -1)
    except BaseException:
        os.close(number)
        raise


def read_regular(path: str | os.PathLike, *, limit: int) -> bytes:
    """Read a plain file of at most `limit` bytes; raises as :func:`open_regular` does, and ValueError for a longer one."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise ValueError(
                f"{os.fspath(path)!r} has {size} bytes, more than such a file can have ({limit})."
            )
        return file.read()


def conforming(schema: type[Facts], content: Any) -> Facts:
    """Return what a file says as an instance of a dataclass; other names and other types are refused.

    Parameters
    ----------
    schema : type
        A dataclass.
    content : object
        What json has read.

    Returns
    -------
    object
        Of that class.

    Raises
    ------
    ValueError
        If the content does not fit; the message names the first field.
    """
    from pydantic import ValidationError

    try:
        # As JSON once more: strict is then about its types, in which a dataclass is an object.
        return _adapter(schema).validate_json(json.dumps(content), strict=True)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise ValueError(f"{where}: {first['msg']}") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


@lru_cache
def _adapter(schema: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(schema)


@contextlib.contextmanager
def room_told(path: Path, needed: int | None) -> Iterator[None]:
    """Say how much a file needs, where that is known, and the disk has less."""
    import shutil

    try:
        yield
    except OSError as error:
        if error.errno is None or error.errno not in FULL:
            raise
        free = shutil.disk_usage(path.parent).free
        told = "of bytes " if needed is None else f"{needed} bytes are needed and "
        raise OSError(
            error.errno,
            f"{os.strerror(error.errno)}: {told}{free} are free. Make room, or choose another folder",
            str(path),
        ) from error
