"""EEG-ImageNet: 16 people who saw 80 classes of ImageNet, 50 pictures each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cached_property, partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from .._utils.params import check_number, check_option
from ..epochs.sites import words
from ._annex import local_file
from ._eeg2_files import subject_names
from ._stores import as_bunch
from ._streaming import Cut, Recording, stream
from ._texts import shared_texts

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.utils import Bunch

_FILES = ("EEG-ImageNet.pth", "EEG-ImageNet_1.pth", "EEG-ImageNet_2.pth")
_NEEDED = {"eeg_data", "granularity", "subject", "label", "image"}
# The 62 of a Quik-Cap that are no mastoids, in its order, as the publishers' code has them.
_CHANNELS = words(
    """
Fp1 Fpz Fp2 AF3 AF4 F7 F5 F3 F1 Fz F2 F4 F6 F8 FT7 FC5 FC3 FC1 FCz FC2 FC4 FC6 FT8 T7 C5 C3 C1 Cz C2 C4 C6 T8 TP7 CP5 CP3
CP1 CPz CP2 CP4 CP6 TP8 P7 P5 P3 P1 Pz P2 P4 P6 P8 PO7 PO5 PO3 POz PO4 PO6 PO8 CB1 O1 Oz O2 CB2
    """
)
_SFREQ = 1000.0
_BLOCK = 256


class _File:
    """A published file, of which only the table is in memory: tensors are mapped."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def trials(self) -> list[dict[str, Any]]:
        """Everything that was shown."""
        import torch

        try:
            content = torch.load(self.path, map_location="cpu", weights_only=True, mmap=True)
        except Exception as error:  # torch and pickle have many
            raise ValueError(
                f"{str(self.path)!r} is damaged, or holds more than tensors and text ({str(error)[:200]})."
            ) from error
        trials = content.get("dataset") if isinstance(content, dict) else None
        if not isinstance(trials, list) or not trials or not all(set(trial) >= _NEEDED for trial in trials):
            raise ValueError(
                f"{str(self.path)!r} is not one of EEG-ImageNet's files: a dict whose 'dataset' is a list of dicts with"
                f" {', '.join(sorted(_NEEDED))}."
            )
        return trials

    def subjects(self) -> list[int]:
        """Numbers of the people in it."""
        return sorted({int(trial["subject"]) for trial in self.trials})

    def cut(self, subject: int, unit: float, folder: Path) -> Cut:
        """Give one person's epochs."""
        import mne
        import pandas as pd

        trials = [trial for trial in self.trials if int(trial["subject"]) == subject]
        shapes = {tuple(trial["eeg_data"].shape) for trial in trials}
        if len(shapes) > 1 or {shape[0] for shape in shapes} != {len(_CHANNELS)}:
            raise ValueError(
                f"{str(self.path)!r}: trials must have {len(_CHANNELS)} channels and one length, got {sorted(shapes)[:3]}."
            )
        info = mne.create_info(list(_CHANNELS), _SFREQ, "eeg", verbose="ERROR")
        info.set_montage(
            "standard_1005", on_missing="ignore", verbose="ERROR"
        )  # which knows neither CB1 nor CB2
        rows = pd.DataFrame(
            {
                "stimulus": [PurePosixPath(str(trial["image"])).stem for trial in trials],
                "concept": [str(trial["label"]) for trial in trials],
                "subject": f"sub-{subject:02d}",
                "granularity": [str(trial["granularity"]) for trial in trials],
            }
        )
        return Cut(self._blocks(trials, unit), rows, info, 0.0, shapes.pop()[1])

    def _blocks(self, trials: list[dict[str, Any]], unit: float) -> Iterator[np.ndarray]:
        for start in range(0, len(trials), _BLOCK):
            some = [trial["eeg_data"].numpy() for trial in trials[start : start + _BLOCK]]
            yield (np.stack(some) * unit).astype(np.float32)


