"""Alljoined: pictures of NSD with 64 electrodes, and those of THINGS-EEG2 with a headset for consumers."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ._event_tables import read_table
from ._published import Found, Published, load_published
from ._texts import shared_texts

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.utils import Bunch

_DESIGN = "code/1_preprocessing/final_dataset/nsd_expdesign.mat"
_SHOWN = {"stim_train": "train", "stim_test": "test"}
_JITTER = 0.01  # seconds by which the marks of one recording may disagree about its start


def _markers(found: Found) -> str:
    return f"sourcedata/{found.stem}_recording.json"


def _events_million(folder: Path, found: Found, pictures: Any) -> pd.DataFrame:
    """Read which pictures were shown; where the events lack them, from the marks of the headset."""
    import pandas as pd

    events = read_table(folder / f"{found.stem}_events.tsv", "events")
    told = events["trial_type"].str.split(",", expand=True)
    shown = told[0].isin(list(_SHOWN))
    if shown.any():
        label, number, onset = told[0][shown], told[1][shown], events["onset"][shown].astype(float)
    else:
        marks = _marks(folder / _markers(found))
        marks["seconds"] -= _start(found, marks, events["onset"].astype(float), told)
        marks = marks[marks["label"].isin(list(_SHOWN))]
        label, number, onset = marks["label"], marks["value"], marks["seconds"]
    number = number.astype(int).to_numpy()
    table = pd.DataFrame({"onset": onset.to_numpy(), "split": label.map(_SHOWN).to_numpy()})
    if pictures is None:
        return table.assign(stimulus=[f"{n:05d}" for n in number], concept="")
    if len(number) and number.max() >= len(pictures):
        raise ValueError(f"images: {found.key} shows picture {number.max()}, but there are {len(pictures)}.")
    named = pictures.iloc[number]
    return table.assign(stimulus=named["id"].to_numpy(), concept=named["concept"].to_numpy())


def _marks(file: Path) -> pd.DataFrame:
    """Read the marks of a recording, with their times in seconds since 1970."""
    import pandas as pd

    marks = pd.DataFrame(json.loads(file.read_bytes())["Markers"])
    if "deleted" in marks:
        marks = marks[~marks["deleted"].astype(bool)]
    time = pd.to_datetime(marks["startDatetime"], utc=True, format="ISO8601")
    return marks.assign(seconds=(time - pd.Timestamp(0, tz="UTC")).dt.total_seconds())


def _start(found: Found, marks: pd.DataFrame, onsets: pd.Series, told: pd.DataFrame) -> float:
    """Return when a recording began, from the marks that its events have too: answers and targets."""
    index = dict(
        zip(marks["index"].astype(int), zip(marks["seconds"], marks["label"], strict=True), strict=True)
    )
    starts = []
    for onset, row in zip(onsets, told.to_numpy(), strict=True):
        number = row[-1] if isinstance(row[-1], str) and row[-1].isdecimal() else "-1"
        seconds, label = index.get(int(number), (0.0, None))
        if label == row[0]:
            starts.append(seconds - onset)
    if not starts or np.ptp(starts) > _JITTER:
        raise ValueError(
            f"{found.key}: its events and {_markers(found)} do not tell one start of the recording"
            f" ({len(starts)} marks are in both{f', {np.ptp(starts):.3f} s apart' if starts else ''})."
        )
    return (min(starts) + max(starts)) / 2  # onsets are rounded to samples


def _events_first(folder: Path, found: Found, pictures: Any) -> pd.DataFrame:
    """Read the numbers of pictures, and their places in NSD from NSD's design."""
    import pandas as pd
    from scipy.io import loadmat

    events = read_table(folder / f"{found.stem}_events.tsv", "events")
    events = events[events["trial_type"].str.startswith("image/")]
    design = loadmat(folder / _DESIGN, variable_names=["sharedix", "subjectim"])
    # As the publishers' code has it: shared pictures in even sessions, the person's own in odd ones.
    is_shared = int(found.labels["ses"]) % 2 == 0
    order = design["sharedix"].ravel() if is_shared else design["subjectim"][int(found.labels["sub"]) - 1]
    number = events["value"].astype(int).to_numpy()
    return pd.DataFrame(
        {
            "onset": events["onset"].astype(float).to_numpy(),
            "stimulus": [f"nsd{n - 1:05d}" for n in order[number - 1].astype(int)],
            "shared": str(int(is_shared)),
        }
    )


