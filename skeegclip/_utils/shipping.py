"""What many tasks share, sent to worker processes once and not with every task."""

from __future__ import annotations

import mmap
import os
import pickle
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import cloudpickle
from joblib import parallel_config

from .persistence import room_told
from .scratch import scratch_folder, sweep_folders

_OUT_OF_BAND = 1 << 20  # joblib's own limit: smaller arrays are copied, larger ones arrive read-only
_ALIGN = 64


class Shipment:
    """A value that many tasks share; pickled as the path of a file, which is written when it is first pickled.

    joblib's own way with dask is to scatter large arguments into the memory of workers, where they are lost with a
    worker that dies, and to put whatever it takes for small, a table inside an estimator for example, into every task.
    A file outlives its readers, and its arrays are memory-mapped: workers of one machine share the memory. What runs
    that were killed have left is removed by the next one in the same place.

    Parameters
    ----------
    value : object
        Anything that pickles.
    folder : path-like | None
        Where the file goes, for as long as the block lasts; a folder that all machines see. None takes a temporary
        folder of this machine.
    """

    def __init__(self, value: Any, folder: str | os.PathLike | None = None) -> None:
        self.value = value
        self._folder = folder
        self._written: tuple[str, list[int]] | None = None
        self._failed: OSError | None = None
        self._place = ExitStack()
        self._lock = threading.Lock()  # joblib pickles in several threads

    def __enter__(self) -> Shipment:
        sweep_folders("shipment", self._parent)  # this run may stay in one process, and write none
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        with self._lock:
            # Workers that still read go on with the file they hold open.
            self._place.close()
            if isinstance(error, Exception) and self._failed not in (None, error):
                # Who pickles for joblib says that a task cannot be pickled, not why.
                raise self._failed from error

    def __reduce__(self) -> tuple:
        with self._lock:
            if self._failed is not None:
                raise self._failed
            if self._written is None:
                try:
                    self._written = self._write()
                except OSError as error:
                    self._failed = error
                    self._place.close()
                    raise
        return _Arrived, self._written

    @property
    def _parent(self) -> str | os.PathLike | None:
        return self._folder or os.environ.get("JOBLIB_TEMP_FOLDER")

    def _write(self) -> tuple[str, list[int]]:
        large: list[pickle.PickleBuffer] = []

        def stays(buffer: pickle.PickleBuffer) -> bool:
            if buffer.raw().nbytes < _OUT_OF_BAND:
                return True
            large.append(buffer)
            return False

        parts = [cloudpickle.dumps(self.value, protocol=5, buffer_callback=stays)]
        parts += [buffer.raw() for buffer in large]
        path = self._place.enter_context(scratch_folder("shipment", self._parent)) / "value"
        with room_told(path, sum(len(part) for part in parts)), open(path, "xb") as file:
            for part in parts:
                file.write(bytes(-file.tell() % _ALIGN))
                file.write(part)
        return str(path), [len(part) for part in parts]


class _Arrived:
    """A shipment in a worker, read when its value is asked for."""

    def __init__(self, path: str, sizes: list[int]) -> None:
        self._path, self._sizes = path, sizes

    @property
    def value(self) -> Any:
        try:
            with open(self._path, "rb") as file:
                content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except FileNotFoundError:
            raise FileNotFoundError(
                f"A worker cannot see {self._path!r}, where its data are. Pass folder= on a file system that all machines"
                " share."
            ) from None
        parts, start = [], 0
        for size in self._sizes:
            parts.append(content[start : start + size])
            start += size + -size % _ALIGN
        return pickle.loads(parts[0], buffers=parts[1:])


@contextmanager
def unpacked(shared: Shipment | _Arrived) -> Iterator[Any]:
    """A block of a task, with the shared value.

    In a worker process, what the task would run in parallel is run in turn. On dask it would go to other workers, whose
    results are unpickled beside the training that the worker has begun meanwhile, and draw from the same generator.
    """
    if isinstance(shared, Shipment):
        yield shared.value
    else:
        with parallel_config("sequential"):
            yield shared.value