@shared_texts
def load_eeg_imagenet(
    folder: str | os.PathLike,
    out: str | os.PathLike,
    *,
    subjects: Any = None,
    images: str | os.PathLike | None = None,
    unit: float = 1.0,
    dtype: str = "float32",
    verbose: int = 1,
) -> Bunch:
    """Write EEG-ImageNet [1]_ into an :class:`~skeegclip.EpochsStore`, and open it.

    16 people, 62 channels at 1000 Hz, half a second from the onset of each picture, as published: there is no time before
    it. A person is written whole or not at all, and one who is in the store already is not read again. The files are
    read as tensors and text alone; nothing in them is run.

    Parameters
    ----------
    folder : path-like
        Where ``EEG-ImageNet_1.pth`` and ``EEG-ImageNet_2.pth``, or one of them, lie.
    %(out)s
    %(subjects)s
    images : path-like | None
        Folder of ImageNet's pictures (``n02106662/n02106662_13.JPEG``), for ``data.images``. None is
        ``imageNet_images`` in `folder`.
    unit : float
        What the published numbers are multiplied by to be microvolts.
    dtype : "float32" | "float16"
        Type on disk.
    verbose : int
        1 shows a progress bar.

    Returns
    -------
    Bunch
        ``X`` : EpochsView, shape (n_epochs, n_chans, n_times)
            Single trials, none of them read yet. ``X.rows`` has the columns stimulus, concept, subject, granularity,
            repetition.
        ``y``, ``concept``, ``subject`` : ndarray of str, shape (n_epochs,)
            File name of the picture in ImageNet without suffix, its class ("n02106662"), "sub-00" and so on.
        ``repetition`` : ndarray of int, shape (n_epochs,)
            How often the subject had seen the picture before, counted from 0.
        ``times`` : ndarray, shape (n_times,)
            Seconds from the picture's onset.
        ``info`` : mne.Info
            Channels.
        ``manifest`` : DataFrame
            The pictures: id, concept, path ("" where it is not there).
        ``images`` : ImageTable | None
            The pictures that are there, by id.

    Raises
    ------
    %(raises)s

    Warns
    -----
    UserWarning
        If the numbers cannot be microvolts.

    Notes
    -----
    Read at the publishers': their description (87,850 trials, of which each file has 8 people) and the code that reads
    their files, from which names and meaning of the fields and the order of channels are. The files could not be seen:
    neither their unit nor how people are numbered in them is said anywhere. They publish no hash; the store keeps the
    one that the file had.

    References
    ----------
    .. [1] Zhu et al., "EEG-ImageNet: An Electroencephalogram Dataset and Benchmarks with Image Visual Stimuli of
       Multi-Granularity Labels", 2024, arXiv:2406.07151.

    Examples
    --------
    >>> from skeegclip.datasets import load_eeg_imagenet
    >>> data = load_eeg_imagenet("EEG-ImageNet", "eeg-imagenet-store")  # doctest: +SKIP
    """
    check_option("dtype", dtype, ["float32", "float16"])
    check_number("unit", unit, low=0, open_low=True)
    root = Path(folder)
    paths = [root / name for name in _FILES if (root / name).is_file()]
    if not paths:
        raise FileNotFoundError(f"folder: {str(folder)!r} holds none of {', '.join(_FILES)}.")
    there = {f"sub-{number:02d}": (file, number) for file in map(_File, paths) for number in file.subjects()}
    wanted = sorted(there) if subjects is None else subject_names(subjects)
    if absent := [name for name in wanted if name not in there]:
        raise FileNotFoundError(
            f"subjects: {', '.join(absent)} not found; there are {', '.join(sorted(there))}."
        )
    recordings = [
        Recording(
            name,
            (local_file(root, there[name][0].path.name),),
            partial(there[name][0].cut, there[name][1], unit),
        )
        for name in wanted
    ]
    how = {"data": "EEG-ImageNet", "unit": unit, "dtype": dtype}
    view = stream(recordings, out, folder=root, how=how, dtype=dtype, verbose=verbose).view()
    if set(view.subject) - set(wanted):  # type: ignore[arg-type]
        view = view.select(subject=wanted)
    return as_bunch(
        view, view.rows, _manifest(view.rows, root / "imageNet_images" if images is None else Path(images))
    )


def _manifest(rows: pd.DataFrame, place: Path) -> pd.DataFrame:
    shown = (
        rows[["stimulus", "concept"]].drop_duplicates("stimulus").sort_values("stimulus", ignore_index=True)
    )
    files = [
        place / concept / f"{name}.JPEG"
        for name, concept in zip(shown["stimulus"], shown["concept"], strict=True)
    ]
    paths = [str(file) if file.is_file() else "" for file in files]
    return shown.rename(columns={"stimulus": "id"}).assign(path=paths)