ALLJOINED_1 = Published(
    title="Alljoined-1",
    datatype="eeg",
    recordings=r"sub-\d+/ses-\d+/eeg/sub-\d+_ses-\d+_task-images_eeg\.bdf",
    example="sub-01/ses-01/eeg/sub-01_ses-01_task-images_eeg.bdf",
    events=_events_first,
    columns=("shared",),
    beside=lambda found: (_DESIGN,),
)
ALLJOINED_MILLION = Published(
    title="Alljoined-1.6M",
    datatype="eeg",
    # ses-02old of sub-08 was taken anew.
    recordings=r"sub-\d+/ses-\d+/eeg/sub-\d+_ses-\d+_task-images_run-\d+_eeg\.edf",
    example="sub-01/ses-01/eeg/sub-01_ses-01_task-images_run-01_eeg.edf",
    events=_events_million,
    columns=("concept", "split"),
    beside=lambda found: (_markers(found),),
    is_things_eeg2=True,
)


@shared_texts
def load_alljoined(
    folder: str | os.PathLike,
    out: str | os.PathLike,
    *,
    subjects: Any = None,
    images: str | os.PathLike | None = None,
    channels: Sequence[str] | None = None,
    bads: str = "interpolate",
    band: tuple[float | None, float | None] | None = (0.1, 100.0),
    sfreq: float | None = 250.0,
    tmin: float = -0.2,
    tmax: float = 1.0,
    baseline: tuple[float | None, float | None] | None = (None, 0.0),
    dtype: str = "float32",
    verbose: int = 1,
) -> Bunch:
    """Write Alljoined-1 [1]_ or Alljoined-1.6M [2]_ into an :class:`~skeegclip.EpochsStore`, and open it.

    Alljoined-1.6M: 20 people saw the pictures of THINGS-EEG2, 32 channels at 256 Hz. Alljoined-1: 8 people saw pictures of
    NSD, 64 channels at 512 Hz. A recording is written whole or not at all.

    Parameters
    ----------
    folder : path-like
        The data set in BIDS as NEMAR has it: nm000134 (1.6M) or nm000133 (1).
    %(out)s
    %(subjects)s
    images : path-like | None
        For 1.6M, what tells the names of the pictures, as in :func:`load_things_eeg2`: the folder of ``training_images``
        and ``test_images``, or ``image_metadata.npy``. None calls them by number ("00000" to "16739"), as their files
        in ``stimuli`` are called. For 1, a folder of pictures called by their number in NSD ("nsd08647.jpg").
    %(cut)s

    Returns
    -------
    %(bunch)s

        Columns besides, of 1.6M: concept ("" by number) and split ("test" for the 200 pictures of THINGS-EEG2's test
        set); of 1: shared ("1" for pictures that all people saw).

    Raises
    ------
    %(raises)s

    See Also
    --------
    stream_eegdash : The same, downloaded as it is converted.
    load_things_eeg2 : The same pictures, with 63 channels.

    Notes
    -----
    Read in nm000134: names of all files, channels of some, and the events and marks of all 1,520 recordings. The events of
    recordings 5 to 19 of each session lack the training pictures. The marks in ``sourcedata`` have them (1,114 each), and
    agree with the answers and targets in all of these events to half a sample, so that onsets are taken from there. Of sub-19, ses-01, the
    first five pictures of each recording were shown before it began. The pictures are byte for byte those of THINGS-EEG2
    in its order: checked for all 200 test pictures and the first 161 of training. ``ses-02old`` of sub-08, which was taken anew, is left
    out. In nm000133: all events. Which picture of NSD has which number is taken from the publishers' code, and agrees
    with the rows that their hub shows of sub-01; the design file could not be seen. No recording itself could.

    References
    ----------
    .. [1] Xu, Lee and Jiang, "Alljoined: A dataset for EEG-to-Image decoding", 2024, arXiv:2404.05553.
    .. [2] Xu et al., "Alljoined-1.6M: A Million-Trial EEG-Image Dataset for Evaluating Affordable Brain-Computer
       Interfaces", 2025, arXiv:2508.18571.

    Examples
    --------
    >>> from skeegclip.datasets import load_alljoined
    >>> data = load_alljoined("nm000134", "alljoined-store", images="things-eeg2/image_set")  # doctest: +SKIP
    >>> data.X.select(split="test").shape  # doctest: +SKIP
    """
    return load_published(
        (ALLJOINED_1, ALLJOINED_MILLION),
        out,
        folder=Path(folder),
        subjects=subjects,
        images=images,
        channels=channels,
        bads=bads,
        band=band,
        sfreq=sfreq,
        tmin=tmin,
        tmax=tmax,
        baseline=baseline,
        dtype=dtype,
        verbose=verbose,
    )
